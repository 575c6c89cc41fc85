"""One operation, one transaction: it begins, takes the time, commits or leaves nothing, and says what is wrong."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from psycopg import errors as pg
from psycopg_pool import PoolTimeout

from dripdrop.errors import Conflict, NotFound, SchemaMismatch, Unavailable
from dripdrop.store import database as databases
from dripdrop.store.database import AsyncDatabase, Database, is_transient, translated
from dripdrop.store.flow import Flow, Query

Run = Callable[[Callable[[datetime], Flow[Any]]], Awaitable[Any]]
INSERT = "insert into dripdrop.workers (name, lease) values (%(name)s, interval '1 minute')"
COUNT = "select count(*) as count from dripdrop.workers"


class Interrupted(BaseException):
    """Not an error that anybody handles."""


def ask(text: str, *, last: bool = False, **params: Any) -> Flow[Any]:
    return (yield Query(text, params, "test", last))


def once(text: str, *, last: bool = False, **params: Any) -> Callable[[datetime], Flow[Any]]:
    return lambda now: ask(text, last=last, **params)


@pytest.fixture
async def awaited(database_url: str) -> AsyncIterator[AsyncDatabase]:
    database = AsyncDatabase(database_url, size=4)
    yield database
    await database.close()


@pytest.fixture
def blocking(database_url: str) -> Iterator[Database]:
    database = Database(database_url)
    yield database
    database.close()


@pytest.fixture(params=["awaited", "blocking"])
def run(request: pytest.FixtureRequest, awaited: AsyncDatabase, blocking: Database) -> Run:
    if request.param == "awaited":
        return awaited.run

    async def threaded(operation: Callable[[datetime], Flow[Any]]) -> Any:
        return await asyncio.get_running_loop().run_in_executor(None, blocking.run, operation)

    return threaded


def workers(url: str) -> int:
    with psycopg.connect(url, autocommit=True) as connection:
        row = connection.execute(COUNT.encode()).fetchone()
    assert row is not None
    return int(row[0])


async def test_what_an_operation_writes_is_committed(run: Run, database_url: str) -> None:
    await run(once(INSERT, name="a"))
    assert workers(database_url) == 1


async def test_whatever_is_raised_leaves_nothing(run: Run, database_url: str) -> None:
    def gone(now: datetime) -> Flow[None]:
        yield Query(INSERT, {"name": "a"})
        raise NotFound("There is no such thing.")

    def refused(now: datetime) -> Flow[None]:
        yield Query(INSERT, {"name": "a"})
        yield Query("select 1 / 0", {})

    def interrupted(now: datetime) -> Flow[None]:
        yield Query(INSERT, {"name": "a"})
        raise Interrupted

    with pytest.raises(NotFound):
        await run(gone)
    with pytest.raises(pg.DivisionByZero):
        await run(refused)
    with pytest.raises(Interrupted):
        await run(interrupted)
    assert workers(database_url) == 0
    assert (await run(once(COUNT)))[0].count == 0, "the connection goes on working"


async def test_an_operation_that_is_cancelled_half_way_leaves_nothing(
    awaited: AsyncDatabase, database_url: str
) -> None:
    inside = asyncio.Event()

    def slow(now: datetime) -> Flow[None]:
        yield Query(INSERT, {"name": "a"})
        inside.set()
        yield Query("select pg_sleep(60)", {})

    task = asyncio.create_task(awaited.run(slow))
    async with asyncio.timeout(10):
        await inside.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert workers(database_url) == 0
    assert (await awaited.run(once("select 1 as one")))[0].one == 1


async def test_the_time_is_the_databases_and_moves_with_business_time(run: Run, database_url: str) -> None:
    def now_only(now: datetime) -> Flow[datetime]:
        yield from ask("select 1")
        return now

    with psycopg.connect(database_url, autocommit=True) as connection:
        row = connection.execute("select clock_timestamp()").fetchone()
        assert row is not None
        first = await run(now_only)
        assert timedelta() <= first - row[0] < timedelta(minutes=1)
        connection.execute("update dripdrop.clock set ahead = interval '3 days'")
    later = await run(now_only)
    assert timedelta(days=3) <= later - first < timedelta(days=3, minutes=1)


async def test_a_given_clock_comes_first(database_url: str) -> None:
    noon = datetime(2030, 3, 1, 12, tzinfo=UTC)

    def now_only(now: datetime) -> Flow[datetime]:
        yield from ask("select 1")
        return now

    waiting, blocked = AsyncDatabase(database_url, clock=lambda: noon), Database(database_url, clock=lambda: noon)
    assert await waiting.run(now_only) == blocked.run(now_only) == noon
    await waiting.close()
    blocked.close()


async def test_a_transaction_of_one_query_is_three_round_trips_and_two_where_it_is_the_last(
    awaited: AsyncDatabase, database_url: str
) -> None:
    await awaited.run(once("select 1"))
    assert awaited.round_trips == 3, "begin with the time, the query, commit"
    async with awaited.connection() as connection:
        travels_along = connection.info.server_version >= 170000
    await awaited.run(once(INSERT, last=True, name="a"))
    assert awaited.round_trips == (5 if travels_along else 6), "commit goes along with the last query"
    assert workers(database_url) == 1


async def test_a_last_query_that_fails_commits_nothing(awaited: AsyncDatabase, database_url: str) -> None:
    def two(now: datetime) -> Flow[None]:
        yield Query(INSERT, {"name": "a"})
        yield Query("insert into dripdrop.workers (name, lease) values (null, null)", {}, last=True)

    with pytest.raises(pg.NotNullViolation):
        await awaited.run(two)
    assert workers(database_url) == 0
    assert (await awaited.run(once(COUNT)))[0].count == 0


async def test_a_last_query_answers_with_its_rows(awaited: AsyncDatabase) -> None:
    rows = await awaited.run(once("select generate_series(1, 3) as number", last=True))
    assert [row.number for row in rows] == [1, 2, 3]


async def test_where_the_schema_is_missing_the_cure_is_setup(empty_database_url: str) -> None:
    waiting, blocked = AsyncDatabase(empty_database_url), Database(empty_database_url)
    with pytest.raises(SchemaMismatch, match="dripdrop setup"):
        await waiting.run(once("select 1"))
    with pytest.raises(SchemaMismatch, match="dripdrop setup"):
        blocked.run(once("select 1"))
    await waiting.close()
    blocked.close()


async def test_a_statement_for_a_newer_schema_is_told_from_a_wrong_one(run: Run) -> None:
    with pytest.raises(SchemaMismatch, match="sandwiches"):
        await run(once("select sandwiches from dripdrop.workers"))
    with pytest.raises(pg.SyntaxError):
        await run(once("selekt 1"))


def test_a_clock_without_its_row_is_an_incomplete_schema(database_url: str) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("alter table dripdrop.clock disable trigger all")
        connection.execute("delete from dripdrop.clock")
    database = Database(database_url)
    with pytest.raises(SchemaMismatch, match="clock"):
        database.run(once("select 1"))
    database.close()


@pytest.fixture
def nobody_listens() -> str:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"postgresql://somebody@127.0.0.1:{free.getsockname()[1]}/nothing"


async def test_a_database_that_is_not_there_is_unavailable(
    nobody_listens: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("ConnectionPool", "AsyncConnectionPool"):
        pool = getattr(databases, name)

        def impatient(*given: Any, pool: Any = pool, **settings: Any) -> Any:
            return pool(*given, **{**settings, "timeout": 0.3})

        monkeypatch.setattr(databases, name, impatient)
    waiting, blocked = AsyncDatabase(nobody_listens), Database(nobody_listens)
    with pytest.raises(Unavailable, match="DRIPDROP_DATABASE_URL"):
        await waiting.run(once("select 1"))
    with pytest.raises(Unavailable, match="DRIPDROP_DATABASE_URL"):
        blocked.run(once("select 1"))
    await waiting.close()
    blocked.close()


async def test_whoever_is_later_among_serializable_ones_is_told_to_repeat(run: Run, database_url: str) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(INSERT.encode(), {"name": "a"})

    # The level is chosen before the first query, and business time is one: so it begins anew.
    def later(now: datetime) -> Flow[None]:
        yield Query("rollback", {})
        yield Query("begin isolation level repeatable read", {})
        yield Query(COUNT, {})
        _elsewhere(database_url)
        yield Query("update dripdrop.workers set name = 'b'", {})

    with pytest.raises(Conflict) as caught:
        await run(later)
    assert caught.value.code == "serialization"
    assert is_transient(caught.value.__cause__ or caught.value)
    assert (await run(once("select name from dripdrop.workers")))[0].name == "elsewhere"


def _elsewhere(url: str) -> None:
    def change() -> None:
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("update dripdrop.workers set name = 'elsewhere'")

    thread = threading.Thread(target=change)
    thread.start()
    thread.join(60)


async def test_another_schema_name_is_used_throughout(database_url: str) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute('create schema "Other one"')
        connection.execute("create table \"Other one\".clock as select interval '1 day' as ahead")
        connection.execute('create table "Other one".workers (name text)')
    database = AsyncDatabase(database_url, "Other one")
    await database.run(once("insert into dripdrop.workers (name) values (%(name)s)", name="here"))
    assert [row.name for row in await database.run(once("select name from dripdrop.workers"))] == ["here"]
    assert workers(database_url) == 0
    await database.close()


async def test_a_hundred_operations_share_four_connections(awaited: AsyncDatabase, database_url: str) -> None:
    async with asyncio.timeout(30):
        await asyncio.gather(*[awaited.run(once(INSERT, name=str(each))) for each in range(100)])
    assert workers(database_url) == 100


async def test_lists_of_every_kind_arrive_as_they_are(run: Run) -> None:
    texts = ["plain", 'quoted "twice"', "back\\slash", "{braces}", "comma, here", "NULL", "", "ä €", None]
    moments = [datetime(2030, 3, 1, 9, 30, 0, 5, tzinfo=UTC), None]
    rows = await run(
        once(
            "select %(texts)s::text[] as texts, %(moments)s::timestamptz[] as moments, %(bytes)s::bytea[] as bytes,"
            " %(flags)s::boolean[] as flags, %(spans)s::interval[] as spans, %(none)s::uuid[] as none",
            texts=texts, moments=moments, bytes=[b"\x00\\x", b""], flags=[True, False, None],
            spans=[timedelta(days=-1, seconds=5, microseconds=7)], none=[],
        )
    )  # fmt: skip
    assert rows[0].texts == texts
    assert rows[0].moments == moments
    assert (rows[0].bytes, rows[0].flags, rows[0].none) == ([b"\x00\\x", b""], [True, False, None], [])
    assert rows[0].spans == [timedelta(days=-1, seconds=5, microseconds=7)]


@pytest.mark.parametrize(
    ("error", "passing"),
    [
        (pg.DeadlockDetected(), True),
        (pg.LockNotAvailable(), True),
        (pg.DiskFull(), True),
        (pg.ConnectionFailure(), True),
        (pg.CrashShutdown(), True),
        (psycopg.OperationalError("gone"), True),
        (PoolTimeout(), True),
        (pg.UniqueViolation(), False),
        (pg.InvalidTextRepresentation(), False),
        (pg.CheckViolation(), False),
        (ValueError(), False),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_passes_by_itself_is_told_from_what_does_not(error: Exception, passing: bool) -> None:
    assert is_transient(error) is passing


def test_what_is_not_ours_to_explain_stays_as_it_is() -> None:
    for error in (ValueError("x"), NotFound("y"), pg.UniqueViolation("z")):
        assert translated(error) is error


async def test_a_connection_that_died_in_the_pool_is_replaced_before_anything_is_asked(
    run: Run, database_url: str
) -> None:
    await asyncio.gather(*(run(once("select pg_sleep(0.1)")) for _ in range(3)))
    with psycopg.connect(database_url, autocommit=True) as other:
        other.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity"
            " where datname = current_database() and pid <> pg_backend_pid()"
        )
    await run(once(INSERT, name="after the restart"))
    assert (await run(once(COUNT)))[0]["count"] == 1


def silent(url: str) -> Callable[[datetime], Flow[Any]]:
    """Lock the clock's row, and say nothing until somebody else could lock it."""

    def lock_and_wait() -> Flow[Any]:
        yield Query("select ahead from dripdrop.clock for update", {}, "test")
        with psycopg.connect(url, autocommit=True, options="-c lock_timeout=60s") as other:
            other.execute("update dripdrop.clock set ahead = ahead")
        return (yield Query("select 1 as one", {}, "test"))

    return lambda now: lock_and_wait()


