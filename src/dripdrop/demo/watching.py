"""What can be seen from outside of the workers' doings, and how does their time move on?"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from dripdrop.operations import keeping
from dripdrop.store import enrollments
from dripdrop.store.flow import Flow, Row
from dripdrop.store.statements import Statements

SQL = Statements("watching", package="dripdrop.demo")
# What is due within the same few minutes goes out together: a jump for each second of it would only take longer.
TOGETHER = timedelta(minutes=6)


@dataclass(frozen=True, slots=True)
class Jump:
    """How time stands: `busy` while anybody has work, `over` when nothing is due before the moment asked about."""

    now: datetime
    busy: bool = False
    over: bool = False


def on_the_wire(now: datetime) -> Flow[list[Row]]:
    """Open attempts as (name of the worker, recipient, token, seconds)."""
    return (yield from SQL.all("on_the_wire", now=now))


def held(now: datetime, pid: int) -> Flow[dict[UUID, str]]:
    """What the worker of that process holds: states by execution."""
    return {row["id"]: row["state"] for row in (yield from SQL.all("held", pid=str(pid)))}


def time(now: datetime) -> Flow[datetime]:
    """Business time."""
    return (yield from keeping.time(now))


def alive(now: datetime) -> Flow[int]:
    """How many workers have a lease."""
    rows = yield from SQL.all("alive")
    return int(rows[0]["number"])


def in_doubt(now: datetime) -> Flow[list[Row]]:
    """What nobody can say the outcome of, as (id, subscriber_id, token)."""
    return (yield from SQL.all("in_doubt"))


def progress(now: datetime) -> Flow[dict[tuple[str, str], int]]:
    """How many visits of each step ended in each state."""
    return {(row["step"], row["state"]): row["number"] for row in (yield from SQL.all("progress"))}


def deeds(now: datetime) -> Flow[list[Row]]:
    """Every visit as (subscriber_id, step, visit, state, reason)."""
    return (yield from SQL.all("deeds"))


def move_on(now: datetime, until: datetime | None) -> Flow[Jump]:
    """Move time on to what is due next, or to `until` where that comes first; never while anybody is busy.

    Without `until`, `over` means that nothing is left to come.
    """
    due, taken = yield from keeping.pending(now)
    if due or taken:
        return Jump(now, busy=True)
    coming = yield from keeping.next_due(now)
    over = coming is None if until is None else until <= now
    if over:
        return Jump(now, over=True)
    ends = [each for each in (coming and coming + TOGETHER, until) if each is not None]
    if not (yield from keeping.advance_clock(now, min(ends))):
        return Jump(now, busy=True)
    yield from enrollments.wake()
    return Jump(min(ends))
