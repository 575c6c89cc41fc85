"""How late does a message begin at a steady load?  Due times are evenly spread."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import Any

import psycopg

from benchmarks.work import dripdrop_stage, meter
from dripdrop.contracts import Accepted, Delivery

LEAD_SECONDS = 4.0  # of a worker at rest before the first is due
PATIENCE_SECONDS = 60.0
# Business time stands before all of them, and is moved there when the worker begins.
SPREAD = """
update dripdrop.execution_queue q
   set due_at = c.start + make_interval(secs => e.subscriber_id::integer / %(rate)s::double precision)
  from dripdrop.enrollments e,
       (select date_trunc('minute', clock_timestamp() + ahead) + interval '30 minutes' as start from dripdrop.clock) c
 where e.id = q.enrollment_id
"""
BEGIN = """
update dripdrop.clock
   set ahead = (select min(due_at) from dripdrop.execution_queue) - make_interval(secs => %(lead)s) - clock_timestamp()
returning extract(epoch from (select min(due_at) from dripdrop.execution_queue) - ahead)::double precision
"""


class Punctual(dripdrop_stage.Null):
    """Notes the time, by the clock that the database on this machine reads too, at which each message is handed in."""

    def __init__(self) -> None:
        super().__init__("telegram")
        self.entered: dict[int, float] = {}

    async def deliver(self, delivery: Delivery, config: Mapping[str, Any]) -> Accepted:
        number = int(delivery.enrollment.subscriber_id)
        if number in self.entered:
            raise RuntimeError(f"{number} was sent twice")
        self.entered[number] = time.time()
        return Accepted()


async def prepare(job: dict[str, Any]) -> None:
    """`rows` people of whom `rate` are due each second, from half an hour on."""
    await dripdrop_stage.build({**job, "kind": "noop"})
    with psycopg.connect(job["url"], autocommit=True) as connection:
        connection.execute(SPREAD, {"rate": job["rate"]})
        connection.execute("vacuum (analyze)")


async def run(job: dict[str, Any]) -> dict[str, Any]:
    """Milliseconds from due to the provider, for each message but the first tenth, when it warms up."""
    provider, rows, rate = Punctual(), job["rows"], job["rate"]
    drip = dripdrop_stage.open_drip(job, provider)
    meter.ready()
    with psycopg.connect(job["url"], autocommit=True) as connection:
        row = connection.execute(BEGIN, {"lead": LEAD_SECONDS}).fetchone()
    assert row is not None
    start = row[0]
    working = asyncio.create_task(drip.run_worker())
    until = time.monotonic() + LEAD_SECONDS + rows / rate + PATIENCE_SECONDS
    await meter.until(lambda: len(provider.entered) == rows or time.monotonic() > until or working.done(), 0.2)
    working.cancel()
    await asyncio.gather(working, return_exceptions=True)
    await drip.close()
    late = [
        round((at - start - number / rate) * 1e3, 3) for number, at in provider.entered.items() if number >= rows // 10
    ]
    return {"sent": len(provider.entered), "late": late}
