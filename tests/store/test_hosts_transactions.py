"""Does an operation live and die with the host's transaction, whatever the host's connection is?"""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest
from tests.conftest import Postgres
from tests.store.hosting import HOSTS, write_welcome

from dripdrop.errors import Conflict, Refused
from dripdrop.operations import enrolling
from dripdrop.store import hosts
from dripdrop.store.flow import Flow
from dripdrop.store.scope import GLOBAL

PATIENCE = 10.0

every_host = pytest.mark.parametrize("kind", HOSTS)


@pytest.fixture(scope="module")
def url(postgres: Postgres, migrated_template: str) -> Iterator[str]:
    with postgres.database(migrated_template) as name:
        write_welcome(postgres.url_of(name))
        yield postgres.url_of(name)


@pytest.fixture
def outside(url: str) -> Iterator[psycopg.Connection[Any]]:
    """Somebody else, who sees what is committed, and listens."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("listen dripdrop")
        yield connection


@pytest.fixture
def person() -> str:
    return uuid.uuid4().hex


def enroll(person: str):
    return lambda now: enrolling.enroll(
        now, GLOBAL, "welcome", subscriber=("user", person), data={"email": "ann@example.org", "n": [1, "2", None]}
    )


def rows(outside: psycopg.Connection[Any]) -> dict[str, int]:
    """How many rows each table of ours has."""
    tables = outside.execute(
        "select c.oid::regclass::text from pg_class c join pg_namespace n on n.oid = c.relnamespace"
        " where n.nspname = 'dripdrop' and c.relkind in ('r', 'p') and not c.relispartition"
    ).fetchall()
    return {table: outside.execute(f"select count(*) from {table}".encode()).fetchone()[0] for (table,) in tables}


def wakings(outside: psycopg.Connection[Any]) -> int:
    """How many times the workers have been woken by now: a notice of our own is the last to wait for."""
    fence = uuid.uuid4().hex
    outside.execute("select pg_notify('dripdrop', %s)", [fence])
    for count, notice in enumerate(outside.notifies(timeout=PATIENCE)):
        if notice.payload == fence:
            return count
    raise AssertionError("our own notice did not arrive")


@every_host
def test_when_the_host_rolls_back_nothing_happened(kind, url, outside, person):
    before = rows(outside)
    with HOSTS[kind](url) as host:
        assert host.run(enroll(person)).created
        assert rows(outside) == before
        host.rollback()
    assert rows(outside) == before
    assert wakings(outside) == 0


@every_host
def test_when_the_host_commits_everybody_sees_it_and_the_workers_wake(kind, url, outside, person):
    before = rows(outside)
    with HOSTS[kind](url) as host:
        enrolled = host.run(enroll(person))
        assert wakings(outside) == 0
        host.commit()
        assert wakings(outside) == 1
    after = rows(outside)
    more = {table.removeprefix("dripdrop."): after[table] - before[table] for table in after}
    assert {table: count for table, count in more.items() if count} == {
        "enrollments": 1,
        "enrollment_data": 1,
        "execution_queue": 1,
        "journal": 1,
    }
    found = outside.execute("select id, subscriber_id from dripdrop.enrollments where id = %s", [enrolled.id])
    assert found.fetchone() == (enrolled.id, person)


@every_host
def test_two_operations_share_the_hosts_transaction(kind, url, outside, person):
    with HOSTS[kind](url) as host:
        enrolled = host.run(enroll(person))
        paused = host.run(lambda now: enrolling.pause(now, GLOBAL, enrolled.id))
        assert (paused.state, host.run(enroll(person)).created) == ("paused", False)
        host.rollback()
    assert outside.execute("select 1 from dripdrop.enrollments where id = %s", [enrolled.id]).fetchone() is None


@every_host
def test_of_two_hosts_that_enroll_one_person_the_loser_gets_the_winners_row(kind, url, outside, person):
    with psycopg.connect(url) as winner, HOSTS[kind](url) as host:
        host.run(lambda now: nothing())
        won = hosts.run(winner, "dripdrop", enroll(person))
        committer = threading.Thread(target=commit_once_awaited, args=(winner, url))
        committer.start()
        try:
            if kind == "psycopg repeatable read":
                with pytest.raises(Conflict) as refusal:
                    host.run(enroll(person))
                assert refusal.value.code == "serialization"
            else:
                lost = host.run(enroll(person))
                assert (lost.id, lost.created, won.created) == (won.id, False, True)
        finally:
            committer.join()
        host.rollback()


def commit_once_awaited(winner: psycopg.Connection[Any], url: str) -> None:
    """Commit as soon as somebody waits for this transaction."""
    deadline = time.monotonic() + PATIENCE
    with psycopg.connect(url, autocommit=True) as watcher:
        while time.monotonic() < deadline:
            found = watcher.execute(
                "select 1 from pg_stat_activity a where %s = any(pg_blocking_pids(a.pid))", [winner.info.backend_pid]
            )
            if found.fetchone():
                break
    winner.commit()


def nothing() -> Flow[None]:
    return None
    yield


@every_host
def test_time_is_that_of_the_operation_and_not_of_the_hosts_transaction(kind, url):
    with HOSTS[kind](url) as host:
        first, second = host.run(told), host.run(told)
        assert first < second
        assert first.tzinfo is UTC
        frozen = datetime(2030, 3, 1, 9, tzinfo=UTC)
        assert host.run(told, clock=lambda: frozen) == frozen
        host.rollback()


def told(now: datetime) -> Flow[datetime]:
    return now
    yield


@every_host
def test_a_refusal_leaves_the_hosts_transaction_usable(kind, url, person):
    def ends_at_once(now: datetime) -> Flow[None]:
        yield from enrolling.enroll(now, GLOBAL, "welcome", subscriber=("user", person))
        raise Refused("No.", cure="None.")

    with HOSTS[kind](url) as host:
        with pytest.raises(Refused):
            host.run(ends_at_once)
        assert not host.run(enroll(person)).created
        host.rollback()
