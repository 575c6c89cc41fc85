"""What happens to a message on its way, told with dates."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.engine.conftest import MakeWorld
from tests.world import KEY, TWO_STEPS, World, ann

from dripdrop import Accepted, AsyncDripDrop, Idempotent, IllegalMove, Invalid, Rejected, Unknown
from dripdrop.engine.worker import Worker
from dripdrop.errors import BadSettings
from dripdrop.testing import FakeProvider

DAYS = timedelta(days=30)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def one_step(**step: Any) -> dict[str, Any]:
    return {
        "sequence": "onboarding",
        "name": "Onboarding",
        "steps": {"welcome": {"channel": "email", "subject": "Welcome", "text": "Hello", **step}},
    }


async def until(holds: Callable[[], Any], seconds: float = 15.0) -> None:
    """Return as soon as it holds; fail when it does not in time."""
    async with asyncio.timeout(seconds):
        while not holds():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def events(world: World, enrollment: Any) -> list[str]:
    return [line.event for line in await world.drip.journal.list(enrollment=enrollment)]


async def test_a_person_gets_each_step_when_it_is_due(world: World) -> None:
    enrollment = await world.enroll()
    await world.drip.drain()
    assert world.provider.outbox.steps() == ["welcome"]
    await world.drip.drain(until=world.clock.now() + timedelta(days=2, hours=23))
    assert world.provider.outbox.steps() == ["welcome"]
    await world.drip.drain(until=world.clock.now() + timedelta(hours=1))
    assert world.provider.outbox.steps() == ["welcome", "nudge"]
    assert await events(world, enrollment) == ["enrolled", "sent", "sent"]


async def test_a_paused_enrollment_sends_nothing_until_resumed_and_keeps_the_time_that_was_left(world: World) -> None:
    enrollment = await world.enroll()
    await world.drip.drain(until=world.clock.now() + timedelta(days=1))
    await world.drip.pause(enrollment)
    await world.drip.drain(until=world.clock.now() + timedelta(days=10))
    assert world.provider.outbox.steps() == ["welcome"]
    await world.drip.resume(enrollment)
    (pending,) = await world.drip.executions.list(enrollment=enrollment, state="scheduled")
    assert pending.scheduled_for == world.clock.now() + timedelta(days=2)
    await world.drip.drain(until=world.clock.now() + timedelta(days=3))
    assert world.provider.outbox.steps() == ["welcome", "nudge"]


async def test_an_enrollment_that_is_paused_while_its_message_is_on_the_wire_goes_no_further(
    make_world: MakeWorld,
) -> None:
    world = await make_world()
    enrollment = await world.enroll()

    class Pausing(FakeProvider):
        async def deliver(self, delivery: Any, config: Any) -> Any:
            await world.drip.pause(enrollment)
            return await super().deliver(delivery, config)

    world.drip.plugins.register("provider", "pausing", Pausing(name="pausing"), channel="email")
    await world.drip.adapters.create(
        "p", channel="email", provider="pausing", is_default=True, config={"from": "a@example.com"}
    )
    await world.drip.drain(until=world.clock.now() + DAYS)
    assert await world.state(enrollment) == [("welcome", "sent"), ("nudge", "scheduled")]
    await world.drip.resume(enrollment)
    await world.drip.drain(until=world.clock.now() + timedelta(days=2, hours=23))
    assert len(await world.drip.executions.list(enrollment=enrollment, state="scheduled")) == 1


async def test_whoever_unenrolls_gets_nothing_more(world: World) -> None:
    enrollment = await world.enroll()
    await world.drip.drain()
    ended = await world.drip.unenroll(enrollment, reason="asked")
    await world.drip.drain(until=world.clock.now() + DAYS)
    assert ended.state == "cancelled"
    assert await world.state(enrollment) == [("welcome", "sent"), ("nudge", "cancelled")]
    with pytest.raises(IllegalMove):
        await world.drip.pause(enrollment)


async def test_an_event_ends_the_enrollments_that_exit_on_it(make_world: MakeWorld) -> None:
    world = await make_world(document={**TWO_STEPS, "exit_on": ["bought"]})
    enrollment = await world.enroll()
    await world.drip.drain()
    tracked = await world.drip.track("bought", subscriber=("user", 42), data={"amount": 5})
    assert tracked.ended == (enrollment,)
    assert (await world.drip.track("looked", subscriber=("user", 42))).ended == ()
    await world.drip.drain(until=world.clock.now() + DAYS)
    assert world.provider.outbox.steps() == ["welcome"]


async def test_a_suppressed_person_is_skipped_and_the_path_goes_on(world: World) -> None:
    enrollment = await world.enroll()
    await world.drip.suppress("email", "ANN@example.org", "unsubscribe")
    await world.drip.drain(until=world.clock.now() + DAYS)
    assert world.provider.outbox.steps() == []
    assert await world.state(enrollment) == [("welcome", "skipped"), ("nudge", "skipped")]
    assert "suppress" in (await world.drip.explain(enrollment=enrollment)).sentence


async def test_nobody_is_written_to_at_night_where_they_are(make_world: MakeWorld) -> None:
    world = await make_world(quiet_hours_default=(8, 21))
    world.clock.set("2030-03-04 12:00")
    await world.enroll(timezone="Asia/Tokyo")
    await world.drip.drain()
    assert world.provider.outbox.steps() == []
    await world.drip.drain(until=at("2030-03-04 22:59"))
    assert world.provider.outbox.steps() == []
    await world.drip.drain(until=at("2030-03-04 23:06"))
    assert world.provider.outbox.steps() == ["welcome"]


async def test_the_same_deferral_again_only_counts(make_world: MakeWorld) -> None:
    world = await make_world()
    enrollment = await world.enroll()
    await world.drip.sequences.update("onboarding", active=False)
    for _ in range(4):
        await world.drip.drain(until=world.clock.now() + timedelta(minutes=15))
    deferred = [line for line in await world.drip.journal.list(enrollment=enrollment) if line.event == "deferred"]
    assert len(deferred) == 1
    assert deferred[0].times > 3
    await world.drip.sequences.update("onboarding", active=True)
    await world.drip.drain(until=world.clock.now() + timedelta(minutes=15))
    assert world.provider.outbox.steps() == ["welcome"]


async def test_a_temporary_refusal_is_tried_again_no_earlier_than_the_provider_asks(make_world: MakeWorld) -> None:
    answers: list[Any] = [Rejected("temporary", "message", retry_after=7200), None]
    world = await make_world(FakeProvider(answers=lambda delivery: answers.pop(0) if answers else None))
    enrollment = await world.enroll()
    run = await world.drip.run_due()
    assert (run.sent, run.retried) == (0, 1)
    (waiting,) = await world.drip.executions.list(enrollment=enrollment)
    assert waiting.scheduled_for >= world.clock.now() + timedelta(hours=2)
    assert waiting.retry_count == 1
    await world.drip.drain(until=world.clock.now() + timedelta(hours=3))
    first, second = world.provider.calls
    assert first.idempotency_key != second.idempotency_key, "a definite refusal makes a new key"
    assert first.id == second.id
    (sent,) = await world.drip.executions.list(enrollment=enrollment, state="sent")
    assert [each.outcome for each in sent.attempts] == ["failed", "succeeded"]


async def test_backpressure_spends_no_retry(make_world: MakeWorld) -> None:
    world = await make_world(
        FakeProvider(answers=lambda delivery: Rejected("temporary", "throttled")), one_step(retries=1)
    )
    enrollment = await world.enroll()
    await world.drip.drain(until=world.clock.now() + timedelta(hours=6))
    (waiting,) = await world.drip.executions.list(enrollment=enrollment)
    assert waiting.state == "scheduled"
    assert waiting.retry_count == 0
    assert len(waiting.attempts) > 3


@pytest.mark.parametrize(
    ("policy", "state", "enrollment_state"),
    [("continue", "failed", "completed"), ("complete", "failed", "completed"), ("cancel", "failed", "cancelled")],
)
async def test_a_permanent_refusal_follows_the_steps_policy(
    make_world: MakeWorld, policy: str, state: str, enrollment_state: str
) -> None:
    world = await make_world(FakeProvider(answers=lambda d: Rejected("permanent")), one_step(on_failure=policy))
    enrollment = await world.enroll()
    await world.drip.drain(until=world.clock.now() + DAYS)
    assert await world.state(enrollment) == [("welcome", state)]
    assert (await world.drip.enrollments.get(enrollment)).state == enrollment_state


async def test_by_default_a_permanent_refusal_stands_under_needs_attention_until_a_person_decides(
    make_world: MakeWorld,
) -> None:
    answers: list[Any] = [Rejected("permanent")]
    world = await make_world(FakeProvider(answers=lambda d: answers.pop() if answers else None))
    enrollment = await world.enroll()
    await world.drip.drain(until=world.clock.now() + DAYS)
    assert await world.state(enrollment) == [("welcome", "failed")]
    assert (await world.drip.status())["needs_attention"] == 1
    (failed,) = await world.drip.executions.list(enrollment=enrollment)
    with pytest.raises(IllegalMove):
        await world.drip.executions.resolve(failed.id, as_="sent")
    await world.drip.executions.resolve(failed.id, as_="resend")
    await world.drip.drain(until=world.clock.now() + DAYS)
    assert await world.state(enrollment) == [("welcome", "sent"), ("nudge", "sent")]


async def test_a_bounce_suppresses_the_address(make_world: MakeWorld) -> None:
    world = await make_world(
        FakeProvider(answers=lambda d: Rejected("bounced", "recipient")),
        {**TWO_STEPS, "steps": {k: {**v, "on_failure": "continue"} for k, v in TWO_STEPS["steps"].items()}},
    )
    enrollment = await world.enroll()
    await world.drip.drain(until=world.clock.now() + DAYS)
    assert await world.state(enrollment) == [("welcome", "failed"), ("nudge", "skipped")]
    found = await world.drip.suppressions.check("email", "ann@example.org")
    assert found is not None
    assert found.reason == "bounce"


async def test_retries_end_and_the_enrollment_with_them(make_world: MakeWorld) -> None:
    world = await make_world(FakeProvider(answers=lambda d: Rejected()), one_step(retries=2))
    enrollment = await world.enroll()
    await world.drip.drain(until=world.clock.now() + DAYS)
    (failed,) = await world.drip.executions.list(enrollment=enrollment)
    assert (failed.state, len(failed.attempts)) == ("failed", 3)
    assert (await world.drip.enrollments.get(enrollment)).state == "cancelled"


async def test_whatever_an_adapter_raises_is_a_doubt_and_is_not_repeated_blindly(make_world: MakeWorld) -> None:
    def explode(delivery: Any) -> Any:
        raise RuntimeError("api_key=secret")

    world = await make_world(FakeProvider(answers=explode))
    enrollment = await world.enroll()
    await world.drip.drain(until=world.clock.now() + DAYS)
    assert await world.state(enrollment) == [("welcome", "unknown")]
    assert len(world.provider.calls) == 1
    assert "secret" not in str(world.query("select provider_response from dripdrop.delivery_attempts"))


async def test_an_unknown_at_an_idempotent_provider_is_repeated_under_the_same_key(make_world: MakeWorld) -> None:
    answers: list[Any] = [Unknown(), None]
    provider = FakeProvider(on_doubt=Idempotent(), answers=lambda d: answers.pop(0) if answers else None)
    world = await make_world(provider, one_step())
    await world.enroll()
    await world.drip.drain(until=world.clock.now() + timedelta(hours=1))
    first, second = provider.calls
    assert first.idempotency_key == second.idempotency_key
    assert first.message == second.message


async def test_without_an_adapter_messages_wait_and_go_when_there_is_one(
    database_url: str, make_world: MakeWorld
) -> None:
    world = await make_world()
    await world.drip.adapters.update("main", active=False)
    enrollment = await world.enroll()
    await world.drip.drain()
    assert await world.state(enrollment) == [("welcome", "scheduled")]
    await world.drip.adapters.update("main", active=True)
    await world.drip.drain(until=world.clock.now() + timedelta(hours=1))
    assert world.provider.outbox.steps() == ["welcome"]


async def test_a_stop_holds_everything_until_go(world: World) -> None:
    enrollment = await world.enroll()
    await world.drip.stop(everything=True, reason="wrong price")
    await world.drip.drain(until=world.clock.now() + timedelta(hours=1))
    assert world.provider.outbox.steps() == []
    assert "wrong price" in str(await world.drip.explain(enrollment=enrollment))
    await world.drip.go(everything=True)
    await world.drip.drain(until=world.clock.now() + timedelta(hours=1))
    assert world.provider.outbox.steps() == ["welcome"]


async def test_an_allow_list_makes_a_staging_system_harmless(make_world: MakeWorld) -> None:
    world = await make_world(only_to=["ours.example"])
    enrollment = await world.enroll()
    await world.drip.drain(until=world.clock.now() + DAYS)
    assert {state for _, state in await world.state(enrollment)} == {"skipped"}


async def test_a_template_that_cannot_be_rendered_is_a_failure_of_that_message_alone(make_world: MakeWorld) -> None:
    world = await make_world()
    bad = await world.enroll(1, email="nobody")
    good = await world.enroll(2)
    await world.drip.drain()
    assert await world.state(bad) == [("welcome", "failed")]
    assert (await world.state(good))[0] == ("welcome", "sent")


async def test_one_row_that_the_database_refuses_does_not_take_the_others_with_it(make_world: MakeWorld) -> None:
    def answer(delivery: Any) -> Any:
        return Accepted(meta={"text": "\x00"}) if delivery.enrollment.subscriber_id == "7" else None

    world = await make_world(FakeProvider(answers=answer))
    for who in range(20):
        await world.enroll(who)
    await world.drip.drain()
    assert world.query("select count(*) from dripdrop.execution_history where state = 'sent'") == [(20,)]


async def test_a_wake_up_is_only_a_hint(world: World) -> None:
    enrollment = await world.enroll()
    await world.drip.drain()
    (pending,) = await world.drip.executions.list(enrollment=enrollment, state="scheduled")
    assert (await world.drip.executions.dispatch(pending.id)).claimed == 0
    world.clock.advance(days=3)
    assert (await world.drip.executions.dispatch(pending.id)).sent == 1
    assert (await world.drip.executions.dispatch(pending.id)).claimed == 0


async def test_a_replay_sends_once_more_and_never_advances_the_path(world: World) -> None:
    enrollment = await world.enroll()
    await world.drip.drain()
    (sent,) = await world.drip.executions.list(enrollment=enrollment, state="sent")
    await world.drip.executions.replay(sent.id)
    await world.drip.drain()
    assert world.provider.outbox.steps() == ["welcome", "welcome"]
    assert await world.state(enrollment) == [("welcome", "sent"), ("nudge", "scheduled"), ("welcome", "sent")]
    first, again = world.provider.outbox.deliveries
    assert first.id != again.id


async def test_data_changed_meanwhile_decides_the_way(make_world: MakeWorld) -> None:
    document = {
        **TWO_STEPS,
        "steps": {
            "welcome": {
                **TWO_STEPS["steps"]["welcome"],
                "next": [{"when": {"field": "plan", "is": "==", "value": "pro"}, "goto": "pro"}, {"goto": "nudge"}],
            },
            "nudge": {**TWO_STEPS["steps"]["nudge"], "next": []},
            "pro": {"channel": "email", "subject": "Pro", "text": "Hi"},
        },
    }
    world = await make_world(document=document)
    enrollment = await world.enroll(plan="free")
    await world.drip.enrollments.update_data(enrollment, {"plan": "pro"})
    await world.drip.drain(until=world.clock.now() + DAYS)
    assert "pro" in world.provider.outbox.steps()


async def test_moving_to_another_version_goes_on_there(make_world: MakeWorld) -> None:
    world = await make_world()
    enrollment = await world.enroll()
    await world.drip.drain()
    steps = {**TWO_STEPS["steps"], "nudge": {**TWO_STEPS["steps"]["nudge"], "subject": "Better"}}
    await world.drip.sequences.apply({**TWO_STEPS, "steps": steps})
    await world.drip.enrollments.move(enrollment)
    await world.drip.drain(until=world.clock.now() + DAYS)
    assert world.provider.outbox.subjects() == ["Welcome", "Better"]
    assert await world.state(enrollment) == [("welcome", "sent"), ("nudge", "cancelled"), ("nudge", "sent")]


async def test_tenants_do_not_see_each_other(world: World) -> None:
    acme, other = world.drip.for_tenant("acme"), world.drip.for_tenant("other")
    enrolled = await acme.enroll("onboarding", subscriber=("user", 1), data=ann())
    assert enrolled.tenant_key == "acme"
    assert await other.enrollments.list() == []
    assert (await other.enroll("onboarding", subscriber=("user", 1), data=ann())).created
    await world.drip.drain()
    assert len(world.provider.outbox) == 2
    with pytest.raises(Invalid):
        world.drip.for_tenant("")


async def test_a_worker_is_woken_by_a_commit_and_stops_gently(make_world: MakeWorld, database_url: str) -> None:
    world = await make_world()
    provider = FakeProvider()
    live = AsyncDripDrop(database_url, plugins=[provider], config={"encryption_key": KEY, "quiet_hours_default": False})
    worker = Worker(live._worker.runtime())
    work = asyncio.create_task(worker.run())
    try:
        await until(lambda: world.query("select 1 from pg_stat_activity where query = 'listen dripdrop'"))
        await live.enroll("onboarding", subscriber=("user", 9), data=ann())
        await until(lambda: len(provider.outbox))
    finally:
        worker.stop()
        await work
        await live.close()
    assert world.query("select count(*) from dripdrop.workers") == [(0,)]


async def test_a_worker_refuses_a_virtual_clock_that_was_not_asked_for(
    make_world: MakeWorld, database_url: str
) -> None:
    world = await make_world()
    world.query("update dripdrop.clock set ahead = interval '3 days'")
    live = AsyncDripDrop(database_url, config={"encryption_key": KEY})
    with pytest.raises(BadSettings) as caught:
        await live.run_due()
    assert caught.value.code == "virtual_clock"
    await live.close()
    allowed = AsyncDripDrop(
        database_url, plugins=[world.provider], config={"encryption_key": KEY, "virtual_clock": True}
    )
    await allowed.enroll("onboarding", subscriber=("user", 5), data=ann())
    run = await allowed.drain(until=datetime.now(UTC) + timedelta(days=5))
    assert run.sent + run.deferred >= 1
    await allowed.close()


class Planner:
    """A host's scheduler: keeps its jobs in a list, in the caller's transaction or not at all."""

    kind = "scheduler"
    name = "planner"

    def __init__(self) -> None:
        self.jobs: dict[str, tuple[Any, datetime]] = {}

    def schedule(self, due: Any) -> Any:
        made = [f"job-{len(self.jobs) + number}" for number, _ in enumerate(due)]
        self.jobs.update(zip(made, due, strict=True))
        return made
        yield

    def cancel(self, job_ids: Any) -> Any:
        for each in job_ids:
            del self.jobs[each]
        return
        yield


async def test_a_hosts_scheduler_gets_a_job_for_each_execution_and_only_wakes(make_world: MakeWorld) -> None:
    planner = Planner()
    world = await make_world(scheduler="planner", plugins=[planner])
    enrollment = await world.enroll()
    ((first, due),) = planner.jobs.values()
    assert due == world.clock.now()
    await world.drip.executions.dispatch(first)
    assert world.provider.outbox.steps() == ["welcome"]
    (_, (second, later)) = planner.jobs.values()
    assert later == world.clock.now() + timedelta(days=3)
    assert (await world.drip.executions.dispatch(second)).claimed == 0
    await world.drip.pause(enrollment)
    assert not planner.jobs
    await world.drip.resume(enrollment)
    assert [each for each, _ in planner.jobs.values()] == [second]
