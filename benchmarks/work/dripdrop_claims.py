"""Does a claim cost more when more people wait?  The engine's own claim of 100, with few and many not yet due.

First come those whose rows lie in the heap in the order in which they are due; then those that lie anywhere among the
waiting.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import datetime
from functools import partial
from typing import Any
from uuid import UUID, uuid4

import psycopg
from psycopg import sql

from benchmarks.work import dripdrop_worker
from dripdrop.operations import dispatching
from dripdrop.store.database import AsyncDatabase

BATCH = 100
UNCOUNTED = 3  # claims of each, until plans and caches are made
COLUMNS = """
select attname from pg_attribute
 where attrelid = %s::regclass and attnum > 0 and not attisdropped and attname <> 'id' order by attnum
"""
LATER = """
q.due_at + case when (row_number() over ()) %% %(nth)s = 0
                then interval '10 minutes' + random() * interval '10 minutes'
                else interval '1 day' + random() * interval '30 days' end
"""
AFTERWARDS = "update dripdrop.clock set ahead = ahead + interval '30 minutes'"


async def prepare(job: dict[str, Any]) -> None:
    """`due` people in order and as many anywhere among the `waiting`, whose step comes within a month."""
    await dripdrop_worker.prepare({**job, "kind": "noop", "rows": job["due"]})
    later = LATER % {"nth": job["waiting"] // job["due"]}
    with psycopg.connect(job["url"], autocommit=True) as connection:
        connection.execute("set synchronous_commit = off")
        people = sql.SQL("generate_series(1, {}) n").format(job["waiting"])
        _more(connection, "enrollments", {"subscriber_id": "'w' || n"}, people)
        waiting = sql.SQL("(select id from dripdrop.enrollments where subscriber_id like 'w%') e")
        _more(connection, "execution_queue", {"enrollment_id": "e.id", "due_at": later}, waiting)
        connection.execute(AFTERWARDS)


async def cost(job: dict[str, Any]) -> dict[str, Any]:
    """Seconds of each claim, on the database with few and the one with many waiting by turns, by where the due lie."""
    databases = {name: AsyncDatabase(job[name]) for name in ("few", "many")}
    policies = {name: dispatching.Policy(addresses=lambda _: (), window=lambda _: None) for name in databases}
    took: dict[str, list[float]] = {f"{name}{order}": [] for order in ("", "_anywhere") for name in databases}
    in_order = job["due"] // BATCH
    for number in range(in_order + job["claims"]):
        for name, database in databases.items():
            claiming = partial(_claim, uuid4(), policies[name])
            begin = time.perf_counter()
            claimed = await database.run(claiming)
            spent = time.perf_counter() - begin
            if len(claimed) != BATCH:
                raise RuntimeError(f"a claim took {len(claimed)} of {BATCH}")
            if UNCOUNTED <= number < in_order:
                took[name].append(spent)
            elif number >= in_order:
                took[f"{name}_anywhere"].append(spent)
    for database in databases.values():
        await database.close()
    return took


def _claim(worker: UUID, policy: dispatching.Policy, now: datetime) -> Any:
    return dispatching.claim(now, worker, policy, limit=BATCH)


def _more(connection: psycopg.Connection[Any], table: str, own: Mapping[str, str], source: sql.Composable) -> None:
    """Copies of the table's first row, one for each row of `source`, with columns of their `own`."""
    names = [row[0] for row in connection.execute(COLUMNS, [f"dripdrop.{table}"])]
    values = [sql.SQL(own[name]) if name in own else sql.Identifier("q", name) for name in names]
    statement = sql.SQL("insert into {} ({}) select {} from (select * from {} limit 1) q, {}").format(
        sql.Identifier("dripdrop", table),
        sql.SQL(", ").join(map(sql.Identifier, names)),
        sql.SQL(", ").join(values),
        sql.Identifier("dripdrop", table),
        source,
    )
    connection.execute(statement)
