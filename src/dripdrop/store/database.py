"""How does an operation get its transaction and its time?

Business time and lease time come from the database in the round trip that begins the transaction: one clock for all.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import asynccontextmanager, contextmanager
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import orjson
import psycopg
from psycopg import errors as pg
from psycopg.abc import AdaptContext
from psycopg.adapt import Loader
from psycopg_pool import AsyncConnectionPool, ConnectionPool, PoolTimeout

from dripdrop.errors import Conflict, DripDropError, SchemaMismatch, Unavailable
from dripdrop.store import arrays
from dripdrop.store.flow import Flow, Query, Row
from dripdrop.store.runners import has_rows, row_factory, run_async_with, run_with
from dripdrop.store.statements import DEFAULT_SCHEMA, in_schema, placed

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

T = TypeVar("T")

NOW = "select clock_timestamp() + ahead from dripdrop.clock"
# A client behind a torn network looks alive to the server for hours, and so do its locks: who says nothing for longer
# than a lease, in the middle of a transaction, is dead for the rows too.
_SILENCE = "set local idle_in_transaction_session_timeout = {milliseconds}"
# Between a statement and a COMMIT that travels along with it the server does not call this idle, and waits for ever.
_FROZEN = "set local transaction_timeout = {milliseconds}"
_KNOWS_FROZEN = 170000
LEASE = 60.0
# Repeating these with the same tokens is right: the connection, the lock queue or the server gave way, not the data.
TRANSIENT = ("08", "40", "53", "55", "57", "58")
TOO_SILENT = ("25P03", "25P04")
# psycopg makes tuples itself, without a call for each row.
_SHAPES: dict[bool, Any] = {False: row_factory, True: psycopg.rows.tuple_row}


def is_transient(error: BaseException) -> bool:
    """Whether the same transaction may simply be tried again."""
    state = getattr(error, "sqlstate", None)
    if state is None:
        return isinstance(error, (psycopg.OperationalError, psycopg.InterfaceError, PoolTimeout, ConnectionError))
    return state[:2] in TRANSIENT or state in TOO_SILENT


def translated(error: Exception) -> Exception:
    """The error as a user should read it; what is not ours to explain stays as it is."""
    if isinstance(error, DripDropError):
        return error
    if isinstance(error, (pg.UndefinedTable, pg.InvalidSchemaName, pg.UndefinedFunction, pg.UndefinedColumn)):
        return SchemaMismatch(
            f"The schema is not there, or not what this code needs: {_line(error)}.", cure="Run: dripdrop setup"
        )
    if isinstance(error, pg.SerializationFailure):
        return Conflict(
            "Somebody changed the same rows meanwhile.", cure="Repeat the transaction.", code="serialization"
        )
    if isinstance(error, PoolTimeout) or (isinstance(error, psycopg.OperationalError) and error.sqlstate is None):
        return Unavailable(
            f"The database cannot be reached: {_line(error)}.",
            cure="Check DRIPDROP_DATABASE_URL, and that the server runs.",
        )
    return error


def _line(error: Exception) -> str:
    return (str(error).strip().splitlines() or ["no reason given"])[0].rstrip(".")


class Database:
    """A blocking pool; each `run` is one transaction, broken off if this side is silent for `silence` seconds."""

    def __init__(
        self,
        url: str,
        schema: str = DEFAULT_SCHEMA,
        *,
        size: int = 4,
        prepare: bool = True,
        clock: Callable[[], datetime] | None = None,
        silence: float = LEASE,
    ) -> None:
        self.url = url
        self.schema = schema
        self.clock = clock
        self._pool: ConnectionPool[Any] | None = None
        self._size = size
        self._take_time = f"{_silent(silence)}; {in_schema(NOW, schema)}".encode()
        self._kwargs = {"autocommit": True, **({} if prepare else {"prepare_threshold": None})}

    @contextmanager
    def connection(self) -> Iterator[psycopg.Connection[Any]]:
        """A connection of the pool, in autocommit."""
        if self._pool is None:
            self._pool = ConnectionPool(
                self.url,
                min_size=0,
                max_size=self._size,
                kwargs=self._kwargs,
                configure=configure,
                open=True,
                timeout=10.0,
            )
        with self._pool.connection() as connection:
            yield connection

    def run(self, operation: Callable[[datetime], Flow[T]]) -> T:
        """One transaction: begin, take the time, carry out, commit; rolled back if anything is raised."""
        try:
            for chances in range(self._size, -1, -1):
                with self.connection() as connection:
                    begun = False
                    try:
                        with connection.transaction():
                            now = self._start(connection)
                            begun = True
                            return run_with(partial(self._ask, connection), operation(now))
                    except psycopg.OperationalError:
                        # The server went away while this connection lay in the pool: nothing was asked on it yet.
                        if begun or not chances or not connection.closed:
                            raise
            raise AssertionError("the last chance returns or raises")
        except Exception as error:
            better = translated(error)
            if better is error:
                raise
            raise better from error

    def _start(self, connection: psycopg.Connection[Any]) -> datetime:
        with connection.cursor(row_factory=psycopg.rows.tuple_row) as cursor:
            cursor.execute(self._take_time)
            cursor.nextset()
            now = _moment(cursor.fetchone())
        return self.clock() if self.clock else now

    def _ask(self, connection: psycopg.Connection[Any], query: Query) -> list[Row]:
        statement = placed(query.text, self.schema)
        with psycopg.RawCursor(connection, row_factory=_SHAPES[query.bare]) as cursor:
            cursor.execute(statement.text, statement.values(query.params))
            return cursor.fetchall() if has_rows(cursor) else []

    def close(self) -> None:
        if self._pool is not None:
            self._pool.close()
            self._pool = None


def _moment(row: tuple[Any, ...] | None) -> datetime:
    if row is None:
        raise SchemaMismatch("The clock has no row.", cure="Run: dripdrop setup")
    return row[0]  # type: ignore[no-any-return]


def _silent(seconds: float, said: str = _SILENCE) -> str:
    return said.format(milliseconds=max(int(seconds * 1000), 1))


def configure(connection: psycopg.Connection[Any] | psycopg.AsyncConnection[Any]) -> None:
    """Our own connections: lists as array literals, JSON read by orjson."""
    arrays.register(connection.adapters)
    connection.adapters.register_loader("json", JsonLoader)
    connection.adapters.register_loader("jsonb", JsonLoader)


class JsonLoader(Loader):
    """JSON read by orjson from psycopg's own memory, without a step between."""

    def __init__(self, oid: int, context: AdaptContext | None = None) -> None:
        super().__init__(oid, context)
        self.load = orjson.loads  # type: ignore[method-assign,assignment]

    def load(self, data: Any) -> Any: ...


