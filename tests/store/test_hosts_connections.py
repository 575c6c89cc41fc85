"""What happens on a connection that commits by itself, has failed, is of the wrong kind, or was only a pool?"""

from __future__ import annotations

import asyncio
import sqlite3
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import psycopg
import pytest
import sqlalchemy
from sqlalchemy.orm import Session
from tests.conftest import Postgres
from tests.store.hosting import HOSTS, AwaitedHost, Host, django_alias, sqlalchemy_url, write_welcome

from dripdrop.errors import Conflict, Invalid, SchemaMismatch, Unavailable
from dripdrop.operations import enrolling
from dripdrop.store import hosts
from dripdrop.store.flow import Flow, Query
from dripdrop.store.hosts_async import AsyncpgHost
from dripdrop.store.scope import GLOBAL

every_host = pytest.mark.parametrize("kind", HOSTS)


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


def broken(now: datetime) -> Flow[None]:
    yield Query("select 1 / %(zero)s::integer", {"zero": 0})


def enrolled(url: str, person: str) -> int:
    with psycopg.connect(url) as connection:
        found = connection.execute("select count(*) from dripdrop.enrollments where subscriber_id = %s", [person])
        return found.fetchone()[0]


def nothing() -> None:
    """These hosts have nothing to commit or roll back."""


async def awaited_nothing() -> None:
    """The same, awaited."""


@contextmanager
def psycopg_autocommit(url: str) -> Iterator[Host]:
    with psycopg.connect(url, autocommit=True) as connection:
        yield Host(connection, nothing, nothing)


@contextmanager
def psycopg_async_autocommit(url: str) -> Iterator[Host]:
    with asyncio.Runner() as runner:
        connection = runner.run(psycopg.AsyncConnection.connect(url, autocommit=True))
        yield AwaitedHost(runner, connection, awaited_nothing, awaited_nothing)
        runner.run(connection.close())


@contextmanager
def psycopg2_autocommit(url: str) -> Iterator[Host]:
    with HOSTS["psycopg2"](url) as host:
        host.thing.autocommit = True
        yield Host(host.thing, nothing, nothing)