def test_who_is_silent_in_a_transaction_lets_go_of_its_rows(database_url: str) -> None:
    """Behind a torn network the server takes a client for alive, and would for hours."""
    pool = Database(database_url, silence=0.3)
    with pytest.raises(Exception) as caught:
        pool.run(silent(database_url))
    cause = caught.value.__cause__ or caught.value
    assert isinstance(cause, pg.IdleInTransactionSessionTimeout)
    assert is_transient(cause)
    assert pool.run(once("select 1 as one"))[0].one == 1
    pool.close()


async def test_so_does_an_awaiting_one(database_url: str) -> None:
    pool = AsyncDatabase(database_url, silence=0.3)
    with pytest.raises(Exception) as caught:
        await pool.run(silent(database_url))
    cause = caught.value.__cause__ or caught.value
    assert isinstance(cause, pg.IdleInTransactionSessionTimeout)
    assert is_transient(cause)
    assert (await pool.run(once("select 1 as one")))[0].one == 1
    await pool.close()


async def test_so_does_one_that_freezes_before_a_commit_that_travels_along(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The statement has come through and the COMMIT has not: to the server that is no idle client."""
    pool, execute, locked = AsyncDatabase(database_url, silence=0.3), psycopg.AsyncConnection.execute, []

    def lock() -> None:
        with psycopg.connect(database_url, autocommit=True, options="-c lock_timeout=30s") as other:
            locked.append(other.execute("update dripdrop.clock set ahead = ahead").rowcount)

    async def frozen(self: Any, query: Any, *given: Any, **named: Any) -> Any:
        if query == b"commit":
            await asyncio.sleep(0.1)
            await asyncio.to_thread(lock)
        return await execute(self, query, *given, **named)

    monkeypatch.setattr(psycopg.AsyncConnection, "execute", frozen)
    with pytest.raises(Exception) as caught:
        await pool.run(once("update dripdrop.clock set ahead = ahead returning ahead", last=True))
    monkeypatch.undo()
    assert locked == [1]
    assert is_transient(caught.value.__cause__ or caught.value)
    assert (await pool.run(once("select 1 as one")))[0].one == 1
    await pool.close()
