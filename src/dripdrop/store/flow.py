"""What is a transaction, before it has a connection?  A generator of queries."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

T = TypeVar("T")


class Row(dict[str, Any]):
    """One row: columns by name, also as attributes."""

    __slots__ = ()

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(name) from None


@dataclass(frozen=True, slots=True)
class Query:
    """One statement to run: `text` with %(name)s places, `params` by name, `name` for errors and crash tests.

    `last` says that nothing follows in this operation: a runner may send COMMIT along with it. `bare` asks for plain
    tuples instead of rows by name: what a worker reads of each message is read by its place.
    """

    text: str
    params: Mapping[str, Any]
    name: str = ""
    last: bool = False
    bare: bool = False


Flow: TypeAlias = Generator[Query, list[Row], T]
