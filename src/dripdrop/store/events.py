"""What is remembered of what happened to people in the host?"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from dripdrop.rules.facts import Happened
from dripdrop.store.enrollments import dumps
from dripdrop.store.flow import Flow, Row
from dripdrop.store.scope import Scope
from dripdrop.store.statements import Statements

SQL = Statements("events")
MOST_LOOKED_AT = 100


@dataclass(frozen=True, slots=True)
class Fresh:
    """An event to write down: of a subscriber, or of one enrollment, whose subscriber it then is."""

    event: str
    subscriber: tuple[str, str] | None
    enrollment_id: UUID | None
    data: Mapping[str, Any]
    occurred_at: datetime


def record_many(now: datetime, scope: Scope, events: Sequence[Fresh]) -> Flow[dict[int, Row]]:
    """Write them down in one statement: (id, subscriber_type, subscriber_id, occurred_at) by place in the list.

    An event of an enrollment that the scope does not have is left out.
    """
    rows = yield from SQL.all(
        "record_many",
        now=now,
        tenant=scope.tenant,
        enrollments=[each.enrollment_id for each in events],
        types=[each.subscriber[0] if each.subscriber else None for each in events],
        ids=[each.subscriber[1] if each.subscriber else None for each in events],
        events=[each.event for each in events],
        data=[dumps(each.data) for each in events],
        occurred=[each.occurred_at for each in events],
    )
    return {row["place"] - 1: row for row in rows}


def exits(scope: Scope, ids: Sequence[UUID]) -> Flow[list[Row]]:
    """The live enrollments that end on these events: (id, event_id, event_key, ends_as)."""
    return (yield from SQL.all("exits", tenant=scope.tenant, ids=list(ids)))


def data_of(ids: Iterable[UUID]) -> Flow[dict[UUID, Mapping[str, Any]]]:
    """The data of events."""
    return {row["id"]: row["data"] for row in (yield from SQL.all("data_of", ids=list(ids)))}


def of_enrollments(asked: Sequence[tuple[UUID, str]]) -> Flow[dict[UUID, dict[str, list[Happened]]]]:
    """What happened to people since they were enrolled, by enrollment and key, latest first, a hundred of each."""
    rows = yield from SQL.all(
        "of_enrollments",
        enrollments=[each[0] for each in asked],
        events=[each[1] for each in asked],
        limit=MOST_LOOKED_AT,
    )
    found: dict[UUID, dict[str, list[Happened]]] = {}
    for row in rows:
        happened = Happened(row["data"], row["occurred_at"], row["id"])
        found.setdefault(row["enrollment_id"], {}).setdefault(row["event_key"], []).append(happened)
    return found
