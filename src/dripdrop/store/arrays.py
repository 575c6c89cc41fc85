"""How do a hundred rows of parameters become PostgreSQL arrays cheaply?

psycopg's own list dumper asks every element for its type; ours need not, since every statement casts its parameters.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from psycopg.adapt import AdaptersMap, Dumper


class ListDumper(Dumper):
    """A list as an array literal of unknown type: the statement's cast decides."""

    oid = 0

    def dump(self, obj: list[Any]) -> bytes:
        return f"{{{','.join(_elements(obj))}}}".encode()


def _elements(values: list[Any]) -> list[str]:
    """Each value as it stands in the literal; a column of a batch mostly repeats one value, or is of one type."""
    kinds = set(map(type, values))
    if len(kinds) != 1:
        return [_element(each) for each in values]
    kind, first = kinds.pop(), values[0]
    if first is values[-1] and kind in _WRITERS and values.count(first) == len(values):
        return [_element(first)] * len(values)
    return list(map(_WRITERS.get(kind, _other), values))


def _element(value: Any) -> str:
    return _WRITERS.get(type(value), _other)(value)


def _text(value: str) -> str:
    return f'"{value}"' if "\\" not in value and '"' not in value else _escaped(value)


def _other(value: Any) -> str:
    return _escaped(str(value))


def _escaped(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


_WRITERS: dict[type, Callable[[Any], str]] = {
    type(None): lambda _: "NULL",
    str: _text,
    UUID: lambda value: f"{value.int:032x}",
    int: str,
    datetime: lambda value: f'"{value.isoformat()}"',
    bytes: lambda value: f'"\\\\x{value.hex()}"',
    bool: lambda value: "t" if value else "f",
    timedelta: lambda value: f'"{value.days} days {value.seconds}.{value.microseconds:06d} seconds"',
}


def register(adapters: AdaptersMap) -> None:
    """Use this dumper for lists on a connection."""
    adapters.register_dumper(list, ListDumper)
