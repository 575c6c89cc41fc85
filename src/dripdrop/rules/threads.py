"""Which of our messages does an id, or a reply, speak of?"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from uuid import UUID

# The Message-ID that `Runtime.message_id` gives: the execution, its definite refusals so far, a domain.
_OURS = re.compile(
    r"([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})\.\d{1,9}@[^\s<>@]{1,253}", re.IGNORECASE
)
_ID = re.compile(r"<([^<>\s]{1,998})>|([^<>\s,;]{1,998})")
MOST_REFERENCES = 100


@dataclass(frozen=True, slots=True)
class Candidate:
    """One way to find an execution: by its own id, or by `key`, a message id that a provider gave it."""

    execution: UUID | None = None
    key: str | None = None


def of_delivery(
    delivery_id: str | None, provider_message_id: str | None, *, provider: str = ""
) -> tuple[Candidate, ...]:
    """The ways to what an event speaks of, best first: our own id, then the provider's."""
    own = _uuid(delivery_id)
    return _distinct([*([Candidate(execution=own)] if own else []), *_keys(provider_message_id, provider)])


def of_reply(
    in_reply_to: str | None, references: Sequence[str] = (), replies_to: str | None = None, *, provider: str = ""
) -> tuple[Candidate, ...]:
    """The ways to what a reply answers: In-Reply-To, then References newest first, then the provider's own id."""
    found = [each for text in message_ids(in_reply_to) for each in _keys(text, provider)]
    for text in list(references)[: -MOST_REFERENCES - 1 : -1]:
        found += [each for one in reversed(message_ids(text)) for each in _keys(one, provider)]
    return _distinct([*found, *_keys(replies_to, provider)])


def own_execution(message_id: str | None) -> UUID | None:
    """The execution in a Message-ID that we made; None for anybody else's."""
    found = _OURS.fullmatch(bare(message_id or ""))
    return UUID(found[1]) if found else None


def bare(message_id: str) -> str:
    """A message id without white space and angle brackets."""
    return message_id.strip().removeprefix("<").removesuffix(">").strip()


def message_ids(header: str | None) -> list[str]:
    """Every message id of a header such as References, without angle brackets, in its order."""
    return [found[1] or found[2] for found in _ID.finditer((header or "")[:65536])]


def _keys(text: str | None, provider: str) -> list[Candidate]:
    """The spellings under which a provider's id may have been kept: bare, and as mail writes it."""
    key = bare(text or "")[:998]
    if not key:
        return []
    own = own_execution(key)
    spelt = [key, f"<{key}>"]
    if provider == "sendgrid" and "." in key:
        # X-Message-Id of the send is what stands before the first dot of sg_message_id.
        # https://www.twilio.com/docs/sendgrid/for-developers/tracking-events/event#sg_message_id
        spelt.append(key.partition(".")[0])
    local, _, domain = key.partition("@")
    if domain == "amazonses.com" or domain.endswith(".amazonses.com"):
        # SES writes a Message-ID of its own: its id, at a domain of its own.
        # https://docs.aws.amazon.com/ses/latest/dg/header-fields.html
        spelt.append(local)
    return [*([Candidate(execution=own)] if own else []), *(Candidate(key=each) for each in spelt)]


def _uuid(text: str | None) -> UUID | None:
    try:
        return UUID(text) if text and len(text) in (32, 36) else None
    except ValueError:
        return None


def _distinct(candidates: Iterable[Candidate]) -> tuple[Candidate, ...]:
    return tuple(dict.fromkeys(candidates))
