"""Workers come and go, partitions are made ahead, and business time robs nobody."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import psycopg
import pytest
from tests.operations.desk import NOW
from tests.operations.scenes import DUE, LEASE, Stage

from dripdrop.operations import delivering, enrolling, keeping, receiving, suppressing
from dripdrop.operations.delivering import Closing
from dripdrop.rules.outcome import Accepted
from dripdrop.store.scope import GLOBAL

DAY = timedelta(days=1)


@pytest.fixture
def stage(database_url: str) -> Iterator[Stage]:
    with psycopg.connect(database_url, autocommit=True) as connection:
        yield Stage(connection)


def ahead(stage: Stage) -> timedelta:
    return stage.do(keeping.clock_ahead(NOW))


def advance(stage: Stage, to: datetime, now: datetime = NOW) -> bool:
    return stage.do(keeping.advance_clock(now, to))


def known(stage: Stage) -> set[UUID]:
    return {key for (key,) in stage.connection.execute("select id from dripdrop.workers").fetchall()}


def test_business_time_moves_on_while_nothing_is_due(stage: Stage) -> None:
    stage.do(enrolling.enroll(NOW, GLOBAL, "onboarding", subscriber=("user", 1), starting_step="nudge"))
    assert stage.do(keeping.next_due(NOW)) == NOW + 3 * DAY
    assert advance(stage, NOW + 2 * DAY)
    assert ahead(stage) == 2 * DAY
    assert advance(stage, NOW + 3 * DAY, now=NOW + 2 * DAY), "up to what is due next"
    assert ahead(stage) == 3 * DAY


def test_business_time_waits_for_what_is_due(stage: Stage) -> None:
    stage.enroll(1)
    assert stage.do(keeping.pending(DUE)) == (1, 0)
    assert not advance(stage, DUE + DAY, now=DUE)
    assert ahead(stage) == timedelta()


def test_business_time_waits_for_what_a_worker_holds(stage: Stage) -> None:
    worker, (claim,) = stage.sending(1)
    assert stage.do(keeping.pending(DUE)) == (0, 1)
    assert not advance(stage, DUE + DAY, now=DUE)
    stage.do(delivering.close(DUE, worker, [Closing(claim, Accepted("m"))]))
    assert advance(stage, DUE + DAY, now=DUE)


def test_business_time_waits_for_what_the_dead_hold_too(stage: Stage) -> None:
    worker, _ = stage.sending(1)
    stage.die(worker)
    assert not advance(stage, DUE + DAY, now=DUE)


@pytest.mark.parametrize("to", [NOW - DAY, NOW])
def test_business_time_never_goes_back(stage: Stage, to: datetime) -> None:
    assert not advance(stage, to)
    assert ahead(stage) == timedelta()


def test_what_is_held_for_good_keeps_nobody_waiting(stage: Stage) -> None:
    enrollment = stage.enroll(1)
    stage.do(enrolling.pause(NOW, GLOBAL, enrollment))
    assert stage.do(keeping.pending(DUE)) == (0, 0)
    assert stage.do(keeping.next_due(NOW)) is None
    assert advance(stage, NOW + 30 * DAY)


def test_the_time_is_what_it_is_handed(stage: Stage) -> None:
    assert stage.do(keeping.time(NOW)) == NOW


def test_a_worker_is_known_from_its_first_day_to_its_farewell(stage: Stage) -> None:
    worker = stage.do(keeping.register(NOW, "one", lease=LEASE))
    assert known(stage) == {worker}
    assert stage.do(keeping.heartbeat(NOW, worker))
    assert stage.do(keeping.heartbeat(NOW, worker, stopping=True))
    assert stage.connection.execute("select stopping, lease from dripdrop.workers").fetchall() == [(True, LEASE)]
    stage.do(keeping.farewell(NOW, worker))
    assert known(stage) == set()
    assert not stage.do(keeping.heartbeat(NOW, worker)), "forgotten"
    assert not stage.do(keeping.heartbeat(NOW, uuid4()))


def test_a_worker_that_still_holds_something_cannot_say_farewell(stage: Stage) -> None:
    worker, (claim,) = stage.sending(1)
    stage.do(keeping.farewell(DUE, worker))
    assert known(stage) == {worker}
    stage.do(delivering.close(DUE, worker, [Closing(claim, Accepted("m"))]))
    stage.do(keeping.farewell(DUE, worker))
    assert known(stage) == set()


def test_a_heartbeat_is_real_time_and_not_business_time(stage: Stage) -> None:
    worker = stage.worker()
    stage.die(worker)
    stage.do(keeping.heartbeat(NOW + 1000 * DAY, worker))
    ((beat,),) = stage.connection.execute("select clock_timestamp() - heartbeat_at from dripdrop.workers").fetchall()
    assert timedelta() <= beat < timedelta(minutes=1)


def test_the_long_dead_are_forgotten_unless_they_hold_something(stage: Stage) -> None:
    holding, _ = stage.sending(1)
    dead, alive = stage.worker(), stage.worker()
    for each in (holding, dead):
        stage.die(each)
    stage.do(keeping.tidy(NOW))
    assert known(stage) == {holding, alive}


def test_partitions_are_made_for_the_months_ahead_and_only_once(stage: Stage) -> None:
    def months() -> set[str]:
        found = stage.connection.execute(
            "select relname from pg_class where relname like 'journal\\_y%' and relkind = 'r'"
        ).fetchall()
        return {name for (name,) in found}

    assert stage.do(keeping.tidy(NOW, months=9)) > 0
    made = months()
    today = datetime.now(UTC)
    ahead = {(today.year * 12 + today.month - 1 + more) for more in range(10)}
    assert {f"journal_y{each // 12}m{each % 12 + 1:02}" for each in ahead} <= made
    assert stage.do(keeping.tidy(NOW, months=9)) == 0
    assert months() == made


def test_whoever_begins_to_work_finds_the_partitions_in_place(stage: Stage) -> None:
    tables = stage.connection.execute(
        "select c.relname from pg_class c join pg_inherits i on i.inhrelid = c.oid"
        " where c.relnamespace = 'dripdrop'::regnamespace and c.relkind = 'r' and c.relname !~ 'default$'"
    ).fetchall()
    for (name,) in tables:
        stage.connection.execute(f"drop table dripdrop.{name}".encode())
    stage.do(keeping.register(NOW, "one", lease=LEASE))
    assert stage.do(keeping.tidy(NOW)) == 0
    stage.enroll(1)
    assert stage.connection.execute("select count(*) from only dripdrop.journal_default").fetchall() == [(0,)]


def test_what_came_back_long_ago_is_forgotten_in_bounded_portions(stage: Stage) -> None:
    def left(table: str) -> int:
        ((count,),) = stage.connection.execute(f"select count(*) from dripdrop.{table}".encode()).fetchall()
        return int(count)

    for number in range(5):
        stage.do(receiving.accept(NOW, stage.adapter, {}, b"[%d]" % number, once=[str(number)]))
    waiting = stage.do(receiving.accept(NOW, stage.adapter, {}, b"not processed yet"))
    stage.connection.execute(
        "update dripdrop.webhook_requests set state = 'processed' where id <> %(id)s", {"id": waiting}
    )
    later = NOW + 31 * DAY
    stage.do(receiving.accept(later, stage.adapter, {}, b"new", once=["new"]))
    stage.do(suppressing.suppress(NOW, GLOBAL, "email", "stands@example.org", "manual"))
    for _ in range(2):
        stage.do(suppressing.suppress(NOW, GLOBAL, "email", "gone@example.org", "manual"))
    stage.do(suppressing.lift(NOW, GLOBAL, "email", "gone@example.org"))
    assert not stage.do(keeping.prune(NOW + 29 * DAY, keep=30 * DAY))
    assert (left("webhook_requests"), left("seen_events"), left("suppression_history")) == (7, 12, 4)
    # While requests may be left, the keys of their events stay: whoever replays one finds them known.
    assert stage.do(keeping.prune(later, keep=30 * DAY, limit=2))
    assert (left("webhook_requests"), left("seen_events"), left("suppression_history")) == (5, 12, 2)
    while stage.do(keeping.prune(later, keep=30 * DAY, limit=2)):
        pass
    assert (left("webhook_requests"), left("seen_events"), left("suppression_history")) == (2, 2, 1)
    assert stage.do(receiving.get(later, GLOBAL, waiting)).state == "stored"
