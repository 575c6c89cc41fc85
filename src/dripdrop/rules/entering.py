"""Where and when does a person's way through a version begin, or go on?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal, TypeAlias
from uuid import UUID

from dripdrop.rules.definition import Immediate, OnEvent, Step, Version
from dripdrop.rules.timing import due_at, span
from dripdrop.rules.zones import find_zone, is_field, zone_of, zone_sources

Reasons: TypeAlias = tuple[Mapping[str, Any], ...]
As: TypeAlias = Literal["scheduled", "waiting", "advance"]

# The place before the first step: where a way in is chosen.
THRESHOLD = Step(UUID(int=0), "", "", "", -(2**31), Immediate(), {})


@dataclass(frozen=True, slots=True)
class Arrival:
    """What a step that is reached becomes: due at a time, or waiting for its event until then (None: for ever).

    As an `advance` it stands for a way that is not chosen yet, after that step (None: the way in).
    """

    step_id: UUID | None
    due_at: datetime | None
    as_: As = "scheduled"
    told: Reasons = ()


def zone_for(version: Version, step: Step, data: Mapping[str, Any], default: str) -> tuple[str, tuple[str, ...]]:
    """The zone a step's local times are in, and the names on the way that are no zones."""
    own = data.get("timezone")
    if isinstance(own, str) and find_zone(own) is not None:
        return own, ()
    if own not in (None, "") or is_field(step.config.get("timezone")):
        return zone_of(*zone_sources(data, step.config, version.config, version.metadata, default=default))
    # Nobody's own: the same for everybody at this step.
    key = ("zone", step.key, default)
    known: tuple[str, tuple[str, ...]] | None = version.memo.get(key)
    if known is None:
        sources = zone_sources({}, step.config, version.config, version.metadata, default=default)
        known = version.memo[key] = zone_of(*sources)
    return known


def arrive(version: Version, step: Step, data: Mapping[str, Any], reached: datetime, default: str) -> Arrival:
    """A step that is reached now; an unknown zone gives way and is told."""
    zone, ignored = found = zone_for(version, step, data, default)
    # A batch has one moment and mostly one zone: whoever comes to a step together has the same before him.
    key = ("arrival", step.key)
    known: tuple[datetime, tuple[str, tuple[str, ...]], Arrival] | None = version.memo.get(key)
    if known is None or known[0] is not reached or known[1] != found:
        known = version.memo[key] = (reached, found, _arrival(step, reached, zone, ignored))
    return known[2]


def _arrival(step: Step, reached: datetime, zone: str, ignored: tuple[str, ...]) -> Arrival:
    named = zone if zone != "Etc/UTC" or ignored else None
    waits_for = step.timing if isinstance(step.timing, OnEvent) else None
    timing = step.timing if waits_for is None else waits_for.timeout
    due = due_at(timing, reached=reached, zone=named) if timing is not None else None
    told: dict[str, Any] = {"code": "next", "step": step.key}
    if waits_for is not None:
        told = {"code": "waits", "step": step.key, "event": waits_for.event}
    if due is not None:
        told["due_at"] = due.isoformat()
    reasons: Reasons = (told,)
    if ignored:
        reasons = (*reasons, {"code": "unknown_zone", "ignored": list(ignored), "zone": zone})
    return Arrival(step.id, due, "scheduled" if waits_for is None else "waiting", reasons)


def reentry(version: Version) -> bool | timedelta:
    """Whether somebody who has been through may enter again, or how long after they ended: `{after: in 30 days}`."""
    written = version.config.get("reentry")
    if isinstance(written, Mapping):
        return span(written.get("after"), "reentry.after")
    return written in ("always", True) or bool(version.metadata.get("allow_reenrollment"))
