"""How does a flow run on a blocking connection that belongs to the host?"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import datetime, timezone
from functools import cache
from typing import Any
from uuid import UUID

import psycopg
from psycopg.adapt import AdaptersMap
from psycopg.pq import TransactionStatus
from psycopg.rows import tuple_row
from psycopg.types.datetime import TimestamptzLoader
from psycopg.types.json import set_json_loads

from dripdrop.errors import Conflict, SchemaMismatch
from dripdrop.store.database import NOW
from dripdrop.store.flow import Row
from dripdrop.store.hosts_values import ADAPTERS, JSON, JSONB, LOADED, RAW_WITH_JSON, UUID_, UUIDS, rows_of
from dripdrop.store.statements import in_schema

TIME = f"select ({NOW}) as now"


class SyncHost(ABC):
    """A host's connection, reduced to what an operation needs."""

    @abstractmethod
    def transaction(self) -> AbstractContextManager[Any]:
        """A transaction of its own where the connection is in none and would commit by itself; else the host's."""

    @abstractmethod
    def fetch(self, text: str, params: Mapping[str, Any]) -> list[Row]:
        """Run one statement with %(name)s places."""

    def now(self, schema: str) -> datetime:
        """Business time; raises SchemaMismatch."""
        return time_of(self.fetch(in_schema(TIME, schema), {}))


def time_of(rows: list[Row]) -> datetime:
    """Business time of the one row that was asked for; raises SchemaMismatch."""
    if rows[0]["now"] is None:
        raise SchemaMismatch("The clock has no row.", cure="Run: dripdrop setup")
    return rows[0]["now"]  # type: ignore[no-any-return]


def failed() -> Conflict:
    """What to raise in a transaction that PostgreSQL will only roll back."""
    return Conflict(
        "The host's transaction has failed already; nothing more can happen in it.",
        cure="Roll it back, then repeat it from its beginning.",
        code="host_transaction_failed",
    )


def needs_own(connection: Any) -> bool:
    """Whether a psycopg connection is in no transaction and begins none by itself; raises Conflict in a failed one."""
    status = connection.info.transaction_status
    if status == TransactionStatus.INERROR:
        raise failed()
    return bool(connection.autocommit) and status == TransactionStatus.IDLE


class OurCursor(psycopg.Cursor[Any]):
    """A cursor that does not take over the host's row factory, cursor class or type adaptation."""

    @property
    def adapters(self) -> AdaptersMap:
        return ADAPTERS


class PsycopgHost(SyncHost):
    """A psycopg Connection."""

    def __init__(self, connection: Any) -> None:
        self.connection = connection

    def transaction(self) -> AbstractContextManager[Any]:
        if needs_own(self.connection):
            own: AbstractContextManager[Any] = self.connection.transaction()
            return own
        return nullcontext()

    def fetch(self, text: str, params: Mapping[str, Any]) -> list[Row]:
        with OurCursor(self.connection, row_factory=tuple_row) as cursor:
            cursor.execute(text.encode(), params)
            return _loaded(cursor)


class DjangoHost(SyncHost):
    """A Django connection: through its own cursors, so that wrappers, logs and atomic blocks see what happens."""

    def __init__(self, connection: Any) -> None:
        self.connection = connection

    @contextmanager
    def transaction(self) -> Iterator[None]:
        from django.db import connections, transaction

        connection = self.connection
        connection.ensure_connection()
        if connection.in_atomic_block or not connection.get_autocommit():
            yield
        elif connections[connection.alias].connection is connection.connection:
            with transaction.atomic(using=connection.alias):
                yield
        else:
            with _begun(connection):
                yield

    def fetch(self, text: str, params: Mapping[str, Any]) -> list[Row]:
        with self.connection.cursor() as cursor:
            if not hasattr(cursor, "adapters"):
                return _ask_psycopg2(cursor.cursor, cursor.execute, text, params)
            # Django has its connections leave JSON as text, and drop zones where USE_TZ is off.
            set_json_loads(json.loads, cursor)
            cursor.adapters.register_loader("timestamptz", TimestamptzLoader)
            cursor.execute(text, params)
            return _loaded(cursor)


class Psycopg2Host(SyncHost):
    """A psycopg2 connection."""

    def __init__(self, connection: Any) -> None:
        self.connection = connection

    def transaction(self) -> AbstractContextManager[Any]:
        status = self.connection.info.transaction_status
        if status == TransactionStatus.INERROR:
            raise failed()
        return _begun(self.connection) if self.connection.autocommit and status == 0 else nullcontext()

    def fetch(self, text: str, params: Mapping[str, Any]) -> list[Row]:
        from psycopg2.extensions import cursor as plain

        with self.connection.cursor(cursor_factory=plain) as cursor:
            return _ask_psycopg2(cursor, cursor.execute, text, params)


class SqlAlchemyHost(SyncHost):
    """A SQLAlchemy Session or Connection over one of the drivers above: SQLAlchemy begins, and the driver runs."""

    def __init__(self, host: Any, on_driver: Callable[[Any], SyncHost]) -> None:
        self.host = host
        self.on_driver = on_driver
        self.driver: SyncHost | None = None

    @contextmanager
    def transaction(self) -> Iterator[None]:
        connection = self.host.connection() if hasattr(self.host, "get_bind") else self.host
        if not connection.in_transaction():
            connection.begin()
        self.driver = self.on_driver(connection.connection.driver_connection)
        with self.driver.transaction():
            yield

    def fetch(self, text: str, params: Mapping[str, Any]) -> list[Row]:
        if self.driver is None:
            with self.transaction():
                return self.fetch(text, params)
        return self.driver.fetch(text, params)


@contextmanager
def _begun(connection: Any) -> Iterator[None]:
    """A transaction on a connection that commits each statement, by the calls Django's and psycopg2's share."""
    switch = getattr(connection, "set_autocommit", None) or (lambda on: setattr(connection, "autocommit", on))
    switch(False)
    try:
        yield
        connection.commit()
    except BaseException:
        connection.rollback()
        raise
    finally:
        switch(True)


def _loaded(cursor: Any) -> list[Row]:
    """The rows of a psycopg cursor."""
    columns = cursor.description
    if columns is None:
        return []
    return rows_of([each.name for each in columns], [LOADED.get(each.type_code) for each in columns], cursor.fetchall())


def _ask_psycopg2(cursor: Any, execute: Callable[..., Any], text: str, params: Mapping[str, Any]) -> list[Row]:
    """Run a statement with a psycopg2 cursor; what is registered is registered for this cursor alone."""
    from psycopg2.extensions import register_type

    for kind in _psycopg2_types():
        register_type(kind, cursor)
    cursor.tzinfo_factory = timezone
    execute(text if params else text.replace("%%", "%"), {name: _adapted(params[name]) for name in params} or None)
    columns = cursor.description
    if columns is None:
        return []
    return rows_of([each[0] for each in columns], [RAW_WITH_JSON.get(each[1]) for each in columns], cursor.fetchall())


@cache
def _psycopg2_types() -> tuple[Any, ...]:
    from psycopg2.extensions import new_array_type, new_type

    as_text = new_type((JSON, JSONB), "DRIPDROP_JSON", lambda value, _: value)
    ids = new_type((UUID_,), "DRIPDROP_UUID", lambda value, _: value)
    return as_text, ids, new_array_type((UUIDS,), "DRIPDROP_UUIDS", ids)


def _adapted(value: Any) -> Any:
    """psycopg2 knows no UUID unless a host registers it for the whole process."""
    if isinstance(value, UUID):
        return str(value)
    return [_adapted(each) for each in value] if isinstance(value, (list, tuple)) else value
