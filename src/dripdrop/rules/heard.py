"""What was heard in a stored request, or from a pumped mailbox, ready to be matched to an execution?"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, time
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import orjson

from dripdrop.rules import inbound, mailbox, threads
from dripdrop.rules.feedback import Feedback, InboundMessage, Status
from dripdrop.rules.inbound import Read
from dripdrop.rules.recipients import ANSWERED_PLAINLY, MAX_LENGTH, normalize
from dripdrop.rules.redaction import evidence
from dripdrop.rules.threads import Candidate

BACK_AT = time(9)
LONGEST = 500
LONGEST_REPLY = 20_000
_OF_PEOPLE: frozenset[Status] = frozenset({"replied", "unsubscribed", "resubscribed"})
_AS_FEEDBACK: Mapping[str, Status] = {
    "unsubscribe": "unsubscribed", "resubscribe": "resubscribed", "complaint": "complained", "bounce": "bounced",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Heard:
    """One event: `key` is the same each time it is told, `candidates` are the ways to its execution, best first.

    `waits` says that its execution may yet become known: an event can be faster than the answer to the send.
    """

    key: str
    told: Feedback
    candidates: tuple[Candidate, ...] = ()
    provider_message_id: str | None = None
    provider_event_id: str | None = None
    message: InboundMessage | None = None
    read: Read | None = None
    waits: bool = False


@dataclass(frozen=True, slots=True)
class Reply:
    """What the host is told of a human reply: `text` is what its sender wrote, without quotes.

    `id` is the same each time the host is told of this reply. What it answers is None where nobody can know.
    """

    sender: str
    to: str
    subject: str | None
    text: str
    message_id: str | None
    received_at: datetime
    tenant: str | None = None
    channel: str = "email"
    provider: str = ""
    adapter_id: UUID | None = None
    execution_id: UUID | None = None
    enrollment_id: UUID | None = None
    sequence: str | None = None
    step: str | None = None
    subscriber_type: str | None = None
    subscriber_id: str | None = None
    id: UUID | None = None


def of_event(
    told: Feedback,
    payload: Mapping[str, Any],
    event_id: str | None,
    resolved: Mapping[str, str] | None,
    *,
    provider: str,
) -> Heard:
    """An event of a provider. Without an id of its own, equal payloads are the same event."""
    resolved = resolved or {}
    message_id = text_of(resolved.get("provider_message_id"))
    candidates = threads.of_delivery(text_of(resolved.get("delivery_id")), message_id, provider=provider)
    return Heard(
        key=f"event:{shortened(event_id)}" if event_id else f"digest:{digest(payload)}",
        told=told,
        candidates=candidates,
        provider_message_id=threads.bare(message_id) if message_id else None,
        provider_event_id=shortened(event_id) if event_id else None,
        waits=bool(candidates),
    )


def of_message(message: InboundMessage, *, channel: str, provider: str, received: datetime) -> Iterator[Heard]:
    """A message from outside: a reply, or a bounce or complaint that travels as one, of each recipient it names."""
    mail = mailbox.completed(message, received)
    whole = mail.message
    key = f"message:{shortened(whole.message_id or whole.provider_message_id or _digest_of(whole))}"
    if mail.report is not None:
        ways = tuple(each for one in mail.report.message_ids for each in threads.of_delivery(None, one))
        for number, told in enumerate(mail.report.feedback):
            dated = _dated(told, whole.received_at or received)
            yield Heard(f"{key}:{number}", dated, ways, provider_event_id=whole.message_id)
        return
    read = inbound.classify(whole, channel, received)
    candidates = threads.of_reply(
        whole.in_reply_to, whole.references, whole.replies_to or _named_by_host(whole), provider=provider
    )
    yield Heard(key, _told(whole, read, received), candidates, whole.provider_message_id, whole.message_id, whole, read)


def speaks_from(heard: Heard, channel: str) -> str | None:
    """The address, normalized, of somebody who answers there without naming what; None where that is not possible."""
    told = heard.told
    if channel not in ANSWERED_PLAINLY or told.status not in _OF_PEOPLE or heard.waits or not told.recipient:
        return None
    return normalize(channel, told.recipient[:MAX_LENGTH]) or None


def back_at(read: Read, zone: str) -> datetime | None:
    """When somebody who is away is written to again: nine in the morning of the first day back, in their zone."""
    if read.return_on is None:
        return None
    return datetime.combine(read.return_on, BACK_AT, ZoneInfo(zone)).astimezone(UTC)


def reply(heard: Heard, received: datetime) -> dict[str, Any] | None:
    """The first fields of a `Reply`; None for whatever is no human reply."""
    if heard.message is None or heard.read is None or heard.read.intent != "reply":
        return None
    message = heard.message
    return {
        "sender": message.sender,
        "to": message.to,
        "subject": message.subject,
        "text": inbound.own_words(message.text or "")[:LONGEST_REPLY].replace("\0", ""),
        "message_id": message.message_id,
        "received_at": message.received_at or received,
    }


def kept(heard: Heard, verdict: Mapping[str, Any]) -> dict[str, Any]:
    """What is kept of an event beside its columns: small, and without content, addresses of machines or secrets."""
    told = heard.told
    data: dict[str, Any] = {
        "event": shortened(told.event), "reason": shortened(told.reason), "severity": told.severity,
        "topic": told.topic, "recipient": shortened(told.recipient or ""), **verdict,
    }  # fmt: skip
    if heard.read is not None:
        data["intent"] = heard.read.intent
        data["return_on"] = heard.read.return_on.isoformat() if heard.read.return_on else None
    if heard.message is not None:
        data["subject"] = shortened(heard.message.subject or "")
    if told.detail:
        data["detail"] = evidence(told.detail)
    return {name: value for name, value in data.items() if value not in (None, "")}


def digest(payload: Any) -> str:
    """The same for the same payload, whatever the order of its keys."""
    text = orjson.dumps(payload, default=str, option=orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS)
    return hashlib.sha256(text).hexdigest()


def shortened(text: str) -> str:
    """A text that the database can hold and an index can find."""
    clean = str(text).replace("\0", "").encode("utf-8", "replace").decode("utf-8")
    return clean if len(clean) <= LONGEST else f"{clean[:400]}#{hashlib.sha256(clean.encode()).hexdigest()}"


def text_of(value: Any) -> str | None:
    """An id as text, whatever a provider calls an id; None where there is nothing."""
    return None if value is None or value == "" else str(value).replace("\0", "")[:998]


def _told(message: InboundMessage, read: Read, received: datetime) -> Feedback:
    status = _AS_FEEDBACK.get(read.intent, "replied")
    severity = "temporary" if status == "bounced" else None
    return Feedback(status, message.sender or None, message.received_at or received, severity, event=read.intent)  # type: ignore[arg-type]


def _dated(told: Feedback, at: datetime) -> Feedback:
    return Feedback(told.status, told.recipient, told.occurred_at or at, told.severity, told.event, told.reason)


def _named_by_host(message: InboundMessage) -> str | None:
    """The provider's id of our message, where whoever pumps the mailbox knows it."""
    return inbound.first(message.headers, "x-provider-message-id")


def _digest_of(message: InboundMessage) -> str:
    return digest([message.sender, message.to, str(message.received_at), message.subject, message.text])
