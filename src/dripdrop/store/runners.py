"""How is a flow carried out?  One runner blocks, the other awaits; neither begins or commits."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol, TypeVar

from dripdrop.store.flow import Flow, Query, Row
from dripdrop.store.statements import DEFAULT_SCHEMA, in_schema

T = TypeVar("T")


class Cursorless(Protocol):
    """A blocking connection of any kind, reduced to what a flow needs."""

    def fetch(self, text: str, params: Mapping[str, Any]) -> list[Row]: ...


class AsyncCursorless(Protocol):
    """The same for an awaiting connection."""

    async def fetch(self, text: str, params: Mapping[str, Any]) -> list[Row]: ...


def run(connection: Cursorless, flow: Flow[T], schema: str = DEFAULT_SCHEMA) -> T:
    """Carry out a flow on a blocking connection; what the database raises is thrown into the flow first."""
    try:
        query = next(flow)
        while True:
            try:
                rows = shaped(query, connection.fetch(in_schema(query.text, schema), query.params))
            except Exception as error:
                query = flow.throw(error)
            else:
                query = flow.send(rows)
    except StopIteration as stop:
        return stop.value  # type: ignore[no-any-return]


async def run_async(connection: AsyncCursorless, flow: Flow[T], schema: str = DEFAULT_SCHEMA) -> T:
    """Carry out a flow on an awaiting connection."""
    try:
        query = next(flow)
        while True:
            try:
                rows = shaped(query, await connection.fetch(in_schema(query.text, schema), query.params))
            except Exception as error:
                query = flow.throw(error)
            else:
                query = flow.send(rows)
    except StopIteration as stop:
        return stop.value  # type: ignore[no-any-return]


def run_with(ask: Callable[[Query], list[Row]], flow: Flow[T]) -> T:
    """Carry out a flow with a function that answers each query: what tests and crash points use."""
    try:
        query = next(flow)
        while True:
            query = flow.send(shaped(query, ask(query)))
    except StopIteration as stop:
        return stop.value  # type: ignore[no-any-return]


Answer = Callable[[Query], Awaitable[list[Row]]]


async def run_async_with(ask: Answer, flow: Flow[T]) -> T:
    """The same with an awaited answer; the worker's connections use it to send COMMIT along with a last query."""
    try:
        query = next(flow)
        while True:
            try:
                rows = await ask(query)
            except Exception as error:
                query = flow.throw(error)
            else:
                query = flow.send(rows)
    except StopIteration as stop:
        return stop.value  # type: ignore[no-any-return]


def run_sync(connection: Any, flow: Flow[T], schema: str = DEFAULT_SCHEMA) -> T:
    """Carry out a flow on a plain psycopg connection, inside whatever transaction it is in."""
    return run(_Psycopg(connection), flow, schema)


class _Psycopg:
    def __init__(self, connection: Any) -> None:
        self.connection = connection

    def fetch(self, text: str, params: Mapping[str, Any]) -> list[Row]:
        with self.connection.cursor(row_factory=row_factory) as cursor:
            cursor.execute(text.encode(), params)
            return cursor.fetchall() if has_rows(cursor) else []


def shaped(query: Query, rows: list[Row]) -> list[Any]:
    """Rows as the query wants them, also from a connection that gives them by name."""
    return [tuple(row.values()) for row in rows] if query.bare and rows and isinstance(rows[0], dict) else rows


def has_rows(cursor: Any) -> bool:
    """Whether the statement gives rows, be it none; a cursor builds its description anew each time."""
    return cursor.pgresult is not None and cursor.pgresult.nfields > 0


def row_factory(cursor: Any) -> Callable[[Any], Row]:
    """A psycopg row factory that makes `Row`s."""
    result = cursor.pgresult
    if result is None:
        return Row
    names = [result.fname(place).decode() for place in range(result.nfields)]

    def make(values: Any) -> Row:
        return Row(zip(names, values))  # noqa: B905 - psycopg gives as many values as the result has columns

    return make
