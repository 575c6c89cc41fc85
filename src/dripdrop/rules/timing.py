"""When is a step due?"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from dripdrop.errors import Finding, Invalid
from dripdrop.rules import cron, phrases
from dripdrop.rules.definition import UNITS, Cron, Delay, Immediate, OnEvent, Timing
from dripdrop.rules.zones import DEFAULT_ZONE, find_zone, instant, zone_named, zone_of, zone_sources

__all__ = [
    "MAX_DAYS", "due_at", "find_zone", "following", "from_stored", "parse", "recurring", "recurs", "span", "stored",
    "zone_of", "zone_sources",
]  # fmt: skip

MAX_DAYS = 36_500
MAX_CHARACTERS = 200

_DELAY = re.compile(r"in ([0-9]{1,10}) (second|minute|hour|day|week)s?")
_NOW = frozenset({"immediate", "immediately", "now", "at once"})
_CALENDAR_UNITS = frozenset({"days", "weeks"})
_CURE = 'Write "immediate", "in 3 days" (seconds, minutes, hours, days, weeks), or "every monday at 9am".'


def parse(phrase: str, path: str = "timing") -> Timing:
    """`immediate`, `in N seconds|minutes|hours|days|weeks`, or a recurring time, in any case and spacing.

    Recurring are `@daily`-style names, phrases like `every weekday at 9:30`, and five cron fields. Nothing is guessed.
    Raises `Invalid`: `timing_phrase` (not understood; the message has the column), `cron`, `cron_never`.
    """
    text = " ".join(phrase.lower().split()) if isinstance(phrase, str) and len(phrase) <= MAX_CHARACTERS else ""
    if text in _NOW:
        return Immediate()
    match = _DELAY.fullmatch(text)
    if match is not None:
        return _delay(int(match.group(1)), f"{match.group(2)}s", path)
    if text.startswith("in "):
        raise _bad_delay(phrase, path)
    if text.startswith(("every", "@")) or cron.looks_like(text):
        return recurring(phrase, path)
    message = f"At column 1 stands {str(phrase)[:80]!r}, and that is not a time that is understood."
    raise _refusal("timing_phrase", path, message, _CURE)


def recurring(text: str, path: str = "timing") -> Cron:
    """The recurring time of five cron fields, an `@daily`-style name or a phrase; a phrase is kept beside its fields.

    Raises `Invalid`: `timing_phrase`, `cron`, `cron_never`.
    """
    said = " ".join(text.lower().split()) if len(text) <= MAX_CHARACTERS else ""
    if said.startswith("in ") or said in _NOW:
        raise _refusal("cron", path, f"{said!r} does not recur.", "Write `timing: in 3 days`, or a recurring time.")
    if said.startswith(("every", "@")):
        return Cron(phrases.expression(text, path), said)
    return Cron(cron.canonical(text, path))


def span(phrase: Any, path: str = "within") -> timedelta:
    """The length of `in 7 days` or `7 days`, days of 24 hours; raises `Invalid` (`timing_phrase`)."""
    text = phrase if not isinstance(phrase, str) or phrase.strip().lower().startswith("in ") else f"in {phrase}"
    found = parse(text, path)
    if not isinstance(found, Delay):
        raise _refusal("timing_phrase", path, f"{str(phrase)[:80]!r} is no span of time.", "Write it like: in 7 days.")
    return found.span


def _bad_delay(phrase: str, path: str) -> Invalid:
    """The first word of "in 3 days" that is not as it must be."""
    words = phrases.Words(phrase, path)
    try:
        words.expect("in")
        if not (words.peek().isascii() and words.peek().isdigit() and len(words.peek()) <= 10):
            words.refuse("a whole number is expected", _CURE)
        words.take()
        if words.peek().removesuffix("s") + "s" not in UNITS:
            words.refuse("seconds, minutes, hours, days or weeks are expected", _CURE)
        words.take()
        words.refuse("nothing more is expected", "For a time of day add a `window`, or write a recurring time.")
    except Invalid as refused:
        return refused


def _delay(amount: int, unit: str, path: str) -> Delay:
    days = amount * {"seconds": 1, "minutes": 60, "hours": 3_600, "days": 86_400, "weeks": 604_800}[unit] / 86_400
    if days > MAX_DAYS:
        raise _refusal("timing_phrase", path, "A delay may not be longer than a hundred years.", "Write a shorter one.")
    return Delay(amount, unit, f"in {amount} {unit[:-1] if amount == 1 else unit}")


def due_at(timing: Timing, *, reached: datetime, zone: str | None = None) -> datetime | None:
    """The instant (UTC) a step reached at that instant is due; None while it waits for an event.

    Seconds, minutes and hours are exact. Days and weeks keep the local time of day when a zone is given: in a DST gap
    the first valid instant after, in an overlap the first. A recurring time is its next occurrence strictly after, on
    the clock of the zone, or of UTC without one. Raises `Invalid`: `zone`, `naive_time`.
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
        case Cron(expression):
            return cron.next_after(cron.canonical(expression), start, zone_named(zone or DEFAULT_ZONE))


def recurs(timing: Timing) -> bool:
    """Whether a step of this timing can be repeated: at each occurrence, or each time after the same delay."""
    return isinstance(timing, Cron) or (isinstance(timing, Delay) and timing.amount > 0)


def following(timing: Cron | Delay, *, after: datetime, now: datetime, zone: str | None = None) -> datetime:
    """When a repeated step is due again (UTC), after it was due at `after`: an instant later than that and than `now`.

    What was missed meanwhile is left out, not caught up with; a delay keeps its distance to what was due before.
    Raises `Invalid`: `zone`, `naive_time`, `delay_not_positive`.
    """
    late = max(after, now)
    if isinstance(timing, Cron):
        due = due_at(timing, reached=late, zone=zone)
        assert due is not None
        return due
    if timing.amount <= 0:
        raise _refusal("delay_not_positive", "timing", "The delay is not positive.", "Write one of one or more.")
    # Local days may be longer or shorter than 24 hours, so the count of those that have passed is only a beginning.
    times = max(int((late - after) / timing.span) - 1, 1)
    while True:
        due = due_at(Delay(timing.amount * times, timing.unit), reached=after, zone=zone)
        assert due is not None
        if due > late:
            return due
        times += 1


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
            return _kept(expression, value.get("human_expression"), path)
        case {"type": "event", "trigger_event": str(event)}:
            timeout = from_stored(value["timeout"], f"{path}.timeout") if value.get("timeout") else None
            if timeout is None or isinstance(timeout, Delay):
                return OnEvent(event, dict(value.get("trigger_data") or {}), timeout, value.get("timeout_goto"))
    raise _refusal("timing", path, f"{path} is not a timing.", _CURE)


def _kept(expression: str, phrase: Any, path: str) -> Cron:
    """A stored recurring time; its phrase only where it says the same, for people are shown the phrase."""
    found = recurring(expression, path)
    if not isinstance(phrase, str) or not phrase or found.phrase:
        return found
    try:
        said = recurring(phrase, path)
    except Invalid:
        return found
    return said if said.expression == found.expression else found


def _refusal(code: str, path: str, message: str, cure: str) -> Invalid:
    return Invalid(message, cure=cure, code=code, findings=[Finding(code, path, message, cure)])
