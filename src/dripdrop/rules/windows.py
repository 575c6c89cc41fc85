"""May something be sent at this hour, and if not, when?"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import Any, TypeAlias
from zoneinfo import ZoneInfo

from dripdrop.errors import Finding, Invalid
from dripdrop.rules.zones import change_between, find_zone, instant, zone_named

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
DAY = 1_440

Span: TypeAlias = tuple[int, int]

_CLOCK = re.compile(r"([01]?\d|2[0-4])(?::([0-5]\d))?")
_LONG = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_NAMES = {name: index for index, day in enumerate(DAYS) for name in (day, _LONG[index], f"{_LONG[index]}s")}
_KEYS = frozenset({"start", "end", "holidays", "weekdays", "weekend", *_NAMES})
_LISTED_KEYS = frozenset({"days", "from", "to"})
_CURE = 'Write [8, 21], ["8:30", "21:00"], {mon: [9, 17], sat: false}, or false for no limit.'


@dataclass(frozen=True, slots=True)
class Window:
    """When sending is allowed: for Monday to Sunday the open spans in minutes of the local day, `[start, end)`."""

    spans: tuple[tuple[Span, ...], ...]
    holidays: frozenset[date] = frozenset()


def parse(value: Any, path: str = "window") -> Window | None:
    """The window written as `[8, 21]`, `{start, end}`, per weekday or as `{days, from, to}`; None: no limit.

    `false` and None are no limit. A weekday that is `false` is closed; one that is not named takes `start` and `end`,
    or is closed without them. A span that ends before it starts runs into the next day; equal ends mean the whole day.
    `holidays` are closed dates.
    Raises `Invalid` (`window`).
    """
    if value is None or value is False:
        return None
    if isinstance(value, Window):
        return value
    if isinstance(value, (list, tuple)) and len(value) == 2 and all(type(each) in (int, str) for each in value):
        return _uniform(value[0], value[1], path)
    if isinstance(value, Mapping):
        return _from_mapping(_by_day(value, path) if _LISTED_KEYS & set(value) else value, path)
    raise _refusal(path, f"{path} is not a window of hours.")


@lru_cache(maxsize=256)
def _uniform(start: int | str, end: int | str, path: str) -> Window:
    return Window(_spread([((_minutes(start, path), _minutes(end, path)),)] * 7))


def _from_mapping(value: Mapping[str, Any], path: str) -> Window:
    unknown = [str(key) for key in value if str(key).lower() not in _KEYS]
    if unknown:
        raise _refusal(path, f"{path} does not know {unknown[0]!r}.")
    usual = _usual(value, path)
    days = [usual] * 7
    for key, hours in value.items():
        for index in _days_of(str(key).lower()):
            days[index] = _hours(hours, f"{path}.{key}")
    window = Window(_spread(days), _holidays(value.get("holidays"), path))
    if not any(window.spans):
        raise _refusal(path, f"{path} never opens.")
    return window


def _by_day(value: Mapping[str, Any], path: str) -> Mapping[str, Any]:
    """`{days: [mon, tue], from: 9, to: 17}` per weekday; without days it is every day, without an end to midnight."""
    unknown = [str(key) for key in value if key not in {*_LISTED_KEYS, "holidays"}]
    if unknown:
        raise _refusal(path, f"{path} does not know {unknown[0]!r} beside days, from and to.")
    days = value.get("days", ("weekdays", "weekend"))
    named = [days] if isinstance(days, str) else days
    if not isinstance(named, (list, tuple)) or not all(
        isinstance(day, str) and _days_of(day.strip().lower()) for day in named
    ):
        raise _refusal(f"{path}.days", f"{path}.days names something that is no day.", "Write [mon, tue] or weekdays.")
    hours = [value.get("from", 0), value.get("to", 24)]
    closed = {"holidays": value["holidays"]} if "holidays" in value else {}
    return {**{DAYS[index]: hours for day in named for index in _days_of(day.strip().lower())}, **closed}


def _usual(value: Mapping[str, Any], path: str) -> tuple[Span, ...]:
    if "start" not in value and "end" not in value:
        return ()
    return ((_minutes(value.get("start"), f"{path}.start"), _minutes(value.get("end"), f"{path}.end")),)


def _days_of(key: str) -> Sequence[int]:
    if key == "weekdays":
        return range(5)
    if key == "weekend":
        return range(5, 7)
    return (_NAMES[key],) if key in _NAMES else ()


def _hours(value: Any, path: str) -> tuple[Span, ...]:
    if value is False or value is None:
        return ()
    if value is True:
        return ((0, DAY),)
    if isinstance(value, (list, tuple)) and value and all(isinstance(each, (list, tuple)) for each in value):
        return tuple(span for each in value for span in _hours(each, path))
    if isinstance(value, (list, tuple)) and len(value) == 2:
        return ((_minutes(value[0], path), _minutes(value[1], path)),)
    raise _refusal(path, f"{path} is not a pair of hours.")


def _minutes(value: Any, path: str) -> int:
    match = _CLOCK.fullmatch(str(value).strip()) if type(value) in (int, str) else None
    if match is not None:
        minutes = int(match.group(1)) * 60 + int(match.group(2) or 0)
        if minutes <= DAY:
            return minutes
    raise _refusal(path, f"{path} has an hour that is not on the clock.")


def _holidays(value: Any, path: str) -> frozenset[date]:
    try:
        return frozenset(each if type(each) is date else date.fromisoformat(each) for each in value or ())
    except (TypeError, ValueError):
        cure = 'Write a list of dates such as ["2030-12-25"].'
        raise _refusal(f"{path}.holidays", "A holiday is not a date.", cure) from None


def _spread(days: Sequence[tuple[Span, ...]]) -> tuple[tuple[Span, ...], ...]:
    """Spans that pass midnight are cut there: the rest belongs to the following day."""
    open_spans: list[list[Span]] = [[] for _ in range(7)]
    for index, spans in enumerate(days):
        for start, end in spans:
            if start < end:
                open_spans[index].append((start, end))
                continue
            open_spans[index].append((start, DAY) if start != end else (0, DAY))
            if start != end and end > 0:
                open_spans[(index + 1) % 7].append((0, end))
    return tuple(tuple(sorted({span for span in spans if span[0] < span[1]})) for spans in open_spans)


def allowed(at: datetime, window: Window | None, zone: str) -> bool:
    """Whether the window is open at that instant in that zone; raises `Invalid` (`zone`)."""
    return window is None or _open(at.astimezone(find_zone(zone) or zone_named(zone)), window)


def next_allowed(at: datetime, window: Window | None, zone: str) -> datetime:
    """`at` itself while the window is open, else the instant (UTC) it opens next; raises `Invalid` (`zone`).

    An opening inside a DST gap is the first valid instant after the gap; one inside an overlap is the first.
    """
    if window is None:
        return at
    place = find_zone(zone) or zone_named(zone)
    local = at.astimezone(place)
    return at if _open(local, window) else _opening(at.astimezone(UTC), local, window, place)


def _open(local: datetime, window: Window) -> bool:
    minute = local.hour * 60 + local.minute
    for start, end in window.spans[local.weekday()]:
        if start <= minute < end:
            return not window.holidays or local.date() not in window.holidays
    return False


def _opening(at: datetime, local: datetime, window: Window, zone: ZoneInfo) -> datetime:
    for offset in range(9 + len(window.holidays)):
        day = local.date() + timedelta(days=offset)
        later = (each for each in _candidates(day, window, zone) if each > at and _open(each.astimezone(zone), window))
        found = min(later, default=None)
        if found is not None:
            return found
    raise _refusal("window", "The window does not open.")


def _candidates(day: date, window: Window, zone: ZoneInfo) -> Iterator[datetime]:
    """Instants of a local day at which a window can open: its starts, and a change of the clock itself."""
    midnight = datetime.combine(day, time())
    for start, _ in window.spans[day.weekday()]:
        local = midnight + timedelta(minutes=start)
        yield instant(local, zone)
        yield local.replace(tzinfo=zone, fold=1).astimezone(UTC)
    dawn, dusk = (each.replace(tzinfo=zone).astimezone(UTC) for each in (midnight, midnight + timedelta(days=1)))
    if dawn.astimezone(zone).utcoffset() != dusk.astimezone(zone).utcoffset():
        yield change_between(dawn, dusk, zone)


def _refusal(path: str, message: str, cure: str = _CURE) -> Invalid:
    return Invalid(message, cure=cure, code="window", findings=[Finding("window", path, message, cure)])
