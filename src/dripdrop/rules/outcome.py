"""What came of a call to a provider, and what can be done about a doubt?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Literal, TypeAlias

Kind: TypeAlias = Literal["temporary", "permanent", "bounced"]
Cause: TypeAlias = Literal["message", "recipient", "opted_out", "adapter", "policy", "throttled"]


@dataclass(frozen=True, slots=True)
class Accepted:
    """The provider took it. `meta` is kept with the attempt, redacted."""

    provider_message_id: str | None = None
    meta: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Rejected:
    """The provider definitely did not take it. `retry_after` in seconds; `detail` holds no personal data."""

    kind: Kind = "temporary"
    cause: Cause = "message"
    retry_after: float | None = None
    detail: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Unknown:
    """The provider may have it: whatever was raised or timed out after the request may have left."""

    detail: Mapping[str, Any] = field(default_factory=dict)


Outcome: TypeAlias = Accepted | Rejected | Unknown


@dataclass(frozen=True, slots=True)
class NotFound:
    """`find` asked and the provider does not know it (yet): one answer proves nothing."""


@dataclass(frozen=True, slots=True)
class CannotTell:
    """`find` could not get an answer."""

    detail: Mapping[str, Any] = field(default_factory=dict)


Found: TypeAlias = Accepted | NotFound | CannotTell


@dataclass(frozen=True, slots=True)
class Idempotent:
    """The provider drops a second request with the same key for `window` after the first."""

    window: timedelta = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class Askable:
    """The provider can be asked with `find`: first `after` the doubt, for the last time at `give_up`."""

    after: timedelta = timedelta(seconds=30)
    give_up: timedelta = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Neither:
    """The provider can neither de-duplicate nor be asked."""


OnDoubt: TypeAlias = Idempotent | Askable | Neither

# Kept in `delivery_attempts.outcome` and `.error_class`, as in the delivery contract.
ATTEMPT_OUTCOMES = ("succeeded", "failed", "rejected", "bounced", "unknown")


_REFUSED: dict[Kind, str] = {"temporary": "failed", "permanent": "rejected", "bounced": "bounced"}


def attempt_outcome(outcome: Outcome) -> tuple[str, str | None]:
    """The two columns of an attempt: (outcome, error class)."""
    match outcome:
        case Accepted():
            return "succeeded", None
        case Unknown():
            return "unknown", "unknown"
        case Rejected(kind=kind):
            return _REFUSED[kind], kind
