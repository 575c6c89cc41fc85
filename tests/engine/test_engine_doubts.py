"""A worker dies between any two of its stages; another finishes, and nobody gets anything twice."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from tests.engine.conftest import MakeWorld
from tests.world import Doomed, World

from dripdrop import Accepted, Askable, CannotTell, Idempotent, Neither
from dripdrop.operations.delivering import Stale
from dripdrop.rules.outcome import NotFound
from dripdrop.testing import FakeProvider

AFTER = ("claim", "open", "send", "close")
LONG = timedelta(days=30)


class AskableProvider(FakeProvider):
    """Can be asked, and knows what it took."""

    def __init__(self) -> None:
        super().__init__(on_doubt=Askable(after=timedelta(seconds=30), give_up=timedelta(hours=1)))
        self.asked = 0
        self.silent = False

    async def find(self, delivery: Any, config: Any) -> Any:
        self.asked += 1
        if self.silent:
            return CannotTell()
        if any(each.id == delivery.id for each in self.outbox.deliveries):
            return Accepted("found")
        return NotFound()


async def doomed_until(world: World, stage: str) -> None:
    """A worker that dies right after a stage."""
    doomed = Doomed(world)
    (judged,) = await doomed.claim()
    if stage != "claim":
        await doomed.open(judged)
    if stage in ("send", "close"):
        doomed.send(judged)
    if stage == "close":
        await doomed.close(judged, Accepted("x"))
    doomed.die()


@pytest.mark.parametrize("stage", AFTER)
async def test_an_idempotent_receiver_gets_each_message_once_wherever_the_worker_died(
    make_world: MakeWorld, stage: str
) -> None:
    world = await make_world(FakeProvider(on_doubt=Idempotent(timedelta(hours=24)), dedupe=True))
    enrollment = await world.enroll()
    await doomed_until(world, stage)
    await world.drip.drain(until=world.clock.now() + LONG)
    assert world.provider.outbox.steps() == ["welcome", "nudge"]
    assert await world.state(enrollment) == [("welcome", "sent"), ("nudge", "sent")]
    assert (await world.drip.enrollments.get(enrollment)).state == "completed"


@pytest.mark.parametrize("stage", AFTER)
async def test_a_receiver_that_can_neither_de_duplicate_nor_be_asked_is_never_written_to_twice(
    make_world: MakeWorld, stage: str
) -> None:
    world = await make_world(FakeProvider(on_doubt=Neither()))
    enrollment = await world.enroll()
    await doomed_until(world, stage)
    await world.drip.drain(until=world.clock.now() + LONG)
    if stage in ("open", "send"):
        assert await world.state(enrollment) == [("welcome", "unknown")]
        assert len(world.provider.outbox) == (1 if stage == "send" else 0)
        (held,) = await world.drip.executions.list(enrollment=enrollment)
        assert [attempt.outcome for attempt in held.attempts] == ["unknown"]
        await world.drip.executions.resolve(held.id, as_="sent" if stage == "send" else "resend")
        await world.drip.drain(until=world.clock.now() + LONG)
    assert world.provider.outbox.steps() == ["welcome", "nudge"]
    assert await world.state(enrollment) == [("welcome", "sent"), ("nudge", "sent")]


@pytest.mark.parametrize("stage", AFTER)
async def test_a_receiver_that_can_be_asked_is_asked(make_world: MakeWorld, stage: str) -> None:
    provider = AskableProvider()
    world = await make_world(provider, {**_with("on_unknown", "resend")})
    enrollment = await world.enroll()
    await doomed_until(world, stage)
    await world.drip.drain(until=world.clock.now() + LONG)
    assert provider.outbox.steps() == ["welcome", "nudge"]
    assert await world.state(enrollment) == [("welcome", "sent"), ("nudge", "sent")]
    assert (provider.asked > 0) == (stage in ("open", "send"))
    if stage == "open":
        assert provider.asked > 1, "one 'not found' proves nothing"


async def test_a_receiver_that_cannot_tell_leaves_the_doubt_to_a_person(make_world: MakeWorld) -> None:
    provider = AskableProvider()
    provider.silent = True
    world = await make_world(provider)
    enrollment = await world.enroll()
    await doomed_until(world, "send")
    await world.drip.drain(until=world.clock.now() + LONG)
    assert await world.state(enrollment) == [("welcome", "unknown")]
    assert len(provider.outbox) == 1


async def test_what_a_late_worker_writes_is_stale_and_leaves_no_trace(make_world: MakeWorld) -> None:
    world = await make_world(FakeProvider(on_doubt=Neither()))
    enrollment = await world.enroll()
    doomed = Doomed(world)
    (judged,) = await doomed.claim()
    await doomed.open(judged)
    doomed.die()
    await world.drip.run_due()
    before = world.query("select * from dripdrop.journal order by seq")
    assert await doomed.close(judged, Accepted("late")) == [Stale()]
    assert world.query("select * from dripdrop.journal order by seq") == before
    assert await world.state(enrollment) == [("welcome", "unknown")]


async def test_another_content_never_goes_out_for_a_message_in_doubt(make_world: MakeWorld) -> None:
    world = await make_world(FakeProvider(on_doubt=Idempotent(timedelta(hours=24)), dedupe=True))
    enrollment = await world.enroll()
    await doomed_until(world, "send")
    world.query("update dripdrop.delivery_attempts set digest = '\\x00'")
    await world.drip.drain(until=world.clock.now() + LONG)
    assert await world.state(enrollment) == [("welcome", "unknown")]
    assert len(world.provider.calls) == 0
    explained = await world.drip.explain(enrollment=enrollment)
    assert "content_changed" in str(explained)


async def test_the_outcome_unknown_with_resend_is_sent_again_under_the_same_key(make_world: MakeWorld) -> None:
    world = await make_world(FakeProvider(on_doubt=Neither()), _with("on_unknown", "resend"))
    await world.enroll()
    await doomed_until(world, "send")
    await world.drip.drain(until=world.clock.now() + LONG)
    first, again = world.provider.outbox.deliveries[:2]
    assert first.idempotency_key == again.idempotency_key


def _with(key: str, value: Any) -> dict[str, Any]:
    from tests.world import TWO_STEPS

    return {**TWO_STEPS, "steps": {name: {**step, key: value} for name, step in TWO_STEPS["steps"].items()}}
