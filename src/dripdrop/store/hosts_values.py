"""How do values and errors of different drivers become the same?"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, TypeAlias
from uuid import UUID

import psycopg
from psycopg import adapt
from psycopg import errors as pg
from psycopg.types.json import set_json_loads

from dripdrop.store.flow import Row

Convert: TypeAlias = Callable[[Any], Any]

BYTEA, JSON, JSONB, UUID_, UUIDS, MOMENT, MOMENTS = 17, 114, 3802, 2950, 2951, 1184, 1185

# Whatever a host taught its connections about JSON or times, our rows come from this map.
ADAPTERS = adapt.AdaptersMap(psycopg.adapters)
set_json_loads(json.loads, ADAPTERS)

_PLACE = re.compile(r"%%|%\((\w+)\)s(?:::([\w.\"]+(?:\[\])?))?")
# asyncpg sends these in their own form; every other type goes as text and is cast by the server, so that no codec that
# a host has set for it (for jsonb, say) changes what arrives.
_SENT = {"text", "uuid", "integer", "bigint", "smallint", "boolean", "timestamptz", "interval", "bytea", "numeric"}


@dataclass(frozen=True, slots=True)
class Numbered:
    """A statement with $1, $2 ... and where each value comes from."""

    text: str
    places: tuple[tuple[str, bool, bool], ...]

    def values(self, params: Mapping[str, Any]) -> list[Any]:
        """The parameters in their order; asyncpg takes nothing but `str` for text."""
        return [_sent(params[name], as_text, as_list) for name, as_text, as_list in self.places]


@lru_cache(maxsize=2048)
def numbered(text: str) -> Numbered:
    """A text with %(name)s places as asyncpg takes it; a name has one number for each type it is cast to."""
    numbers: dict[tuple[str, str], int] = {}

    def place(found: re.Match[str]) -> str:
        if found[0] == "%%":
            return "%"
        name, cast = found[1], found[2] or ""
        number = numbers.setdefault((name, cast), len(numbers) + 1)
        if not cast:
            return f"${number}"
        return f"${number}::{cast}" if cast.removesuffix("[]") in _SENT else f"${number}::{_text_of(cast)}::{cast}"

    made = _PLACE.sub(place, text)
    return Numbered(made, tuple((name, _goes_as_text(cast), cast.endswith("[]")) for name, cast in numbers))


def _text_of(cast: str) -> str:
    return "text[]" if cast.endswith("[]") else "text"


def _goes_as_text(cast: str) -> bool:
    base = cast.removesuffix("[]")
    return bool(base) and (base == "text" or base not in _SENT)


def _sent(value: Any, as_text: bool, as_list: bool) -> Any:
    if value is None or not as_text:
        return value
    if as_list:
        return [each if each is None else str(each) for each in value]
    return str(value)


def rows_of(names: Sequence[str], converts: Sequence[Convert | None], values: Sequence[Sequence[Any]]) -> list[Row]:
    """Rows of what a driver gave; `converts` has a function, or None, for each column."""
    if not any(converts):
        return [Row(zip(names, each, strict=True)) for each in values]
    return [
        Row(
            (name, convert(value) if convert is not None and value is not None else value)
            for name, convert, value in zip(names, converts, each, strict=True)
        )
        for each in values
    ]


def in_utc(value: Any) -> Any:
    """An aware datetime in UTC, whatever the zone of the session that read it."""
    return value.astimezone(UTC) if isinstance(value, datetime) else value


def as_uuid(value: Any) -> UUID:
    """A plain UUID: of text, or of a driver's own kind, which JSON libraries do not know."""
    return value if type(value) is UUID else UUID(str(value))


def each_of(convert: Convert) -> Convert:
    """The same for the members of a list."""
    return lambda values: [value if value is None else convert(value) for value in values]


# For psycopg, whose own adapters have made everything but the zone right.
LOADED: Mapping[int, Convert] = {MOMENT: in_utc, MOMENTS: each_of(in_utc)}
# For the drivers whose results depend on what the host has registered.
RAW: Mapping[int, Convert] = {**LOADED, UUID_: as_uuid, UUIDS: each_of(as_uuid), BYTEA: bytes}
# The same where JSON arrives as text.
RAW_WITH_JSON: Mapping[int, Convert] = {**RAW, JSON: json.loads, JSONB: json.loads}


def driver_error(error: Exception) -> Exception:
    """psycopg's error of what SQLAlchemy, Django, asyncpg or psycopg2 raised; any other error as it is."""
    for told in (error, getattr(error, "orig", None), error.__cause__):
        if isinstance(told, psycopg.Error):
            return told
    for told in (error, getattr(error, "orig", None), error.__cause__):
        state = getattr(told, "sqlstate", None) or getattr(told, "pgcode", None)
        if isinstance(state, str):
            return _of_state(state, str(told))
    if type(error).__module__.split(".")[0] in ("asyncpg", "psycopg2") or isinstance(error, ConnectionError):
        return psycopg.OperationalError(str(error))
    return error


def _of_state(state: str, message: str) -> psycopg.Error:
    try:
        return pg.lookup(state)(message)
    except KeyError:
        return psycopg.DatabaseError(message)
