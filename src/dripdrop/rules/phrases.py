"""Which cron expression does a recurring phrase stand for?"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NoReturn, TypeVar

from dripdrop.errors import Finding, Invalid

CURE = (
    'Write "every day at 9am", "every monday and thursday at 9:30", "every weekday at 17:00", "every 1st of the month '
    'at 9am", "every hour", "every 15 minutes", "@daily" or five cron fields.'
)
NAMES = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}

_WEEK = ("sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday")
_DAYS: dict[str, tuple[int, ...]] = {
    **{name: (number,) for number, day in enumerate(_WEEK) for name in (day, day[:3])},
    "weekday": (1, 2, 3, 4, 5),
    "weekend": (6, 0),
}
_ORDINALS = {
    f"{n}{'th' if n in (11, 12, 13) else {1: 'st', 2: 'nd', 3: 'rd'}.get(n % 10, 'th')}": n for n in range(1, 32)
}
_ORDINALS |= {"first": 1, "second": 2, "third": 3, "fourth": 4, "fifth": 5}
_CLOCK = re.compile(r"([0-9]{1,2})(?::([0-9]{2}))?(am|pm)?")
_NAMED_TIMES = {"noon": (12, 0), "midnight": (0, 0)}
_LAST = 0

T = TypeVar("T")


class Words:
    """The words of a phrase in small letters, each with its column, taken one after the other."""

    def __init__(self, text: str, path: str) -> None:
        self.path = path
        self.found = [(each.group().lower(), each.start() + 1) for each in re.finditer(r"[^\s,]+|,", text)]
        self.place = 0
        self.end = len(text) + 1

    def peek(self, ahead: int = 0) -> str:
        """The next word, or one after it; empty at the end."""
        place = self.place + ahead
        return self.found[place][0] if place < len(self.found) else ""

    def take(self) -> str:
        """The next word, which is done with then."""
        word = self.peek()
        self.place += 1
        return word

    def taken(self, *words: str) -> bool:
        """Takes the next words if they are these."""
        if [word for word, _ in self.found[self.place : self.place + len(words)]] != list(words):
            return False
        self.place += len(words)
        return True

    def expect(self, *words: str) -> None:
        """Takes these words; raises `Invalid` where another one stands."""
        for word in words:
            if not self.taken(word):
                self.refuse(f"{word!r} is expected")

    def finish(self) -> None:
        """Raises `Invalid` when there is something left."""
        if self.peek():
            self.refuse("nothing more is expected")

    def refuse(self, wanted: str, cure: str = CURE) -> NoReturn:
        """Raises `Invalid` (`timing_phrase`) at the next word."""
        column = self.found[self.place][1] if self.place < len(self.found) else self.end
        seen = f"{self.peek()[:40]!r}" if self.peek() else "the end"
        message = f"At column {column} of the phrase stands {seen}, and {wanted}."
        finding = Finding("timing_phrase", self.path, message, cure, None, column)
        raise Invalid(message, cure=cure, code="timing_phrase", findings=[finding])


def expression(text: str, path: str = "timing") -> str:
    """The five fields of `@daily`-style names and of phrases that begin with "every", in any case and spacing.

    A time of day is `9`, `9:30`, `9am`, `9:30 pm`, `noon` or `midnight`. Nothing is guessed: raises `Invalid`
    (`timing_phrase`) at the first word that is not understood, with its column.
    """
    words = Words(text, path)
    if words.peek() in NAMES:
        found = NAMES[words.take()]
    else:
        words.expect("every")
        found = _every(words)
    words.finish()
    return found


def _every(words: Words) -> str:
    word = words.peek()
    if words.taken("minute"):
        return "* * * * *"
    if words.taken("hour"):
        return "0 * * * *"
    if word.isascii() and word.isdigit():
        return _interval(words)
    if words.taken("day"):
        return f"{_times(words)} * * *"
    if word in _ORDINALS or word == "last":
        return _monthly(words)
    days = sorted({day for each in _listed(words, _weekday) for day in each})
    fields = "1-5" if days == [1, 2, 3, 4, 5] else ",".join(map(str, days))
    return f"{_times(words)} * * {fields}"


def _interval(words: Words) -> str:
    """Only steps that fit into the hour or the day: any other would come at uneven distances."""
    word, unit = words.peek(), words.peek(1).removesuffix("s")
    if unit not in ("minute", "hour"):
        words.place += 1
        words.refuse("minutes or hours are expected", "For every 3 days write `timing: in 3 days` with `repeat: true`.")
    whole = 60 if unit == "minute" else 24
    amount = int(word) if len(word) < 4 else 0
    if amount == 0 or whole % amount or amount == whole:
        fitting = ", ".join(str(n) for n in range(1, whole) if whole % n == 0)
        words.refuse(f"only steps of {fitting} {unit}s come round evenly")
    words.place += 2
    step = f"*/{amount}" if amount > 1 else "*"
    return f"{step} * * * *" if unit == "minute" else f"0 {step} * * *"


def _monthly(words: Words) -> str:
    """Days of the month, its last day, or its n-th and last weekdays."""
    ordinals = sorted(set(_listed(words, _ordinal)))
    if words.peek() in _DAYS and len(_DAYS[words.peek()]) == 1:
        if any(n > 5 for n in ordinals):
            words.refuse("no month has so many of them")
        (day,) = _DAYS[words.take()]
        days = ",".join(f"{day}L" if n == _LAST else f"{day}#{n}" for n in ordinals)
        words.expect("of", "the", "month")
        return f"{_times(words)} * * {days}"
    if _LAST in ordinals:
        words.expect("day")
    words.expect("of", "the", "month")
    return f"{_times(words)} {','.join('L' if n == _LAST else str(n) for n in ordinals)} * *"


def _times(words: Words) -> str:
    """The minute and hour fields of one time of day, or of several at the same minute."""
    words.expect("at")
    start = words.place
    times = _listed(words, _time)
    minutes = {minute for _, minute in times}
    if len(minutes) > 1:
        words.place = start
        words.refuse("one step can only have times at the same minute", "Write `9:00 and 17:00`, or two steps.")
    return f"{minutes.pop()} {','.join(map(str, sorted({hour for hour, _ in times})))}"


def _time(words: Words) -> tuple[int, int]:
    if words.peek() in _NAMED_TIMES:
        return _NAMED_TIMES[words.take()]
    match = _CLOCK.fullmatch(words.peek())
    if match is None:
        words.refuse("a time of day is expected")
    half = match.group(3)
    apart = half is None and words.peek(1) in ("am", "pm")
    half = words.peek(1) if apart else half
    hour, minute = int(match.group(1)), int(match.group(2) or 0)
    if minute > 59 or hour > 23 or (half is not None and not 1 <= hour <= 12):
        words.refuse("a time of day is expected")
    words.place += 2 if apart else 1
    return (hour % 12 + 12 * (half == "pm") if half else hour), minute


def _weekday(words: Words) -> tuple[int, ...]:
    if words.peek() not in _DAYS:
        words.refuse("a day, a weekday, an hour or minutes are expected")
    return _DAYS[words.take()]


def _ordinal(words: Words) -> int:
    if words.taken("last"):
        return _LAST
    if words.peek() not in _ORDINALS:
        words.refuse("a day of the month such as 1st is expected")
    return _ORDINALS[words.take()]


def _listed(words: Words, one: Callable[[Words], T]) -> list[T]:
    found = [one(words)]
    while words.taken(",", "and") or words.taken(",") or words.taken("and"):
        found.append(one(words))
    return found
