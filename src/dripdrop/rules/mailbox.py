"""What does a raw message (RFC 5322) say, and what does it report of one of ours?"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email import message_from_bytes
from email.header import decode_header, make_header
from email.message import Message
from email.utils import getaddresses, parsedate_to_datetime
from typing import Any

from dripdrop.rules.feedback import Feedback, InboundMessage, Severity, Status
from dripdrop.rules.recipients import email_address
from dripdrop.rules.threads import bare, message_ids

LONGEST_TEXT = 200_000
_MOST_PARTS = 200
_STATUS = re.compile(r"\b([245])\.(\d{1,3})\.(\d{1,3})\b")
# Of what failed for good, the codes that speak against the address itself (RFC 3463): all about the address, a mailbox
# that is disabled, a domain that takes no mail, and "other" without any nearer word.
_AGAINST_ADDRESS = frozenset({("2", "1"), ("4", "4"), ("0", "0")})


@dataclass(frozen=True, slots=True)
class Report:
    """What a mail server or a mailbox provider says of a message of ours; `message_ids` are what it may be known by."""

    feedback: tuple[Feedback, ...]
    message_ids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Mail:
    """A raw message, read. `report` is there where the message is a bounce (RFC 3464) or a complaint (RFC 5965)."""

    message: InboundMessage
    report: Report | None = None


def read(raw: bytes, received: datetime) -> Mail:
    """Read a raw message; whatever is wrong with it, something comes of it: nobody refuses mail that has arrived."""
    parsed = message_from_bytes(raw)
    parts = list(_parts(parsed))
    headers = tuple((name, _decoded(value)) for name, value in parsed.items())
    message = InboundMessage(
        sender=_address(parsed, "from") or _address(parsed, "return-path") or "",
        to=_address(parsed, "delivered-to") or _address(parsed, "x-original-to") or _address(parsed, "to") or "",
        received_at=_date(_header(parsed, "date"), received),
        message_id=bare(_header(parsed, "message-id")) or None,
        in_reply_to=next(iter(message_ids(_header(parsed, "in-reply-to"))), None),
        references=tuple(message_ids(_header(parsed, "references"))),
        subject=_header(parsed, "subject") or None,
        text=_body(parts, "text/plain"),
        html=_body(parts, "text/html"),
        headers=headers,
    )
    return Mail(message, _report(parsed, parts))


def completed(message: InboundMessage, received: datetime) -> Mail:
    """A message as a provider gave it, with what is missing read from its raw form, where that came along."""
    if message.raw is None:
        return Mail(message)
    whole = read(message.raw, received)
    found = whole.message
    return Mail(
        replace(
            message,
            sender=message.sender or found.sender,
            to=message.to or found.to,
            received_at=message.received_at or found.received_at,
            message_id=message.message_id or found.message_id,
            in_reply_to=message.in_reply_to or found.in_reply_to,
            references=message.references or found.references,
            subject=message.subject or found.subject,
            text=message.text or found.text,
            html=message.html or found.html,
            headers=message.headers or found.headers,
        ),
        whole.report,
    )


def _parts(message: Message) -> Iterator[Message]:
    for count, part in enumerate(message.walk()):
        if count >= _MOST_PARTS:
            return
        yield part


def _report(whole: Message, parts: Sequence[Message]) -> Report | None:
    if whole.get_content_type() != "multipart/report":
        return None
    told: tuple[Feedback, ...] = ()
    for part in parts:
        if part.get_content_type() == "message/delivery-status":
            told = tuple(_of_status(part))
        elif part.get_content_type() == "message/feedback-report":
            told = tuple(_of_complaint(part))
    original = _original(parts)
    return Report(told, tuple(_ids(original, whole))) if told else None


def _of_status(part: Message) -> Iterator[Feedback]:
    """The recipients of a delivery status notification (RFC 3464); the first block speaks of the whole message."""
    for fields in _blocks(part):
        recipient = _typed(_header(fields, "original-recipient")) or _typed(_header(fields, "final-recipient"))
        action = _header(fields, "action").strip().lower()
        if not recipient or not action:
            continue
        code = _code(_header(fields, "status")) or _code(_header(fields, "diagnostic-code"))
        status, severity = _judged(action, code)
        if status is not None:
            reason = ".".join(code) if code else ""
            yield Feedback(status, recipient, severity=severity, event=f"dsn:{action[:20]}", reason=reason)


def _of_complaint(part: Message) -> Iterator[Feedback]:
    """An abuse report (RFC 5965); `not-spam` takes a complaint back and is none."""
    for fields in _blocks(part):
        kind = _header(fields, "feedback-type").strip().lower()
        status: Status | None = "unsubscribed" if kind.startswith("opt-out") else "complained" if kind else None
        if status is None or kind == "not-spam":
            continue
        named = [email_address(each) for each in fields.get_all("original-rcpt-to") or [] if isinstance(each, str)]
        recipients: list[str | None] = [each for each in named if each]
        for recipient in recipients or [None]:
            yield Feedback(status, recipient, event=f"arf:{kind[:20]}")


def _judged(action: str, code: tuple[str, str, str] | None) -> tuple[Status | None, Severity | None]:
    if action in ("delivered", "relayed", "expanded"):
        return "delivered", None
    if action == "delayed":
        return "deferred", "temporary"
    if action != "failed":
        return None, None
    if code is None or code[0] != "5":
        return "bounced", "temporary"
    if code[1] == "7":
        return "blocked", "permanent"
    against = code[1] == "1" or code[1:] in _AGAINST_ADDRESS
    return "bounced", "permanent" if against else "temporary"


def _blocks(part: Message) -> list[Message]:
    payload = part.get_payload()
    return [each for each in payload if isinstance(each, Message)] if isinstance(payload, list) else []


def _original(parts: Sequence[Message]) -> Message | None:
    """The headers of the message that a report is about."""
    for part in parts[1:]:
        kind = part.get_content_type()
        if kind == "message/rfc822":
            return next(iter(_blocks(part)), None)
        if kind in ("text/rfc822-headers", "message/global-headers"):
            return message_from_bytes(_bytes(part))
    return None


def _ids(original: Message | None, whole: Message) -> Iterator[str]:
    if original is not None:
        yield from message_ids(_header(original, "message-id"))
    yield from message_ids(_header(whole, "in-reply-to"))
    yield from message_ids(_header(whole, "references"))


def _code(text: str) -> tuple[str, str, str] | None:
    found = _STATUS.search(text)
    return (found[1], found[2], found[3]) if found else None


def _typed(text: str) -> str | None:
    """The address of a field such as `rfc822; ann@example.org`."""
    return email_address(text.partition(";")[2] or text)


def _body(parts: Sequence[Message], kind: str) -> str | None:
    for part in parts:
        if part.get_content_type() == kind and (part.get_content_disposition() or "inline") == "inline":
            charset = str(part.get_content_charset() or "utf-8")
            try:
                text = _bytes(part).decode(charset, "replace")
            except LookupError:
                text = _bytes(part).decode("utf-8", "replace")
            return text[:LONGEST_TEXT].replace("\0", "")
    return None


def _bytes(part: Message) -> bytes:
    payload: Any = part.get_payload(decode=True)
    return payload if isinstance(payload, bytes) else b""


def _header(message: Message, name: str) -> str:
    return _decoded(message.get(name, ""))


def _decoded(value: Any) -> str:
    """A header as text: encoded words decoded, unfolded, and what cannot be read replaced."""
    try:
        text = str(make_header(decode_header(value)))
    except (ValueError, LookupError, TypeError, AssertionError):
        text = str(value)
    clean = text.encode("utf-8", "replace").decode("utf-8")
    return " ".join(clean.replace("\0", "").split())


def _address(message: Message, name: str) -> str | None:
    value = _header(message, name)
    for _, address in getaddresses([value]):
        if found := email_address(address):
            return found
    return email_address(value)


def _date(text: str, received: datetime) -> datetime:
    """The Date header, kept between a week before and the moment of receipt: senders' clocks are what they are."""
    try:
        found = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return received
    found = found if found.tzinfo else found.replace(tzinfo=UTC)
    return found if found <= received and (received - found).days < 7 else received
