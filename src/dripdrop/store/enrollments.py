"""What is remembered of a person in a sequence?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import orjson

from dripdrop.rules.entering import Arrival
from dripdrop.store.flow import Flow, Row
from dripdrop.store.scope import Scope
from dripdrop.store.statements import Statements

SQL = Statements("enrollments")
CHANNEL = "dripdrop"


@dataclass(frozen=True, slots=True)
class Enrollment:
    """A person in one version of a sequence; `created` says whether this call made it."""

    id: UUID
    tenant_key: str | None
    sequence_id: UUID
    sequence_key: str
    version_id: UUID
    subscriber_type: str
    subscriber_id: str
    state: str
    current_step_id: UUID | None
    data: Mapping[str, Any]
    metadata: Mapping[str, Any]
    started_at: datetime
    completed_at: datetime | None = None
    cancelled_at: datetime | None = None
    reason: str | None = None
    revision: int = 1
    created: bool = False


@dataclass(frozen=True, slots=True)
class Newcomer:
    """One row to enroll: where it arrives is decided already."""

    subscriber_type: str
    subscriber_id: str
    data: Mapping[str, Any]
    arrival: Arrival
    metadata: Mapping[str, Any] = field(default_factory=dict)
    reasons: Sequence[Mapping[str, Any]] = ()


@dataclass(frozen=True, slots=True)
class Leaving:
    """An enrollment to end: `to` is completed or cancelled, `why` what its row keeps."""

    id: UUID
    to: str
    why: str
    reasons: Sequence[Mapping[str, Any]] = ()


def from_row(row: Row, sequence_key: str = "", *, created: bool = False) -> Enrollment:
    """An `Enrollment` from a row of `enrollments` with its data."""
    return Enrollment(
        id=row["id"],
        tenant_key=row["tenant_key"] or None,
        sequence_id=row["sequence_id"],
        sequence_key=row.get("sequence_key") or sequence_key,
        version_id=row["sequence_version_id"],
        subscriber_type=row["subscriber_type"],
        subscriber_id=row["subscriber_id"],
        state=row["state"],
        current_step_id=row["current_step_id"],
        data=row.get("data") or {},
        metadata=row["metadata"],
        started_at=row["started_at"],
        completed_at=row["completed_at"],
        cancelled_at=row["cancelled_at"],
        reason=row["reason"],
        revision=row["data_revision"],
        created=created,
    )


def dumps(value: Any) -> str:
    """JSON text as every driver takes it."""
    return orjson.dumps(value, default=str, option=orjson.OPT_NON_STR_KEYS).decode()


def insert_many(
    now: datetime,
    scope: Scope,
    sequence_id: UUID,
    version_id: UUID,
    newcomers: Sequence[Newcomer],
    *,
    reentry: bool | timedelta,
) -> Flow[dict[tuple[str, str], UUID]]:
    """Enroll who is not enrolled: two statements whatever the number; the ids of the new ones by subscriber.

    `reentry` says whether somebody who has been through may enter again, or how long after they ended.
    """
    made = yield from SQL.all(
        "insert_many",
        now=now,
        tenant=scope.tenant,
        sequence_id=sequence_id,
        version_id=version_id,
        reentry=reentry is True,
        ended_before=now - reentry if isinstance(reentry, timedelta) else None,
        types=[each.subscriber_type for each in newcomers],
        ids=[each.subscriber_id for each in newcomers],
        step_ids=[each.arrival.step_id for each in newcomers],
        metadata=[dumps(each.metadata) for each in newcomers],
    )
    fresh = {(row["subscriber_type"], row["subscriber_id"]): row["id"] for row in made}
    begun = [each for each in newcomers if (each.subscriber_type, each.subscriber_id) in fresh]
    if begun:
        yield from SQL.run(
            "begin_many",
            now=now,
            tenant=scope.tenant,
            ids=[fresh[each.subscriber_type, each.subscriber_id] for each in begun],
            data=[dumps(each.data) for each in begun],
            step_ids=[each.arrival.step_id for each in begun],
            due_at=[each.arrival.due_at for each in begun],
            states=[each.arrival.as_ for each in begun],
            reasons=[dumps(each.reasons) for each in begun],
        )
    return fresh


def standing(
    scope: Scope, sequence_id: UUID, subscribers: Sequence[tuple[str, str]]
) -> Flow[dict[tuple[str, str], Row]]:
    """What stands in the way of those who were not enrolled."""
    rows = yield from SQL.all(
        "standing",
        tenant=scope.tenant,
        sequence_id=sequence_id,
        types=[each[0] for each in subscribers],
        ids=[each[1] for each in subscribers],
    )
    return {(row["subscriber_type"], row["subscriber_id"]): row for row in rows}


def get(scope: Scope, enrollment_id: UUID) -> Flow[Row | None]:
    """One enrollment with its data, or None."""
    return (yield from SQL.one("get", id=enrollment_id, tenant=scope.tenant))


def lock(scope: Scope, ids: Sequence[UUID]) -> Flow[list[Row]]:
    """The same, locked, in id order."""
    return (yield from SQL.all("lock", ids=list(ids), tenant=scope.tenant))


def pause(
    now: datetime, scope: Scope, enrollment_id: UUID, *, sources: Sequence[str], reasons: Sequence[Mapping[str, Any]]
) -> Flow[Row | None]:
    """Hold: enrollment, queue row and journal in one statement; None where the state was another."""
    return (
        yield from SQL.one(
            "pause", now=now, tenant=scope.tenant, id=enrollment_id, sources=list(sources), reasons=dumps(reasons)
        )
    )


def resume(
    now: datetime, scope: Scope, enrollment_id: UUID, *, sources: Sequence[str], reasons: Sequence[Mapping[str, Any]]
) -> Flow[Row | None]:
    """Go on with the time that was left; `going` counts the executions that go on."""
    return (
        yield from SQL.one(
            "resume", now=now, tenant=scope.tenant, id=enrollment_id, sources=list(sources), reasons=dumps(reasons)
        )
    )


def complete_if_idle(
    now: datetime, scope: Scope, enrollment_id: UUID, reasons: Sequence[Mapping[str, Any]]
) -> Flow[Row | None]:
    """Complete an active enrollment that has no execution left."""
    return (
        yield from SQL.one("complete_if_idle", now=now, tenant=scope.tenant, id=enrollment_id, reasons=dumps(reasons))
    )


def leave_many(now: datetime, scope: Scope, leaving: Sequence[Leaving], *, sources: Sequence[str]) -> Flow[list[Row]]:
    """End enrollments and what they have pending; what is on its way is left alone."""
    return (
        yield from SQL.all(
            "leave_many",
            now=now,
            tenant=scope.tenant,
            ids=[each.id for each in leaving],
            states=[each.to for each in leaving],
            why=[each.why for each in leaving],
            reasons=[dumps(each.reasons) for each in leaving],
            sources=list(sources),
        )
    )


def update_data(
    now: datetime, scope: Scope, enrollment_id: UUID, data: Mapping[str, Any], reasons: Sequence[Mapping[str, Any]]
) -> Flow[Row | None]:
    """A new revision of the data."""
    return (
        yield from SQL.one(
            "update_data", now=now, tenant=scope.tenant, id=enrollment_id, data=dumps(data), reasons=dumps(reasons)
        )
    )


def move(
    now: datetime,
    scope: Scope,
    enrollment_id: UUID,
    *,
    version_id: UUID,
    arrival: Arrival,
    anywhere: bool,
    reasons: Sequence[Mapping[str, Any]],
) -> Flow[Row | None]:
    """Go on in another version; None where something is on its way, or a way being chosen and it is not to be left."""
    return (
        yield from SQL.one(
            "move",
            now=now,
            tenant=scope.tenant,
            id=enrollment_id,
            version_id=version_id,
            step_id=arrival.step_id,
            due_at=arrival.due_at,
            state=arrival.as_,
            anywhere=anywhere,
            reasons=dumps(reasons),
        )
    )


def wake() -> Flow[None]:
    """Wake the workers when the transaction commits: only a hint."""
    yield from SQL.run("wake", channel=CHANNEL)
