"""What is known of an execution that a worker holds?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from dripdrop.rules.definition import Step, Version
from dripdrop.rules.facts import Facts, Happened, nothing


@dataclass(slots=True)
class Recipe:
    """How the last attempt was made: the same recipe renders the same message, to the byte.

    Of all attempts under its key: when the first began, whether one of them may have arrived (`doubted`), and whether a
    person has asked for another since (`asked_for`).
    """

    adapter_id: UUID | None
    refusals: int
    business_at: datetime
    version_id: UUID
    data_revision: int
    data: Mapping[str, Any]
    digest: bytes | None
    started_at: datetime
    key_at: datetime
    doubted: bool
    asked_for: bool = False
    answers: Mapping[str, Any] | None = None


@dataclass(slots=True)
class Claim:
    """An execution with its facts, held under `token` until that token is spent by open or close.

    `event` is the data of the event it waited for, `events` what its conditions look up, `answers` what hooks said.
    An advance of the way in has no step of its own (`step_id` None) and stands at the threshold.
    """

    id: UUID
    tenant: str
    enrollment_id: UUID
    step_id: UUID | None
    visit: int
    kind: str
    state: str
    due_at: datetime | None
    token: int
    attempt: int
    refusals: int
    retries: int
    adapter_id: UUID | None
    enrollment_state: str
    sequence_id: UUID
    version_id: UUID
    subscriber_type: str
    subscriber_id: str
    data_revision: int
    data: Mapping[str, Any]
    sequence_active: bool
    step_active: bool
    now: datetime
    version: Version
    step: Step
    recipe: Recipe | None = None
    event_id: UUID | None = None
    event: Mapping[str, Any] = field(default_factory=nothing)
    events: Mapping[str, Sequence[Happened]] = field(default_factory=nothing)
    answers: Mapping[str, Any] = field(default_factory=nothing)
    _name: str | None = field(default=None, init=False, repr=False, compare=False)
    _system: Mapping[str, Any] | None = field(default=None, init=False, repr=False, compare=False)

    @property
    def name(self) -> str:
        """Its id as a text; put into words once."""
        if self._name is None:
            self._name = str(self.id)
        return self._name

    @property
    def system(self) -> Mapping[str, Any]:
        """What a template may name of it besides the person's data; put together once."""
        if self._system is None:
            self._system = {
                "subscriber_id": self.subscriber_id,
                "subscriber_type": self.subscriber_type,
                "enrollment_id": str(self.enrollment_id),
                "execution_id": self.name,
                "visit": self.visit,
                "sequence_name": self.version.sequence_name,
            }
        return self._system

    @property
    def sends(self) -> bool:
        """Whether there is a message in it: not while its event has not come, nor where only a way is chosen."""
        return self.state != "waiting" and self.kind != "advance"

    def facts(self, zone: str = "Etc/UTC") -> Facts:
        """What its conditions and branches may ask; `zone` is for the calendar."""
        key = ("named", self.step.key)
        named: tuple[Mapping[str, Any], Mapping[str, Any]] | None = self.version.memo.get(key)
        if named is None:
            step = {"key": self.step.key, "channel": self.step.channel}
            named = self.version.memo[key] = ({"key": self.version.sequence_key}, step)
        return Facts(self.data, self.answers, self.events, self.event, named[0], named[1], self.now, zone)

    @property
    def key(self) -> str:
        """The idempotency key: the same after a doubt, a new one after a definite refusal."""
        return f"{self.name}:{self.refusals}"

    @property
    def said(self) -> Mapping[str, Any]:
        """What a message says besides the person's data, `hooks` and `event`: by the recipe while it is in doubt."""
        if self.in_doubt and self.recipe is not None:
            return self.recipe.answers or nothing()
        told: dict[str, Any] = {"hooks": self.answers} if self.answers else {}
        if self.event:
            told["event"] = self.event
        return told

    @property
    def in_doubt(self) -> bool:
        """Whether the provider may have this message already, under the present key."""
        return self.recipe is not None and self.recipe.doubted and self.recipe.refusals == self.refusals
