"""What does it change that something happened in the host?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from dripdrop.errors import Invalid, NotFound
from dripdrop.operations.subscribers import Subscriber, checked_data, storable, who
from dripdrop.rules.lifecycle import ENROLLMENT
from dripdrop.store import enrollments
from dripdrop.store.flow import Flow
from dripdrop.store.scope import Scope


@dataclass(frozen=True, slots=True)
class Tracked:
    """An event that was written down, and the enrollments that it ended."""

    id: UUID
    event: str
    subscriber_type: str
    subscriber_id: str
    occurred_at: datetime
    ended: tuple[UUID, ...] = ()


def track(
    now: datetime,
    scope: Scope,
    event: str,
    *,
    subscriber: Subscriber | None = None,
    enrollment: UUID | None = None,
    data: Mapping[str, Any] | None = None,
) -> Flow[Tracked]:
    """Record an event of a subscriber, or of one enrollment, and end the enrollments whose `exit_on` names it.

    Raises Invalid (`missing_event`, `missing_subscriber`), NotFound.
    """
    key = event.strip() if isinstance(event, str) else ""
    if not key or not storable(key):
        raise Invalid(
            "An event needs a key.", cure="Name what happened, such as 'subscription_cancelled'.", code="missing_event"
        )
    person = yield from _person(scope, subscriber, enrollment)
    row = yield from enrollments.record_event(now, scope, key, person, enrollment, checked_data(data))
    if row is None:
        raise NotFound("The event was not kept.", cure="Try again.")
    ending = yield from enrollments.ended_by(scope, key, person, enrollment)
    ended = (
        (
            yield from enrollments.cancel_many(
                now,
                scope,
                ending,
                sources=ENROLLMENT.sources("unenroll"),
                reason=f"event:{key}",
                reasons=[{"code": "exit_on", "event": key, "event_id": str(row["id"])}],
            )
        )
        if ending
        else []
    )
    return Tracked(row["id"], key, person[0], person[1], row["occurred_at"], tuple(each["id"] for each in ended))


def _person(scope: Scope, subscriber: Subscriber | None, enrollment: UUID | None) -> Flow[tuple[str, str]]:
    if enrollment is None:
        return who(subscriber)
    row = yield from enrollments.get(scope, enrollment)
    if row is None:
        raise NotFound(f"There is no enrollment {enrollment}.", cure="See: dripdrop enrollments")
    return (row["subscriber_type"], row["subscriber_id"])
