"""How fast is our own worker?  The real one, through the public face, into a provider that accepts and counts."""

from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import psycopg

from benchmarks.work import letter, meter
from dripdrop import AsyncDripDrop
from dripdrop.contracts import Accepted, Delivery, Idempotent
from dripdrop.rules import mail
from dripdrop.rules.message import Email
from dripdrop.store import schema

SEQUENCE = "bench"
CHUNK = 20_000
FROM = f"{letter.SENDER[0]} <{letter.SENDER[1]}>"
CONFIG = {
    "encryption_key": base64.b64encode(bytes(32)).decode(),
    "virtual_clock": True,
    "quiet_hours_default": [8, 21],
}
# A person's channel, so that suppression and quiet hours are asked; its text is constant, so nothing is rendered.
NOTHING: dict[str, Any] = {"channel": "telegram", "template": {"text": "ping"}}
LETTER: dict[str, Any] = {
    "channel": "email",
    "template": {"subject": letter.SUBJECT, "html": letter.HTML, "text": letter.TEXT},
    "config": {"unsubscribe": False},
}
AT_NOON = """
update dripdrop.clock
   set ahead = (date_trunc('day', clock_timestamp() at time zone 'UTC') + interval '1 day 12 hours') at time zone 'UTC'
               - clock_timestamp()
"""
SHUFFLE = "update dripdrop.execution_queue set due_at = due_at - random() * interval '1 hour'"


class Null:
    """Accepts everything, and can be asked again with the same key."""

    name = "null"
    on_doubt = Idempotent(timedelta(days=1))

    def __init__(self, channel: str, window: meter.Window | None = None) -> None:
        self.channel = channel
        self.window = window
        self.octets = 0
        self.sample: dict[str, Any] = {}
        self.started: dict[str, float] = {}

    async def deliver(self, delivery: Delivery, config: Mapping[str, Any]) -> Accepted:
        if isinstance(delivery.message, Email):
            self.octets += len(mail.build(delivery.message, boundary_seed=str(delivery.id)))
            if not self.sample:
                message = delivery.message
                self.sample = {"to": message.to[0].email, "subject": message.subject}
                self.sample |= {"html": message.html, "text": message.text}
        if self.window is not None:
            self.window.total += 1
        else:
            self.started[delivery.enrollment.subscriber_id] = time.monotonic()
        return Accepted()

    def validate_credentials(self, credentials: Mapping[str, Any]) -> list[tuple[str, str]]:
        return []


async def prepare(job: dict[str, Any]) -> None:
    """Schema, one sequence of two steps a day apart, and `rows` people whose first step is due."""
    schema.migrate(job["url"])
    with psycopg.connect(job["url"], autocommit=True) as connection:
        connection.execute(AT_NOON)
        step = LETTER if job["kind"] == "email" else NOTHING
        drip = _drip(job, Null(step["channel"]))
        await _define(drip, step)
        for begin in range(0, job["rows"], CHUNK):
            await drip.enroll_many(SEQUENCE, _people(job["kind"], begin, min(begin + CHUNK, job["rows"])))
        await drip.close()
        if job["kind"] == "shuffled":
            connection.execute(SHUFFLE)


async def run(job: dict[str, Any]) -> dict[str, Any]:
    window = meter.Window(job)
    provider = Null(_channel(job), window)
    drip = _drip(job, provider)
    meter.ready()
    working = asyncio.create_task(drip.run_worker())
    await window.pass_by()
    await _stop(drip, working)
    return window.result(octets=provider.octets, sample=provider.sample)


async def idle(job: dict[str, Any]) -> dict[str, Any]:
    """A worker with nothing to do."""
    return await run(job)


async def serve(job: dict[str, Any]) -> dict[str, Any]:
    """A worker that waits for people until told to stop; answers when each one's message began."""
    provider = Null(_channel(job))
    drip = _drip(job, provider)
    working = asyncio.create_task(drip.run_worker())
    await asyncio.sleep(1.0)
    meter.ready()
    await asyncio.to_thread(meter.wait_for_line)
    await _stop(drip, working)
    return {"started": provider.started}


async def enqueue(job: dict[str, Any]) -> dict[str, Any]:
    """People enrolled one at a time, `gap` seconds apart; answers when each call began and returned."""
    drip = _drip(job, Null(_channel(job)))
    await drip.enroll(SEQUENCE, subscriber=("user", "warm"), data={"telegram": "0"})
    meter.ready()
    asked = {}
    for number in range(job["count"]):
        await asyncio.sleep(job["gap"])
        begin = time.monotonic()
        await drip.enroll(SEQUENCE, subscriber=("user", str(number)), data={"telegram": str(number)})
        asked[str(number)] = (begin, time.monotonic())
    await drip.close()
    return {"asked": asked}


async def enroll(job: dict[str, Any]) -> dict[str, Any]:
    """One call of enroll_many: seconds, and how many were created."""
    drip = _drip(job, Null("telegram"))
    people = _people("noop", 0, job["rows"])
    await drip.enroll_many(SEQUENCE, [{"subscriber": None}])  # refused; connects and imports
    begin = time.perf_counter()
    results = await drip.enroll_many(SEQUENCE, people)
    spent = time.perf_counter() - begin
    await drip.close()
    return {"seconds": spent, "created": sum(each.created for each in results)}


def _drip(job: dict[str, Any], provider: Null) -> AsyncDripDrop:
    return AsyncDripDrop(job["url"], config=CONFIG, plugins=[provider])


def _channel(job: dict[str, Any]) -> str:
    return "email" if job.get("kind") == "email" else "telegram"


async def _stop(drip: AsyncDripDrop, working: asyncio.Task[Any]) -> None:
    working.cancel()
    await asyncio.gather(working, return_exceptions=True)
    await drip.close()


async def _define(drip: AsyncDripDrop, step: Mapping[str, Any]) -> None:
    await drip.adapters.create("null", channel=step["channel"], provider="null", config={"from": FROM}, is_default=True)
    await drip.sequences.create(SEQUENCE, name="Benchmark")
    version = await drip.sequences.draft(SEQUENCE)
    for position, timing in enumerate(("immediately", "in 1 day"), 1):
        await drip.sequences.add_step(version, key=f"step_{position}", position=position, timing=timing, **step)
    await drip.sequences.activate(version)


def _people(kind: str, begin: int, end: int) -> list[dict[str, Any]]:
    if kind == "email":
        return [{"subscriber": ("user", str(n)), "data": letter.data(n)} for n in range(begin, end)]
    return [{"subscriber": ("user", str(n)), "data": {"telegram": str(n)}} for n in range(begin, end)]
