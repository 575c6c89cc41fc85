"""What does it change that somebody wrote back, as a host tells it that pumps a mailbox?"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from dataclasses import fields as fields_of
from datetime import datetime
from typing import Any
from uuid import UUID

from dripdrop.errors import Invalid
from dripdrop.operations import matching, provisioning
from dripdrop.operations.consequences import Policy
from dripdrop.operations.matching import Opened, Taken
from dripdrop.rules import heard, mailbox, threads
from dripdrop.rules.feedback import InboundMessage
from dripdrop.rules.heard import Heard
from dripdrop.store.adapters import Adapter
from dripdrop.store.flow import Flow
from dripdrop.store.scope import Scope

_ALIASES = {"from": "sender", "body_text": "text", "body_html": "html"}
_REQUIRED = {"sender": "from", "to": "to", "received_at": "received_at"}
_INTENTS = ("reply", "ooo", "auto_reply", "bounce", "complaint", "unsubscribe", "resubscribe")
LARGEST = 50 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Ingested:
    """What a message was: `intent` by its provider or by our reading; `duplicate` where it had been taken in before.

    `execution_id` and `enrollment_id` are what it answers, None where nobody can know.
    """

    intent: str
    execution_id: UUID | None = None
    enrollment_id: UUID | None = None
    duplicate: bool = False


def ingest_inbound_message(
    now: datetime,
    scope: Scope,
    adapter: Adapter | UUID | str,
    message: InboundMessage | Mapping[str, Any],
    *,
    feedback_policy: Policy | None = None,
) -> Flow[Ingested]:
    """Take in a message that came for an adapter: match it to what it answers, and carry out what follows.

    `message` is an `InboundMessage`, or a mapping: required `from`, `to`, `received_at` (aware) and `message_id`;
    optional `in_reply_to`, `references` (a list, or text), `subject`, `body_text`, `body_html`, `headers`, `intent`,
    `intent_data`. The same message id of an adapter is taken in once. Raises Invalid (`invalid_message`,
    `missing_keys`, `unknown_keys`, `invalid_received_at`, `no_message_id`, `invalid_intent`), NotFound.
    """
    known = yield from provisioning.get(now, scope, adapter)
    whole = message if isinstance(message, InboundMessage) else _read(message)
    _check(whole)
    received = min(whole.received_at or now, now)
    events = list(heard.of_message(whole, channel=known.channel, provider=known.provider, received=received))
    return (yield from _take_in(now, scope, known, events, feedback_policy or Policy()))


def ingest_raw_email(
    now: datetime, scope: Scope, adapter: Adapter | UUID | str, raw: bytes, *, feedback_policy: Policy | None = None
) -> Flow[Ingested]:
    """The same for a raw message (RFC 5322), as IMAP, Gmail (`format=raw`) or Microsoft Graph (`$value`) give it.

    Bounces (RFC 3464) and complaints (RFC 5965) count as what they report. Without a Message-ID equal bytes are the
    same message. Raises Invalid (`invalid_message`), NotFound.
    """
    if not isinstance(raw, (bytes, bytearray)) or not raw.strip() or len(raw) > LARGEST:
        raise Invalid(
            "A raw message is bytes.", cure=f"Pass 1 to {LARGEST} bytes, as they came.", code="invalid_message"
        )
    known = yield from provisioning.get(now, scope, adapter)
    message = mailbox.read(bytes(raw), now).message
    named = InboundMessage(
        message.sender, message.to, message.received_at, message.message_id or heard.digest(raw.hex()), raw=bytes(raw)
    )
    events = list(heard.of_message(named, channel=known.channel, provider=known.provider, received=now))
    return (yield from _take_in(now, scope, known, events, feedback_policy or Policy()))


def _take_in(now: datetime, scope: Scope, adapter: Adapter, events: Sequence[Heard], policy: Policy) -> Flow[Ingested]:
    # A tenant that writes through a global adapter hears of its own messages alone.
    tenant = adapter.tenant_key or scope.tenant
    taken = Taken(UUID(int=0), tenant, adapter.id, adapter.channel, adapter.provider, {}, b"", received_at=now)
    whole = yield from matching.apply(now, [Opened(taken, events)], policy)
    if not events:
        return Ingested("auto_reply")
    about = next(iter(whole.found.values()), None)
    read = events[0].read
    intent = read.intent if read else {"complained": "complaint"}.get(events[0].told.status, "bounce")
    return Ingested(
        intent,
        about["execution_id"] if about else None,
        about["enrollment_id"] if about else None,
        duplicate=not whole.fresh,
    )


def _read(message: Any) -> InboundMessage:
    if not isinstance(message, Mapping):
        raise Invalid("A message is a mapping.", cure="Pass its fields by name.", code="invalid_message")
    given = {_ALIASES.get(str(name), str(name)): value for name, value in message.items()}
    names = {each.name for each in fields_of(InboundMessage)}
    if unknown := sorted(set(given) - names):
        raise Invalid(
            f"Nobody knows {', '.join(unknown)}.", cure=f"Known are: {', '.join(sorted(names))}.", code="unknown_keys"
        )
    if missing := [shown for name, shown in _REQUIRED.items() if not given.get(name)]:
        raise Invalid(f"The message lacks {', '.join(missing)}.", cure="Give them all.", code="missing_keys")
    for name in ("message_id", "in_reply_to"):
        given[name] = threads.bare(str(given[name])) if given.get(name) else None
    given["references"] = tuple(_ids(given.get("references")))
    given["headers"] = _headers(given.get("headers"))
    given["intent"] = str(given["intent"]) if given.get("intent") else None
    given["intent_data"] = given.get("intent_data") or {}
    return InboundMessage(**given)


def _ids(references: Any) -> Iterable[str]:
    if isinstance(references, str):
        return threads.message_ids(references)
    return [threads.bare(str(each)) for each in references or ()]


def _headers(headers: Any) -> tuple[tuple[str, str], ...]:
    pairs = headers.items() if isinstance(headers, Mapping) else headers or ()
    return tuple((str(name), str(value)) for name, value in pairs)


def _check(message: InboundMessage) -> None:
    at = message.received_at
    if at is not None and (not isinstance(at, datetime) or at.tzinfo is None):
        raise Invalid("`received_at` needs its zone.", cure="Pass an aware datetime.", code="invalid_received_at")
    if not (message.message_id or message.provider_message_id or message.raw):
        raise Invalid("The message has no id.", cure="Pass its Message-ID.", code="no_message_id")
    if message.intent is not None and message.intent not in _INTENTS:
        raise Invalid(
            f"{message.intent!r} is no intent.", cure=f"One of: {', '.join(_INTENTS)}.", code="invalid_intent"
        )
