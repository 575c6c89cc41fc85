"""While a message may have arrived, whatever happens to the next try must not let it arrive twice."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from tests.engine.conftest import MakeWorld
from tests.world import World

from dripdrop import Accepted, Idempotent, Rejected, Unknown
from dripdrop.engine import dispatcher as dispatching
from dripdrop.engine.dispatcher import Lease
from dripdrop.engine.runtime import Runtime
from dripdrop.engine.worker import Worker
from dripdrop.testing import FakeProvider

ONE_STEP = {
    "sequence": "onboarding",
    "name": "Onboarding",
    "steps": {"welcome": {"channel": "email", "subject": "Welcome", "text": "Hello {{ name }}"}},
}
DAY = timedelta(days=1)


class Forgetful(FakeProvider):
    """De-duplicates by key. It answers in turn; what it is unsure of has arrived."""

    def __init__(self, *answers: Any, window: timedelta = DAY) -> None:
        super().__init__(on_doubt=Idempotent(window), dedupe=True)
        self.script = list(answers)

    async def deliver(self, delivery: Any, config: Any) -> Any:
        self.calls.append(delivery)
        answer = self.script.pop(0) if self.script else Accepted("late")
        if not isinstance(answer, Rejected):
            self.take(delivery)
        return answer


REFUSALS = [
    Rejected("temporary", "adapter", detail={"reason": "connect"}),
    Rejected("temporary", "throttled"),
    Rejected("temporary", "message"),
]


@pytest.mark.parametrize("refusal", REFUSALS, ids=lambda refusal: refusal.cause)
async def test_a_refusal_after_a_doubt_keeps_the_key_and_the_content(make_world: MakeWorld, refusal: Rejected) -> None:
    world = await make_world(Forgetful(Unknown(), refusal), ONE_STEP)
    enrollment = await world.enroll()
    await world.drip.drain()
    await world.drip.enrollments.update_data(enrollment, {"name": "Somebody else"})
    await world.drip.drain(until=world.clock.now() + timedelta(hours=6))
    first, second, third = world.provider.calls
    assert first.idempotency_key == second.idempotency_key == third.idempotency_key
    assert first.message == second.message == third.message
    assert len(world.provider.outbox) == 1
    assert await world.state(enrollment) == [("welcome", "sent")]


async def test_a_refusal_without_any_doubt_makes_a_new_key(make_world: MakeWorld) -> None:
    world = await make_world(Forgetful(Rejected("temporary")), ONE_STEP)
    await world.enroll()
    await world.drip.drain(until=world.clock.now() + timedelta(hours=6))
    first, second = world.provider.calls
    assert first.idempotency_key != second.idempotency_key


async def test_after_an_outage_longer_than_the_provider_remembers_a_person_decides(make_world: MakeWorld) -> None:
    world = await make_world(Forgetful(Unknown(), window=timedelta(hours=1)), ONE_STEP)
    enrollment = await world.enroll()
    await world.drip.drain()
    world.clock.advance(days=2)
    await world.drip.drain(until=world.clock.now() + DAY)
    assert len(world.provider.calls) == 1, "the provider would have taken it for a new message"
    (held,) = await world.drip.executions.list(enrollment=enrollment)
    assert held.state == "unknown"

    await world.drip.executions.resolve(held.id, as_="resend")
    await world.drip.drain(until=world.clock.now() + DAY)
    assert len(world.provider.calls) == 2, "a person's word counts"
    assert await world.state(enrollment) == [("welcome", "sent")]


async def test_a_step_whose_author_chose_to_resend_is_sent_after_the_outage(make_world: MakeWorld) -> None:
    document = {**ONE_STEP, "steps": {"welcome": {**ONE_STEP["steps"]["welcome"], "on_unknown": "resend"}}}
    world = await make_world(Forgetful(Unknown(), window=timedelta(hours=1)), document)
    enrollment = await world.enroll()
    await world.drip.drain()
    world.clock.advance(days=2)
    await world.drip.drain(until=world.clock.now() + DAY)
    assert len(world.provider.calls) == 2
    assert await world.state(enrollment) == [("welcome", "sent")]


async def claimed_by(world: World) -> tuple[Worker, dispatching.Dispatcher]:
    worker = Worker(world.runtime)
    return worker, await worker.start()


@pytest.mark.parametrize("lost", ["before opening", "while opening"])
async def test_a_worker_whose_lease_ran_out_sends_nothing_and_loses_nothing(make_world: MakeWorld, lost: str) -> None:
    world = await make_world(FakeProvider(), ONE_STEP)
    enrollment = await world.enroll()
    worker, dispatcher = await claimed_by(world)
    if lost == "before opening":
        dispatcher.lease.seconds = -1.0
    else:
        carry_out = dispatcher.opens._carry_out

        async def slowly(items: Any) -> Any:
            results = await carry_out(items)
            dispatcher.lease.seconds = -1.0
            return results

        dispatcher.opens._carry_out = slowly
    await dispatcher.claim()
    await dispatcher.settled()
    assert world.provider.calls == []
    assert await world.state(enrollment) == [("welcome", "scheduled")]
    await worker.close()
    await world.drip.drain(until=world.clock.now() + timedelta(hours=1))
    assert await world.state(enrollment) == [("welcome", "sent")]
    assert len(world.provider.outbox) == 1


async def test_a_worker_without_a_lease_claims_nothing(make_world: MakeWorld) -> None:
    world = await make_world(FakeProvider(), ONE_STEP)
    enrollment = await world.enroll()
    worker, dispatcher = await claimed_by(world)
    dispatcher.lease.seconds = -1.0
    assert await worker._dispatch() is False
    assert await world.state(enrollment) == [("welcome", "scheduled")]
    await worker.close()


def test_a_lease_that_was_lost_and_confirmed_again_does_not_cover_what_was_opened_before() -> None:
    lease = Lease(uuid4(), 60.0)
    turn = lease.turn
    assert lease.holds(turn)
    lease.confirm(lease.confirmed_at + 59.0)
    assert lease.turn == turn
    lease.confirm(lease.confirmed_at + 60.0)
    assert not lease.holds(turn), "somebody may have taken it over meanwhile"
    assert lease.holds(lease.turn)


async def test_what_breaks_unforeseen_before_the_wire_is_tried_again_and_then_given_up(
    make_world: MakeWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    document = {**ONE_STEP, "steps": {"welcome": {**ONE_STEP["steps"]["welcome"], "retries": 2}}}
    world = await make_world(FakeProvider(), document)
    enrollment = await world.enroll()
    tries: list[int] = []

    def broken(*given: Any) -> Any:
        tries.append(1)
        raise ZeroDivisionError

    monkeypatch.setattr(Runtime, "render", broken)
    await world.drip.drain(until=world.clock.now() + DAY)
    assert len(tries) == 3
    assert await world.state(enrollment) == [("welcome", "failed")]
    assert "internal_error" in str(world.query("select reasons from dripdrop.journal"))


async def test_what_breaks_unforeseen_after_the_wire_is_a_doubt(
    make_world: MakeWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = await make_world(FakeProvider(), ONE_STEP)
    enrollment = await world.enroll()
    runtime = world.runtime

    async def broken(*given: Any, **more: Any) -> Any:
        await asyncio.sleep(0)
        raise ZeroDivisionError

    monkeypatch.setattr(runtime.speaker, "send", broken)
    await world.drip.drain(until=world.clock.now() + DAY)
    assert await world.state(enrollment) == [("welcome", "unknown")]
