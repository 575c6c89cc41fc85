"""A hundred items or ten milliseconds become one operation; one bad row takes nobody with it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Any

import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from psycopg import errors as pg
from psycopg_pool import PoolTimeout
from tests.engine.conftest import MakeWorld
from tests.world import Doomed, World

from dripdrop.engine import collectors
from dripdrop.engine.collectors import Collector, Guilty
from dripdrop.errors import Conflict, Unavailable
from dripdrop.operations import delivering
from dripdrop.operations.delivering import Opened, Opening, Stale
from dripdrop.rules.message import digest

DEADLINE = 10.0


class Ledger:
    """Carries out batches: notes each, and answers ten times the item. `trouble` may raise."""

    def __init__(self, trouble: Callable[[Sequence[int]], None] = lambda items: None) -> None:
        self.batches: list[list[int]] = []
        self.trouble = trouble

    async def __call__(self, items: Sequence[int]) -> Sequence[int]:
        self.batches.append(list(items))
        await asyncio.sleep(0)
        self.trouble(items)
        return [each * 10 for each in items]


def refuse(*guilty: int) -> Callable[[Sequence[int]], None]:
    def trouble(items: Sequence[int]) -> None:
        if set(guilty) & set(items):
            raise pg.InvalidTextRepresentation("a bad row")

    return trouble


def failing(*errors: BaseException) -> Callable[[Sequence[int]], None]:
    left = list(errors)

    def trouble(items: Sequence[int]) -> None:
        if left:
            raise left.pop(0)

    return trouble


async def all_of(collector: Collector[int, int], *items: int) -> list[Any]:
    async with asyncio.timeout(DEADLINE):
        return await asyncio.gather(*[collector.put(each) for each in items], return_exceptions=True)


async def test_a_hundred_items_go_at_once_whatever_the_clock_says() -> None:
    ledger = Ledger()
    collector = Collector(ledger, wait=3600.0)
    assert await all_of(collector, *range(100)) == [each * 10 for each in range(100)]
    assert ledger.batches == [list(range(100))]


async def test_fewer_go_after_ten_milliseconds() -> None:
    ledger = Ledger()
    began = asyncio.get_running_loop().time()
    assert await all_of(Collector(ledger), 1, 2, 3) == [10, 20, 30]
    assert ledger.batches == [[1, 2, 3]]
    assert asyncio.get_running_loop().time() - began >= collectors.WAIT * 0.9


async def test_two_hundred_and_fifty_items_make_three_batches() -> None:
    ledger = Ledger()
    assert await all_of(Collector(ledger), *range(250)) == [each * 10 for each in range(250)]
    assert [len(each) for each in ledger.batches] == [100, 100, 50]


async def test_where_nothing_more_is_expected_nothing_is_waited_for() -> None:
    expected = 3
    ledger = Ledger()
    collector = Collector(ledger, expected=lambda: expected, wait=3600.0)
    waiting = [collector.put(each) for each in (1, 2, 3)]
    collector.nudge()
    await asyncio.sleep(0)
    assert ledger.batches == [], "more may come"
    expected = 0
    collector.nudge()
    async with asyncio.timeout(DEADLINE):
        assert await asyncio.gather(*waiting) == [10, 20, 30]


async def test_the_guilty_row_is_found_and_the_others_go_through() -> None:
    ledger = Ledger(refuse(37))
    results = await all_of(Collector(ledger), *range(100))
    assert [each for each in results if not isinstance(each, Guilty)] == [e * 10 for e in range(100) if e != 37]
    assert isinstance(results[37], Guilty)
    assert isinstance(results[37].__cause__, pg.InvalidTextRepresentation)
    assert len(ledger.batches) <= 2 * 7 + 1, "halving needs two tries a level"


@settings(max_examples=25, deadline=None)
@given(st.sets(st.integers(0, 99), max_size=8), st.integers(1, 100))
def test_whoever_is_guilty_only_they_are_refused(guilty: set[int], count: int) -> None:
    async def tale() -> list[Any]:
        return await all_of(Collector(Ledger(refuse(*guilty)), wait=0.001), *range(count))

    results = asyncio.run(tale())
    assert [number for number, each in enumerate(results) if isinstance(each, Guilty)] == sorted(
        each for each in guilty if each < count
    )


def caused(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error


PASSING = [
    pg.SerializationFailure("40001"),
    pg.DeadlockDetected("40P01"),
    pg.AdminShutdown("57P01"),
    pg.TooManyConnections("53300"),
    pg.LockNotAvailable("55P03"),
    pg.IoError("58030"),
    psycopg.OperationalError("the connection is lost"),
    PoolTimeout("nobody answers"),
    ConnectionResetError(),
    caused(Conflict("meanwhile", code="serialization"), pg.SerializationFailure("40001")),
    caused(Unavailable("not there"), psycopg.OperationalError("refused")),
]


@pytest.fixture
def quickly(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    pauses: list[float] = []

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)
        await asyncio.sleep(0)

    monkeypatch.setattr(collectors, "sleep", sleep)
    return pauses


@pytest.mark.parametrize("error", PASSING, ids=lambda error: type(error.__cause__ or error).__name__)
async def test_where_the_server_gives_way_the_whole_batch_is_repeated(
    quickly: list[float], error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    ledger = Ledger(failing(error, error, error))
    with caplog.at_level(logging.WARNING):
        assert await all_of(Collector(ledger), 1, 2, 3) == [10, 20, 30]
    assert ledger.batches == [[1, 2, 3]] * 4, "the same items, undivided"
    assert quickly == [0.05, 0.1, 0.2]
    assert "gave way" in caplog.text


async def test_it_does_not_ask_more_often_than_every_few_seconds(quickly: list[float]) -> None:
    await all_of(Collector(Ledger(failing(*[psycopg.OperationalError("down")] * 12))), 1)
    assert max(quickly) == 5.0
    assert quickly == sorted(quickly)


async def test_after_a_lost_answer_the_other_way_is_taken(quickly: list[float]) -> None:
    first, again = Ledger(failing(psycopg.OperationalError("lost"))), Ledger(failing(psycopg.OperationalError("again")))
    assert await all_of(Collector(first, again=again), 1, 2) == [10, 20]
    assert (first.batches, again.batches) == ([[1, 2]], [[1, 2], [1, 2]])


async def test_drained_waits_for_what_is_gathered_and_what_runs() -> None:
    ledger = Ledger()
    collector = Collector(ledger, wait=3600.0)
    waiting = [collector.put(each) for each in (1, 2)]
    async with asyncio.timeout(DEADLINE):
        await collector.drained()
    assert all(each.done() for each in waiting)


async def test_whoever_stopped_waiting_is_not_told() -> None:
    collector = Collector(Ledger(), wait=3600.0)
    gone, there = collector.put(1), collector.put(2)
    gone.cancel()
    collector.flush()
    async with asyncio.timeout(DEADLINE):
        assert await there == 20


async def opening_of(world: World, doomed: Doomed) -> Opening:
    (judged,) = await doomed.claim()
    claim, adapter = judged.claim, judged.adapter
    assert adapter is not None
    message = world.runtime.render(claim, adapter, world.runtime.config())
    return Opening(
        claim.id, claim.token, adapter.id, "ann@example.org", claim.version.id, claim.data_revision, digest(message),
        claim.now,
    )  # fmt: skip


async def test_a_commit_whose_answer_was_lost_is_taken_as_opened_and_not_opened_twice(
    make_world: MakeWorld, quickly: list[float]
) -> None:
    world = await make_world()
    await world.enroll()
    doomed = Doomed(world)
    opening = await opening_of(world, doomed)
    assert doomed.dispatcher is not None
    worker, opens = doomed.dispatcher.lease.worker, doomed.dispatcher.opens
    carry_out = opens._carry_out

    async def lose_the_answer(items: Sequence[Opening]) -> Sequence[Any]:
        await carry_out(items)
        raise psycopg.OperationalError("server closed the connection unexpectedly")

    opens._carry_out = lose_the_answer
    async with asyncio.timeout(DEADLINE):
        result = await opens.put(opening)
    assert result == Opened(opening.token + 1, 1)
    assert world.query("select number, outcome from dripdrop.delivery_attempts") == [(1, None)]

    again = await world.runtime.database.run(lambda now: delivering.open_again(now, worker, [opening]))
    assert again == [Opened(opening.token + 1, 1)], "however often it is asked"


async def test_a_commit_that_was_lost_before_another_took_over_is_stale(make_world: MakeWorld) -> None:
    world = await make_world()
    await world.enroll()
    doomed = Doomed(world)
    opening = await opening_of(world, doomed)
    assert doomed.dispatcher is not None
    worker, database = doomed.dispatcher.lease.worker, world.runtime.database
    await database.run(lambda now: delivering.open(now, worker, [opening]))
    doomed.die()
    await world.drip.run_due()
    assert await database.run(lambda now: delivering.open_again(now, worker, [opening])) == [Stale()]


async def test_what_did_not_land_is_opened_beside_what_did(make_world: MakeWorld) -> None:
    world = await make_world()
    await world.enroll(1)
    doomed = Doomed(world)
    landed = await opening_of(world, doomed)
    assert doomed.dispatcher is not None
    worker, database = doomed.dispatcher.lease.worker, world.runtime.database
    await database.run(lambda now: delivering.open(now, worker, [landed]))
    await world.enroll(2)
    policy = world.runtime.policy()
    from dripdrop.operations import dispatching

    (judged,) = await database.run(lambda now: dispatching.claim(now, worker, policy))
    fresh = Opening(
        judged.claim.id, judged.claim.token, landed.adapter_id, "ann@example.org", landed.version_id, 1, b"x",
        landed.business_at,
    )  # fmt: skip
    results = await database.run(lambda now: delivering.open_again(now, worker, [fresh, landed]))
    assert results == [Opened(fresh.token + 1, 1), Opened(landed.token + 1, 1)]
