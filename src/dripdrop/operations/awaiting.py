"""Who waits for an event, and how is it made sure that none is missed?"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from dripdrop.contracts import Scheduler
from dripdrop.operations import scheduling
from dripdrop.rules.lifecycle import ENROLLMENT
from dripdrop.store import enrollments, events, waits
from dripdrop.store.enrollments import Leaving
from dripdrop.store.flow import Flow
from dripdrop.store.scope import Scope

MOST = 10_000


def began(now: datetime, people: Sequence[UUID], *, scheduler: Scheduler | None = None) -> Flow[list[UUID]]:
    """After steps of these enrollments began to wait: watch them, and wake whose event has come already."""
    yield from waits.watch(people)
    return (yield from _woken(now, people, scheduler))


def announce(
    now: datetime, scope: Scope, recorded: Sequence[UUID], *, scheduler: Scheduler | None = None
) -> Flow[dict[UUID, UUID]]:
    """After events were recorded: end whom they end, wake who waits for them; the ended, each with its event."""
    leaving = [
        Leaving(
            row["id"],
            row["ends_as"],
            f"event:{row['event_key']}",
            ({"code": "exit_on", "event": row["event_key"], "event_id": str(row["event_id"])},),
        )
        for row in (yield from events.exits(scope, recorded))
    ]
    ended: set[UUID] = set()
    if leaving:
        left = yield from enrollments.leave_many(now, scope, leaving, sources=ENROLLMENT.sources("reach"))
        ended = {row["id"] for row in left}
        yield from scheduling.cancel(scheduler, sorted(ended))
    concerned = yield from waits.concerned(scope, recorded)
    if concerned:
        yield from _woken(now, concerned, scheduler)
    return {each.id: UUID(each.reasons[0]["event_id"]) for each in leaving if each.id in ended}


def sweep(now: datetime, *, scheduler: Scheduler | None = None, limit: int = MOST) -> Flow[int]:
    """Settle waits that an event may have missed while both were uncommitted; how many steps were woken.

    A wait is settled once everybody who was at work when it was first seen has ended. Events that a transaction above
    READ COMMITTED recorded are announced here, where whoever began to wait meanwhile can be seen.
    """
    yield from waits.note(limit)
    woken: list[UUID] = []
    for tenant, recorded in (yield from waits.hear(limit)).items():
        yield from announce(now, Scope(tenant), recorded, scheduler=scheduler)
    last_look = yield from waits.settled(limit)
    if last_look:
        woken = yield from _woken(now, last_look, scheduler)
    return len(woken)


def _woken(now: datetime, people: Sequence[UUID], scheduler: Scheduler | None) -> Flow[list[UUID]]:
    woken = yield from waits.look_back(now, people)
    if woken:
        yield from scheduling.schedule(scheduler, woken, due_now=True)
    return woken
