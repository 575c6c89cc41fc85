"""What do people want to see of executions, enrollments, events and the whole?"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from dripdrop.store import enrollments as people
from dripdrop.store.flow import Flow, Row
from dripdrop.store.scope import Scope
from dripdrop.store.statements import Statements

SQL = Statements("reports")


@dataclass(frozen=True, slots=True)
class Attempt:
    """One call to a provider; `outcome` is None while it is under way. `adapter` is a name."""

    execution_id: UUID
    number: int
    outcome: str | None
    error_class: str | None
    provider_response: Any
    adapter_id: UUID | None
    adapter: str | None
    provider_message_id: str | None
    recipient: str | None
    started_at: datetime
    business_at: datetime
    finished_at: datetime | None


@dataclass(frozen=True, slots=True)
class MessageEvent:
    """One fact about a message that a provider told, or that we noted."""

    id: UUID
    tenant_key: str
    execution_id: UUID | None
    adapter_id: UUID | None
    channel: str
    provider: str
    provider_message_id: str | None
    provider_event_id: str | None
    event_type: str
    event_data: Mapping[str, Any]
    occurred_at: datetime
    inserted_at: datetime


@dataclass(frozen=True, slots=True)
class HostEvent:
    """Something that happened in the host, as `track` recorded it."""

    id: UUID
    tenant_key: str
    enrollment_id: UUID | None
    subscriber_type: str
    subscriber_id: str
    event_key: str
    event_data: Mapping[str, Any]
    occurred_at: datetime
    inserted_at: datetime


@dataclass(frozen=True, slots=True)
class Execution:
    """One visit of one step. `scheduled_for` is None while nobody knows when; `step` and `sequence` are keys."""

    id: UUID
    tenant_key: str
    enrollment_id: UUID
    sequence: str
    subscriber_type: str
    subscriber_id: str
    step_id: UUID
    step: str | None
    step_name: str | None
    channel: str | None
    visit: int
    kind: str
    of_id: UUID | None
    state: str
    delivery_status: str | None
    scheduled_for: datetime | None
    ended_at: datetime | None
    recipient: str | None
    adapter_id: UUID | None
    idempotency_key: str
    provider_message_id: str | None
    out_message_id: str | None
    retry_count: int
    reason: str | None
    attempts: tuple[Attempt, ...] = ()
    events: tuple[MessageEvent, ...] = ()


@dataclass(frozen=True, slots=True)
class SequenceCount:
    """A sequence, the number of its active version, and how many people of the scope stand in each state."""

    id: UUID
    tenant_key: str
    key: str
    name: str
    active: bool
    version: int | None
    enrollments: Mapping[str, int]


def executions(
    scope: Scope,
    *,
    ids: Sequence[UUID] | None = None,
    state: str | None = None,
    enrollment: UUID | None = None,
    sequence: str | None = None,
    limit: int = 50,
    after: UUID | None = None,
) -> Flow[list[Execution]]:
    """Executions with their attempts and message events, newest first: three statements, however many."""
    rows = yield from SQL.all(
        "executions",
        tenant=scope.tenant,
        ids=None if ids is None else list(ids),
        state=state,
        enrollment=enrollment,
        sequence=sequence,
        limit=limit,
        after=after,
    )
    found = [_execution(row) for row in rows]
    if not found:
        return []
    wanted = [each.id for each in found]
    attempts: dict[UUID, list[Attempt]] = defaultdict(list)
    for row in (yield from SQL.all("attempts", tenant=scope.tenant, ids=wanted)):
        attempts[row["execution_id"]].append(Attempt(**row))
    events: dict[UUID | None, list[MessageEvent]] = defaultdict(list)
    for event in reversed((yield from message_events(scope, executions=wanted, limit=None))):
        events[event.execution_id].append(event)
    return [replace(each, attempts=tuple(attempts[each.id]), events=tuple(events[each.id])) for each in found]


def message_events(
    scope: Scope,
    *,
    executions: Sequence[UUID] | None = None,
    event_type: str | None = None,
    limit: int | None = 50,
    after: UUID | None = None,
) -> Flow[list[MessageEvent]]:
    """What was told of messages, newest first."""
    rows = yield from SQL.all(
        "message_events",
        tenant=scope.tenant,
        executions=None if executions is None else list(executions),
        event_type=event_type,
        limit=limit,
        after=after,
    )
    return [MessageEvent(**row) for row in rows]


def events(
    scope: Scope,
    *,
    subscriber: tuple[str, str] | None,
    enrollment: UUID | None,
    event: str | None,
    limit: int,
    after: UUID | None,
) -> Flow[list[HostEvent]]:
    """What the host tracked, newest first."""
    kind, name = subscriber or (None, None)
    rows = yield from SQL.all(
        "events",
        tenant=scope.tenant,
        subscriber_type=kind,
        subscriber_id=name,
        enrollment=enrollment,
        event=event,
        limit=limit,
        after=after,
    )
    return [HostEvent(**row) for row in rows]


def enrollments(
    scope: Scope,
    *,
    enrollment: UUID | None = None,
    state: str | None = None,
    sequence: str | None = None,
    subscriber: tuple[str, str] | None = None,
    limit: int = 50,
    after: UUID | None = None,
) -> Flow[list[people.Enrollment]]:
    """Who is or was in a sequence, newest first."""
    kind, name = subscriber or (None, None)
    rows = yield from SQL.all(
        "enrollments",
        tenant=scope.tenant,
        id=enrollment,
        state=state,
        sequence=sequence,
        subscriber_type=kind,
        subscriber_id=name,
        limit=limit,
        after=after,
    )
    return [people.from_row(row) for row in rows]


def standing(scope: Scope, enrollment_id: UUID) -> Flow[Row | None]:
    """An enrollment with its sequence, data and current step."""
    return (yield from SQL.one("standing", tenant=scope.tenant, enrollment=enrollment_id))


def live(scope: Scope, enrollment_id: UUID) -> Flow[list[Row]]:
    """What of an enrollment is in the queue, the path's own first; `due_at` is None where no time is set."""
    return (yield from SQL.all("live", tenant=scope.tenant, enrollment=enrollment_id))


