"""Which time zone counts, and which instant is meant by a local time?"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from difflib import get_close_matches
from functools import cache, lru_cache
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

from dripdrop.errors import Finding, Invalid

DEFAULT_ZONE = "Etc/UTC"

# What these files hold depends on the machine, so two workers could disagree.
_LOCAL_TO_THE_MACHINE = frozenset({"localtime", "posixrules"})
_FIELD = re.compile(r"\{\{\s*([\w.]+)\s*\}\}")
_SECOND = timedelta(seconds=1)


@lru_cache(maxsize=1024)
def find_zone(name: str) -> ZoneInfo | None:
    """The zone of that IANA name, or None where there is none."""
    if not name or len(name) > 64 or not name.isascii() or name in _LOCAL_TO_THE_MACHINE:
        return None
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        return None


def instead_of(name: object) -> str:
    """What to write where that name was written: the zone that was probably meant, or what a name looks like."""
    return _instead_of(str(name)[:64])


@lru_cache(maxsize=1024)
def _instead_of(name: str) -> str:
    near = get_close_matches(name, _names(), 1, 0.8)
    return f"Did you mean {near[0]}?" if near else "Use an IANA name such as Europe/Vienna."


@cache
def _names() -> tuple[str, ...]:
    # Looking them up walks through a folder of hundreds of files.
    return tuple(sorted(available_timezones()))


def zone_named(name: str, path: str = "timezone") -> ZoneInfo:
    """The zone of that IANA name; raises `Invalid` (`zone`)."""
    zone = find_zone(name) if isinstance(name, str) else None
    if zone is None:
        finding = Finding("zone", path, f"There is no time zone {name!r}.", instead_of(name))
        raise Invalid(finding.message, cure=finding.cure, code="zone", findings=[finding])
    return zone


def zone_of(*candidates: Any) -> tuple[str, tuple[str, ...]]:
    """The first candidate that is a zone (else Etc/UTC), and the ones before it that were given but are none.

    None and blank text are sources that say nothing.
    """
    ignored: tuple[str, ...] = ()
    for candidate in candidates:
        if candidate is None or candidate == "":
            continue
        if isinstance(candidate, str) and find_zone(candidate) is not None:
            return candidate, ignored
        if not isinstance(candidate, str) or candidate.strip():
            ignored = (*ignored, str(candidate)[:64])
    return DEFAULT_ZONE, ignored


def zone_sources(
    data: Mapping[str, Any],
    step_config: Mapping[str, Any],
    version_config: Mapping[str, Any],
    metadata: Mapping[str, Any],
    *,
    by_channel: str | None = None,
    default: str | None = None,
) -> tuple[Any, ...]:
    """The candidates for `zone_of`, strongest first: person, step, channel, sequence, setting.

    A step may name the field that holds the zone: `timezone: "{{ address.zone }}"`.
    """
    return (
        data.get("timezone"),
        _given(step_config.get("timezone"), data),
        by_channel,
        version_config.get("timezone"),
        metadata.get("default_timezone"),
        metadata.get("timezone"),
        default,
    )


def is_field(text: Any) -> bool:
    """Whether the text names a field (`{{ timezone }}`) instead of a zone."""
    return isinstance(text, str) and _FIELD.fullmatch(text.strip()) is not None


def _given(value: Any, data: Mapping[str, Any]) -> Any:
    if not isinstance(value, str) or "{{" not in value:
        return value
    named = _FIELD.fullmatch(value.strip())
    found: Any = data if named else value
    for segment in named.group(1).split(".") if named else ():
        found = found.get(segment) if isinstance(found, Mapping) else None
    return found


def instant(local: datetime, zone: ZoneInfo) -> datetime:
    """The UTC instant of a naive local time: in a gap the first valid one after it, in an overlap the first."""
    first = local.replace(tzinfo=zone, fold=0)
    before, after = first.utcoffset(), local.replace(tzinfo=zone, fold=1).utcoffset()
    assert before is not None
    assert after is not None
    if after <= before:
        return first.astimezone(UTC)
    return change_between((local - after).replace(tzinfo=UTC), (local - before).replace(tzinfo=UTC), zone)


def change_between(early: datetime, late: datetime, zone: ZoneInfo) -> datetime:
    """The instant in (early, late], UTC, at which the zone's offset changes; there must be one."""
    low, high = early.replace(microsecond=0), late.replace(microsecond=0)
    old = low.astimezone(zone).utcoffset()
    while high - low > _SECOND:
        middle = low + timedelta(seconds=(high - low) // _SECOND // 2)
        if middle.astimezone(zone).utcoffset() == old:
            low = middle
        else:
            high = middle
    return high
