"""How fast is the obvious handler?  Async, pooled, prepared, one transaction a step, same renderer and MIME."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import orjson
import psycopg
from liquid import Environment
from psycopg_pool import AsyncConnectionPool

from benchmarks.work import letter, meter
from dripdrop.rules import mail
from dripdrop.rules.message import Address, Email

TASKS = 10
NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)

TABLES = """
create table person (id uuid primary key default uuidv7(), data jsonb not null);
create table queue (
    person_id uuid primary key references person, step integer not null, due_at timestamptz not null);
create index queue_due on queue (due_at);
create table history (
    id uuid primary key default uuidv7(), person_id uuid not null, step integer not null, sent_at timestamptz not null);
create index history_person on history (person_id);
"""
SEED = """
insert into queue
select id, 1, %s - interval '1 hour' + make_interval(secs => row_number() over () * 0.001) from person
"""
CLAIM = """
select q.person_id, q.step, p.data from queue q join person p on p.id = q.person_id
 where q.due_at <= %s order by q.due_at limit 1 for update of q skip locked
"""
FINISH = """
with moved as (
    update queue set step = step + 1, due_at = due_at + interval '1 day' where person_id = %(id)s returning person_id
)
insert into history (person_id, step, sent_at) select person_id, %(step)s, %(now)s from moved
"""


async def prepare(job: dict[str, Any]) -> None:
    async with await psycopg.AsyncConnection.connect(job["url"], autocommit=True) as connection:
        await connection.execute(TABLES)
        async with connection.cursor().copy("copy person (data) from stdin") as copy:
            for number in range(job["rows"]):
                await copy.write_row((orjson.dumps(letter.data(number)).decode(),))
        await connection.execute(SEED, [NOON])


class Handler:
    """Takes one due step at a time until told to stop."""

    def __init__(self, window: meter.Window) -> None:
        plain, escaping = Environment(), Environment(autoescape=True)
        self.subject, self.text = plain.from_string(letter.SUBJECT), plain.from_string(letter.TEXT)
        self.html = escaping.from_string(letter.HTML)
        self.sender = Address(letter.SENDER[1], letter.SENDER[0])
        self.window = window
        self.stopping = False
        self.octets = 0
        self.sample: dict[str, Any] = {}

    async def work(self, pool: AsyncConnectionPool) -> None:
        while not self.stopping:
            async with pool.connection() as connection:
                cursor = await connection.execute(CLAIM, [NOON], prepare=True)
                row = await cursor.fetchone()
                if row is None:
                    return
                self.send(*row)
                await connection.execute(FINISH, {"id": row[0], "step": row[1], "now": NOON}, prepare=True)

    def send(self, person: UUID, step: int, data: dict[str, Any]) -> None:
        email = Email(
            to=(Address(data["email"]),),
            subject=self.subject.render(data),
            text=self.text.render(data),
            html=self.html.render(data),
            sender=self.sender,
            date=NOON,
            message_id=f"<{person}.{step}@example.com>",
        )
        self.octets += len(mail.build(email, boundary_seed=str(person)))
        self.window.total += 1
        if not self.sample:
            self.sample = {"to": data["email"], "subject": email.subject, "html": email.html, "text": email.text}


def letter_of(job: dict[str, Any]) -> dict[str, Any]:
    """The letter that everybody must send to an address."""
    handler = Handler(meter.Window(job))
    handler.send(UUID(int=0), 1, letter.data(letter.number(job["to"])))
    return handler.sample


async def run(job: dict[str, Any]) -> dict[str, Any]:
    window = meter.Window(job)
    handler = Handler(window)
    async with AsyncConnectionPool(
        job["url"], min_size=TASKS, max_size=TASKS, open=False, configure=_configure
    ) as pool:
        await pool.wait()
        meter.ready()
        working = [asyncio.create_task(handler.work(pool)) for _ in range(TASKS)]
        await window.pass_by()
        handler.stopping = True
        await asyncio.gather(*working)
    return window.result(octets=handler.octets, sample=handler.sample)


async def _configure(connection: psycopg.AsyncConnection[Any]) -> None:
    connection.adapters.register_loader("jsonb", _FastJson)


class _FastJson(psycopg.adapt.Loader):
    def load(self, data: Any) -> Any:
        return orjson.loads(bytes(data))
