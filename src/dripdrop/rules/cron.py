"""When does this cron expression come round next?"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from dripdrop.errors import Finding, Invalid
from dripdrop.rules.zones import change_between, instant

MAX_CHARACTERS = 200

_FIELDS = ("minute", "hour", "day-of-month", "month", "day-of-week")
_SIZES = (60, 24, 31, 12, 7)
_LOOKS_LIKE = re.compile(r"[\d*,/-]+(?:\s+[\d*,/-]+(?:\s+\S+)*)")
_STEP = re.compile(r"(?:([^,/-]+)-([^,/-]+))?/0*([0-9]+)")
_NAMED = {
    name: str(number)
    for names, first in (("SUN MON TUE WED THU FRI SAT", 0), ("JAN FEB MAR APR MAY JUN JUL AUG SEP OCT NOV DEC", 1))
    for number, name in enumerate(names.split(), first)
}
# Any day will do: an expression that matches at all does so within the fifty years that are looked through.
_ORIGIN = datetime(2024, 1, 1)  # noqa: DTZ001 - a time on a wall, in no zone
_SECOND, _DAY = timedelta(seconds=1), timedelta(days=1)
_CURE = "Write minute, hour, day of month, month and day of week, such as 30 9 * * MON-FRI."


def looks_like(text: str) -> bool:
    """Whether the text is meant as a cron expression: numbers and stars in its first two fields."""
    return len(text) <= MAX_CHARACTERS and _LOOKS_LIKE.fullmatch(text.strip()) is not None


@lru_cache(maxsize=1024)
def canonical(text: str, path: str = "timing") -> str:
    """The expression in capitals with single spaces: five fields, as in cron(8) with `L`, `LW`, `MON#1` and `5L`.

    A day that is restricted in both fields matches in either of them. Raises `Invalid`: `cron` (malformed; the message
    has the column), `cron_never` (there is no such day).
    """
    words = list(re.finditer(r"\S+", text)) if len(text) <= MAX_CHARACTERS else []
    if len(words) != len(_FIELDS):
        many = f"{len(words)} fields" if words else "too many characters"
        raise _refusal("cron", path, f"A cron expression has five fields, and this has {many}.", _CURE)
    for word, size, name in zip(words, _SIZES, _FIELDS, strict=True):
        if any(_leads_nowhere(step, size) for step in _STEP.finditer(word.group().upper())):
            raise _bad(path, name, word)
    expression = " ".join(word.group().upper() for word in words)
    try:
        next(CronSim(expression, _ORIGIN))
    except CronSimError as error:
        place = _FIELDS.index(str(error).removeprefix("Bad "))
        if _FIELDS[place] == "day-of-month" and _is_sound(expression):
            raise _never(path, expression) from None
        raise _bad(path, _FIELDS[place], words[place]) from None
    except StopIteration:
        raise _never(path, expression) from None
    return expression


def _leads_nowhere(step: re.Match[str], size: int) -> bool:
    """Whether a step is wider than its field, or stands behind a range of one, which readers of cron differ about."""
    first, last, width = step.groups()
    ends = [_NAMED.get(end, end.lstrip("0")) for end in (first, last) if end]
    return int(width) > size or (len(ends) == 2 and ends[0] == ends[1])


def _is_sound(expression: str) -> bool:
    """Whether the fault lies in the months, which have no such day, and not in how the day is written."""
    minute, hour, day, _, weekday = expression.split()
    try:
        CronSim(f"{minute} {hour} {day} * {weekday}", _ORIGIN)
    except CronSimError:
        return False
    return True


def next_after(expression: str, after: datetime, zone: ZoneInfo) -> datetime:
    """The first occurrence (UTC) strictly after an instant, for an expression that `canonical` returned.

    Times of day that are named happen once a day, whatever the clock does: in a gap at the first valid instant after
    it, in an overlap at the first of the two. An expression for every hour follows the clock through every hour there
    is, so that nothing is left out in autumn either.
    """
    start = after.astimezone(UTC)
    try:
        return (_hourly if _every_hour(expression) else _daily)(expression, start, zone)
    except StopIteration:
        raise _never("timing", expression) from None


@lru_cache(maxsize=1024)
def _every_hour(expression: str) -> bool:
    return len(CronSim(expression, _ORIGIN).hours) == 24


def _daily(expression: str, after: datetime, zone: ZoneInfo) -> datetime:
    occurrences = CronSim(expression, after.astimezone(zone).replace(tzinfo=None))
    while True:
        # Several local times of one gap are one instant, and in an overlap the first is over in the second hour.
        found = instant(next(occurrences), zone)
        if found > after:
            return found


def _hourly(expression: str, after: datetime, zone: ZoneInfo) -> datetime:
    start, including = after, timedelta(0)
    while True:
        offset = _offset(start, zone)
        local = next(CronSim(expression, (start + offset - including).replace(tzinfo=None)))
        found = (local - offset).replace(tzinfo=UTC)
        change = _first_change(start, found, zone)
        if change is None:
            return found
        start, including = change, _SECOND


def _first_change(early: datetime, late: datetime, zone: ZoneInfo) -> datetime | None:
    """The first instant in (early, late] with another offset than at its beginning; offsets hold for days at least."""
    offset = _offset(early, zone)
    while early < late:
        step = min(early + _DAY, late)
        if _offset(step, zone) != offset:
            return change_between(early, step, zone)
        early = step
    return None


def _offset(at: datetime, zone: ZoneInfo) -> timedelta:
    offset = at.astimezone(zone).utcoffset()
    assert offset is not None
    return offset


def _bad(path: str, name: str, word: re.Match[str]) -> Invalid:
    column = word.start() + 1
    message = f"{word.group()[:40]!r} at column {column} is no {name} of a cron expression."
    return _refusal("cron", path, message, _CURE, column)


def _never(path: str, expression: str) -> Invalid:
    return _refusal("cron_never", path, f"{expression!r} never comes: there is no such day.", "Name one that exists.")


def _refusal(code: str, path: str, message: str, cure: str, column: int | None = None) -> Invalid:
    return Invalid(message, cure=cure, code=code, findings=[Finding(code, path, message, cure, None, column)])
