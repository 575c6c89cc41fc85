"""What hooks, past events and the calendar decide: told with dates."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

import pytest
from tests.engine.conftest import MakeWorld
from tests.world import KEY, World

from dripdrop import AsyncDripDrop
from dripdrop.contracts import HookUnavailable
from dripdrop.testing import FakeProvider, FrozenClock

DAYS = timedelta(days=1)
EMAIL = {"channel": "email", "text": "Hello"}


class Host:
    """The host's hook module: answers by name, functions are called; counts how often each was asked."""

    def __init__(self, **answers: Any) -> None:
        self.answers = answers
        self.asked: list[str] = []

    async def handle_hook(self, name: str, enrollment: Mapping[str, Any], context: Mapping[str, Any]) -> Any:
        self.asked.append(name)
        answer = self.answers[name]
        return await answer() if callable(answer) else answer


def down() -> Callable[[], Any]:
    async def refuse() -> Any:
        raise HookUnavailable("down")

    return refuse


def broken() -> Callable[[], Any]:
    async def refuse() -> Any:
        raise ValueError("no such person")

    return refuse


def sequence(steps: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    written = {key: {**EMAIL, "subject": key, **step} for key, step in steps.items()}
    return {"sequence": "onboarding", "name": "Onboarding", "hooks": "host", "steps": written, **more}


@pytest.fixture
def hosted(make_world: MakeWorld) -> Callable[..., Any]:
    async def make(host: Host, document: Mapping[str, Any]) -> World:
        world = await make_world()
        world.drip.plugins.register("hooks", "host", host)
        await world.drip.sequences.apply(document)
        return world

    return make


SCORED = {"when": {"hook": "score", "is": ">=", "value": 70}}
BRANCH = {
    "welcome": {"next": [{**SCORED, "goto": "vip"}, {"goto": "nudge"}]},
    "vip": {"next": "end"},
    "nudge": {"next": "end"},
}


async def test_a_steps_hook_lets_it_go_and_is_there_for_its_template(hosted: Any) -> None:
    world = await hosted(Host(score=80), sequence({"welcome": {**SCORED, "text": "You have {{ score }}"}}))
    await world.enroll()
    await world.drip.drain()
    assert [each.message.text for each in world.provider.calls] == ["You have 80"]
    assert world.query("select answers from dripdrop.delivery_attempts") == [({"hooks": {"score": 80}},)]


async def test_a_steps_hook_keeps_it_back(hosted: Any) -> None:
    world = await hosted(Host(score=10), sequence({"welcome": SCORED, "nudge": {}}))
    enrollment = await world.enroll()
    await world.drip.drain()
    assert await world.state(enrollment) == [("welcome", "skipped"), ("nudge", "sent")]
    (found, _) = sorted(await world.drip.executions.list(enrollment=enrollment), key=lambda each: each.visit)
    assert found.reason == "condition"


async def test_a_hook_that_is_only_named_fetches_a_variable(hosted: Any) -> None:
    document = sequence({"welcome": {"when": {"hook": "link"}, "text": "See {{ link }}"}})
    world = await hosted(Host(link="https://x.example"), document)
    await world.enroll()
    await world.drip.drain()
    assert [each.message.text for each in world.provider.calls] == ["See https://x.example"]


async def test_a_hook_inside_a_predicate_is_asked_too(hosted: Any) -> None:
    world = await hosted(Host(score=80), sequence({"welcome": {"when": "hook.score >= 70 and plan == 'pro'"}}))
    first, second = await world.enroll(1, plan="pro"), await world.enroll(2, plan="free")
    await world.drip.drain()
    assert await world.state(first) == [("welcome", "sent")]
    assert await world.state(second) == [("welcome", "skipped")]


async def test_a_hook_that_is_down_for_an_hour_delays_messages_and_loses_none(hosted: Any) -> None:
    host = Host(score=down())
    world = await hosted(host, sequence({"welcome": SCORED, "nudge": {}}))
    enrolled = [await world.enroll(who) for who in range(6)]
    await world.drip.drain(until=world.clock.now() + timedelta(hours=1))
    assert len(world.provider.outbox) == 0
    (pending, *_) = await world.drip.executions.list(enrollment=enrolled[0])
    assert (pending.state, pending.retry_count, pending.attempts) == ("scheduled", 0, ())
    told = await world.drip.explain(enrollment=enrolled[0])
    assert "because the hook score could not be asked" in told.sentence
    host.answers["score"] = 90
    await world.drip.drain(until=world.clock.now() + timedelta(minutes=20))
    assert sorted(world.provider.outbox.steps()) == ["nudge"] * 6 + ["welcome"] * 6
    assert len(host.asked) < 6 * 20  # longer and longer waits, not a poll


async def test_a_broken_hook_of_a_step_needs_attention(hosted: Any) -> None:
    world = await hosted(Host(score=broken()), sequence({"welcome": SCORED}))
    enrollment = await world.enroll()
    await world.drip.drain()
    assert await world.state(enrollment) == [("welcome", "failed")]
    told = await world.drip.explain(enrollment=enrollment)
    assert "because the hook score gave no answer and waits for a person" in told.sentence


@pytest.mark.parametrize(("score", "wanted"), [(80, "vip"), (10, "nudge")])
async def test_a_way_on_that_a_hook_decides_is_chosen_after_the_send_is_on_record(
    hosted: Any, score: int, wanted: str
) -> None:
    world = await hosted(Host(score=score), sequence(BRANCH))
    enrollment = await world.enroll()
    await world.drip.drain()
    assert world.provider.outbox.steps() == ["welcome", wanted]
    assert await world.state(enrollment) == [("welcome", "sent"), (wanted, "sent")]
    assert [each.event for each in await world.drip.journal.list(enrollment=enrollment)] == [
        "enrolled", "sent", "advanced", "sent",
    ]  # fmt: skip
    (chosen,) = [each for each in (await world.drip.explain(enrollment=enrollment)).entries if each.event == "advanced"]
    why = "hook score >= 70" if wanted == "vip" else "no condition of another way held"
    assert chosen.reason == f"{wanted} follows, since {why}"
    assert world.query("select count(*) from dripdrop.execution_history where kind = 'advance'") == [(0,)]
    assert world.query("select count(*) from dripdrop.execution_queue") == [(0,)]


async def test_while_a_hook_is_down_the_send_is_on_record_and_the_way_is_kept_open(hosted: Any) -> None:
    host = Host(score=down())
    world = await hosted(host, sequence(BRANCH))
    enrollment = await world.enroll()
    await world.drip.drain(until=world.clock.now() + timedelta(minutes=30))
    assert await world.state(enrollment) == [("welcome", "sent")]
    told = await world.drip.explain(enrollment=enrollment)
    assert "after welcome, the way on is being chosen (put off" in told.sentence
    assert "the hook score could not be asked" in told.sentence
    host.answers["score"] = 99
    await world.drip.drain(until=world.clock.now() + timedelta(minutes=20))
    assert world.provider.outbox.steps() == ["welcome", "vip"]


async def test_a_broken_hook_of_a_way_does_not_hold_and_says_so(hosted: Any) -> None:
    heard: list[Any] = []
    steps = {**BRANCH, "welcome": {"next": [{"when": "hook.score != 5", "goto": "vip"}, {"goto": "nudge"}]}}
    world = await hosted(Host(score=broken()), sequence(steps))
    world.drip.telemetry.listen(heard.append, "condition.fail_closed")
    enrollment = await world.enroll()
    await world.drip.drain()
    assert world.provider.outbox.steps() == ["welcome", "nudge"]
    assert [each.metadata["hook_function"] for each in heard] == ["score"]
    lines = await world.drip.journal.list(enrollment=enrollment)
    (line,) = [each for each in lines if each.event == "advanced"]
    assert {"code": "hook_broken", "hook": "score", "why": "ValueError"} in line.reasons


@pytest.mark.parametrize(("score", "wanted"), [(80, "vip"), (10, "nudge")])
async def test_hooks_can_decide_where_somebody_enters(hosted: Any, score: int, wanted: str) -> None:
    steps = {"vip": {"next": "end"}, "nudge": {"next": "end"}}
    host = Host(score=score)
    world = await hosted(host, sequence(steps, start=[{**SCORED, "goto": "vip"}, {"goto": "nudge"}]))
    enrollment = await world.enroll()
    assert await world.state(enrollment) == []
    assert "the way in is being chosen" in (await world.drip.explain(enrollment=enrollment)).sentence
    assert host.asked == []
    await world.drip.drain()
    assert world.provider.outbox.steps() == [wanted]
    assert [each.visit for each in await world.drip.executions.list(enrollment=enrollment)] == [1]


async def test_a_way_that_is_being_chosen_can_be_paused_resumed_and_left(hosted: Any) -> None:
    host = Host(score=down())
    world = await hosted(host, sequence(BRANCH))
    first, second = await world.enroll(1), await world.enroll(2)
    await world.drip.drain()
    await world.drip.pause(first)
    await world.drip.unenroll(second)
    host.answers["score"] = 99
    await world.drip.drain(until=world.clock.now() + DAYS)
    assert await world.state(first) == [("welcome", "sent")]
    assert await world.state(second) == [("welcome", "sent")]
    await world.drip.resume(first)
    await world.drip.drain(until=world.clock.now() + DAYS)
    assert await world.state(first) == [("welcome", "sent"), ("vip", "sent")]


async def test_who_stands_where_a_way_is_chosen_is_moved_only_to_a_step_that_is_named(hosted: Any) -> None:
    from dripdrop import Refused

    world = await hosted(Host(score=down()), sequence(BRANCH))
    enrollment = await world.enroll()
    await world.drip.drain()
    with pytest.raises(Refused) as caught:
        await world.drip.enrollments.move(enrollment)
    assert caught.value.code == "move_on_the_way"
    await world.drip.enrollments.move(enrollment, step="nudge")
    await world.drip.drain()
    assert world.provider.outbox.steps() == ["welcome", "nudge"]


async def test_a_hook_that_hangs_holds_up_nobody_else(database_url: str) -> None:
    stuck = asyncio.Event()
    host = Host(score=stuck.wait)
    provider = FakeProvider()
    world = World(database_url, provider, FrozenClock("2030-03-04 12:00"), plugins=[])
    world.drip.plugins.register("hooks", "host", host)
    await world.begin(sequence({"welcome": SCORED}))
    try:
        await world.drip.sequences.apply({**sequence({"plain": {}}), "sequence": "other"})
        for who in range(120):
            await world.enroll(who)
        for who in range(5):
            await world.drip.enroll("other", subscriber=("user", who), data={"email": "ann@example.org"})
        passing = asyncio.create_task(world.drip.run_due())
        async with asyncio.timeout(20):
            while len(provider.outbox) < 5:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        assert provider.outbox.steps() == ["plain"] * 5
        stuck.set()
        await passing
    finally:
        await world.close()


async def test_past_events_decide_what_goes_and_where_to(make_world: MakeWorld) -> None:
    bought_pro = {"event": "bought", "is": "==", "value": "pro", "config": {"field_path": "plan"}}
    document = sequence(
        {
            "welcome": {"when": {"event": "signed_up", "value": True}},
            "nudge": {"next": [{"when": bought_pro, "goto": "vip"}, {"goto": "end"}]},
            "vip": {},
        }
    )  # fmt: skip
    world = await make_world(document={key: value for key, value in document.items() if key != "hooks"})
    first, second = await world.enroll(1), await world.enroll(2)
    await world.drip.track("signed_up", subscriber=("user", 1))
    await world.drip.track("bought", subscriber=("user", 2), data={"plan": "free"})
    await world.drip.track("bought", subscriber=("user", 2), data={"plan": "pro"})
    await world.drip.drain()
    assert await world.state(first) == [("welcome", "sent"), ("nudge", "sent")]
    assert await world.state(second) == [("welcome", "skipped"), ("nudge", "sent"), ("vip", "sent")]


async def test_the_calendar_of_the_person_decides(make_world: MakeWorld) -> None:
    window = {"time_window": {"days": ["mon"], "from": "09:00", "to": "17:00"}}
    document = sequence({"welcome": {"when": window, "window": False}})
    world = await make_world(document={key: value for key, value in document.items() if key != "hooks"})
    here = await world.enroll(1, timezone="Europe/Vienna")  # Monday, 13:00
    there = await world.enroll(2, timezone="Pacific/Auckland")  # Tuesday, 01:00
    await world.drip.drain()
    assert await world.state(here) == [("welcome", "sent")]
    assert await world.state(there) == [("welcome", "skipped")]


async def test_a_message_in_doubt_says_the_same_whatever_hooks_say_now(database_url: str) -> None:
    from dripdrop import Idempotent, Unknown

    answers: list[Any] = [Unknown(), None]
    provider = FakeProvider(on_doubt=Idempotent(DAYS), answers=lambda _: answers.pop(0))
    host = Host(score=80)
    world = World(database_url, provider, FrozenClock("2030-03-04 12:00"))
    world.drip.plugins.register("hooks", "host", host)
    try:
        await world.begin(sequence({"welcome": {**SCORED, "text": "You have {{ score }}"}}))
        await world.enroll()
        await world.drip.drain()
        host.answers["score"] = 99
        other = AsyncDripDrop(
            database_url, plugins=[provider], clock=world.clock, config={"encryption_key": KEY}
        )  # another process, which has asked nobody yet
        other.plugins.register("hooks", "host", host)
        await other.drain(until=world.clock.now() + timedelta(hours=1))
        await other.close()
        said: list[Any] = [each.message for each in provider.calls]
        assert [each.text for each in said] == ["You have 80", "You have 80"]
    finally:
        await world.close()
