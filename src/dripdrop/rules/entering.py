"""Where and when does a person's way through a version begin, or go on?"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from dripdrop.errors import Invalid
from dripdrop.rules.definition import Step, Version
from dripdrop.rules.timing import due_at
from dripdrop.rules.zones import zone_of, zone_sources

Reasons = tuple[Mapping[str, Any], ...]


def zone_for(version: Version, step: Step, data: Mapping[str, Any], default: str) -> tuple[str, tuple[str, ...]]:
    """The zone a step's local times are in, and the names on the way that are no zones."""
    return zone_of(*zone_sources(data, step.config, version.config, version.metadata, default=default))


def when_due(
    version: Version, step: Step, data: Mapping[str, Any], reached: datetime, default: str
) -> tuple[datetime, Reasons]:
    """When a step that is reached now is due, and what to tell of it; an unknown zone gives way and is told."""
    zone, ignored = zone_for(version, step, data, default)
    named = zone != "Etc/UTC" or bool(ignored)
    due = due_at(step.timing, reached=reached, zone=zone if named else None)
    if due is None:
        raise Invalid(f"The step {step.key} waits for an event.", cure="Give it a delay.", code="unsupported_timing")
    told: Reasons = ({"code": "next", "step": step.key, "due_at": due.isoformat()},)
    if ignored:
        told = (*told, {"code": "unknown_zone", "ignored": list(ignored), "zone": zone})
    return due, told


def may_reenter(version: Version) -> bool:
    """Whether somebody who has been through may enter again: `reentry: always`, or the reference's metadata key."""
    return version.config.get("reentry") in ("always", True) or bool(version.metadata.get("allow_reenrollment"))
