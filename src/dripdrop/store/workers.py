"""Who is at work, and since when have they not been heard of?"""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

from dripdrop.store.flow import Flow
from dripdrop.store.statements import Statements

SQL = Statements("workers")


def register(name: str, lease: timedelta) -> Flow[UUID]:
    """A new worker's id."""
    rows = yield from SQL.all("register", name=name, lease=lease)
    return rows[0]["id"]  # type: ignore[no-any-return]


def heartbeat(worker: UUID, *, stopping: bool = False) -> Flow[bool]:
    """Still here; False where this worker has been forgotten."""
    return (yield from SQL.one("heartbeat", id=worker, stopping=stopping)) is not None


def farewell(worker: UUID) -> Flow[None]:
    """Gone for good; a row that still holds leases stays, so that they are taken over."""
    yield from SQL.run("farewell", id=worker)


def forget_dead() -> Flow[None]:
    """Remove workers long dead who hold nothing."""
    yield from SQL.run("forget_dead")


def make_partitions(months: int) -> Flow[int]:
    """Make the partitions of the months ahead; how many were made."""
    row = yield from SQL.one("make_partitions", months=months)
    return row["made"] if row else 0
