"""What is known of an execution that a worker holds?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from dripdrop.rules.definition import Step, Version
from dripdrop.rules.facts import Facts


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


@dataclass(slots=True)
class Claim:
    """An execution with its facts, held under `token` until that token is spent by open or close."""

    id: UUID
    tenant: str
    enrollment_id: UUID
    step_id: UUID
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

    @property
    def facts(self) -> Facts:
        """What its conditions and branches may ask."""
        sequence = {"key": self.version.sequence_key}
        step = {"key": self.step.key, "channel": self.step.channel}
        return Facts(self.data, sequence=sequence, step=step, now=self.now)

    @property
    def key(self) -> str:
        """The idempotency key: the same after a doubt, a new one after a definite refusal."""
        return f"{self.id}:{self.refusals}"

    @property
    def in_doubt(self) -> bool:
        """Whether the provider may have this message already, under the present key."""
        return self.recipe is not None and self.recipe.doubted and self.recipe.refusals == self.refusals
