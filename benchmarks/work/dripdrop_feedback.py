"""How many events of providers does the engine take in each second, and how often does it wait for the server?"""

from __future__ import annotations

import time
from typing import Any

import orjson
import psycopg

from benchmarks.work import dripdrop_worker
from dripdrop.channels import listening
from dripdrop.contracts import Feedback
from dripdrop.operations import matching
from dripdrop.operations.consequences import Policy
from dripdrop.operations.matching import Opened
from dripdrop.store.database import AsyncDatabase

BATCH = 100
STORED = """
insert into dripdrop.webhook_requests (tenant_key, adapter_id, provider, headers, body, due_at, received_at)
select '', (select id from dripdrop.channel_adapters limit 1), 'bench', '{}',
       convert_to(json_build_array(json_build_object('id', n, 'type', 'delivered', 'ours', q.id))::text, 'UTF8'), at, at
  from (select id, row_number() over () as n from dripdrop.execution_queue) q,
       (select clock_timestamp() + ahead as at from dripdrop.clock) c
"""


class Bench:
    """Reads the events that were stored; one in each request, as most providers post them."""

    name = "bench"

    def parse_events(self, body: bytes, headers: Any) -> list[Any]:
        return orjson.loads(body)  # type: ignore[no-any-return]

    def provider_event_id(self, payload: Any) -> str:
        return str(payload["id"])

    def resolve_delivery(self, payload: Any) -> dict[str, str]:
        return {"delivery_id": payload["ours"]}

    def normalize_feedback(self, payload: Any) -> Feedback:
        return Feedback(payload["type"])


async def prepare(job: dict[str, Any]) -> None:
    """A stored request for each of `rows` executions."""
    await dripdrop_worker.prepare({**job, "kind": "noop"})
    with psycopg.connect(job["url"], autocommit=True) as connection:
        connection.execute(STORED)
        connection.execute("analyze")


async def take(job: dict[str, Any]) -> dict[str, float]:
    """Take everything in, as the matcher does; seconds and events."""
    database, provider, events = AsyncDatabase(job["url"]), Bench(), 0
    begin = time.perf_counter()
    while taken := await database.run(lambda now: matching.claim(now, limit=BATCH)):
        opened = []
        for each in taken:
            assert each.received_at is not None
            heard = listening.hear(provider, each.body, {}, channel=each.channel, received=each.received_at)
            opened.append(Opened(each, *heard))
        done = await database.run(lambda now, some=opened: matching.take_in(now, some, Policy()))  # type: ignore[misc]
        events += sum(each.fresh for each in done)
    spent = time.perf_counter() - begin
    await database.close()
    return {"events": events, "seconds": spent}