@contextmanager
def sqlalchemy_autocommit(url: str) -> Iterator[Host]:
    engine = sqlalchemy.create_engine(sqlalchemy_url(url, "psycopg"), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        yield Host(connection, nothing, nothing)
    engine.dispose()


@contextmanager
def sqlalchemy_asyncpg_autocommit(url: str) -> Iterator[Host]:
    pytest.importorskip("greenlet")
    from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine

    engine = create_async_engine(sqlalchemy_url(url, "asyncpg"), isolation_level="AUTOCOMMIT")
    with asyncio.Runner() as runner:
        session = AsyncSession(engine)
        yield AwaitedHost(runner, session, awaited_nothing, awaited_nothing)
        runner.run(session.close())
        runner.run(engine.dispose())


@contextmanager
def asyncpg_autocommit(url: str) -> Iterator[Host]:
    with asyncio.Runner() as runner:
        connection = runner.run(asyncpg.connect(url))
        yield AwaitedHost(runner, connection, awaited_nothing, awaited_nothing)
        runner.run(connection.close())


@contextmanager
def django_autocommit(url: str) -> Iterator[Host]:
    from django.db import connections

    with django_alias(url) as alias:
        yield Host(connections[alias], nothing, nothing)


@contextmanager
def django_stranger(url: str) -> Iterator[Host]:
    """A connection that Django's own `atomic` would not find by its alias."""
    from django.db import connections

    with django_alias(url) as alias:
        connection = connections.create_connection(alias)
        yield Host(connection, nothing, nothing)
        assert connection.get_autocommit()
        connection.close()


BY_THEMSELVES = {
    "psycopg": psycopg_autocommit,
    "psycopg async": psycopg_async_autocommit,
    "psycopg2": psycopg2_autocommit,
    "SQLAlchemy": sqlalchemy_autocommit,
    "SQLAlchemy asyncpg": sqlalchemy_asyncpg_autocommit,
    "asyncpg": asyncpg_autocommit,
    "Django": django_autocommit,
    "Django stranger": django_stranger,
}


@pytest.mark.parametrize("kind", BY_THEMSELVES)
def test_a_connection_that_commits_by_itself_gets_a_transaction_for_each_operation(kind, url, person):
    with BY_THEMSELVES[kind](url) as host:
        with pytest.raises(ZeroDivisionError):
            host.run(enroll_and_fail(person))
        assert enrolled(url, person) == 0
        assert host.run(enroll(person)).created
        assert enrolled(url, person) == 1
        assert not host.run(enroll(person)).created


@every_host
def test_in_a_failed_transaction_the_error_says_so(kind, url, person):
    with HOSTS[kind](url) as host:
        with pytest.raises(Exception) as first:
            host.run(broken)
        assert "division by zero" in str(first.value)
        with pytest.raises(Conflict) as second:
            host.run(enroll(person))
        assert second.value.code == "host_transaction_failed"
        host.rollback()


def test_in_a_session_that_knows_it_has_failed_the_error_says_so(url, person):
    engine = sqlalchemy.create_engine(sqlalchemy_url(url, "psycopg"))
    with Session(engine) as session:
        session.connection()
        session.execute(sqlalchemy.text("select 1"))
        session.connection().invalidate()
        with pytest.raises(Conflict) as refusal:
            hosts.run(session, "dripdrop", enroll(person))
    assert refusal.value.code == "host_transaction_failed"
    engine.dispose()


def test_in_an_atomic_block_that_must_roll_back_the_error_says_so(url, person):
    from django.db import connections, transaction

    with django_alias(url) as alias, transaction.atomic(using=alias):
        transaction.set_rollback(True, using=alias)
        with pytest.raises(Conflict) as refusal:
            hosts.run(connections[alias], "dripdrop", enroll(person))
        assert refusal.value.code == "host_transaction_failed"


@every_host
def test_without_our_schema_the_error_says_what_to_run(kind, empty_database_url):
    with HOSTS[kind](empty_database_url) as host:
        with pytest.raises(SchemaMismatch, match="dripdrop setup"):
            host.run(enroll("ann"))
        host.rollback()


@every_host
def test_what_is_not_ours_to_explain_stays_the_hosts_own_error(kind, url):
    """A Django host catches Django's errors, an asyncpg host asyncpg's."""
    with HOSTS[kind](url) as host:
        with pytest.raises(Exception) as raised:
            host.run(broken)
        host.rollback()
    library = type(raised.value).__module__.split(".")[0]
    driver = "psycopg2" if "psycopg2" in kind else "psycopg" if "psycopg" in kind else "asyncpg"
    expected = {"Django": "django", "asyncpg": "asyncpg"}.get(kind.split()[0], driver)
    if kind in ("SQLAlchemy scoped_session", "SQLAlchemy Session", "SQLAlchemy Connection"):
        expected = "psycopg"
    assert library == expected


def test_djangos_wrappers_and_log_see_what_is_run(url, person):
    from django.db import connections

    seen: list[str] = []

    def watch(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        seen.append(sql)
        return execute(sql, params, many, context)

    with django_alias(url) as alias:
        connection = connections[alias]
        connection.force_debug_cursor = True
        with connection.execute_wrapper(watch):
            hosts.run(connection, "dripdrop", enroll(person))
        logged = [query["sql"] for query in connection.queries]
    assert any("insert into dripdrop.enrollments" in sql for sql in seen)
    assert any(person in sql for sql in logged)


def test_a_django_project_without_zones_reads_the_same_times(url, settings_without_zones):
    from django.db import connections

    with django_alias(url, TIME_ZONE=None) as alias:
        told = hosts.run(connections[alias], "dripdrop", lambda now: as_flow(now))
    with psycopg.connect(url) as connection:
        truth = connection.execute("select clock_timestamp()").fetchone()[0]
    assert told.tzinfo is UTC
    assert abs(truth - told) < timedelta(minutes=5)


def as_flow(value: Any) -> Flow[Any]:
    return value
    yield


@pytest.fixture
def settings_without_zones() -> Iterator[None]:
    from django.conf import settings
    from django.test import override_settings

    if not settings.configured:
        settings.configure()
    with override_settings(USE_TZ=False):
        yield


@pytest.mark.parametrize(
    "thing",
    [None, "postgresql://localhost/app", object(), sqlite3.connect(":memory:"), sqlalchemy.create_engine("sqlite://")],
    ids=["None", "URL", "object", "sqlite3", "engine"],
)
def test_what_cannot_be_joined_is_refused_with_what_can(thing):
    with pytest.raises(Invalid, match="a Django connection, or an asyncpg connection") as refusal:
        hosts.run(thing, "dripdrop", enroll("ann"))
    assert refusal.value.code == "unsupported_connection"


def test_a_session_on_another_database_is_refused_by_its_drivers_name():
    with Session(sqlalchemy.create_engine("sqlite://")) as session, pytest.raises(Invalid, match="sqlite3") as refusal:
        hosts.run(session, "dripdrop", enroll("ann"))
    assert refusal.value.code == "unsupported_connection"


def test_a_django_connection_to_another_database_is_refused(url):
    from django.db import connections

    lite = {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}
    with django_alias(url, **lite) as alias, pytest.raises(Invalid, match="sqlite") as refusal:
        hosts.run(connections[alias], "dripdrop", enroll("ann"))
    assert refusal.value.code == "unsupported_connection"


@every_host
def test_the_other_facade_is_named_where_the_kind_is_wrong(kind, url):
    with HOSTS[kind](url) as host:
        if isinstance(host, AwaitedHost):
            with pytest.raises(Invalid, match=r"must be awaited.*AsyncDripDrop") as refusal:
                hosts.run(host.thing, "dripdrop", enroll("ann"))
        else:
            with pytest.raises(Invalid, match=r"blocks.* DripDrop\(") as refusal:
                asyncio.run(hosts.run_async(host.thing, "dripdrop", enroll("ann")))
        host.rollback()
    assert refusal.value.code == "unsupported_connection"


def test_a_closed_connection_is_unavailable(url):
    connection = psycopg.connect(url)
    connection.close()
    with pytest.raises(Unavailable, match="closed"):
        hosts.run(connection, "dripdrop", enroll("ann"))


def test_asyncpg_learns_a_column_that_a_migration_added(url):
    async def story() -> tuple[Any, Any]:
        connection = await asyncpg.connect(url)
        await connection.execute("create table grows (a jsonb); insert into grows values ('[1]')")
        host = AsyncpgHost(connection)
        before = await host.fetch("select * from grows", {})
        await connection.execute("alter table grows add b uuid default gen_random_uuid()")
        after = await host.fetch("select * from grows", {})
        await connection.execute("drop table grows")
        await connection.close()
        return before, after

    before, after = asyncio.run(story())
    assert before == [{"a": [1]}]
    assert (after[0]["a"], type(after[0]["b"])) == ([1], uuid.UUID)
