"""Does the hot table stay fast, and the worker small?  Everybody takes three steps: three times every row is replaced.

Each turnover deletes all rows of the queue and inserts as many; then all wait for a fourth step, a day later.
"""

from __future__ import annotations

import asyncio
import time
from itertools import pairwise
from typing import Any

import psycopg

from benchmarks.work import dripdrop_stage, meter

KIND = "turnovers"
TURNOVERS = 3
SIZES = """
select pg_relation_size('dripdrop.execution_queue'), pg_indexes_size('dripdrop.execution_queue'),
       (select n_dead_tup from pg_stat_user_tables where relid = 'dripdrop.execution_queue'::regclass)
"""


async def prepare(job: dict[str, Any]) -> None:
    await dripdrop_stage.build({**job, "kind": KIND})


async def run(job: dict[str, Any]) -> dict[str, Any]:
    """Seconds of each turnover, the table's size around each, and resident memory after each `every` steps."""
    people, every = job["rows"], job["every"]
    window = meter.Window(job)
    drip = dripdrop_stage.open_drip({**job, "kind": KIND}, dripdrop_stage.Null("telegram", window))
    with psycopg.connect(job["url"], autocommit=True) as connection:
        sizes = [_sizes(connection)]
        meter.ready()
        working = asyncio.create_task(drip.run_worker())
        await meter.until(lambda: window.total > 0 or working.done(), 0.002)
        at: list[float] = [time.monotonic()]
        memory: list[float] = []
        window.begin()

        def all_done() -> bool:
            while len(memory) < window.total // every:
                memory.append(round(meter.rss_mb(), 2))
            while len(at) <= window.total // people:
                at.append(time.monotonic())
                sizes.append(_sizes(connection))
            return window.total >= people * TURNOVERS or working.done()

        await meter.until(all_done, 0.02)
        window.end()
    working.cancel()
    await asyncio.gather(working, return_exceptions=True)
    await drip.close()
    seconds = [later - earlier for earlier, later in pairwise(at)]
    return window.result(turnovers=seconds, sizes=sizes, memory=memory)


def _sizes(connection: psycopg.Connection[Any]) -> dict[str, float]:
    """MiB of the queue's table and of its indexes, and how many of its rows are dead."""
    row = connection.execute(SIZES).fetchone()
    assert row is not None
    return {"table_mb": round(row[0] / 2**20, 2), "indexes_mb": round(row[1] / 2**20, 2), "dead_rows": int(row[2] or 0)}
