"""An endpoint that is down delays and loses nothing; one that hangs holds up nobody else."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import Any

import pytest
from tests.hooks.endpoint import Endpoint
from tests.world import NOON, World

from dripdrop.testing import FakeProvider, FrozenClock

PEOPLE = 12
SECRET = "s3cret-of-the-crm-0815"


def hooked(endpoint: Endpoint, **said: Any) -> dict[str, Any]:
    return {
        "sequence": "onboarding",
        "name": "Onboarding",
        "http_hooks": {"score": {"url": endpoint.url + "/{{ subscriber_id }}", "retry_count": 0, **said}},
        "steps": {
            "welcome": {
                "channel": "email",
                "subject": "Welcome",
                "text": "Your score is {{ score }}",
                "when": {"hook": "score"},
                "next": [{"when": {"hook": "score", "is": ">=", "value": 70}, "goto": "warm"}, {"goto": "end"}],
            },
            "warm": {"channel": "email", "subject": "Warm", "text": "Call us"},
        },
    }


PLAIN = {
    "sequence": "plain",
    "name": "Plain",
    "steps": {"note": {"channel": "email", "subject": "Note", "text": "Hello {{ name }}"}},
}


@pytest.fixture
async def endpoint() -> AsyncIterator[Endpoint]:
    made = await Endpoint(85).start()
    yield made
    await made.stop()


@pytest.fixture
async def world(database_url: str, endpoint: Endpoint) -> AsyncIterator[World]:
    made = World(database_url, FakeProvider(), FrozenClock(NOON), http_allow=[endpoint.host])
    await made.begin(hooked(endpoint))
    yield made
    await made.close()


def texts(world: World) -> list[str]:
    return sorted(each.message.text for each in world.provider.outbox.deliveries if each.step.key == "welcome")


async def crowd(world: World) -> None:
    for who in range(PEOPLE):
        await world.enroll(who)


@pytest.mark.parametrize("how", ["refuses", "answers 503", "answers 429"])
async def test_down_for_an_hour_everybody_waits_and_then_everybody_gets_theirs_once(world, endpoint, how):
    await crowd(world)
    if how == "refuses":
        await endpoint.stop()
    else:
        endpoint.answer = int(how.split()[-1])
    run = await world.drip.drain(until=world.clock.now().replace(hour=13))
    assert (run.sent, run.failed, run.unknown, len(world.provider.calls)) == (0, 0, 0, 0)
    assert {state for (state,) in world.query("select state from dripdrop.execution_queue")} == {"scheduled"}
    assert world.query("select count(*) from dripdrop.execution_queue") == [(PEOPLE,)]
    assert world.query("select max(retries), max(refusals) from dripdrop.execution_queue") == [(0, 0)]

    endpoint.answer = 85
    if how == "refuses":
        await endpoint.start()
    await world.drip.drain(until=world.clock.now().replace(hour=16))
    assert texts(world) == ["Your score is 85"] * PEOPLE
    assert world.provider.outbox.steps().count("warm") == PEOPLE
    assert world.query("select count(*) from dripdrop.execution_queue") == [(0,)]


async def test_who_waits_is_told_why(world, endpoint):
    endpoint.answer = 503
    enrolled = await world.enroll(1)
    await world.drip.run_due()
    told = repr(await world.drip.explain(enrollment=enrolled))
    assert "score" in told
    assert "http_503" in told


async def test_one_answer_serves_the_message_and_the_way_on(world, endpoint):
    await world.enroll(7)
    await world.drip.run_due()
    assert [each.target for each in endpoint.requests] == ["/7"]
    assert world.provider.outbox.steps() == ["welcome", "warm"]


async def test_a_refusal_that_stands_needs_attention_and_is_not_lost(world, endpoint):
    endpoint.answer = 404
    await world.enroll(1)
    run = await world.drip.run_due()
    assert (run.sent, len(world.provider.calls)) == (0, 0)
    assert world.query("select state from dripdrop.execution_queue") == [("failed",)]


async def test_one_that_hangs_holds_up_nobody_else(database_url, endpoint):
    """Thirty messages wait for an endpoint that never answers; two hundred others are behind them in the queue."""
    endpoint.hangs = True
    world = World(database_url, FakeProvider(), FrozenClock(NOON), http_allow=[endpoint.host])
    await world.begin(hooked(endpoint, timeout_ms=30_000))
    await world.drip.sequences.apply(PLAIN)
    for who in range(30):
        await world.enroll(who)
    await world.drip.enroll_many(
        "plain", [{"subscriber": ("user", who), "data": {"email": f"p{who}@example.org"}} for who in range(200)]
    )
    everybody = asyncio.Event()

    def noticed(delivery: Any) -> None:
        if len(world.provider.outbox) >= 199:
            everybody.set()

    world.provider.answers = noticed
    worker = asyncio.ensure_future(world.drip.run_worker())
    try:
        await asyncio.wait_for(endpoint.asked.wait(), 20)
        await asyncio.wait_for(everybody.wait(), 20)
        assert "welcome" not in world.provider.outbox.steps()
        assert len(endpoint.requests) <= 20
    finally:
        await endpoint.stop()
        worker.cancel()
        await asyncio.gather(worker, return_exceptions=True)
    assert world.provider.outbox.steps().count("note") == 200
    await world.close()


async def test_a_secret_reaches_neither_log_nor_journal_nor_telemetry(database_url, endpoint, monkeypatch, caplog):
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("CRM_TOKEN", SECRET)
    heard: list[Any] = []
    world = World(database_url, FakeProvider(), FrozenClock(NOON), http_allow=[endpoint.host])
    world.drip.telemetry.listen(heard.append)
    endpoint.answer = lambda request: {"you said": request.headers["authorization"]}
    await world.begin(hooked(endpoint, auth={"bearer": "${CRM_TOKEN}"}))
    enrolled = await world.enroll(1)
    await world.drip.run_due()
    endpoint.answer = 503
    await world.enroll(2)
    endpoint.answer = 404
    await world.enroll(3)
    await world.drip.run_due()
    assert endpoint.requests[0].headers["authorization"] == f"Bearer {SECRET}"
    told = repr(await world.drip.explain(enrollment=enrolled)) + repr(world.provider.outbox.deliveries)
    for text in (repr(heard), caplog.text, told):
        assert SECRET not in text
    for (table,) in world.query("select tablename from pg_tables where schemaname = 'dripdrop'"):
        for (row,) in world.query(f"select t::text from dripdrop.{table} t"):
            assert SECRET not in row
    await world.close()
