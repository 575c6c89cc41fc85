"""When is a step due?"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from dripdrop.errors import Finding, Invalid
from dripdrop.rules.definition import UNITS, Cron, Delay, Immediate, OnEvent, Timing
from dripdrop.rules.zones import find_zone, instant, zone_named, zone_of, zone_sources

__all__ = ["MAX_DAYS", "due_at", "find_zone", "from_stored", "parse", "stored", "zone_of", "zone_sources"]

MAX_DAYS = 36_500

_DELAY = re.compile(r"in (\d{1,10}) (second|minute|hour|day|week)s?")
_NOW = frozenset({"immediate", "immediately", "now", "at once"})
_LATER = re.compile(r"every\b.*|@\w+|(?:[\d*/,\-a-z]+ ){4}[\d*/,\-a-z]+")
_CALENDAR_UNITS = frozenset({"days", "weeks"})
_CURE = 'Write "immediate", or "in 3 days" (seconds, minutes, hours, days, weeks).'


def parse(phrase: str, path: str = "timing") -> Timing:
    """`immediate` or `in N seconds|minutes|hours|days|weeks`, in any case and spacing.

    Raises `Invalid`: `timing_phrase` (not understood), `unsupported_here` (recurring phrases and cron).
    """
    text = " ".join(phrase.lower().split()) if isinstance(phrase, str) else ""
    if text in _NOW:
        return Immediate()
    match = _DELAY.fullmatch(text)
    if match is not None:
        return _delay(int(match.group(1)), f"{match.group(2)}s", text, path)
    if _LATER.fullmatch(text):
        raise _refusal("unsupported_here", path, "Recurring times are not available in this version.", _CURE)
    raise _refusal("timing_phrase", path, f"{str(phrase)[:80]!r} is not a time that is understood.", _CURE)


def _delay(amount: int, unit: str, phrase: str, path: str) -> Delay:
    days = amount * {"seconds": 1, "minutes": 60, "hours": 3_600, "days": 86_400, "weeks": 604_800}[unit] / 86_400
    if days > MAX_DAYS:
        raise _refusal("timing_phrase", path, "A delay may not be longer than a hundred years.", "Write a shorter one.")
    return Delay(amount, unit, f"in {amount} {unit[:-1] if amount == 1 else unit}")


def due_at(timing: Timing, *, reached: datetime, zone: str | None = None) -> datetime | None:
    """The instant (UTC) a step reached at that instant is due; None while it waits for an event.

    Seconds, minutes and hours are exact. Days and weeks keep the local time of day when a zone is given: in a DST gap
    the first valid instant after, in an overlap the first. Raises `Invalid`: `zone`, `naive_time`,
    `unsupported_here` (cron).
    """
    if reached.tzinfo is None:
        raise _refusal("naive_time", "reached", "A time without a zone says no instant.", "Pass an aware datetime.")
    start = reached if reached.tzinfo is UTC else reached.astimezone(UTC)
    match timing:
        case Immediate():
            return start
        case Delay(unit=unit) if zone is not None and unit in _CALENDAR_UNITS:
            place = zone_named(zone)
            return instant(start.astimezone(place).replace(tzinfo=None) + timing.span, place)
        case Delay():
            return start + timing.span
        case OnEvent():
            return None
        case Cron():
            raise _refusal("unsupported_here", "timing", "Recurring times are not available in this version.", _CURE)


def stored(timing: Timing) -> dict[str, Any]:
    """The JSON form kept in `steps.timing`."""
    match timing:
        case Immediate():
            return {"type": "immediate"}
        case Delay(amount, unit, phrase):
            said = {"human_expression": phrase} if phrase else {}
            return {"type": "delay", "delay_amount": amount, "delay_unit": unit, **said}
        case Cron(expression, phrase):
            said = {"human_expression": phrase} if phrase else {}
            return {"type": "cron", "cron_expression": expression, **said}
        case OnEvent(event, match, timeout, timeout_goto):
            named: dict[str, Any] = {"type": "event", "trigger_event": event, "trigger_data": dict(match)}
            if timeout is not None:
                named["timeout"] = stored(timeout)
            if timeout_goto is not None:
                named["timeout_goto"] = timeout_goto
            return named


def from_stored(value: Mapping[str, Any], path: str = "timing") -> Timing:
    """The timing of its JSON form; raises `Invalid` (`timing`) for anything `stored` would not have written."""
    match value:
        case {"type": "immediate"}:
            return Immediate()
        case {"type": "delay", "delay_amount": int(amount), "delay_unit": str(unit)} if unit in UNITS:
            return Delay(amount, unit, str(value.get("human_expression") or ""))
        case {"type": "cron", "cron_expression": str(expression)}:
            return Cron(expression, str(value.get("human_expression") or ""))
        case {"type": "event", "trigger_event": str(event)}:
            timeout = from_stored(value["timeout"], f"{path}.timeout") if value.get("timeout") else None
            if timeout is None or isinstance(timeout, Delay):
                return OnEvent(event, dict(value.get("trigger_data") or {}), timeout, value.get("timeout_goto"))
    raise _refusal("timing", path, f"{path} is not a timing.", _CURE)


def _refusal(code: str, path: str, message: str, cure: str) -> Invalid:
    return Invalid(message, cure=cure, code=code, findings=[Finding(code, path, message, cure)])
