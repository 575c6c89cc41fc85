"""Each thing that enrolling, tracking and resolving refuse, with its code and its cure."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from tests.world import NOON, TWO_STEPS, Doomed, World, ann

from dripdrop import Conflict, DripDropError, NotFound
from dripdrop.operations import enrolling
from dripdrop.rules.definition import OnEvent, Step, Version
from dripdrop.rules.outcome import Neither, Unknown
from dripdrop.testing import FakeProvider, FrozenClock


@pytest.fixture
async def world(database_url: str) -> AsyncIterator[World]:
    made = World(database_url, FakeProvider(on_doubt=Neither()), FrozenClock(NOON))
    await made.begin()
    yield made
    await made.close()


def code(caught: Any) -> str:
    assert isinstance(caught.value, DripDropError)
    assert caught.value.cure
    return str(caught.value.code)


@pytest.mark.parametrize(
    "subscriber", [None, (), ("user",), ("user", ""), ("", 1), {"type": "user"}, ("user", "x" * 256)]
)
async def test_a_subscriber_is_a_type_and_an_id(world: World, subscriber: Any) -> None:
    with pytest.raises(DripDropError) as caught:
        await world.drip.enroll("onboarding", subscriber=subscriber)
    assert code(caught) == "missing_subscriber"


@pytest.mark.parametrize("data", [["a"], "text", {"name": "\x00"}])
async def test_data_is_a_mapping_that_can_be_kept(world: World, data: Any) -> None:
    with pytest.raises(DripDropError) as caught:
        await world.drip.enroll("onboarding", subscriber=("user", 1), data=data)
    assert code(caught) == "bad_data"


async def test_nobody_enters_what_is_not_there_or_switched_off(world: World) -> None:
    with pytest.raises(NotFound):
        await world.drip.enroll("onbording", subscriber=("user", 1))
    await world.drip.sequences.create("empty", name="Empty")
    with pytest.raises(DripDropError) as caught:
        await world.drip.enroll("empty", subscriber=("user", 1))
    assert code(caught) == "no_active_version"
    await world.drip.sequences.update("onboarding", active=False)
    with pytest.raises(DripDropError) as caught:
        await world.drip.enroll("onboarding", subscriber=("user", 1))
    assert code(caught) == "sequence_inactive"


async def test_whoever_has_been_through_may_not_enter_again_unless_the_sequence_says_so(world: World) -> None:
    await world.enroll(1)
    await world.drip.drain(until=world.clock.now() + timedelta(days=9))
    with pytest.raises(DripDropError) as caught:
        await world.enroll(1)
    assert code(caught) == "reenrollment_not_allowed"
    (result,) = await world.drip.enroll_many("onboarding", [{"subscriber": ("user", 1), "data": ann()}])
    assert result.error is not None
    assert result.error.code == "reenrollment_not_allowed"
    await world.drip.sequences.apply({**TWO_STEPS, "reentry": "always"})
    assert (await world.drip.enroll("onboarding", subscriber=("user", 1), data=ann())).created


async def test_every_row_of_a_bulk_has_its_own_result(world: World) -> None:
    rows = [{"subscriber": ("user", number), "data": ann()} for number in range(3)]
    results = await world.drip.enroll_many(
        "onboarding", [*rows, rows[1], {"subscriber": None}, {"subscriber": ("user", 9), "data": "x"}]
    )
    assert [each.created for each in results] == [True, True, True, False, False, False]
    assert [each.error.code if each.error else None for each in results] == [
        None, None, None, "duplicate_row", "missing_subscriber", "bad_data",
    ]  # fmt: skip


async def test_a_way_that_leads_nowhere_refuses_at_the_door(world: World) -> None:
    only_pro = {
        "sequence": "gated",
        "name": "Gated",
        "steps": {"a": {"channel": "email", "subject": "A", "text": "A"}},
    }
    applied = await world.drip.sequences.apply(only_pro)
    world.query("update dripdrop.steps set active = false where sequence_version_id = %s", applied.version.id)
    with pytest.raises(DripDropError) as caught:
        await world.drip.enroll("gated", subscriber=("user", 1))
    assert code(caught) == "no_first_step"


async def test_nobody_is_moved_while_a_message_is_on_its_way_nor_into_another_sequence(world: World) -> None:
    enrollment = await world.enroll()
    other = await world.drip.sequences.apply({**TWO_STEPS, "sequence": "other"})
    with pytest.raises(DripDropError) as caught:
        await world.drip.enrollments.move(enrollment, version=other.version.id)
    assert code(caught) == "other_sequence"
    await Doomed(world).claim()
    with pytest.raises(DripDropError) as caught:
        await world.drip.enrollments.move(enrollment)
    assert code(caught) == "move_on_the_way"


async def test_a_doubt_is_settled_only_as_what_can_be_and_by_one_at_a_time(world: World) -> None:
    world.provider.answers = lambda delivery: Unknown()
    enrollment = await world.enroll()
    await world.drip.drain()
    (held,) = await world.drip.executions.list(enrollment=enrollment)
    with pytest.raises(DripDropError) as caught:
        await world.drip.executions.resolve(held.id, as_="maybe")
    assert code(caught) == "resolve_as"
    with pytest.raises(NotFound):
        await world.drip.executions.resolve(uuid4(), as_="sent")
    worker = uuid4()
    world.query("update dripdrop.execution_queue set worker_id = %s", worker)
    with pytest.raises(Conflict) as caught_held:
        await world.drip.executions.resolve(held.id, as_="sent")
    assert code(caught_held) == "execution_held"
    world.query("update dripdrop.execution_queue set worker_id = null")
    await world.drip.unenroll(enrollment)
    with pytest.raises(DripDropError) as caught:
        await world.drip.executions.resolve(held.id, as_="resend")
    assert code(caught) == "enrollment_not_active"
    assert await world.drip.executions.resolve(held.id, as_="drop") == "cancelled"


async def test_an_event_has_a_name(world: World) -> None:
    with pytest.raises(DripDropError) as caught:
        await world.drip.track(" ", subscriber=("user", 1))
    assert code(caught) == "missing_event"


def test_whoever_left_in_the_very_moment_is_asked_to_try_again() -> None:
    """The winner of a race ended between the two statements: played by hand, since no clock can time it."""
    step = Step(uuid4(), "a", "A", "email", 1, TWO_STEPS_TIMING, {"subject": "A", "text": "A"})
    version = Version(uuid4(), uuid4(), "s", "S", "", 1, "active", "lifecycle", (step,))
    with pytest.raises(Conflict) as caught:
        enrolling._welcome(None, version)
    assert code(caught) == "enroll_race"


async def test_an_event_cannot_have_happened_tomorrow_nor_at_no_instant(world: World) -> None:
    tomorrow = world.clock.now() + timedelta(days=1)
    for at, wanted in (
        (tomorrow, "future_event"),
        (tomorrow.replace(tzinfo=None), "naive_time"),
        ("now", "naive_time"),
    ):
        with pytest.raises(DripDropError) as caught:
            await world.drip.track("booked", subscriber=("user", 1), occurred_at=at)
        assert code(caught) == wanted


TWO_STEPS_TIMING = OnEvent("never")
