"""How does a flow run on an awaiting connection that belongs to the host?"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from datetime import datetime
from typing import Any

import psycopg
from psycopg.adapt import AdaptersMap
from psycopg.rows import tuple_row

from dripdrop.store.flow import Row
from dripdrop.store.hosts_sync import TIME, needs_own, time_of
from dripdrop.store.hosts_values import ADAPTERS, LOADED, RAW, RAW_WITH_JSON, numbered, rows_of
from dripdrop.store.statements import in_schema

# The oids of a statement's columns by name: asyncpg tells them only when a statement is prepared.
_COLUMNS: dict[str, dict[str, int]] = {}
_MANY = 2048
# How a host's asyncpg connection decodes JSON cannot be asked, only tried.
_TRIED = f"{TIME}, '\"a\"'::jsonb as tried"


class AsyncHost(ABC):
    """A host's connection, reduced to what an operation needs."""

    @abstractmethod
    def transaction(self) -> AbstractAsyncContextManager[Any]:
        """A transaction of its own where the connection is in none and would commit by itself; else the host's."""

    @abstractmethod
    async def fetch(self, text: str, params: Mapping[str, Any]) -> list[Row]:
        """Run one statement with %(name)s places."""

    async def now(self, schema: str) -> datetime:
        """Business time; raises SchemaMismatch."""
        return time_of(await self.fetch(in_schema(TIME, schema), {}))


class OurAsyncCursor(psycopg.AsyncCursor[Any]):
    """A cursor that does not take over the host's row factory, cursor class or type adaptation."""

    @property
    def adapters(self) -> AdaptersMap:
        return ADAPTERS


class AsyncPsycopgHost(AsyncHost):
    """A psycopg AsyncConnection."""

    def __init__(self, connection: Any) -> None:
        self.connection = connection

    def transaction(self) -> AbstractAsyncContextManager[Any]:
        if needs_own(self.connection):
            own: AbstractAsyncContextManager[Any] = self.connection.transaction()
            return own
        return nullcontext()

    async def fetch(self, text: str, params: Mapping[str, Any]) -> list[Row]:
        async with OurAsyncCursor(self.connection, row_factory=tuple_row) as cursor:
            await cursor.execute(text.encode(), params)
            columns = cursor.description
            if columns is None:
                return []
            return rows_of(
                [each.name for each in columns],
                [LOADED.get(each.type_code) for each in columns],
                await cursor.fetchall(),
            )


class AsyncpgHost(AsyncHost):
    """An asyncpg connection, of a pool or not."""

    def __init__(self, connection: Any) -> None:
        self.connection = connection
        self._converts = RAW_WITH_JSON

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[None]:
        own: Any = nullcontext() if self.connection.is_in_transaction() else self.connection.transaction()
        async with own:
            yield

    async def fetch(self, text: str, params: Mapping[str, Any]) -> list[Row]:
        asked = numbered(text)
        records = await self.connection.fetch(asked.text, *asked.values(params))
        if not records:
            return []
        names = list(records[0].keys())
        oids = await self._oids(asked.text, names)
        return rows_of(names, [self._converts.get(oids[name]) for name in names], records)

    async def now(self, schema: str) -> datetime:
        record = await self.connection.fetchrow(in_schema(_TRIED, schema))
        self._converts = RAW if record["tried"] == "a" else RAW_WITH_JSON
        return time_of([Row(now=record["now"])])

    async def _oids(self, text: str, names: Sequence[str]) -> Mapping[str, int]:
        known = _COLUMNS.get(text)
        # A migration may have given a `select *` another column meanwhile.
        if known is None or not known.keys() >= set(names):
            prepared = await self.connection.prepare(text)
            if len(_COLUMNS) >= _MANY:
                _COLUMNS.clear()
            known = _COLUMNS[text] = {each.name: each.type.oid for each in prepared.get_attributes()}
        return known


class AsyncSqlAlchemyHost(AsyncHost):
    """A SQLAlchemy AsyncSession or AsyncConnection: SQLAlchemy begins, and the driver runs."""

    def __init__(self, host: Any, on_driver: Callable[[Any], AsyncHost]) -> None:
        self.host = host
        self.on_driver = on_driver
        self.driver: AsyncHost | None = None

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[None]:
        connection = await self.host.connection() if hasattr(self.host, "get_bind") else self.host
        if not connection.in_transaction():
            await connection.begin()
        raw = (await connection.get_raw_connection()).driver_connection
        if isinstance(driver := self.on_driver(raw), AsyncpgHost) and not raw.is_in_transaction():
            # Over asyncpg, SQLAlchemy sends BEGIN with the first statement that it runs itself.
            await connection.exec_driver_sql("select 1")
        self.driver = driver
        async with driver.transaction():
            yield

    async def fetch(self, text: str, params: Mapping[str, Any]) -> list[Row]:
        if self.driver is None:
            async with self.transaction():
                return await self.fetch(text, params)
        return await self.driver.fetch(text, params)

    async def now(self, schema: str) -> datetime:
        if self.driver is None:
            async with self.transaction():
                return await self.now(schema)
        return await self.driver.now(schema)
