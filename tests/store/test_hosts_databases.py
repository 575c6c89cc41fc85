"""Is each operation on a pool, an engine or a Django alias one transaction, and what is its URL?"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import psycopg
import pytest
import sqlalchemy
from psycopg_pool import AsyncConnectionPool, ConnectionPool
from tests.conftest import Postgres
from tests.store.hosting import ALIAS, django_alias, sqlalchemy_url, write_welcome

from dripdrop.errors import Invalid
from dripdrop.operations import enrolling
from dripdrop.store import hosts
from dripdrop.store.flow import Flow
from dripdrop.store.scope import GLOBAL


@pytest.fixture(scope="module")
def url(postgres: Postgres, migrated_template: str) -> Iterator[str]:
    with postgres.database(migrated_template) as name:
        write_welcome(postgres.url_of(name))
        yield postgres.url_of(name)


@pytest.fixture
def person() -> str:
    return uuid.uuid4().hex


def enroll(person: str) -> Callable[[datetime], Flow[Any]]:
    return lambda now: enrolling.enroll(now, GLOBAL, "welcome", subscriber=("user", person))


def enroll_and_fail(person: str) -> Callable[[datetime], Flow[Any]]:
    def operation(now: datetime) -> Flow[None]:
        yield from enrolling.enroll(now, GLOBAL, "welcome", subscriber=("user", person))
        raise ZeroDivisionError

    return operation


def enrolled(url: str, person: str) -> int:
    with psycopg.connect(url) as connection:
        found = connection.execute("select count(*) from dripdrop.enrollments where subscriber_id = %s", [person])
        return found.fetchone()[0]


@contextmanager
def of_pool(url: str) -> Iterator[tuple[Any, Any]]:
    with ConnectionPool(url, min_size=1) as pool:
        yield pool, hosts.source(pool)


@contextmanager
def of_autocommit_pool(url: str) -> Iterator[tuple[Any, Any]]:
    with ConnectionPool(url, min_size=1, kwargs={"autocommit": True}) as pool:
        yield pool, hosts.source(pool)


@contextmanager
def of_engine(url: str) -> Iterator[tuple[Any, Any]]:
    engine = sqlalchemy.create_engine(sqlalchemy_url(url, "psycopg"))
    yield engine, hosts.source(engine)
    engine.dispose()


@contextmanager
def of_alias(url: str) -> Iterator[tuple[Any, Any]]:
    with django_alias(url) as alias:
        yield alias, hosts.source(alias)


SOURCES = {"pool": of_pool, "autocommit pool": of_autocommit_pool, "engine": of_engine, "alias": of_alias}


@pytest.mark.parametrize("kind", SOURCES)
def test_each_operation_on_a_hosts_database_is_one_transaction(kind, url, person):
    with SOURCES[kind](url) as (_, source):
        with pytest.raises(ZeroDivisionError):
            source.run(enroll_and_fail(person))
        assert enrolled(url, person) == 0
        assert source.run(enroll(person)).created
        assert enrolled(url, person) == 1
        source.close()
        assert not source.run(enroll(person)).created


@pytest.mark.parametrize("kind", ["pool", "asyncpg", "psycopg"])
def test_the_same_with_an_awaiting_pool_or_engine(kind, url, person):
    async def story() -> None:
        if kind == "pool":
            database: Any = AsyncConnectionPool(url, open=False)
            await database.open()
        else:
            pytest.importorskip("greenlet")
            from sqlalchemy.ext.asyncio import create_async_engine

            database = create_async_engine(sqlalchemy_url(url, kind))
        source = hosts.source(database)
        with pytest.raises(ZeroDivisionError):
            await source.run(enroll_and_fail(person))
        assert enrolled(url, person) == 0
        assert (await source.run(enroll(person))).created
        assert enrolled(url, person) == 1
        await source.close()
        await (database.close() if kind == "pool" else database.dispose())

    asyncio.run(story())


def test_inside_an_atomic_block_an_alias_uses_another_connection(url, person):
    from django.db import transaction

    with of_alias(url) as (alias, source):
        with transaction.atomic(using=alias):
            source.run(enroll(person))
            transaction.set_rollback(True, using=alias)
        assert enrolled(url, person) == 1


@pytest.mark.parametrize("kind", SOURCES)
def test_the_url_of_a_hosts_database_leads_to_it(kind, url):
    with (
        psycopg.connect(url) as given,
        SOURCES[kind](url) as (database, _),
        psycopg.connect(hosts.url_of(database)) as found,
    ):
        assert (found.info.dbname, found.info.user) == (given.info.dbname, given.info.user)


def test_a_url_keeps_what_libpq_knows_and_quotes_it():
    engine = sqlalchemy.create_engine(
        "postgresql+psycopg://ann%40x:p%2Fw%3A@[::1]:5433/my%20app?sslmode=require&prepare_threshold=0"
    )
    assert hosts.url_of(engine) == "postgresql://ann%40x:p%2Fw%3A@/my%20app?host=%3A%3A1&port=5433&sslmode=require"
    assert psycopg.conninfo.conninfo_to_dict(hosts.url_of(engine)) == {
        "user": "ann@x", "password": "p/w:", "host": "::1", "port": "5433", "dbname": "my app", "sslmode": "require"
    }  # fmt: skip


@pytest.mark.parametrize("database", [None, 7, "nowhere", object()], ids=["None", "number", "alias", "object"])
@pytest.mark.parametrize("ask", [hosts.source, hosts.url_of])
def test_what_is_no_database_is_refused(database, ask):
    with pytest.raises(Invalid, match="alias of a Django database") as refusal:
        ask(database)
    assert refusal.value.code == "unsupported_database"


def test_an_alias_that_django_does_not_know_is_refused(url):
    with django_alias(url), pytest.raises(Invalid):
        hosts.source(ALIAS + "?")
