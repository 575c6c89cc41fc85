"""The messages of a batch go together, and what happens to one of them is nothing to the others."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

import pytest
from tests.engine.conftest import MakeWorld
from tests.world import World

from dripdrop import Accepted, Askable, Idempotent, Neither, Rejected
from dripdrop.engine.dispatcher import BREATH, TICK
from dripdrop.engine.runtime import Runtime
from dripdrop.engine.worker import Worker
from dripdrop.testing import FakeProvider

DAY = timedelta(days=1)
PEOPLE = 7
EAGER = sys.version_info >= (3, 12)
LETTER = {
    "sequence": "onboarding",
    "name": "Onboarding",
    "steps": {
        "welcome": {"channel": "email", "subject": "Welcome", "text": "Hello {{ name }}"},
        "nudge": {"channel": "email", "timing": "in 3 days", "subject": "Still there?", "text": "Hm"},
    },
}


class Provider(FakeProvider):
    """Answers at once, or after a turn of the loop; `fate` may raise or answer instead, by person."""

    def __init__(self, *, waits: bool = False, fate: Callable[[str], Any] | None = None, **more: Any) -> None:
        super().__init__(**{"on_doubt": Idempotent(DAY), "dedupe": True, **more})
        self.waits = waits
        self.fate = fate
        self.tasks: set[asyncio.Task[Any] | None] = set()

    async def deliver(self, delivery: Any, config: Any) -> Any:
        self.tasks.add(asyncio.current_task())
        config["spoilt"] = "spoilt" in config
        if self.waits:
            await asyncio.sleep(0)
        outcome = self.fate(delivery.enrollment.subscriber_id) if self.fate is not None else None
        if asyncio.iscoroutine(outcome):
            outcome = await outcome
        return await super().deliver(delivery, config) if outcome is None else outcome


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not holds():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


class Walked:
    """A world with some people, and a worker whose operations are counted."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.opens: list[int] = []
        self.closes: list[int] = []

    async def begin(self, people: int = PEOPLE) -> Walked:
        for number in range(people):
            await self.world.drip.enroll("onboarding", subscriber=("user", number), data=self.data(number))
        self.worker = Worker(self.world.runtime)
        self.dispatcher = await self.worker.start()
        self._count(self.dispatcher.opens, self.opens)
        self._count(self.dispatcher.closes, self.closes)
        return self

    def data(self, number: int) -> dict[str, Any]:
        return {"email": f"p{number}@example.org", "name": f"P{number}"}

    def _count(self, collector: Any, sizes: list[int]) -> None:
        carry_out = collector._carry_out

        async def counted(items: Sequence[Any]) -> Any:
            sizes.append(len(items))
            return await carry_out(items)

        collector._carry_out = counted

    async def go(self) -> dict[str, int]:
        """One batch to its end; what was counted."""
        async with asyncio.timeout(30):
            await self.dispatcher.claim()
            await self.dispatcher.settled()
        assert self.dispatcher.in_flight == self.dispatcher.waiting == 0
        assert self.dispatcher.known == set()
        return {name: count for name, count in dict(self.dispatcher.counts).items() if count}

    def states(self) -> dict[str, list[str]]:
        """person -> the states of her executions by visit, the ended ones first."""
        found: dict[str, list[str]] = {}
        for person, state in self.world.query(
            "select e.subscriber_id, x.state::text from dripdrop.enrollments e join ("
            " select enrollment_id, visit, state from dripdrop.execution_history"
            " union all select enrollment_id, visit, state from dripdrop.execution_queue) x on x.enrollment_id = e.id"
            " order by e.subscriber_id, x.visit"
        ):
            found.setdefault(person, []).append(state)
        return found

    async def end(self) -> None:
        await self.worker.close()


@pytest.fixture
def walked(make_world: MakeWorld) -> Callable[..., Any]:
    async def make(provider: FakeProvider, **config: Any) -> Walked:
        return await Walked(await make_world(provider, LETTER, **config)).begin()

    return make


