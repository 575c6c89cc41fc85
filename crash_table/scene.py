"""What is at stake in a cell?  People in a sequence of three steps, and an account of every message in the end."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

import psycopg
from psycopg.rows import dict_row

from crash_table import accounts, host, tales
from crash_table.accounts import Account
from crash_table.house import House
from crash_table.victim import SETTINGS
from crash_table.wire import Wire
from dripdrop import DripDrop
from dripdrop.errors import DripDropError
from dripdrop.operations import keeping
from dripdrop.store import enrollments

WORKER = "dripdrop-victim"
PATIENCE = 90.0
STRIDE = timedelta(minutes=1)
_HELD = """
select w.name, count(q.id) as held, count(q.id) filter (where q.state = 'sending') as open
  from dripdrop.workers w left join dripdrop.execution_queue q on q.worker_id = w.id
 where w.name = any(%s) group by w.name
"""
_LIVE = """
select count(*) as live, count(*) filter (where q.state = 'unknown' and q.worker_id is null
                                            and q.due_at = 'infinity') as doubtful,
       count(*) filter (where q.worker_id is null and q.due_at <= clock_timestamp() + c.ahead) as due,
       count(*) filter (where q.worker_id is not null) as held,
       min(q.due_at) filter (where q.worker_id is null and isfinite(q.due_at)) as next_due,
       (select count(*) from dripdrop.waits) + (select count(*) from dripdrop.unheard) as unsettled,
       (select count(*) from dripdrop.webhook_requests r where r.state = 'stored') as unread,
       (select min(r.due_at) from dripdrop.webhook_requests r where r.state = 'stored') as next_read
  from dripdrop.execution_queue q cross join dripdrop.clock c
"""
_DOUBTFUL = "select id from dripdrop.execution_queue where state = 'unknown' and worker_id is null"


class Scene:
    """One cell's database with people in it, and what the conductor asks of it."""

    def __init__(
        self,
        house: House,
        cell: str,
        kind: str,
        on_unknown: str,
        *,
        manners: Mapping[str, float] | None = None,
        slow: float = 0.0,
        tale: str = tales.PLAIN,
    ) -> None:
        self.house, self.cell, self.kind, self.tale = house, cell, kind, tale
        self.url = house.database()
        house.line.ask(op="cell", cell=cell, dedupe=kind == "idempotent", manners=dict(manners or {}), slow=slow)
        self.drip = DripDrop(self.url, plugins=[Wire(house.receiver, cell, kind)], config=SETTINGS)
        self.drip.plugins.register("hooks", tales.HOOKS, host.Hooks())
        adapter = self.drip.adapters.create(
            "main", channel="email", provider="wire", is_default=True, config={"from": "a@example.com"}
        )
        self.drip.sequences.apply(tales.document(tale, on_unknown))
        self.doors = house.folder / "doors" / self.url.rpartition("?")[0].rpartition("/")[2]
        if tale == tales.RECEIPTS:
            house.line.ask(op="post", cell=cell, folder=str(self.doors), path=f"/webhooks/wire/{adapter.id}")
        self.people = 0
        self.connection = psycopg.connect(self.url, autocommit=True, row_factory=dict_row)

    def enroll(self, number: int) -> None:
        """So many more people, all of them due at once."""
        rows = [
            {"subscriber": ("user", str(each)), "data": {"email": f"p{each}@example.org"}}
            for each in range(self.people, self.people + number)
        ]
        results = self.drip.enroll_many("tale", rows)
        assert all(each.created for each in results)
        self.people += number

    def spec(self, **more: Any) -> dict[str, Any]:
        """What a worker of this cell is told."""
        return {
            "url": f"{self.url}&application_name={WORKER}",
            "receiver": self.house.receiver,
            "cell": self.cell,
            "kind": self.kind,
            "tale": self.tale,
            "hasty": self.tale in tales.HASTY,
            "door": f"{self.doors}/{{}}.sock",
            **more,
        }

    def held(self, names: Sequence[str]) -> dict[str, tuple[int, int]]:
        """By worker's name: how many rows it holds, and how many of them have an open attempt."""
        rows = self.connection.execute(_HELD, [list(names)]).fetchall()
        return {row["name"]: (row["held"], row["open"]) for row in rows}

    def live(self) -> dict[str, Any]:
        """How much work there is: live, doubtful, due, held, next_due."""
        row = self.connection.execute(_LIVE).fetchone()
        assert row is not None
        return row

    def ended(self) -> int:
        """How many executions have ended."""
        row = self.connection.execute("select count(*) as number from dripdrop.execution_history").fetchone()
        return int(row["number"]) if row else 0

    def finish(self, patience: float = PATIENCE) -> int:
        """Let the living finish, moving business time on while nothing is due; how many doubts a person settled.

        The person looks at what has arrived, as an operator looks into the provider's log.
        """
        until, settled = time.monotonic() + patience, 0
        while time.monotonic() < until:
            live, told = self.live(), self._receipts()
            # The last receipt may have come in between the two looks; once nobody lives there are no more of them.
            if not (live["live"] or live["unsettled"] or told["pending"] or self.live()["unread"]):
                return settled
            if live["live"] and live["live"] == live["doubtful"] and not (live["unread"] or told["pending"]):
                settled += self._settle()
            elif not (live["due"] or live["held"] or live["unsettled"] or told["pending"]):
                ahead = [each for each in (live["next_due"], live["next_read"]) if each is not None]
                self._advance(min(ahead, default=None))
            time.sleep(0.02)
        return settled

    def account(self, settled: int) -> Account:
        """Set what arrived beside what the sequence promised."""
        told = self.house.line.ask(op="count", cell=self.cell)
        return accounts.drawn(self.connection, told, self._receipts(), self.tale, self.people, settled)

    def close(self) -> None:
        self.connection.close()
        self.drip.close()
        self.house.line.ask(op="forget", cell=self.cell)
        self.house.drop(self.url)

    def _receipts(self) -> dict[str, Any]:
        """What the far side has told: `answered` receipts, and how many are `pending`."""
        if self.tale != tales.RECEIPTS:
            return {"answered": [], "pending": 0}
        told: dict[str, Any] = self.house.line.ask(op="receipts", cell=self.cell)
        return told

    def _settle(self) -> int:
        arrived = self.house.line.ask(op="count", cell=self.cell)["arrived"]
        settled = 0
        for row in self.connection.execute(_DOUBTFUL).fetchall():
            # A receipt may have proven it in this very moment.
            with suppress(DripDropError):
                self.drip.executions.resolve(row["id"], as_="sent" if str(row["id"]) in arrived else "resend")
                settled += 1
        return settled

    def _advance(self, to: datetime | None) -> None:
        if to is not None:
            # As far as a crowd of retries is spread, or each of them would cost a jump of its own.
            beyond = to + STRIDE
            try:
                self.drip._core.database.run(lambda now: keeping.advance_clock(now, beyond))
                self.connection.execute(f"notify {enrollments.CHANNEL}".encode())
            except DripDropError:
                return
