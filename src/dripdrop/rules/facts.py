"""What is known when a condition is judged?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import Any
from uuid import UUID

NOTHING: Mapping[str, Any] = MappingProxyType({})


def nothing() -> Mapping[str, Any]:
    """What is known where nothing was asked."""
    return NOTHING


@dataclass(frozen=True, slots=True)
class Happened:
    """One recorded event of the person: its data, when it occurred, and the row that says so."""

    data: Mapping[str, Any]
    at: datetime
    id: UUID | None = None


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything that conditions and branches may ask, read before they are judged.

    `data` is the enrollment's, `hooks` the answers by name and `broken` the reasons of those that will not answer,
    `events` what was recorded by key, latest first, `event` the data of the event that the step waited for; `sequence`
    and `step` hold `key` (and the step's `channel`). `now` and `zone` are for the calendar.
    """

    data: Mapping[str, Any] = field(default_factory=nothing)
    hooks: Mapping[str, Any] = field(default_factory=nothing)
    events: Mapping[str, Sequence[Happened]] = field(default_factory=nothing)
    event: Mapping[str, Any] = field(default_factory=nothing)
    sequence: Mapping[str, Any] = field(default_factory=nothing)
    step: Mapping[str, Any] = field(default_factory=nothing)
    now: datetime | None = None
    zone: str = "Etc/UTC"
    broken: Mapping[str, str] = field(default_factory=nothing)


NO_FACTS = Facts()
