"""What comes again and again, and what is found late: told with dates."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.engine.conftest import MakeWorld
from tests.world import World

DAYS = timedelta(days=1)


def sequence(**steps: Mapping[str, Any]) -> dict[str, Any]:
    written = {key: {"channel": "email", "subject": key, "text": "Hm", **step} for key, step in steps.items()}
    return {"sequence": "onboarding", "name": "Onboarding", "steps": written}


def sent_at(world: World) -> list[str]:
    rows = world.query(
        "select started_at from dripdrop.delivery_attempts where outcome = 'succeeded' order by started_at"
    )
    return [f"{at.astimezone(UTC):%a %d %H:%M}" for (at,) in rows]


async def test_a_recurring_step_goes_at_each_occurrence_as_often_as_it_says(make_world: MakeWorld) -> None:
    document = sequence(tips={"timing": "every monday at 9am", "repeat": 3, "window": False}, done={"window": False})
    world = await make_world(document=document)
    enrollment = await world.enroll()  # Monday, 4 March 2030, 12:00
    await world.drip.drain(until=world.clock.now() + 60 * DAYS)
    assert sent_at(world) == ["Mon 11 09:00", "Mon 18 09:00", "Mon 25 09:00", "Mon 25 09:00"]
    assert world.provider.outbox.steps() == ["tips", "tips", "tips", "done"]
    assert [each for each, _ in await world.state(enrollment)] == ["tips", "tips", "tips", "done"]


async def test_without_repeat_a_recurring_step_goes_once(make_world: MakeWorld) -> None:
    world = await make_world(document=sequence(tips={"timing": "every monday at 9am"}, done={}))
    await world.enroll()
    await world.drip.drain(until=world.clock.now() + 60 * DAYS)
    assert world.provider.outbox.steps() == ["tips", "done"]


async def test_a_delay_repeats_at_its_distance(make_world: MakeWorld) -> None:
    world = await make_world(document=sequence(tips={"timing": "in 2 days", "repeat": 3}))
    enrollment = await world.enroll()
    await world.drip.drain(until=world.clock.now() + 30 * DAYS)
    assert sent_at(world) == ["Wed 06 12:00", "Fri 08 12:00", "Sun 10 12:00"]
    assert (await world.drip.enrollments.get(enrollment)).state == "completed"


async def test_for_ever_is_until_somebody_leaves(make_world: MakeWorld) -> None:
    world = await make_world(document=sequence(tips={"timing": "every day at 13:00", "repeat": True}))
    enrollment = await world.enroll()
    await world.drip.drain(until=world.clock.now() + 20 * DAYS)
    assert len(world.provider.outbox) == 20
    await world.drip.unenroll(enrollment)
    await world.drip.drain(until=world.clock.now() + 5 * DAYS)
    assert len(world.provider.outbox) == 20


async def test_an_occurrence_that_its_condition_skips_is_no_send(make_world: MakeWorld) -> None:
    tips = {"timing": "every day at 13:00", "repeat": 2, "when": {"field": "wants", "is": "==", "value": "yes"}}
    world = await make_world(document=sequence(tips=tips, done={}))
    enrollment = await world.enroll(wants="no")
    await world.drip.drain(until=world.clock.now() + 3 * DAYS)
    assert world.provider.outbox.steps() == []
    await world.drip.enrollments.update_data(enrollment, {"wants": "yes"})
    await world.drip.drain(until=world.clock.now() + 5 * DAYS)
    assert world.provider.outbox.steps() == ["tips", "tips", "done"]


async def test_a_loop_that_comes_back_to_a_repeated_step_counts_anew(make_world: MakeWorld) -> None:
    document = sequence(
        tips={"timing": "in 1 day", "repeat": 2}, rest={"timing": "in 10 days", "next": [{"goto": "tips"}]}
    )
    world = await make_world(document=document)
    await world.enroll()
    await world.drip.drain(until=world.clock.now() + 15 * DAYS)
    assert world.provider.outbox.steps() == ["tips", "tips", "rest", "tips", "tips"]


@pytest.mark.parametrize(
    ("late", "wanted"),
    [("send", ["tips", "done"]), ("skip", ["done"]), ({"do": "skip", "after": "in 4 hours"}, ["tips", "done"])],
)
async def test_what_an_outage_made_late_goes_as_its_step_says(make_world: MakeWorld, late: Any, wanted: Any) -> None:
    world = await make_world(document=sequence(tips={"timing": "in 1 hour", "late": late}, done={}))
    await world.enroll()
    world.clock.advance(hours=4)  # nobody worked for three hours
    await world.drip.drain()
    assert world.provider.outbox.steps() == wanted


async def test_what_is_spaced_out_goes_within_the_span_and_not_at_once(make_world: MakeWorld) -> None:
    tips = {"timing": "in 1 hour", "late": {"do": "space", "over": "in 1 hour"}, "window": False}
    world = await make_world(document=sequence(tips=tips))
    for who in range(20):
        await world.enroll(who)
    world.clock.advance(hours=5)
    back = world.clock.now()
    await world.drip.drain(until=back + timedelta(hours=1))
    rows = world.query("select started_at from dripdrop.delivery_attempts")
    moments = sorted(at for (at,) in rows)
    assert len(moments) == 20
    assert back <= moments[0] < moments[-1] <= back + timedelta(hours=1)
    assert len(set(moments)) > 15


async def test_what_a_recurring_step_missed_is_not_caught_up_with(make_world: MakeWorld) -> None:
    tips = {"timing": "every day at 13:00", "repeat": 3, "late": "skip", "window": False}
    world = await make_world(document=sequence(tips=tips))
    enrollment = await world.enroll()
    world.clock.set(datetime(2030, 3, 9, 18, tzinfo=UTC))  # five days without a worker
    await world.drip.drain(until=datetime(2030, 3, 20, tzinfo=UTC))
    assert sent_at(world) == ["Sun 10 13:00", "Mon 11 13:00", "Tue 12 13:00"]
    assert (await world.state(enrollment))[0] == ("tips", "skipped")
