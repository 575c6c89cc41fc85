"""How fast does procrastinate do jobs that do nothing?"""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from procrastinate import App, PsycopgConnector

from benchmarks.work import meter

CONCURRENCY = 20
CHUNK = 5_000


async def prepare(job: dict[str, Any]) -> None:
    app, task = _app(job, meter.Window({**job, "postmaster": 0}))
    async with app.open_async():
        await app.schema_manager.apply_schema_async()
        for begin in range(0, job["rows"], CHUNK):
            await task.batch_defer_async(*({} for _ in range(min(CHUNK, job["rows"] - begin))))


async def run(job: dict[str, Any]) -> dict[str, Any]:
    logging.getLogger("procrastinate").setLevel(logging.WARNING)
    window = meter.Window(job)
    app, _ = _app(job, window)
    async with app.open_async():
        meter.ready()
        working = asyncio.create_task(app.run_worker_async(concurrency=CONCURRENCY, install_signal_handlers=False))
        await window.pass_by()
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)
    return window.result()


def _app(job: dict[str, Any], window: meter.Window) -> tuple[App, Any]:
    app = App(connector=PsycopgConnector(conninfo=job["url"], min_size=5, max_size=CONCURRENCY))

    @app.task(name="noop")
    async def noop() -> None:
        window.total += 1

    return app, noop
