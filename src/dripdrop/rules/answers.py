"""What did the host's hooks say when they were asked about a person?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeAlias
from uuid import UUID

from dripdrop.rules.definition import Step, Version


@dataclass(frozen=True, slots=True)
class Subject:
    """Whom hooks are asked about.

    `enrollment` is what a hook sees of the person (id, subscriber_type, subscriber_id, tenant_key, sequence_key,
    visit, data), `variables` what its templates may name, `now` business time.
    """

    execution_id: UUID
    tenant: str
    version: Version
    step: Step
    enrollment: Mapping[str, Any]
    variables: Mapping[str, Any]
    now: datetime

    @property
    def visit(self) -> tuple[Any, Any]:
        """What an answer is kept for: one visit of a step, whether its message asks or its way on, a row of its own."""
        return self.enrollment.get("id") or self.execution_id, self.enrollment.get("visit")


@dataclass(frozen=True, slots=True)
class Answered:
    """Every hook answered: a value by name, each only what JSON can hold."""

    values: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Unavailable:
    """This hook cannot answer now: ask again later. `reason` is a word, `retry_after` in seconds where it said so."""

    hook: str
    reason: str
    retry_after: float | None = None


@dataclass(frozen=True, slots=True)
class Broken:
    """This hook will not answer however often it is asked: somebody has to mend it. `reason` is a word."""

    hook: str
    reason: str


Answer: TypeAlias = Answered | Unavailable | Broken