DOUBTS = [Idempotent(DAY), Askable(), Neither()]


@pytest.mark.parametrize("doubt", DOUBTS, ids=lambda doubt: type(doubt).__name__)
@pytest.mark.parametrize("waits", [False, True], ids=["at once", "later"])
async def test_everybody_gets_it_once(walked: Any, doubt: Any, waits: bool) -> None:
    tale = await walked(Provider(waits=waits, on_doubt=doubt))
    assert await tale.go() == {"claimed": PEOPLE, "sent": PEOPLE}
    assert sorted(each.recipient for each in tale.world.provider.outbox.deliveries) == [
        f"p{n}@example.org" for n in range(PEOPLE)
    ]
    assert set(map(tuple, tale.states().values())) == {("sent", "scheduled")}
    assert sum(tale.opens) == sum(tale.closes) == PEOPLE
    await tale.end()


@pytest.mark.parametrize("waits", [False, True], ids=["at once", "later"])
async def test_a_batch_is_opened_in_one_operation_and_closed_in_one(walked: Any, waits: bool) -> None:
    tale = await walked(Provider(waits=waits))
    await tale.go()
    assert tale.opens == tale.closes == [PEOPLE]
    await tale.end()


async def test_each_call_is_a_task_of_its_own_with_a_config_of_its_own(walked: Any) -> None:
    provider = Provider()
    tale = await walked(provider)
    alone: list[Any] = []
    let_go_on = tale.dispatcher.let_go_on
    tale.dispatcher.let_go_on = lambda item, task: (alone.append(item), let_go_on(item, task))
    await tale.go()
    assert len(provider.tasks) == PEOPLE
    assert [each["spoilt"] for each in provider.configs] == [False] * PEOPLE
    assert len(alone) == (0 if EAGER else PEOPLE), "one that answers at once needs no task afterwards"
    await tale.end()


async def test_one_that_hangs_holds_up_nobody(walked: Any) -> None:
    released = asyncio.Event()
    tale = await walked(Provider(fate=lambda person: _accepted_after(released) if person == "3" else None))
    await tale.dispatcher.claim()
    await until(lambda: len(tale.dispatcher.known) == 1)
    assert tale.dispatcher.counts["sent"] == PEOPLE - 1
    assert tale.dispatcher.in_flight == tale.dispatcher.waiting == 1
    released.set()
    async with asyncio.timeout(30):
        await tale.dispatcher.settled()
    assert tale.dispatcher.counts["sent"] == PEOPLE
    assert tale.dispatcher.in_flight == tale.dispatcher.waiting == 0
    await tale.end()


async def _accepted_after(released: asyncio.Event) -> Accepted:
    await released.wait()
    return Accepted()


def _raise(error: BaseException) -> Any:
    raise error


FATES = {
    "refused": (lambda: Rejected("permanent", "message"), "failed", ["failed"]),
    "raised": (lambda: _raise(ValueError("no")), "unknown", ["unknown"]),
    "exited": (lambda: _raise(SystemExit(1)), "unknown", ["unknown"]),
    "a cancellation that is not ours": (lambda: _raise(asyncio.CancelledError()), "unknown", ["unknown"]),
}


@pytest.mark.parametrize("waits", [False, True], ids=["at once", "later"])
@pytest.mark.parametrize("fate", FATES)
async def test_what_becomes_of_one_is_nothing_to_the_others(walked: Any, fate: str, waits: bool) -> None:
    what, counted, states = FATES[fate]
    provider = Provider(waits=waits, on_doubt=Askable(), fate=lambda person: what() if person == "2" else None)
    tale = await walked(provider)
    assert await tale.go() == {"claimed": PEOPLE, "sent": PEOPLE - 1, counted: 1}
    found = tale.states()
    assert found.pop("2") == states
    assert set(map(tuple, found.values())) == {("sent", "scheduled")}
    await tale.end()


