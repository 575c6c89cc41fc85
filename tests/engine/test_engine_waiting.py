"""Who waits for an event, is woken by it, or waits in vain: told with dates."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from tests.engine.conftest import MakeWorld
from tests.world import World

DAYS = timedelta(days=1)


def waiting(**step: Any) -> dict[str, Any]:
    """A welcome, then a step that waits for a booking, then a nudge."""
    timing = step.pop("timing", {"event": "booked", "match": {"kind": "live"}, "timeout": "in 7 days"})
    return {
        "sequence": "onboarding",
        "name": "Onboarding",
        "steps": {
            "welcome": {"channel": "email", "subject": "Welcome", "text": "Hello"},
            "booked": {
                "channel": "email", "timing": timing, "subject": "Booked", "text": "At {{ event.place }}", **step,
            },
            "nudge": {"channel": "email", "timing": "in 1 day", "subject": "Still there?", "text": "Hm"},
        },
    }  # fmt: skip


def text_of(world: World) -> str:
    message: Any = world.provider.outbox.deliveries[-1].message
    return str(message.text)


async def track(world: World, who: Any = 42, **data: Any) -> Any:
    return await world.drip.track("booked", subscriber=("user", who), data={"kind": "live", "place": "Graz", **data})


async def events(world: World, enrollment: Any) -> list[str]:
    return [line.event for line in await world.drip.journal.list(enrollment=enrollment)]


@pytest.fixture
async def world(make_world: MakeWorld) -> World:
    return await make_world(document=waiting())


async def test_a_step_goes_when_its_event_comes_and_not_before(world: World) -> None:
    enrollment = await world.enroll()
    await world.drip.drain(until=world.clock.now() + 3 * DAYS)
    assert await world.state(enrollment) == [("welcome", "sent"), ("booked", "waiting")]
    await track(world)
    await world.drip.drain()
    assert world.provider.outbox.steps() == ["welcome", "booked"]
    assert "At Graz" in text_of(world)
    assert await events(world, enrollment) == ["enrolled", "sent", "woken", "sent"]


async def test_an_event_that_does_not_match_wakes_nobody(world: World) -> None:
    enrollment = await world.enroll()
    await world.drip.drain()
    await track(world, kind="video")
    await track(world, who=43)
    await world.drip.track("looked", subscriber=("user", 42), data={"kind": "live"})
    await world.drip.drain()
    assert await world.state(enrollment) == [("welcome", "sent"), ("booked", "waiting")]


async def test_a_wait_in_vain_ends_and_the_path_goes_on(world: World) -> None:
    enrollment = await world.enroll()
    await world.drip.drain(until=world.clock.now() + 7 * DAYS)
    found = {each.step: each for each in await world.drip.executions.list(enrollment=enrollment)}
    assert (found["booked"].state, found["booked"].reason) == ("skipped", "timed_out")
    assert found["nudge"].scheduled_for == world.clock.now() + DAYS
    await track(world)
    await world.drip.drain(until=world.clock.now() + DAYS)
    assert world.provider.outbox.steps() == ["welcome", "nudge"]


async def test_a_wait_in_vain_goes_where_its_timing_says(make_world: MakeWorld) -> None:
    document = waiting(timing={"event": "booked", "timeout": "in 7 days", "timeout_goto": "sorry"})
    document["steps"]["sorry"] = {"channel": "email", "subject": "Sorry", "text": "Hm", "next": "end"}
    world = await make_world(document=document)
    await world.enroll()
    await world.drip.drain(until=world.clock.now() + 30 * DAYS)
    assert world.provider.outbox.steps() == ["welcome", "sorry"]


async def test_an_event_that_came_before_the_step_was_reached_counts_once_it_is(world: World) -> None:
    await track(world, place="Linz")  # before the enrollment: it does not count
    world.clock.advance(minutes=1)
    enrollment = await world.enroll()
    world.clock.advance(minutes=1)
    await track(world)
    await world.drip.drain()
    assert world.provider.outbox.steps() == ["welcome", "booked"]
    assert "At Graz" in text_of(world)
    assert await events(world, enrollment) == ["enrolled", "sent", "woken", "sent"]


async def test_a_loop_that_waits_twice_needs_two_events(make_world: MakeWorld) -> None:
    document = waiting(next=[{"goto": "booked"}])
    world = await make_world(document=document)
    enrollment = await world.enroll()
    await world.drip.drain()
    await track(world, place="Graz")
    await world.drip.drain()
    assert world.provider.outbox.steps() == ["welcome", "booked"]
    assert (await world.state(enrollment))[-1] == ("booked", "waiting")
    await track(world, place="Wien")
    await world.drip.drain()
    assert world.provider.outbox.steps() == ["welcome", "booked", "booked"]
    assert "At Wien" in text_of(world)


async def test_a_pause_keeps_what_was_left_of_a_wait(world: World) -> None:
    enrollment = await world.enroll()
    await world.drip.drain(until=world.clock.now() + 2 * DAYS)
    await world.drip.pause(enrollment)
    await world.drip.drain(until=world.clock.now() + 30 * DAYS)
    await world.drip.resume(enrollment)
    (pending,) = await world.drip.executions.list(enrollment=enrollment, state="waiting")
    assert pending.scheduled_for == world.clock.now() + 5 * DAYS


async def test_an_event_during_a_pause_wakes_at_the_resume(world: World) -> None:
    enrollment = await world.enroll()
    await world.drip.drain()
    await world.drip.pause(enrollment)
    await track(world)
    await world.drip.drain()
    assert world.provider.outbox.steps() == ["welcome"]
    await world.drip.resume(enrollment)
    await world.drip.drain()
    assert world.provider.outbox.steps() == ["welcome", "booked"]


async def test_a_wait_without_end_stands_there_and_can_be_left(make_world: MakeWorld) -> None:
    world = await make_world(document=waiting(timing={"event": "booked"}))
    enrollment = await world.enroll()
    await world.drip.drain(until=world.clock.now() + 400 * DAYS)
    told = await world.drip.explain(enrollment=enrollment)
    assert "booked waits for the event booked" in told.sentence
    assert told.next_at is None
    assert told.release == "Track the event booked for this person"
    await world.drip.unenroll(enrollment)
    assert await world.state(enrollment) == [("welcome", "sent"), ("booked", "cancelled")]


async def test_explain_says_for_what_and_until_when_somebody_waits(world: World) -> None:
    enrollment = await world.enroll()
    await world.drip.drain()
    told = await world.drip.explain(enrollment=enrollment)
    assert "booked waits for the event booked, until 2030-03-11 12:00 UTC at the latest" in told.sentence
    assert told.next_at == world.clock.now() + 7 * DAYS


async def test_who_waits_can_be_moved_to_another_version(world: World) -> None:
    enrollment = await world.enroll()
    await world.drip.drain()
    await world.drip.sequences.apply(waiting(timing={"event": "booked", "timeout": "in 2 days"}))
    await world.drip.enrollments.move(enrollment)
    assert await world.state(enrollment) == [("welcome", "sent"), ("booked", "cancelled"), ("booked", "waiting")]
    await world.drip.drain(until=world.clock.now() + 3 * DAYS)
    assert world.provider.outbox.steps() == ["welcome", "nudge"]


async def test_who_enters_by_a_step_that_waits_is_looked_back_for(make_world: MakeWorld) -> None:
    document = waiting()
    del document["steps"]["welcome"]
    world = await make_world(document=document)
    enrollment = await world.enroll()
    assert await world.state(enrollment) == [("booked", "waiting")]
    await track(world)
    await world.drip.drain()
    assert world.provider.outbox.steps() == ["booked"]


async def test_an_event_of_one_enrollment_wakes_no_other(world: World) -> None:
    first, second = await world.enroll(1), await world.enroll(2)
    await world.drip.drain()
    await world.drip.track("booked", enrollment=first, data={"kind": "live", "place": "Graz"})
    await world.drip.drain()
    assert (await world.state(first))[1] == ("booked", "sent")
    assert (await world.state(second))[1] == ("booked", "waiting")


async def test_a_stop_holds_who_was_woken_and_who_waits_in_vain(world: World) -> None:
    enrollment = await world.enroll()
    await world.drip.drain()
    await world.drip.stop(sequence="onboarding")
    await world.drip.drain(until=world.clock.now() + 7 * DAYS + timedelta(minutes=5))
    assert (await world.state(enrollment))[1] == ("booked", "waiting")
    await world.drip.go(sequence="onboarding")
    await world.drip.drain(until=world.clock.now() + timedelta(minutes=10))
    assert (await world.state(enrollment))[1] == ("booked", "skipped")


async def test_a_message_in_doubt_says_the_same_about_its_event(make_world: MakeWorld) -> None:
    from dripdrop import Idempotent, Unknown
    from dripdrop.testing import FakeProvider

    answers: list[Any] = [Unknown(), None]
    provider = FakeProvider(on_doubt=Idempotent(DAYS), answers=lambda _: answers.pop(0))
    document = waiting()
    del document["steps"]["welcome"]
    world = await make_world(provider, document)
    await world.enroll()
    await track(world)
    await world.drip.drain()
    kept = world.query("select answers from dripdrop.delivery_attempts")
    assert kept == [({"event": {"kind": "live", "place": "Graz"}},)]
    await world.drip.drain(until=world.clock.now() + timedelta(hours=1))
    said: list[Any] = [each.message for each in world.provider.calls]
    assert [each.text for each in said] == ["At Graz", "At Graz"]