async def _configure(connection: psycopg.AsyncConnection[Any]) -> None:
    configure(connection)


class AsyncDatabase:
    """An awaiting pool; each `run` is one transaction in as few round trips as can be, `silence` as above."""

    def __init__(
        self,
        url: str,
        schema: str = DEFAULT_SCHEMA,
        *,
        size: int = 10,
        prepare: bool = True,
        clock: Callable[[], datetime] | None = None,
        silence: float = LEASE,
    ) -> None:
        self.url = url
        self.schema = schema
        self.clock = clock
        self.size = size
        self.round_trips = 0
        self._pool: AsyncConnectionPool[Any] | None = None
        self._opening = asyncio.Lock()
        self._kwargs = {"autocommit": True, **({} if prepare else {"prepare_threshold": None})}
        self._begin = f"begin; {_silent(silence)}; {in_schema(NOW, schema)}".encode()
        self._frozen = _silent(silence, _FROZEN).encode()

    async def open(self) -> AsyncConnectionPool[Any]:
        """The pool, opened at the first use."""
        async with self._opening:
            if self._pool is None:
                pool: AsyncConnectionPool[Any] = AsyncConnectionPool(
                    self.url,
                    min_size=0,
                    max_size=self.size,
                    kwargs=self._kwargs,
                    configure=_configure,
                    open=False,
                    timeout=10.0,
                )
                await pool.open()
                self._pool = pool
            return self._pool

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[psycopg.AsyncConnection[Any]]:
        """A connection of the pool, in autocommit."""
        pool = self._pool or await self.open()
        async with pool.connection() as connection:
            yield connection

    async def run(self, operation: Callable[[datetime], Flow[T]]) -> T:
        """One transaction: begin and take the time, carry out, commit; rolled back if anything is raised."""
        try:
            for chances in range(self.size, -1, -1):
                async with self.connection() as connection:
                    try:
                        now = await self._start(connection)
                    except psycopg.OperationalError:
                        # As above: it was dead before anything was asked of it.
                        if not chances or not connection.closed:
                            raise
                        continue
                    return await self._run_on(connection, operation, now)
            raise AssertionError("the last chance returns or raises")
        except Exception as error:
            better = translated(error)
            if better is error:
                raise
            raise better from error

    async def _run_on(
        self, connection: psycopg.AsyncConnection[Any], operation: Callable[[datetime], Flow[T]], now: datetime
    ) -> T:
        committed = False

        async def ask(query: Query) -> list[Row]:
            nonlocal committed
            self.round_trips += 1
            statement = placed(query.text, self.schema)
            async with psycopg.AsyncRawCursor(connection, row_factory=_SHAPES[query.bare]) as cursor:
                # A server that cannot tell a frozen client from a busy one is asked twice instead.
                if query.last and connection.info.server_version >= _KNOWS_FROZEN:
                    async with connection.pipeline():
                        await connection.execute(self._frozen)
                        await cursor.execute(statement.text, statement.values(query.params))
                        await connection.execute(b"commit")
                    committed = True
                else:
                    await cursor.execute(statement.text, statement.values(query.params))
                return await cursor.fetchall() if has_rows(cursor) else []

        try:
            result = await run_async_with(ask, operation(now))
            if not committed:
                self.round_trips += 1
                await connection.execute(b"commit")
            return result
        except BaseException:
            if not connection.closed and connection.info.transaction_status != psycopg.pq.TransactionStatus.IDLE:
                await connection.rollback()
            raise

    async def _start(self, connection: psycopg.AsyncConnection[Any]) -> datetime:
        self.round_trips += 1
        async with connection.cursor(row_factory=psycopg.rows.tuple_row) as cursor:
            await cursor.execute(self._begin)
            cursor.nextset()
            cursor.nextset()
            now = _moment(await cursor.fetchone())
        return self.clock() if self.clock else now

    async def close(self) -> None:
        if self._pool is not None:
            await self._pool.close()
            self._pool = None
