"""Is every event found by whoever waits for it, whichever transaction is first?"""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from uuid import UUID

import psycopg
import pytest
from tests.conftest import CARELESS, Postgres
from tests.operations.desk import NOW
from tests.operations.scenes import BOOKED, DOCUMENT, WAITING, Stage

from dripdrop import embedded
from dripdrop.operations import authoring, awaiting, enrolling, reporting, tracking
from dripdrop.operations.tracking import Result
from dripdrop.store import events, schema
from dripdrop.store.database import configure
from dripdrop.store.flow import Flow, Query
from dripdrop.store.runners import run_sync
from dripdrop.store.scope import GLOBAL

LATER = NOW + timedelta(hours=1)


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    """A server without anybody else: a wait is settled once whoever was at work on the whole server has ended."""
    version = int(os.environ.get("DRIPDROP_TEST_PG", "18"))
    with embedded.start(tmp_path_factory.mktemp("alone"), version=version, settings=CARELESS) as server:
        yield Postgres(server.url)


@pytest.fixture(scope="module")
def migrated(alone: Postgres) -> Iterator[str]:
    with alone.database() as name:
        schema.migrate(alone.url_of(name))
        yield name


@pytest.fixture
def database_url(alone: Postgres, migrated: str) -> Iterator[str]:
    with alone.database(migrated) as name:
        yield alone.url_of(name)


@pytest.fixture
def stage(database_url: str) -> Iterator[Stage]:
    with psycopg.connect(database_url, autocommit=True) as connection:
        made = Stage(connection)
        made.do(authoring.apply(NOW, GLOBAL, WAITING))
        yield made


@pytest.fixture
def host(database_url: str) -> Iterator[psycopg.Connection[Any]]:
    """A connection of the host's, in a transaction that is open until it says so."""
    with psycopg.connect(database_url) as connection:
        configure(connection)
        yield connection


def booked() -> Flow[Any]:
    return tracking.track(LATER, GLOBAL, "booked", subscriber=("user", 1), data={"kind": "live"})


def enrolled(who: int = 1) -> Flow[Any]:
    return enrolling.enroll(NOW, GLOBAL, "waiting", subscriber=("user", who), data={"email": "a@b.at"})


def states(stage: Stage) -> list[str]:
    return [each.state for each in stage.do(reporting.executions(NOW, GLOBAL, sequence="waiting"))]


def watched(stage: Stage) -> int:
    return int(stage.connection.execute("select count(*) from dripdrop.waits").fetchall()[0][0])


def sweep(stage: Stage) -> int:
    return stage.do(awaiting.sweep(LATER))


def test_nothing_is_watched_any_more_once_everybody_of_then_has_ended(stage: Stage) -> None:
    stage.do(enrolled())
    assert watched(stage) == 1
    assert (sweep(stage), watched(stage)) == (0, 1)
    assert (sweep(stage), watched(stage)) == (0, 0)
    assert states(stage) == ["waiting"]


def test_an_event_that_is_uncommitted_while_the_wait_begins_is_found(
    stage: Stage, host: psycopg.Connection[Any]
) -> None:
    run_sync(host, booked())
    stage.do(enrolled())
    assert states(stage) == ["waiting"]
    assert [sweep(stage), sweep(stage), sweep(stage)] == [0, 0, 0]
    assert watched(stage) == 1  # somebody who was at work when it began still is
    host.commit()
    assert sweep(stage) == 1
    assert (states(stage), watched(stage)) == (["scheduled"], 0)


def test_a_wait_that_is_uncommitted_while_the_event_is_recorded_is_found(
    stage: Stage, host: psycopg.Connection[Any]
) -> None:
    run_sync(host, enrolled())
    stage.do(booked())
    host.commit()
    assert states(stage) == ["waiting"]
    sweep(stage)
    assert sweep(stage) == 1
    assert states(stage) == ["scheduled"]


def test_the_later_of_two_transactions_is_waited_for_even_where_nothing_after_it_has_ended(
    stage: Stage, host: psycopg.Connection[Any], database_url: str
) -> None:
    """The upper end of a snapshot is one more than the highest transaction that *ended*: the event's own is above."""
    run_sync(host, enrolled())  # takes its number first
    with psycopg.connect(database_url) as other:
        configure(other)
        run_sync(other, booked())  # a higher one, still at work when the wait is seen
        host.commit()
        assert [sweep(stage), sweep(stage), sweep(stage)] == [0, 0, 0]
        assert watched(stage) == 1
        other.commit()
    assert sweep(stage) == 1
    assert states(stage) == ["scheduled"]


@pytest.mark.parametrize("level", ["repeatable read", "serializable"])
def test_a_host_whose_snapshot_is_older_than_the_wait_leaves_its_event_to_the_sweep(
    stage: Stage, host: psycopg.Connection[Any], level: str
) -> None:
    host.execute(f"set transaction isolation level {level}".encode())
    host.execute("select 1 from dripdrop.enrollments limit 1")  # here its snapshot is taken
    stage.do(enrolled())
    sweep(stage)
    sweep(stage)
    assert watched(stage) == 0  # settled before the event has so much as a number
    run_sync(host, booked())
    host.commit()
    assert states(stage) == ["waiting"]
    sweep(stage)
    assert states(stage) == ["scheduled"]
    assert stage.connection.execute("select count(*) from dripdrop.unheard").fetchall() == [(0,)]


def test_a_host_that_rolls_back_wakes_nobody_and_leaves_nothing(stage: Stage, host: psycopg.Connection[Any]) -> None:
    stage.do(enrolled())
    run_sync(host, booked())
    host.rollback()
    sweep(stage)
    assert (sweep(stage), states(stage), watched(stage)) == (0, ["waiting"], 0)