def attempts_of(scope: Scope, enrollment_id: UUID) -> Flow[list[Row]]:
    """Every call made for an enrollment, in the order of business time."""
    return (yield from SQL.all("attempts_of_enrollment", tenant=scope.tenant, enrollment=enrollment_id))


def enrollment_of_execution(scope: Scope, execution_id: UUID) -> Flow[UUID | None]:
    row = yield from SQL.one("enrollment_of_execution", tenant=scope.tenant, execution=execution_id)
    return row["enrollment_id"] if row else None


def enrollment_of_subscriber(scope: Scope, subscriber: tuple[str, str], sequence: str | None) -> Flow[UUID | None]:
    """The subscriber's live enrollment (in that sequence), else the newest."""
    row = yield from SQL.one(
        "enrollment_of_subscriber",
        tenant=scope.tenant,
        subscriber_type=subscriber[0],
        subscriber_id=subscriber[1],
        sequence=sequence,
    )
    return row["enrollment_id"] if row else None


def sequence_counts(scope: Scope) -> Flow[list[SequenceCount]]:
    """Every sequence that the scope sees, by key; the global scope counts every tenant's people."""
    rows = yield from SQL.all("sequence_counts", tenant=scope.tenant)
    return [
        SequenceCount(
            row["id"],
            row["tenant_key"],
            row["key"],
            row["name"],
            row["active"],
            row["version"],
            {state: row[f"in_{state}"] for state in ("active", "paused", "completed", "cancelled")},
        )
        for row in rows
    ]


def queue(now: datetime, scope: Scope) -> Flow[list[Row]]:
    """By state: number, due, oldest_due, needs_attention."""
    return (yield from SQL.all("queue", now=now, tenant=scope.tenant))


def sent_since(scope: Scope, since: datetime) -> Flow[int]:
    rows = yield from SQL.all("sent_since", tenant=scope.tenant, since=since)
    return int(rows[0]["number"])


def workers_alive() -> Flow[list[Row]]:
    """The workers whose lease has not run out."""
    return (yield from SQL.all("workers_alive"))


def ready() -> Flow[None]:
    """Raises whatever the database raises where the schema is not there."""
    yield from SQL.run("ready")


def _execution(row: Row) -> Execution:
    values = dict(row)
    refusals, retries = values.pop("refusals"), values.pop("retries")
    values.pop("attempt")
    return Execution(idempotency_key=f"{row['id']}:{refusals}", retry_count=retries, **values)
