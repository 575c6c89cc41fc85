"""Which value does the body of a hook's answer hold?"""

from __future__ import annotations

import math
import re
from typing import Any

import orjson

_PATH = re.compile(r"\.?([^.\[\]]+)|\[(\d{1,9})\]")
_INTEGER = re.compile(r"[+-]?[0-9]{1,18}")
_NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?")


class NoValue(Exception):
    """The body does not hold what was asked for; `reason` is a word."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def segments(path: str | None) -> list[str | int]:
    """The steps of a path such as `$.data.scores[0].value`; raises `NoValue` (`response_path`)."""
    text = (path or "").strip()
    text = text.removeprefix("$")
    found: list[str | int] = []
    place = 0
    while place < len(text):
        match = _PATH.match(text, place)
        if match is None:
            raise NoValue("response_path")
        found.append(int(match[2]) if match[2] else match[1])
        place = match.end()
    return found


def value_of(body: bytes, kind: str, path: str | None) -> Any:
    """The value of a body: `json` (whole or at the path; None where nothing is there), `text`, `number`, `boolean`.

    A number is an int where it has no fraction ("85" is 85). Raises `NoValue`: `not_json`, `not_a_number`,
    `not_a_boolean`, `not_text`, `response_path`.
    """
    steps = segments(path)
    match kind:
        case "json":
            return at(_json(body), steps)
        case "text":
            return _text(at(_json(body), steps)) if steps else _decoded(body)
        case "number":
            return _number(at(_json(body), steps) if steps else _loose(body))
        case _:
            return _boolean(at(_json(body), steps) if steps else _loose(body))


def at(value: Any, steps: list[str | int]) -> Any:
    """What stands at a place of a JSON value, or None; a number steps into a list, also where it is written `.0`."""
    for step in steps:
        if isinstance(value, list):
            place = step if isinstance(step, int) else int(step) if step.isdecimal() and len(step) < 10 else -1
            value = value[place] if 0 <= place < len(value) else None
        elif isinstance(value, dict):
            value = value.get(str(step))
        else:
            return None
    return value


def _json(body: bytes) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        raise NoValue("not_json") from None


def _loose(body: bytes) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        return _decoded(body).strip()


def _decoded(body: bytes) -> str:
    return body.decode("utf-8", "replace").removeprefix("\ufeff")


def _text(value: Any) -> str:
    if value is None:
        raise NoValue("not_text")
    return value if isinstance(value, str) else orjson.dumps(value).decode()


def _number(value: Any) -> int | float:
    if isinstance(value, str):
        text = value.strip()
        value = int(text) if _INTEGER.fullmatch(text) else float(text) if _NUMBER.fullmatch(text) else None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise NoValue("not_a_number")
    return value


def _boolean(value: Any) -> bool:
    if isinstance(value, str):
        value = {"true": True, "false": False}.get(value.strip().lower())
    if not isinstance(value, bool):
        raise NoValue("not_a_boolean")
    return value
