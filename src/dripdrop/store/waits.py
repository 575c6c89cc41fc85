"""Who waits for an event, and whose has come?"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from dripdrop.store.flow import Flow
from dripdrop.store.scope import Scope
from dripdrop.store.statements import Statements

SQL = Statements("waits")


def watch(enrollments: Sequence[UUID]) -> Flow[None]:
    """Those of them who wait are watched from now on, so that no event that is being recorded now is missed."""
    yield from SQL.run("watch", enrollments=list(enrollments))


def concerned(scope: Scope, events: Sequence[UUID]) -> Flow[list[UUID]]:
    """The enrollments whose steps wait for one of these events."""
    rows = yield from SQL.all("concerned", tenant=scope.tenant, ids=list(events))
    return [row["id"] for row in rows]


def look_back(now: datetime, enrollments: Sequence[UUID]) -> Flow[list[UUID]]:
    """Wake those whose event has come since they were enrolled; the enrollments that were woken."""
    rows = yield from SQL.all("look_back", now=now, enrollments=list(enrollments))
    return [row["enrollment_id"] for row in rows]


def note(limit: int) -> Flow[None]:
    """Remember who was at work when these waits were first seen; must be the first write of its transaction."""
    yield from SQL.run("note", limit=limit)


def settled(limit: int) -> Flow[list[UUID]]:
    """Enrollments whose waits need one last look back: nobody of then is at work any more. They are forgotten here."""
    rows = yield from SQL.all("settled", limit=limit)
    return [row["enrollment_id"] for row in rows]


def hear(limit: int) -> Flow[dict[str, list[UUID]]]:
    """Events, by tenant, of transactions that could not see who waits; they are forgotten here."""
    found: dict[str, list[UUID]] = {}
    for row in (yield from SQL.all("hear", limit=limit)):
        found.setdefault(row["tenant_key"], []).append(row["id"])
    return found
