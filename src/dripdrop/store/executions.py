"""What is remembered of step executions: what is due, what is held, how each ended?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple
from uuid import UUID

from dripdrop.rules.claim import Recipe
from dripdrop.rules.endings import Defer, Ending, Requeue
from dripdrop.store.enrollments import dumps
from dripdrop.store.flow import Flow, Row
from dripdrop.store.scope import Scope
from dripdrop.store.statements import Statements

SQL = Statements("executions")
BEGINNING = datetime(2000, 1, 1, tzinfo=UTC)


@dataclass(slots=True)
class Attempted:
    """The columns that an attempt is filled in with, once."""

    outcome: str | None = None
    error_class: str | None = None
    message_id: str | None = None
    response: str | None = None


@dataclass(slots=True)
class Opening:
    """An attempt about to be made."""

    id: UUID
    token: int
    adapter_id: UUID
    recipient: str
    version_id: UUID
    revision: int
    digest: bytes
    business_at: datetime
    answers: Mapping[str, Any] | None = None


class Held(NamedTuple):
    """An execution that is held, with its facts; the columns as the statements name them.

    `stops` says whether any stop is in force, where that was asked; `worker_id` who holds it, where that was.
    """

    id: UUID
    tenant_key: str
    enrollment_id: UUID
    step_id: UUID | None
    visit: int
    kind: str
    state: str
    due_at: datetime | None
    token: int
    attempt: int
    refusals: int
    retries: int
    adapter_id: UUID | None
    event_id: UUID | None
    enrollment_state: str
    sequence_id: UUID
    sequence_version_id: UUID
    subscriber_type: str
    subscriber_id: str
    data_revision: int
    data: Mapping[str, Any] | None
    sequence_active: bool
    step_active: bool
    stops: bool = False
    worker_id: UUID | None = None


def claim(now: datetime, worker: UUID, limit: int, watermark: datetime | None) -> Flow[list[Held]]:
    """Take what is due, with its facts, oldest first; nothing while everything is stopped."""
    rows = yield from SQL.tuples("claim", now=now, worker=worker, limit=limit, watermark=watermark or BEGINNING)
    return [Held(*row) for row in rows]


def claim_one(now: datetime, worker: UUID, execution_id: UUID) -> Flow[list[Held]]:
    """Take this one if it is due and free."""
    rows = yield from SQL.tuples("claim_one", now=now, worker=worker, id=execution_id)
    return [Held(*row) for row in rows]


def take_over(worker: UUID, limit: int) -> Flow[list[Held]]:
    """Take what dead workers hold."""
    rows = yield from SQL.tuples("take_over", worker=worker, limit=limit)
    return [Held(*row) for row in rows]


def held_by(worker: UUID, limit: int) -> Flow[dict[UUID, int]]:
    """What a worker holds, as id -> token."""
    rows = yield from SQL.all("held_by", worker=worker, limit=limit)
    return {row["id"]: row["token"] for row in rows}


def take_again(worker: UUID, held: Mapping[UUID, int]) -> Flow[list[Held]]:
    """Take up what this worker holds without knowing of it, under new tokens."""
    rows = yield from SQL.tuples("take_again", worker=worker, ids=list(held), tokens=list(held.values()))
    return [Held(*row) for row in rows]


def hold_one(scope: Scope, execution_id: UUID) -> Flow[Held | None]:
    """One live execution under lock, with its facts."""
    rows = yield from SQL.tuples("hold_one", tenant=scope.tenant, id=execution_id)
    return Held(*rows[0]) if rows else None


def enrollment_of(scope: Scope, execution_id: UUID) -> Flow[UUID | None]:
    """Whose execution it is, live or ended."""
    row = yield from SQL.one("enrollment_of", tenant=scope.tenant, id=execution_id)
    return row["enrollment_id"] if row else None


def version_of_step(step_id: UUID) -> Flow[UUID]:
    """The version that a step belongs to."""
    rows = yield from SQL.all("version_of_step", id=step_id)
    return rows[0]["sequence_version_id"]  # type: ignore[no-any-return]


def lock_enrollments(
    ids: Sequence[UUID], revisions: Sequence[int]
) -> Flow[dict[UUID, tuple[str, Mapping[str, Any] | None]]]:
    """The enrollments, locked in id order: (state, data); the data only where it is newer than the given revision."""
    rows = yield from SQL.tuples("lock_enrollments", ids=list(ids), revisions=list(revisions))
    return {id: (state, data) for id, state, data in rows}


def open_many(
    now: datetime, worker: UUID, openings: Sequence[Opening], *, last: bool = False
) -> Flow[list[tuple[Any, ...]]]:
    """Begin attempts: (id, token, attempt) of those that may go."""
    return (
        yield from SQL.tuples(
            "open_many",
            last=last,
            now=now,
            worker=worker,
            ids=[each.id for each in openings],
            tokens=[each.token for each in openings],
            adapter_ids=[each.adapter_id for each in openings],
            recipients=[each.recipient for each in openings],
            version_ids=[each.version_id for each in openings],
            revisions=[each.revision for each in openings],
            digests=[each.digest for each in openings],
            business_at=[each.business_at for each in openings],
            answers=[dumps(each.answers) if each.answers else None for each in openings],
        )
    )


def still_held(worker: UUID, ids: Sequence[UUID], tokens: Sequence[int]) -> Flow[set[UUID]]:
    """Which of these are still ours."""
    rows = yield from SQL.all("still_held", worker=worker, ids=list(ids), tokens=list(tokens))
    return {row["id"] for row in rows}


def landed(worker: UUID, ids: Sequence[UUID], tokens: Sequence[int]) -> Flow[dict[UUID, tuple[int, int]]]:
    """Which of these were opened by us already, as (token, attempt)."""
    rows = yield from SQL.all("landed", worker=worker, ids=list(ids), tokens=list(tokens))
    return {row["id"]: (row["token"], row["attempt"]) for row in rows}


def end_many(
    now: datetime,
    worker: UUID | None,
    rows: Sequence[tuple[UUID, int, Ending, Attempted]],
    *,
    last: bool = False,
) -> Flow[set[UUID]]:
    """End executions with what follows; the ids that were still ours."""
    found = yield from SQL.tuples(
        "end_many",
        last=last,
        now=now,
        worker=worker,
        ids=[each[0] for each in rows],
        tokens=[each[1] for each in rows],
        states=[each[2].state for each in rows],
        why=[each[2].why for each in rows],
        events=[each[2].event for each in rows],
        next_steps=[each[2].next_step_id for each in rows],
        next_due=[each[2].next_due_at for each in rows],
        next_as=[each[2].next_as for each in rows],
        enrollment_states=[each[2].enrollment_state for each in rows],
        reasons=[dumps(each[2].reasons) for each in rows],
        **_filled([each[3] for each in rows]),
        message_ids=[each[3].message_id for each in rows],
    )
    return {id for (id,) in found}


def requeue_many(
    now: datetime,
    worker: UUID | None,
    rows: Sequence[tuple[UUID, int, Requeue, Attempted]],
    *,
    last: bool = False,
) -> Flow[set[UUID]]:
    """Put back into the queue; the ids that were still ours."""
    found = yield from SQL.all(
        "requeue_many",
        last=last,
        now=now,
        worker=worker,
        ids=[each[0] for each in rows],
        tokens=[each[1] for each in rows],
        states=[each[2].state for each in rows],
        due_at=[each[2].due_at for each in rows],
        refused=[each[2].refused for each in rows],
        spent=[each[2].spent for each in rows],
        events=[each[2].event for each in rows],
        reasons=[dumps(each[2].reasons) for each in rows],
        **_filled([each[3] for each in rows]),
    )
    return {row["id"] for row in found}


def _filled(attempts: Sequence[Attempted]) -> dict[str, Any]:
    return {
        "outcomes": [each.outcome for each in attempts],
        "error_classes": [each.error_class for each in attempts],
        "responses": [each.response for each in attempts],
    }


def defer_many(
    now: datetime, worker: UUID, rows: Sequence[tuple[UUID, int, Defer]], *, last: bool = False
) -> Flow[set[UUID]]:
    """Put off; the ids that were still ours."""
    found = yield from SQL.all(
        "defer_many",
        last=last,
        now=now,
        worker=worker,
        ids=[each[0] for each in rows],
        tokens=[each[1] for each in rows],
        due_at=[each[2].due_at for each in rows],
        codes=[each[2].code for each in rows],
        reasons=[dumps(each[2].reasons) for each in rows],
    )
    return {row["id"] for row in found}


def hand_back(worker: UUID, rows: Sequence[tuple[UUID, int]]) -> Flow[set[UUID]]:
    """Give up claims; the ids that were still ours."""
    found = yield from SQL.all(
        "hand_back", worker=worker, ids=[each[0] for each in rows], tokens=[each[1] for each in rows]
    )
    return {row["id"] for row in found}


def live_of(people: Sequence[UUID]) -> Flow[list[tuple[UUID, datetime]]]:
    """The (execution, due) of these enrollments that wait for a time."""
    rows = yield from SQL.all("live_of", enrollments=list(people))
    return [(row["id"], row["due_at"]) for row in rows]


def keep_jobs(backend: str, ids: Sequence[UUID], jobs: Sequence[str]) -> Flow[None]:
    """Remember which job stands for which execution."""
    yield from SQL.run("keep_jobs", backend=backend, ids=list(ids), jobs=list(jobs))


def forget_jobs(backend: str, people: Sequence[UUID]) -> Flow[list[str]]:
    """Forget the jobs of these enrollments, and say which they were."""
    rows = yield from SQL.all("forget_jobs", backend=backend, enrollments=list(people))
    return [row["job_id"] for row in rows]


def replay(now: datetime, scope: Scope, execution_id: UUID, reasons: Sequence[Any]) -> Flow[Row | None]:
    """A new execution of an ended one; None where there is no such ended one."""
    return (yield from SQL.one("replay", now=now, tenant=scope.tenant, id=execution_id, reasons=dumps(reasons)))


def attempts_since(ids: Sequence[UUID], refusals: Sequence[int]) -> Flow[dict[UUID, Row]]:
    """When each execution's first attempt began, and the first under its present key."""
    rows = yield from SQL.all("attempts_since", ids=list(ids), refusals=list(refusals))
    return {row["execution_id"]: row for row in rows}


