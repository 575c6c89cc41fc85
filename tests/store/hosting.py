"""Every kind of host's connection, each behind the same few blocking calls."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import psycopg
import pytest
from psycopg.rows import dict_row
from sqlalchemy import create_engine
from sqlalchemy.orm import Session, scoped_session, sessionmaker

from dripdrop.operations import authoring
from dripdrop.store import hosts
from dripdrop.store.database import Database
from dripdrop.store.flow import Flow
from dripdrop.store.scope import GLOBAL

ALIAS = "hosts"


WELCOME = {
    "sequence": "welcome",
    "name": "Welcome",
    "steps": {"hello": {"channel": "email", "subject": "Welcome, {{ name }}", "text": "Hello."}},
}


def write_welcome(url: str) -> None:
    """A sequence whose first step is due at once."""
    database = Database(url)
    database.run(lambda now: authoring.apply(now, GLOBAL, WELCOME))
    database.close()


class Host:
    """One connection of a host: `thing` is what goes to `using`."""

    def __init__(self, thing: Any, commit: Callable[[], Any], rollback: Callable[[], Any]) -> None:
        self.thing = thing
        self.commit = commit
        self.rollback = rollback

    def run(self, operation: Callable[[datetime], Flow[Any]], **more: Any) -> Any:
        return hosts.run(self.thing, "dripdrop", operation, **more)


class AwaitedHost(Host):
    """The same, each call waited for on a loop of its own."""

    def __init__(self, runner: asyncio.Runner, thing: Any, commit: Any, rollback: Any) -> None:
        super().__init__(thing, lambda: runner.run(as_coroutine(commit)), lambda: runner.run(as_coroutine(rollback)))
        self.runner = runner

    def run(self, operation: Callable[[datetime], Flow[Any]], **more: Any) -> Any:
        return self.runner.run(hosts.run_async(self.thing, "dripdrop", operation, **more))


async def as_coroutine(call: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
    return await call()


def sqlalchemy_url(url: str, driver: str) -> str:
    return url.replace("postgresql://", f"postgresql+{driver}://", 1)


@contextmanager
def psycopg_(url: str, **more: Any) -> Iterator[Host]:
    with psycopg.connect(url, **more) as connection:
        yield Host(connection, connection.commit, connection.rollback)


@contextmanager
def psycopg_dict_row(url: str) -> Iterator[Host]:
    with psycopg_(url, row_factory=dict_row, cursor_factory=psycopg.ClientCursor) as host:
        host.thing.adapters.register_loader("jsonb", psycopg.types.string.TextLoader)
        host.thing.execute("set timezone = 'Asia/Kathmandu'")
        host.commit()
        yield host


@contextmanager
def psycopg_repeatable_read(url: str) -> Iterator[Host]:
    with psycopg_(url) as host:
        host.thing.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        yield host


@contextmanager
def psycopg_block(url: str) -> Iterator[Host]:
    """A connection in autocommit, inside a `with connection.transaction()`."""
    with psycopg.connect(url, autocommit=True) as connection:
        block = connection.transaction()
        block.__enter__()
        leave = block.__exit__

        def rollback() -> None:
            leave(psycopg.Rollback, psycopg.Rollback(), None)

        yield Host(connection, lambda: leave(None, None, None), rollback)


@contextmanager
def psycopg_async(url: str) -> Iterator[Host]:
    with asyncio.Runner() as runner:
        connection = runner.run(psycopg.AsyncConnection.connect(url, row_factory=dict_row))
        yield AwaitedHost(runner, connection, connection.commit, connection.rollback)
        runner.run(connection.close())


@contextmanager
def sqlalchemy_session(url: str, driver: str = "psycopg") -> Iterator[Host]:
    engine = create_engine(sqlalchemy_url(url, driver))
    with Session(engine) as session:
        yield Host(session, session.commit, session.rollback)
    engine.dispose()


@contextmanager
def sqlalchemy_scoped(url: str) -> Iterator[Host]:
    engine = create_engine(sqlalchemy_url(url, "psycopg"))
    session = scoped_session(sessionmaker(engine))
    yield Host(session, session.commit, session.rollback)
    session.remove()
    engine.dispose()


@contextmanager
def sqlalchemy_connection(url: str) -> Iterator[Host]:
    engine = create_engine(sqlalchemy_url(url, "psycopg"))
    with engine.connect() as connection:
        yield Host(connection, connection.commit, connection.rollback)
    engine.dispose()


@contextmanager
def sqlalchemy_psycopg2(url: str) -> Iterator[Host]:
    pytest.importorskip("psycopg2")
    with sqlalchemy_session(url, "psycopg2") as host:
        yield host


@contextmanager
def psycopg2_(url: str) -> Iterator[Host]:
    psycopg2 = pytest.importorskip("psycopg2")
    connection = psycopg2.connect(url)
    yield Host(connection, connection.commit, connection.rollback)
    connection.close()


@contextmanager
def sqlalchemy_async(url: str, driver: str, *, session: bool) -> Iterator[Host]:
    pytest.importorskip("greenlet")
    from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine

    engine = create_async_engine(sqlalchemy_url(url, driver))
    with asyncio.Runner() as runner:
        if session:
            thing: Any = AsyncSession(engine)
        else:
            thing = engine.connect()
            runner.run(as_coroutine(thing.start))
        yield AwaitedHost(runner, thing, thing.commit, thing.rollback)
        runner.run(thing.close())
        runner.run(engine.dispose())


@contextmanager
def asyncpg_(url: str, *, codec: bool = False) -> Iterator[Host]:
    with asyncio.Runner() as runner:
        connection = runner.run(asyncpg.connect(url))
        if codec:
            setting = connection.set_type_codec(
                "jsonb", encoder=json.dumps, decoder=json.loads, schema="pg_catalog", format="text"
            )
            runner.run(setting)
        block = connection.transaction()
        runner.run(block.start())
        yield AwaitedHost(runner, connection, block.commit, block.rollback)
        runner.run(connection.close())


@contextmanager
def asyncpg_pool(url: str) -> Iterator[Host]:
    async def opened() -> Any:
        return await asyncpg.create_pool(url, min_size=1, max_size=1)

    with asyncio.Runner() as runner:
        pool = runner.run(opened())
        connection = runner.run(as_coroutine(pool.acquire))
        block = connection.transaction()
        runner.run(block.start())
        yield AwaitedHost(runner, connection, block.commit, block.rollback)
        runner.run(pool.release(connection))
        runner.run(pool.close())


@contextmanager
def django_alias(url: str, **more: Any) -> Iterator[str]:
    """The alias of a Django database that is configured for as long as the block runs."""
    import django
    from django.apps import apps
    from django.conf import settings
    from django.db import connections
    from django.db.utils import ConnectionHandler

    if not settings.configured:
        settings.configure(USE_TZ=True)
    if not apps.ready:
        django.setup()
    parts = urlsplit(url)
    query = dict(piece.split("=", 1) for piece in parts.query.split("&") if piece)
    given = psycopg.conninfo.conninfo_to_dict(url)
    one = {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": given["dbname"],
        "USER": given.get("user", ""),
        "PASSWORD": given.get("password", ""),
        "HOST": given.get("host", ""),
        "PORT": given.get("port", ""),
        "TIME_ZONE": "Asia/Kathmandu",
        **more,
    }
    assert set(query) <= {"host", "port", "dbname", "user", "password"}
    connections.settings[ALIAS] = ConnectionHandler({"default": {}, ALIAS: one}).settings[ALIAS]
    try:
        yield ALIAS
    finally:
        connections[ALIAS].close()
        del connections[ALIAS]
        del connections.settings[ALIAS]


@contextmanager
def django_(url: str) -> Iterator[Host]:
    from django.db import connections, transaction

    with django_alias(url) as alias:
        block = transaction.atomic(using=alias)
        block.__enter__()

        def rollback() -> None:
            transaction.set_rollback(True, using=alias)
            block.__exit__(None, None, None)

        yield Host(connections[alias], lambda: block.__exit__(None, None, None), rollback)


HOSTS: dict[str, Callable[[str], Any]] = {
    "psycopg": psycopg_,
    "psycopg dict_row": psycopg_dict_row,
    "psycopg repeatable read": psycopg_repeatable_read,
    "psycopg block": psycopg_block,
    "psycopg async": psycopg_async,
    "psycopg2": psycopg2_,
    "SQLAlchemy Session": sqlalchemy_session,
    "SQLAlchemy scoped_session": sqlalchemy_scoped,
    "SQLAlchemy Connection": sqlalchemy_connection,
    "SQLAlchemy Session psycopg2": sqlalchemy_psycopg2,
    "SQLAlchemy AsyncSession psycopg": lambda url: sqlalchemy_async(url, "psycopg", session=True),
    "SQLAlchemy AsyncSession asyncpg": lambda url: sqlalchemy_async(url, "asyncpg", session=True),
    "SQLAlchemy AsyncConnection psycopg": lambda url: sqlalchemy_async(url, "psycopg", session=False),
    "SQLAlchemy AsyncConnection asyncpg": lambda url: sqlalchemy_async(url, "asyncpg", session=False),
    "asyncpg": asyncpg_,
    "asyncpg with a codec": lambda url: asyncpg_(url, codec=True),
    "asyncpg pool": asyncpg_pool,
    "Django": django_,
}
