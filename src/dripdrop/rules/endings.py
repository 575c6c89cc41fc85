"""What can be written down for an execution: an ending with what comes next, another try, a wait?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeAlias
from uuid import UUID

from dripdrop.rules.entering import Arrival, As
from dripdrop.rules.facts import Happened, nothing
from dripdrop.rules.outcome import Neither, OnDoubt

Reason: TypeAlias = Mapping[str, Any]


@dataclass(slots=True)
class Standing:
    """How the enrollment stands at the moment of closing, under its lock.

    What only some steps ask is read for those alone: `events` that the ways on look up, `sends` of the step since the
    path was last elsewhere, and how often it was `put_off` already because a hook did not answer.
    """

    state: str
    data: Mapping[str, Any]
    first_at: datetime | None = None
    key_at: datetime | None = None
    events: Mapping[str, Sequence[Happened]] = field(default_factory=nothing)
    sends: int = 0
    put_off: int = 0


@dataclass(slots=True)
class Ending:
    """The execution ends: history, what comes next and the journal in one statement."""

    state: str
    why: str | None
    event: str
    next_step_id: UUID | None = None
    next_due_at: datetime | None = None
    next_as: As | None = None
    enrollment_state: str | None = None
    reasons: tuple[Reason, ...] = ()
    suppress: str | None = None

    def go_on(self, arrival: Arrival, *told: Reason) -> None:
        """The path goes on from here."""
        self.next_step_id, self.next_due_at, self.next_as = arrival.step_id, arrival.due_at, arrival.as_
        self.reasons = (*self.reasons, *arrival.told, *told) if self.reasons or told else arrival.told


@dataclass(slots=True)
class Requeue:
    """Back to the queue: another try, a question to the provider, or attention needed (`due_at` None)."""

    state: str
    due_at: datetime | None
    event: str
    refused: int = 0
    spent: int = 0
    reasons: tuple[Reason, ...] = ()
    suppress: str | None = None


@dataclass(slots=True)
class Defer:
    """Put off to a slot; nothing was tried."""

    due_at: datetime
    code: str
    reasons: tuple[Reason, ...] = ()


@dataclass(slots=True)
class Free:
    """Given back as it was."""


Following: TypeAlias = Ending | Requeue | Defer | Free


@dataclass(frozen=True, slots=True)
class Setting:
    """What deciding needs besides the claim: the zone of last resort, and what the provider can do about a doubt."""

    default_zone: str = "Etc/UTC"
    on_doubt: OnDoubt = field(default_factory=Neither)


NOTHING_ASKED = Setting()
