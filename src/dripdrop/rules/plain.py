"""What does a tree of values hold, once it is only what JSON can hold?"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from enum import Enum
from math import isfinite
from typing import Any
from uuid import UUID

from dripdrop.errors import Finding, Invalid

_UNPAIRED = re.compile("[\ud800-\udfff]")
MAX_DEPTH = 40
MAX_NODES = 200_000


def plain(value: Any) -> Any:
    """The value as dicts, lists, text, numbers, booleans and None, sharing nothing with it.

    Raises `Invalid`: `too_large` (nested too deeply, or within itself), `not_plain` (anything else).
    """
    return _Copy().of(value, 0)


def culprit(value: Any) -> tuple[str | int, ...]:
    """The path of the first value that `plain` refuses for what it is; () where it is the whole."""
    if isinstance(value, Mapping):
        entries: Any = value.items()
    elif isinstance(value, (list, tuple)):
        entries = enumerate(value)
    else:
        return ()
    for key, each in entries:
        try:
            plain(each)
        except Invalid as trouble:
            return (key if isinstance(key, int) else str(key), *(culprit(each) if trouble.code == "not_plain" else ()))
    return ()


class _Copy:
    def __init__(self) -> None:
        # An alias costs one line of YAML and may stand for a million nodes.
        self.left = MAX_NODES

    def of(self, value: Any, depth: int) -> Any:
        self.left -= 1
        if depth > MAX_DEPTH or self.left < 0:
            raise _refusal("too_large", "The definition is nested too deeply, or too large.", "Make it smaller.")
        if value is None or isinstance(value, Enum):
            return value if value is None else self.of(value.value, depth)
        # ruamel has a boolean of its own, since Python's cannot be derived from.
        if isinstance(value, bool) or type(value).__name__ == "ScalarBoolean":
            return bool(value)
        if isinstance(value, (str, UUID)):
            return _text(str(value))
        if isinstance(value, (int, float, Decimal)):
            return _number(int(value) if isinstance(value, int) else float(value))
        return self._composed(value, depth)

    def _composed(self, value: Any, depth: int) -> Any:
        if isinstance(value, Mapping):
            return {self._key(key): self.of(inner, depth + 1) for key, inner in value.items()}
        if isinstance(value, (list, tuple, set, frozenset)):
            return [self.of(inner, depth + 1) for inner in value]
        if isinstance(value, date):
            return value.isoformat()
        raise _refusal(
            "not_plain", f"A definition cannot hold a {type(value).__name__}.", "Use text, numbers and lists."
        )

    def _key(self, key: Any) -> str:
        if isinstance(key, bool):
            return "true" if key else "false"
        return _text(str(key))


def _text(value: str) -> str:
    # PostgreSQL's jsonb holds neither NUL nor half a character.
    if "\x00" in value or (not value.isascii() and _UNPAIRED.search(value)):
        raise _refusal("not_plain", "A text holds NUL or half a character.", "Remove it.")
    return value


def _number(value: int | float) -> int | float:
    if (isinstance(value, int) and value.bit_length() > 63) or (isinstance(value, float) and not isfinite(value)):
        raise _refusal("not_plain", "A number is too large.", "Write it as text.")
    return value


def _refusal(code: str, message: str, cure: str) -> Invalid:
    return Invalid(message, cure=cure, code=code, findings=[Finding(code, "document", message, cure)])