async def test_one_whose_provider_says_nothing_in_time_is_a_doubt(walked: Any) -> None:
    provider = Provider(on_doubt=Askable(), fate=lambda person: asyncio.sleep(60) if person == "2" else None)
    tale = await walked(provider, adapter_timeout_seconds=0.05)
    assert await tale.go() == {"claimed": PEOPLE, "sent": PEOPLE - 1, "unknown": 1}
    await tale.end()


async def test_a_message_that_cannot_be_made_does_not_hold_up_the_others(
    walked: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    render = Runtime.render

    def failing(self: Runtime, claim: Any, *rest: Any) -> Any:
        return _raise(ZeroDivisionError()) if claim.subscriber_id == "1" else render(self, claim, *rest)

    monkeypatch.setattr(Runtime, "render", failing)
    tale = await walked(Provider())
    assert await tale.go() == {"claimed": PEOPLE, "sent": PEOPLE - 1, "retried": 1}
    assert tale.states()["1"] == ["scheduled"]
    await tale.end()


@pytest.mark.parametrize("stage", ["opens", "closes"])
async def test_the_one_row_that_the_database_refuses_does_not_take_the_others_with_it(walked: Any, stage: str) -> None:
    tale = await walked(Provider())
    collector = getattr(tale.dispatcher, stage)
    carry_out = collector._carry_out

    async def refusing(items: Sequence[Any]) -> Any:
        if any(_is_the_poisoned(each) for each in items):
            raise ValueError("refused")
        return await carry_out(items)

    collector._carry_out = refusing
    counted = await tale.go()
    assert counted["sent"] == (PEOPLE - 1 if stage == "opens" else PEOPLE)
    assert len(tale.world.provider.outbox) == counted["sent"]
    told = tale.world.query(
        "select a.provider_response ->> 'reason', j.reasons::text from dripdrop.journal j left join"
        " dripdrop.delivery_attempts a on a.execution_id = j.execution_id join dripdrop.enrollments e"
        " on e.id = j.enrollment_id where e.subscriber_id = '4' and j.event in ('sent', 'failed')"
    )
    assert len(told) == 1
    assert "unstorable" in f"{told[0]}"
    await tale.end()


def _is_the_poisoned(item: Any) -> bool:
    if hasattr(item, "recipient") and isinstance(item.recipient, str):
        return bool(item.recipient == "p4@example.org")
    return bool(item.claim.subscriber_id == "4" and item.response is None)


async def test_what_was_paused_meanwhile_is_handed_back_and_the_others_go(walked: Any) -> None:
    tale = await walked(Provider())
    carry_out = tale.dispatcher.opens._carry_out

    async def after_a_pause(items: Sequence[Any]) -> Any:
        ((paused,),) = tale.world.query("select id from dripdrop.enrollments where subscriber_id = '5'")
        await tale.world.drip.pause(paused)
        return await carry_out(items)

    tale.dispatcher.opens._carry_out = after_a_pause
    assert await tale.go() == {"claimed": PEOPLE, "sent": PEOPLE - 1, "handed_back": 1}
    assert tale.states()["5"] == ["scheduled"]
    await tale.end()


@pytest.mark.parametrize("lost", ["before opening", "while opening"])
async def test_without_a_lease_nothing_leaves(walked: Any, lost: str) -> None:
    tale = await walked(Provider())
    lease, carry_out = tale.dispatcher.lease, tale.dispatcher.opens._carry_out
    if lost == "before opening":
        lease.seconds = -1.0
    else:

        async def slowly(items: Sequence[Any]) -> Any:
            results = await carry_out(items)
            lease.seconds = -1.0
            return results

        tale.dispatcher.opens._carry_out = slowly
    await tale.go()
    assert tale.world.provider.calls == []
    assert set(map(tuple, tale.states().values())) == {("scheduled",)}
    await tale.end()


async def test_a_lease_that_ends_between_two_sends_stops_the_rest(walked: Any) -> None:
    sent: list[str] = []

    def fate(person: str) -> None:
        sent.append(person)
        if len(sent) == 3:
            tale.dispatcher.lease.seconds = -1.0

    tale = await walked(Provider(fate=fate))
    counted = await tale.go()
    assert len(tale.world.provider.calls) == len(sent) == counted["sent"] == 3
    assert counted["retried"] == PEOPLE - 3
    await tale.end()


async def test_what_is_abandoned_in_the_middle_is_taken_over(walked: Any) -> None:
    never = asyncio.Event()
    provider = Provider(fate=lambda person: never.wait() if int(person) % 2 else None)
    tale = await walked(provider)
    await tale.dispatcher.claim()
    await until(lambda: tale.dispatcher.counts["sent"] == 4)
    tale.dispatcher.abandon()
    async with asyncio.timeout(30):
        await tale.dispatcher.settled()
    assert tale.dispatcher.in_flight == 0
    tale.world.query("update dripdrop.workers set heartbeat_at = heartbeat_at - interval '1 hour'")
    provider.fate = None
    await tale.world.drip.drain(until=tale.world.clock.now() + timedelta(hours=1))
    assert set(map(tuple, tale.states().values())) == {("sent", "scheduled")}
    assert len(provider.outbox) == PEOPLE
    await tale.end()


async def test_what_fell_due_behind_a_backlog_is_found_when_it_ends(walked: Any) -> None:
    tale = await walked(Provider())
    dispatcher, world = tale.dispatcher, tale.world

    async def claimed(limit: int) -> set[str]:
        before = {each.enrollment.subscriber_id for each in world.provider.calls}
        await dispatcher.claim(limit)
        await dispatcher.settled()
        return {each.enrollment.subscriber_id for each in world.provider.calls} - before

    late = "select enrollment_id from dripdrop.execution_queue where due_at <= %s order by due_at desc limit 1"
    await claimed(3)
    assert dispatcher.watermark is not None
    world.query(
        f"update dripdrop.execution_queue set due_at = due_at - interval '1 hour' where enrollment_id = ({late})",
        world.clock.now(),
    )
    assert len(await claimed(3)) == 3, "the others come first: it lies behind the watermark"
    assert await claimed(3) == set()
    assert dispatcher.watermark is None
    assert dispatcher.pause == BREATH
    assert len(await claimed(3)) == 1
    await tale.end()


@pytest.mark.parametrize(
    ("ahead", "pause"),
    [(timedelta(seconds=0.4), 0.4), (timedelta(milliseconds=1), BREATH), (timedelta(hours=1), TICK), (None, TICK)],
)
async def test_the_next_look_is_when_the_next_one_falls_due(walked: Any, ahead: timedelta | None, pause: float) -> None:
    tale = await walked(Provider())
    dispatcher, world = tale.dispatcher, tale.world
    await dispatcher.claim()
    assert dispatcher.pause == BREATH, "where there were some there may be more in a moment"
    await dispatcher.settled()
    due_at = "infinity" if ahead is None else (world.clock.now() + ahead).isoformat()
    world.query("update dripdrop.execution_queue set due_at = %s::timestamptz", due_at)
    assert await dispatcher.claim() == 0
    assert dispatcher.pause == pytest.approx(pause)
    await tale.end()


async def test_a_look_that_fails_is_repeated_after_a_whole_tick(walked: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    tale = await walked(Provider())
    await tale.go()
    assert tale.dispatcher.pause == BREATH
    monkeypatch.setattr(tale.world.runtime.database, "run", lambda operation: _raise(ConnectionError()))
    with pytest.raises(ConnectionError):
        await tale.dispatcher.claim()
    assert tale.dispatcher.pause == TICK
    monkeypatch.undo()
    await tale.end()