def test_a_resume_that_is_uncommitted_while_the_event_is_recorded_is_found(
    stage: Stage, host: psycopg.Connection[Any]
) -> None:
    enrollment = stage.do(enrolled())
    sweep(stage)
    sweep(stage)
    stage.do(enrolling.pause(NOW, GLOBAL, enrollment))
    run_sync(host, enrolling.resume(LATER, GLOBAL, enrollment))
    stage.do(booked())
    host.commit()
    assert states(stage) == ["waiting"]
    sweep(stage)
    assert sweep(stage) == 1


def test_an_event_that_woke_a_wait_wakes_no_later_one_of_the_same_enrollment(stage: Stage) -> None:
    enrollment = stage.do(enrolled())
    stage.do(booked())
    stage.do(enrolling.move(LATER, GLOBAL, enrollment, step="booked"))
    assert states(stage) == ["waiting", "cancelled"]


def asked(stage: Stage, flow: Flow[Any]) -> tuple[Any, list[str]]:
    """What a flow answers, and the names of the statements that it took."""
    named: list[str] = []

    def listening() -> Flow[Any]:
        try:
            query = next(flow)
            while True:
                assert isinstance(query, Query)
                named.append(query.name)
                query = flow.send((yield query))
        except StopIteration as done:
            return done.value

    return stage.do(listening()), named


def people(stage: Stage, count: int) -> None:
    rows = [{"subscriber": ("user", who), "data": {"email": "a@b.at"}} for who in range(count)]
    stage.do(enrolling.enroll_many(NOW, GLOBAL, "waiting", rows))


def bookings(count: int) -> list[dict[str, Any]]:
    return [{"event": "booked", "subscriber": ("user", who), "data": {"kind": "live"}} for who in range(count)]


def test_an_event_that_concerns_thousands_takes_as_many_statements_as_one(stage: Stage) -> None:
    people(stage, 20_000)
    results, few = asked(stage, tracking.track_many(LATER, GLOBAL, bookings(1)))
    assert [each.ok for each in results] == [True]
    results, many = asked(stage, tracking.track_many(LATER, GLOBAL, bookings(20_000)))
    assert all(each.ok for each in results)
    assert (
        few == many == ["events.record_many", "events.exits", "waits.concerned", "waits.look_back", "enrollments.wake"]
    )
    rows = stage.connection.execute(
        "select q.state::text, count(*) from dripdrop.execution_queue q group by q.state"
    ).fetchall()
    assert rows == [("scheduled", 20_000)]


def test_each_row_of_many_has_its_own_result(stage: Stage) -> None:
    first = stage.do(enrolled(1))
    rows: list[Any] = [
        {"event": "booked", "enrollment": first.id, "data": {"kind": "live"}},
        {"event": "booked", "subscriber": ("user", 1), "when": "now"},
        {"event": "booked", "enrollment": UUID(int=7)},
        {"event": "bought", "subscriber": ("user", 1), "data": {"plan": "free"}},
        {"event": "bought", "subscriber": ("user", 1), "data": {"plan": "pro"}},
    ]
    results: list[Result] = stage.do(tracking.track_many(LATER, GLOBAL, rows))
    assert [each.row for each in results] == [0, 1, 2, 3, 4]
    assert [each.error.code if each.error else None for each in results] == [None, "bad_row", "not_found", None, None]
    told = [each.tracked for each in results if each.tracked]
    assert [each.ended for each in told] == [(), (), (first.id,)]
    assert [each.subscriber_id for each in told] == ["1", "1", "1"]


@pytest.mark.parametrize("paused", [False, True])
def test_a_goal_that_is_reached_completes_and_only_when_it_matches(stage: Stage, paused: bool) -> None:
    enrollment = stage.do(enrolled())
    if paused:
        stage.do(enrolling.pause(NOW, GLOBAL, enrollment))
    assert stage.do(tracking.track(LATER, GLOBAL, "bought", subscriber=("user", 1))).ended == ()
    told = stage.do(tracking.track(LATER, GLOBAL, "bought", subscriber=("user", 1), data={"plan": "pro"}))
    assert told.ended == (enrollment.id,)
    ended = stage.do(reporting.enrollment(NOW, GLOBAL, enrollment.id))
    assert (ended.state, ended.completed_at, ended.reason) == ("completed", LATER, "event:bought")
    assert states(stage) == ["cancelled"]
    assert [line.event for line in stage.do(reporting.journal(NOW, GLOBAL, enrollment=enrollment))][-1] == "completed"


def test_what_happened_before_somebody_was_enrolled_concerns_nobody(stage: Stage) -> None:
    stage.do(enrolled())
    before = NOW - timedelta(minutes=1)
    told = tracking.track(LATER, GLOBAL, "booked", subscriber=("user", 1), data={"kind": "live"}, occurred_at=before)
    assert stage.do(told).occurred_at == before
    assert states(stage) == ["waiting"]


def test_only_a_tenants_own_people_are_woken(stage: Stage) -> None:
    from dripdrop.store.scope import Scope

    stage.do(enrolled())
    stage.do(tracking.track(LATER, Scope("acme"), "booked", subscriber=("user", 1), data={"kind": "live"}))
    assert states(stage) == ["waiting"]


def test_what_is_known_of_an_event_is_kept_as_it_came(stage: Stage) -> None:
    rows = stage.do(events.record_many(NOW, GLOBAL, [BOOKED]))
    assert stage.do(events.data_of([rows[0]["id"]])) == {rows[0]["id"]: {"kind": "live"}}
    assert DOCUMENT["exit_on"] == ["bought"]
