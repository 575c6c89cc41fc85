"""Where does a statement's text come from?  From the .sql file beside the module that runs it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

from dripdrop.store.flow import Flow, Query, Row

_NAME = re.compile(r"^-- name: (\w+)\s*$", re.MULTILINE)
_SCHEMA = re.compile(r"\bdripdrop\.(?=[a-z_%])")
_PLACE = re.compile(r"%%|%\((\w+)\)s")
DEFAULT_SCHEMA = "dripdrop"


def read(package: str, filename: str) -> dict[str, str]:
    """The named statements of one .sql file: `-- name: x` begins each."""
    pieces = _NAME.split(resources.files(package).joinpath(filename).read_text("utf-8"))
    return dict(zip(pieces[1::2], (piece.strip().rstrip(";") for piece in pieces[2::2]), strict=True))


@cache
def in_schema(text: str, schema: str) -> str:
    """The text with `dripdrop.` replaced by the schema in use."""
    return text if schema == DEFAULT_SCHEMA else _SCHEMA.sub(f'"{schema}".', text)


@dataclass(frozen=True, slots=True)
class Placed:
    """A statement as the server reads it: with $1, $2 ... and the name of the value for each."""

    text: bytes
    names: tuple[str, ...]

    def values(self, params: Mapping[str, Any]) -> list[Any]:
        """The parameters in their order."""
        return [params[name] for name in self.names]


@cache
def placed(text: str, schema: str) -> Placed:
    """A text with %(name)s places in the schema in use, worked out once: psycopg does it anew for each long text."""
    numbers: dict[str, int] = {}

    def place(found: re.Match[str]) -> str:
        name = found[1]
        return f"${numbers.setdefault(name, len(numbers) + 1)}" if name else "%"

    written = _PLACE.sub(place, in_schema(text, schema))
    return Placed(written.encode(), tuple(numbers))


class Statements:
    """The statements of one aggregate: `SQL = Statements("enrollments")`, then `yield from SQL.all("name", ...)`."""

    def __init__(self, aggregate: str, package: str = "dripdrop.store") -> None:
        self.aggregate = aggregate
        self.texts: Mapping[str, str] = read(package, f"{aggregate}.sql")
        self._names = {name: f"{aggregate}.{name}" for name in self.texts}

    def query(self, name: str, /, *, last: bool = False, bare: bool = False, **params: Any) -> Query:
        return Query(self.texts[name], params, self._names[name], last, bare)

    def all(self, name: str, /, *, last: bool = False, **params: Any) -> Flow[list[Row]]:
        """Every row."""
        return (yield self.query(name, last=last, **params))

    def tuples(self, name: str, /, *, last: bool = False, **params: Any) -> Flow[list[tuple[Any, ...]]]:
        """Every row, as a plain tuple in the order of its columns."""
        rows: Any = yield self.query(name, last=last, bare=True, **params)
        return rows  # type: ignore[no-any-return]

    def one(self, name: str, /, *, last: bool = False, **params: Any) -> Flow[Row | None]:
        """The first row, or None."""
        rows = yield self.query(name, last=last, **params)
        return rows[0] if rows else None

    def run(self, name: str, /, *, last: bool = False, **params: Any) -> Flow[None]:
        """Nothing is wanted back."""
        yield self.query(name, last=last, **params)


def first(rows: Sequence[Row]) -> Row | None:
    return rows[0] if rows else None
