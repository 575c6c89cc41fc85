"""How does an operation join the host's transaction, or run on a database that the host has opened?

Nothing is visible before the host commits, and when it rolls back, nothing happened.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager, AbstractContextManager, contextmanager
from datetime import datetime
from typing import Any, TypeAlias, TypeVar

from psycopg.errors import InFailedSqlTransaction

from dripdrop.errors import DripDropError
from dripdrop.store import runners
from dripdrop.store.database import translated
from dripdrop.store.flow import Flow
from dripdrop.store.hosts_async import AsyncHost
from dripdrop.store.hosts_known import checked_alias, kinds_of, of_the_other_kind, unwrap
from dripdrop.store.hosts_sync import SyncHost, failed
from dripdrop.store.hosts_urls import url_of
from dripdrop.store.hosts_values import driver_error
from dripdrop.store.statements import DEFAULT_SCHEMA

__all__ = ["AsyncSource", "Source", "explained", "run", "run_async", "source", "unwrap", "url_of"]

T = TypeVar("T")
Operation: TypeAlias = Callable[[datetime], Flow[T]]
Clock: TypeAlias = Callable[[], datetime] | None
# SQLAlchemy and Django know of a failed transaction before PostgreSQL is asked.
_FAILED = {"sqlalchemy.PendingRollbackError", "django.TransactionManagementError"}


def run(host: Any, schema: str, operation: Operation[T], clock: Clock = None) -> T:
    """Carry out an operation on a host's blocking connection, inside its transaction.

    A connection that is in no transaction and commits by itself gets one for the operation. Raises Invalid
    (`unsupported_connection`), Conflict (`host_transaction_failed`, `serialization`), SchemaMismatch, and as it is what
    else the host's driver raises.
    """
    with explained():
        joined = unwrap(host)
        if not isinstance(joined, SyncHost):
            raise of_the_other_kind(host, "must be awaited", "AsyncDripDrop")
        with joined.transaction():
            now = joined.now(schema)
            return runners.run(joined, operation(clock() if clock else now), schema)


async def run_async(host: Any, schema: str, operation: Operation[T], clock: Clock = None) -> T:
    """The same on an awaiting connection."""
    with explained():
        joined = unwrap(host)
        if not isinstance(joined, AsyncHost):
            raise of_the_other_kind(host, "blocks", "DripDrop")
        async with joined.transaction():
            now = await joined.now(schema)
            return await runners.run_async(joined, operation(clock() if clock else now), schema)


class Source:
    """A host's database; each `run` is one transaction on a connection of its own."""

    def __init__(self, opened: Callable[[], AbstractContextManager[Any]], schema: str, clock: Clock) -> None:
        self.schema = schema
        self.clock = clock
        self._opened = opened

    def run(self, operation: Operation[T]) -> T:
        """Carry out an operation and commit; rolled back if anything is raised."""
        with explained(), self._opened() as connection:
            return run(connection, self.schema, operation, self.clock)

    def close(self) -> None:
        """Nothing: what the host has opened, the host closes."""


class AsyncSource:
    """The same for an awaiting pool or engine."""

    def __init__(self, opened: Callable[[], AbstractAsyncContextManager[Any]], schema: str, clock: Clock) -> None:
        self.schema = schema
        self.clock = clock
        self._opened = opened

    async def run(self, operation: Operation[T]) -> T:
        """Carry out an operation and commit; rolled back if anything is raised."""
        with explained():
            async with self._opened() as connection:
                return await run_async(connection, self.schema, operation, self.clock)

    async def close(self) -> None:
        """Nothing: what the host has opened, the host closes."""


def source(database: Any, schema: str = DEFAULT_SCHEMA, *, clock: Clock = None) -> Source | AsyncSource:
    """Where operations run, of a psycopg pool, a SQLAlchemy engine, or the alias of a Django database.

    An awaiting pool or engine gives an `AsyncSource`. Raises Invalid (`unsupported_database`).
    """
    kinds = kinds_of(database)
    if "psycopg_pool.ConnectionPool" in kinds:
        return Source(database.connection, schema, clock)
    if "psycopg_pool.AsyncConnectionPool" in kinds:
        return AsyncSource(database.connection, schema, clock)
    if "sqlalchemy.Engine" in kinds:
        return Source(database.begin, schema, clock)
    if "sqlalchemy.AsyncEngine" in kinds:
        return AsyncSource(database.begin, schema, clock)
    checked_alias(database)
    return Source(lambda: _of_alias(database), schema, clock)


@contextmanager
def explained() -> Iterator[None]:
    """Raise what a user can read in place of what a driver said; what is not ours to explain stays the host's own."""
    try:
        yield
    except DripDropError:
        raise
    except Exception as error:
        known = driver_error(error)
        if isinstance(known, InFailedSqlTransaction) or set(kinds_of(error)) & _FAILED:
            raise failed() from error
        better = translated(known)
        if better is known:
            raise
        raise better from error


@contextmanager
def _of_alias(alias: str) -> Iterator[Any]:
    """This thread's connection; while that is in a transaction of the host's, another."""
    from django.db import connections

    if not connections[alias].in_atomic_block:
        yield connections[alias]
        return
    other = connections.create_connection(alias)
    try:
        yield other
    finally:
        other.close()
