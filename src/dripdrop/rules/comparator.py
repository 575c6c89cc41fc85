"""How do two values compare, forgivingly?

Scalars are compared as text, order needs numbers (or dates) on both sides, and what cannot be compared is not so.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from functools import lru_cache
from typing import Any

import orjson

from dripdrop.rules.dates import aware, day_of, instant_of

OPERATORS = ("==", "!=", ">", ">=", "<", "<=", "in", "contains")
# Longer texts are no numbers: Python reads only so many digits, and none of them would be worth keeping.
MAX_DIGITS = 4_000
ORDERED = frozenset({">", ">=", "<", "<="})

_NUMBER = re.compile(r"[+-]?[0-9]+(?:(\.[0-9]+)?(?:[eE][+-]?[0-9]+)?)")
_INTEGER = re.compile(r"[+-]?[0-9]+")


def field_path(data: Any, path: str | None) -> Any:
    """The value at a dotted path (`$.plan.name`, `plan.name`) of maps, or None; without a path the whole value."""
    if path is None:
        return data
    for segment in _segments(path):
        if not isinstance(data, Mapping):
            return None
        data = data.get(segment)
    return data


@lru_cache(maxsize=4096)
def _segments(path: str) -> tuple[str, ...]:
    while path.startswith("$."):
        path = path[2:]
    return tuple(filter(None, path.split(".")))


def compare(value: Any, operator: str, expected: Any) -> bool:
    """Whether `value operator expected` is so; never raises, an unknown operator is never so.

    `==`, `!=`: the same text (5 is "5", true is "true", missing is ""). `contains`: part of a text, element of a
    list. `in`: expected is a list, JSON of one, or comma-separated text. Order: two numbers, or two dates.
    """
    if operator == "==":
        return as_text(value) == as_text(expected)
    if operator == "!=":
        return as_text(value) != as_text(expected)
    if operator in ORDERED:
        return _ordered(value, operator, expected)
    if operator == "contains":
        return _contains(value, expected)
    return operator == "in" and _within(value, expected)


def as_text(value: Any) -> str:
    """The text a scalar is compared by; lists and maps as compact JSON with sorted keys."""
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return _float_text(value)
    if isinstance(value, (Mapping, list, tuple)):
        return _json_text(value)
    return value.isoformat() if isinstance(value, date) else _plain_text(value)


def _float_text(value: float) -> str:
    mantissa, mark, exponent = repr(float(value)).partition("e")
    if not mark:
        return mantissa
    return f"{mantissa if '.' in mantissa else mantissa + '.0'}e{int(exponent)}"


def _json_text(value: Any) -> str:
    try:
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS, default=str).decode()
    except (orjson.JSONEncodeError, RecursionError, UnicodeError):
        return ""


def _plain_text(value: Any) -> str:
    try:
        return str(value)
    except Exception:  # a host's object, or an integer too long to be written in decimal
        return ""


def _contains(value: Any, expected: Any) -> bool:
    if isinstance(value, Mapping):
        return False
    wanted = as_text(expected)
    if wanted == "":
        return True
    if isinstance(value, (list, tuple)):
        return any(as_text(each) == wanted for each in value)
    return wanted in as_text(value)


def _within(value: Any, expected: Any) -> bool:
    if value is None or isinstance(value, Mapping):
        return False
    text = as_text(value)
    return any(as_text(each) == text for each in _listed(expected))


def _listed(expected: Any) -> Sequence[Any]:
    if isinstance(expected, (list, tuple)):
        return expected
    if isinstance(expected, (set, frozenset)):
        return tuple(expected)
    if not isinstance(expected, str):
        return () if expected is None or isinstance(expected, Mapping) else (expected,)
    return _split(expected)


@lru_cache(maxsize=1024)
def _split(text: str) -> Sequence[Any]:
    if text.lstrip().startswith("["):
        try:
            return tuple(orjson.loads(text))
        except orjson.JSONDecodeError:
            pass
    return tuple(filter(None, (each.strip() for each in text.split(","))))


def _ordered(value: Any, operator: str, expected: Any) -> bool:
    pair = _pair(value, expected)
    if pair is None:
        return False
    left, right = pair
    if operator == ">":
        return bool(left > right)
    if operator == ">=":
        return bool(left >= right)
    return bool(left < right if operator == "<" else left <= right)


def _pair(value: Any, expected: Any) -> tuple[Any, Any] | None:
    """Both sides as numbers, or both as dates; a number beside a date is neither."""
    left, right = _number(value), _number(expected)
    if left is not None and right is not None:
        return left, right
    if left is not None or right is not None:
        return None
    early, late = _moment(value), _moment(expected)
    return None if early is None or late is None else (early, late)


def _number(value: Any) -> int | float | None:
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, (int, float)):
        return value
    if isinstance(value, (Mapping, list, tuple, date)):
        return None
    text = as_text(value)
    return _numeral(text) if len(text) <= MAX_DIGITS else None


@lru_cache(maxsize=1024)
def _numeral(text: str) -> int | float | None:
    if _INTEGER.fullmatch(text):
        return int(text)
    number = float(text) if _NUMBER.fullmatch(text) else math.inf
    return None if math.isinf(number) else number


def _moment(value: Any) -> datetime | None:
    if isinstance(value, str):
        day = day_of(value)
        return instant_of(value) if day is None else _midnight(day)
    if isinstance(value, datetime):
        return aware(value)
    return _midnight(value) if isinstance(value, date) else None


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def comparable(value: Any, expected: Any) -> bool:
    """Whether one of the two can be said to come before the other."""
    return _pair(value, expected) is not None


def ordered(expected: Any) -> bool:
    """Whether anything at all can come before or after this: a number or a date, also as text."""
    return _number(expected) is not None or _moment(expected) is not None
