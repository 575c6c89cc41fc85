"""How do a hundred rows of parameters become PostgreSQL arrays cheaply?

psycopg's own list dumper asks every element for its type; ours need not, since every statement casts its parameters.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from psycopg.adapt import AdaptersMap, Dumper


class ListDumper(Dumper):
    """A list as an array literal of unknown type: the statement's cast decides."""

    oid = 0

    def dump(self, obj: list[Any]) -> bytes:
        return f"{{{','.join([_element(each) for each in obj])}}}".encode()


def _element(value: Any) -> str:
    if value is None:
        return "NULL"
    kind = type(value)
    if kind is str:
        return f'"{value}"' if "\\" not in value and '"' not in value else _escaped(value)
    if kind is UUID:
        return value.hex  # type: ignore[no-any-return]
    if kind is int:
        return str(value)
    if kind is datetime:
        return f'"{value.isoformat()}"'
    if kind is bytes:
        return f'"\\\\x{value.hex()}"'
    if kind is bool:
        return "t" if value else "f"
    if kind is timedelta:
        return f'"{value.days} days {value.seconds}.{value.microseconds:06d} seconds"'
    return _escaped(str(value))


def _escaped(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def register(adapters: AdaptersMap) -> None:
    """Use this dumper for lists on a connection."""
    adapters.register_dumper(list, ListDumper)
