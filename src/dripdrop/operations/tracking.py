"""What does it change that something happened in the host?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from dripdrop.contracts import Scheduler
from dripdrop.errors import DripDropError, Invalid, NotFound
from dripdrop.operations import awaiting
from dripdrop.operations.subscribers import Subscriber, checked_data, storable, who
from dripdrop.store import events
from dripdrop.store.enrollments import Enrollment
from dripdrop.store.events import Fresh
from dripdrop.store.flow import Flow, Row
from dripdrop.store.scope import Scope
from dripdrop.store.sequences import as_uuid

KEYS = ("event", "subscriber", "enrollment", "data", "occurred_at")


@dataclass(frozen=True, slots=True)
class Tracked:
    """An event that was written down, and the enrollments that it ended."""

    id: UUID
    event: str
    subscriber_type: str
    subscriber_id: str
    occurred_at: datetime
    ended: tuple[UUID, ...] = ()


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one row of `track_many`: the event as it was written down, or an error."""

    row: int
    tracked: Tracked | None = None
    error: DripDropError | None = None

    @property
    def ok(self) -> bool:
        return self.error is None


def track(
    now: datetime,
    scope: Scope,
    event: str,
    *,
    subscriber: Subscriber | None = None,
    enrollment: UUID | Enrollment | None = None,
    data: Mapping[str, Any] | None = None,
    occurred_at: datetime | None = None,
    scheduler: Scheduler | None = None,
) -> Flow[Tracked]:
    """Record an event of a subscriber, or of one enrollment: it wakes steps that wait for it, and ends whom it ends.

    Only enrollments that began before it `occurred_at` (default: now) are concerned. Raises Invalid (`missing_event`,
    `missing_subscriber`, `bad_data`, `naive_time`, `future_event`), NotFound.
    """
    row = {"subscriber": subscriber, "enrollment": enrollment, "data": data, "occurred_at": occurred_at}
    (result,) = yield from track_many(now, scope, [{"event": event, **row}], scheduler=scheduler)
    if result.tracked is None:
        raise result.error or NotFound("The event was not kept.", cure="Try again.")
    return result.tracked


def track_many(
    now: datetime, scope: Scope, rows: Sequence[Mapping[str, Any]], *, scheduler: Scheduler | None = None
) -> Flow[list[Result]]:
    """Record rows of `{event, subscriber or enrollment, data, occurred_at}`; one result per row, in order.

    Bad rows are reported, good ones recorded; the number of statements does not depend on the number of rows.
    """
    results = [Result(number) for number in range(len(rows))]
    fresh: dict[int, Fresh] = {}
    for number, row in enumerate(rows):
        try:
            fresh[number] = _fresh(now, row)
        except DripDropError as error:
            results[number] = Result(number, error=error)
    if not fresh:
        return results
    kept = yield from events.record_many(now, scope, list(fresh.values()))
    ended: dict[UUID, list[UUID]] = {}
    if kept:
        recorded = [row["id"] for row in kept.values()]
        for enrollment, event in (yield from awaiting.announce(now, scope, recorded, scheduler=scheduler)).items():
            ended.setdefault(event, []).append(enrollment)
    for place, number in enumerate(fresh):
        results[number] = _result(number, fresh[number], kept.get(place), ended)
    return results


def _fresh(now: datetime, row: Any) -> Fresh:
    if not isinstance(row, Mapping) or row.keys() - set(KEYS):
        raise Invalid("This is no row of an event.", cure=f"Give {{{', '.join(KEYS)}}}.", code="bad_row")
    enrollment = row.get("enrollment")
    named = enrollment.id if isinstance(enrollment, Enrollment) else as_uuid(enrollment)
    if enrollment is not None and named is None:
        raise NotFound(f"There is no enrollment {str(enrollment)[:80]}.", cure="See: dripdrop enrollments")
    return Fresh(
        _key(row.get("event")),
        who(row.get("subscriber")) if named is None else None,
        named,
        checked_data(row.get("data")),
        _moment(now, row.get("occurred_at")),
    )


def _key(event: Any) -> str:
    key = event.strip() if isinstance(event, str) else ""
    if not key or not storable(key):
        raise Invalid(
            "An event needs a key.", cure="Name what happened, such as 'subscription_cancelled'.", code="missing_event"
        )
    return key


def _moment(now: datetime, at: Any) -> datetime:
    if at is None:
        return now
    if not isinstance(at, datetime) or at.tzinfo is None:
        raise Invalid("`occurred_at` says no instant.", cure="Pass an aware datetime.", code="naive_time")
    if at > now:
        raise Invalid("`occurred_at` lies in the future.", cure="Track it when it has happened.", code="future_event")
    return at


def _result(number: int, fresh: Fresh, row: Row | None, ended: Mapping[UUID, Sequence[UUID]]) -> Result:
    if row is None:
        gone = NotFound(f"There is no enrollment {fresh.enrollment_id}.", cure="See: dripdrop enrollments")
        return Result(number, error=gone)
    whose = (row["subscriber_type"], row["subscriber_id"])
    done = tuple(sorted(ended.get(row["id"], ())))
    return Result(number, Tracked(row["id"], fresh.event, *whose, row["occurred_at"], done))
