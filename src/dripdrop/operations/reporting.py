"""How many, which, and since when?  Lists and counts for people."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from dripdrop.errors import Invalid, NotFound
from dripdrop.operations.subscribers import Subscriber, who
from dripdrop.rules.lifecycle import EXECUTION
from dripdrop.store import journal as lines
from dripdrop.store import reports, stops
from dripdrop.store.enrollments import Enrollment
from dripdrop.store.flow import Flow
from dripdrop.store.journal import Line
from dripdrop.store.reports import Execution, HostEvent, MessageEvent, SequenceCount
from dripdrop.store.scope import Scope

ENROLLMENT_STATES = ("active", "paused", "completed", "cancelled")
LARGEST_PAGE = 1000


def status(now: datetime, scope: Scope) -> Flow[dict[str, Any]]:
    """How it stands, ready for JSON: people by sequence and state, the queue, what is late or needs attention, workers.

    The global scope counts every tenant together, a tenant its own.
    """
    queue = yield from reports.queue(now, scope)
    held = yield from stops.listed(scope)
    workers = yield from reports.workers_alive()
    oldest = min((row["oldest_due"] for row in queue if row["oldest_due"]), default=None)
    return {
        "at": now,
        "tenant": scope.shown,
        "sequences": [
            {"key": each.key, "tenant": each.tenant_key or None, "name": each.name, "active": each.active,
             "version": each.version, "enrollments": dict(each.enrollments)}
            for each in (yield from reports.sequence_counts(scope))
        ],
        "queue": {row["state"]: row["number"] for row in queue},
        "due_now": sum(row["due"] for row in queue),
        "oldest_due": oldest,
        "needs_attention": sum(row["needs_attention"] for row in queue),
        "sent_last_day": (yield from reports.sent_since(scope, now - timedelta(days=1))),
        "workers": {"alive": len(workers), "stopping": sum(row["stopping"] for row in workers)},
        "stops": [
            {"kind": each.kind, "tenant": each.tenant_key or None, "target": each.target_id, "reason": each.reason,
             "since": each.at}
            for each in held
        ],
    }  # fmt: skip


def ready(now: datetime) -> Flow[None]:
    """Nothing where the database answers and our schema is there; else it raises."""
    yield from reports.ready()


def executions(
    now: datetime,
    scope: Scope,
    *,
    state: str | None = None,
    enrollment: UUID | Enrollment | None = None,
    sequence: str | None = None,
    limit: int = 50,
    after: UUID | None = None,
) -> Flow[list[Execution]]:
    """Executions with attempts and events, newest first; `sequence` is a key or id, `after` the last page's last id."""
    _known(state, tuple(EXECUTION))
    return (
        yield from reports.executions(
            scope,
            state=state,
            enrollment=_id(enrollment),
            sequence=_text(sequence),
            limit=_page(limit),
            after=after,
        )
    )


def execution(now: datetime, scope: Scope, execution_id: UUID) -> Flow[Execution]:
    """One execution with its attempts and events; raises `NotFound`."""
    found = yield from reports.executions(scope, ids=[execution_id], limit=1)
    if not found:
        raise NotFound(f"There is no execution {execution_id}.", cure="See: dripdrop executions")
    return found[0]


def enrollments(
    now: datetime,
    scope: Scope,
    *,
    state: str | None = None,
    sequence: str | None = None,
    subscriber: Subscriber | None = None,
    limit: int = 50,
    after: UUID | None = None,
) -> Flow[list[Enrollment]]:
    """Who is or was in a sequence, newest first."""
    _known(state, ENROLLMENT_STATES)
    return (
        yield from reports.enrollments(
            scope,
            state=state,
            sequence=_text(sequence),
            subscriber=None if subscriber is None else who(subscriber),
            limit=_page(limit),
            after=after,
        )
    )


def enrollment(now: datetime, scope: Scope, enrollment_id: UUID) -> Flow[Enrollment]:
    """One enrollment; raises `NotFound`."""
    found = yield from reports.enrollments(scope, enrollment=enrollment_id, limit=1)
    if not found:
        raise NotFound(f"There is no enrollment {enrollment_id}.", cure="See: dripdrop enrollments")
    return found[0]


def events(
    now: datetime,
    scope: Scope,
    *,
    subscriber: Subscriber | None = None,
    enrollment: UUID | Enrollment | None = None,
    event: str | None = None,
    limit: int = 50,
    after: UUID | None = None,
) -> Flow[list[HostEvent]]:
    """What the host tracked, newest first."""
    return (
        yield from reports.events(
            scope,
            subscriber=None if subscriber is None else who(subscriber),
            enrollment=_id(enrollment),
            event=event,
            limit=_page(limit),
            after=after,
        )
    )


def message_events(
    now: datetime,
    scope: Scope,
    *,
    execution: UUID | None = None,
    event_type: str | None = None,
    limit: int = 50,
    after: UUID | None = None,
) -> Flow[list[MessageEvent]]:
    """What was told of messages, newest first."""
    wanted = None if execution is None else [execution]
    return (
        yield from reports.message_events(
            scope, executions=wanted, event_type=event_type, limit=_page(limit), after=after
        )
    )


def journal(
    now: datetime,
    scope: Scope,
    *,
    enrollment: UUID | Enrollment | None = None,
    execution: UUID | None = None,
    limit: int = 200,
    after: UUID | None = None,
) -> Flow[list[Line]]:
    """Of an enrollment or execution: its newest lines in order. Of the whole scope: newest first, paged by `after`."""
    person = _id(enrollment)
    if execution is not None:
        person = yield from reports.enrollment_of_execution(scope, execution)
        if person is None:
            raise NotFound(f"There is no execution {execution}.", cure="See: dripdrop executions")
    if person is None:
        return (yield from lines.recent(scope, limit=_page(limit), after=after))
    return (yield from lines.of_enrollment(scope, person, execution_id=execution, limit=_page(limit)))


def sequences(now: datetime, scope: Scope) -> Flow[list[SequenceCount]]:
    """Every sequence the scope sees, with how many people stand in each state."""
    return (yield from reports.sequence_counts(scope))


def _id(enrollment: UUID | Enrollment | None) -> UUID | None:
    return enrollment.id if isinstance(enrollment, Enrollment) else enrollment


def _text(sequence: Any) -> str | None:
    return None if sequence is None else str(getattr(sequence, "id", sequence))


def _known(state: str | None, states: tuple[str, ...]) -> None:
    if state is not None and state not in states:
        raise Invalid(f"{state!r} is no state.", cure=f"It must be one of: {', '.join(states)}.", code="state")


def _page(limit: int) -> int:
    if isinstance(limit, bool) or not isinstance(limit, int) or not 1 <= limit <= LARGEST_PAGE:
        raise Invalid(f"A page of {limit!r} is not possible.", cure=f"Take 1 to {LARGEST_PAGE}.", code="limit")
    return limit
