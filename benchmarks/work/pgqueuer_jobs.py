"""How fast does pgqueuer do jobs that do nothing?  asyncpg, its own batches, one row in its log a job."""

from __future__ import annotations

import asyncio
from typing import Any

import asyncpg
from pgqueuer import PgQueuer
from pgqueuer.adapters.persistence.queries import Queries
from pgqueuer.db import AsyncpgDriver, AsyncpgPoolDriver
from pgqueuer.models import Job

from benchmarks.work import meter

BATCH = 100
CHUNK = 20_000


async def prepare(job: dict[str, Any]) -> None:
    connection = await asyncpg.connect(job["url"])
    queries = Queries(AsyncpgDriver(connection))
    await queries.install()
    for begin in range(0, job["rows"], CHUNK):
        count = min(CHUNK, job["rows"] - begin)
        await queries.enqueue(["noop"] * count, [None] * count, [0] * count)
    await connection.close()


async def run(job: dict[str, Any]) -> dict[str, Any]:
    window = meter.Window(job)
    async with asyncpg.create_pool(job["url"], min_size=5, max_size=5) as pool:
        pgq = PgQueuer(AsyncpgPoolDriver(pool))

        @pgq.entrypoint("noop")
        async def noop(_: Job) -> None:
            window.total += 1

        await pool.fetchval("select 1")
        meter.ready()
        working = asyncio.create_task(pgq.qm.run(batch_size=BATCH))
        await window.pass_by()
        pgq.shutdown.set()
        await working
    return window.result()
