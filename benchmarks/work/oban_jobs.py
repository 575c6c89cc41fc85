"""How fast does Oban do jobs that do nothing, and how soon does it start one?"""

from __future__ import annotations

import asyncio
import time
from typing import Any

from oban import Oban, worker
from oban.schema import install
from psycopg_pool import AsyncConnectionPool

from benchmarks.work import meter

BATCH = 100
CHUNK = 5_000
LEAVE_RUNNING_SECONDS = 30.0
_window: meter.Window
_started: dict[str, float] = {}


@worker(queue="default")
class Noop:
    async def process(self, job: Any) -> None:
        _window.total += 1


@worker(queue="default")
class Timed:
    async def process(self, job: Any) -> None:
        _started[job.args["key"]] = time.monotonic()


async def prepare(job: dict[str, Any]) -> None:
    async with _pool(job) as pool:
        await install(pool)
        client = Oban(pool=pool)
        for begin in range(0, job["rows"], CHUNK):
            await client.enqueue_many([Noop.new({}) for _ in range(min(CHUNK, job["rows"] - begin))])


async def run(job: dict[str, Any]) -> dict[str, Any]:
    global _window
    _window = meter.Window(job)
    async with _pool(job) as pool:
        engine = Oban(pool=pool, queues={"default": BATCH}, shutdown_grace_period=LEAVE_RUNNING_SECONDS)
        meter.ready()
        await engine.start()
        await _window.pass_by()
        await engine.stop()
    return _window.result()


async def serve(job: dict[str, Any]) -> dict[str, Any]:
    """A worker that waits for jobs until told to stop; answers when each began."""
    async with _pool(job) as pool:
        async with Oban(pool=pool, queues={"default": BATCH}):
            meter.ready()
            await asyncio.to_thread(meter.wait_for_line)
        return {"started": _started}


async def enqueue(job: dict[str, Any]) -> dict[str, Any]:
    """Jobs put in one at a time, `gap` seconds apart; answers when each call began and returned."""
    async with _pool(job) as pool:
        client = Oban(pool=pool)
        await client.enqueue(Timed.new({"key": "warm"}))  # the first call plans, connects and imports
        meter.ready()
        asked = {}
        for number in range(job["count"]):
            await asyncio.sleep(job["gap"])
            begin = time.monotonic()
            await client.enqueue(Timed.new({"key": str(number)}))
            asked[str(number)] = (begin, time.monotonic())
    return {"asked": asked}


def _pool(job: dict[str, Any]) -> AsyncConnectionPool:
    return AsyncConnectionPool(job["url"], min_size=5, max_size=10, open=False)