def repeats(asked: Sequence[tuple[UUID, UUID, UUID]]) -> Flow[dict[UUID, int]]:
    """How often each (execution, enrollment, step) was sent since the path was last elsewhere, by execution."""
    ids, people, steps = ([each[place] for each in asked] for place in range(3))
    rows = yield from SQL.all("repeats", ids=ids, enrollments=people, steps=steps)
    return {row["id"]: row["sends"] for row in rows}


def put_off_before(asked: Mapping[UUID, str]) -> Flow[dict[UUID, int]]:
    """How often each execution has been put off in a row for this reason."""
    rows = yield from SQL.all("put_off_before", ids=list(asked), codes=list(asked.values()))
    return {row["id"]: row["times"] for row in rows}


def recipes(ids: Sequence[UUID], numbers: Sequence[int]) -> Flow[dict[UUID, Recipe]]:
    """How the last attempt of each was made."""
    rows = yield from SQL.all("last_attempts", ids=list(ids), numbers=list(numbers))
    return {
        row["execution_id"]: Recipe(
            row["adapter_id"],
            row["refusals"],
            row["business_at"],
            row["version_id"],
            row["data_revision"],
            row["data"] or {},
            row["digest"],
            row["started_at"],
            row["key_at"],
            row["doubted"],
            row["asked_for"],
            row["answers"],
        )
        for row in rows
    }


def next_due(after: datetime, *, last: bool = False) -> Flow[datetime | None]:
    """When the next free row is due after a moment."""
    row = yield from SQL.one("next_due", last=last, after=after)
    return row["at"] if row else None


def pending(now: datetime) -> Flow[tuple[int, int]]:
    """(due and free, held), each counted to 1000."""
    row = yield from SQL.one("pending", now=now)
    return (row["due"], row["held"]) if row else (0, 0)


def advance_clock(now: datetime, to: datetime) -> Flow[bool]:
    """Move business time on; False where something is due or held."""
    return (yield from SQL.one("advance_clock", now=now, to=to)) is not None


def clock_ahead() -> Flow[Any]:
    """How far business time is ahead of real time, as a timedelta."""
    row = yield from SQL.one("clock_ahead")
    return row["ahead"] if row else None
