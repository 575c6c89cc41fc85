"""What does a stored body say? Asks a provider for its events; whatever it raises becomes a problem that is kept."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, get_args

from dripdrop.contracts import Feedback, InboundMessage
from dripdrop.errors import DripDropError
from dripdrop.rules import heard
from dripdrop.rules.feedback import Status
from dripdrop.rules.heard import Heard

MOST_EVENTS = 20_000
_STATUSES = frozenset(get_args(Status))


def listens(provider: Any) -> bool:
    """Whether a provider has anything to say later."""
    return callable(getattr(provider, "verify_webhook", None))


def hear(
    provider: Any, body: bytes, headers: Mapping[str, str], *, channel: str, received: datetime
) -> tuple[list[Heard], str | None]:
    """Every event of a body, and what kept the rest from being read (None: nothing did).

    One payload that a provider cannot read costs none of the others.
    """
    try:
        payloads = provider.parse_events(body, headers)
        if not isinstance(payloads, (list, tuple)):
            return [], "nonsense:parse_events"
    except Exception as error:
        return [], _named("unparseable", error)
    events: list[Heard] = []
    problem = None if len(payloads) <= MOST_EVENTS else "too_many_events"
    for payload in payloads[:MOST_EVENTS]:
        try:
            events.extend(_heard(provider, payload, channel, received))
        except Exception as error:
            problem = problem or _named("unreadable_event", error)
    return events, problem


def _heard(provider: Any, payload: Mapping[str, Any], channel: str, received: datetime) -> Iterator[Heard]:
    told = provider.normalize_feedback(payload)
    if told is not None:
        if not isinstance(told, Feedback) or told.status not in _STATUSES:
            raise TypeError("normalize_feedback")
        yield heard.of_event(
            told,
            payload,
            provider.provider_event_id(payload),
            provider.resolve_delivery(payload),
            provider=provider.name,
        )
    inbound = getattr(provider, "parse_inbound", None)
    for message in (inbound(payload) or ()) if inbound is not None else ():
        if not isinstance(message, InboundMessage):
            raise TypeError("parse_inbound")
        yield from heard.of_message(message, channel=channel, provider=provider.name, received=received)


def _named(what: str, error: Exception) -> str:
    """A word for the list of requests; the error's text may quote the body, so it stays out."""
    return f"{what}:{error.code if isinstance(error, DripDropError) else type(error).__name__}"
