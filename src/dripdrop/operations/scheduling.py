"""Which jobs does a host's scheduler get?  Only hints: the claim is the guarantee."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from dripdrop.contracts import Scheduler
from dripdrop.store import enrollments, executions
from dripdrop.store.flow import Flow


def schedule(scheduler: Scheduler | None, people: Sequence[UUID], *, due_now: bool) -> Flow[None]:
    """A job for each live execution of these enrollments; without a scheduler, workers are woken where it helps."""
    if scheduler is None:
        if due_now:
            yield from enrollments.wake()
        return
    due = yield from executions.live_of(people)
    if due:
        jobs = yield from scheduler.schedule(due)
        yield from executions.keep_jobs(scheduler.name, [each[0] for each in due][: len(jobs)], jobs)


def cancel(scheduler: Scheduler | None, people: Sequence[UUID]) -> Flow[None]:
    """Take back the jobs of these enrollments; a scheduler that cannot leaves calls that find nothing due."""
    if scheduler is None:
        return
    jobs = yield from executions.forget_jobs(scheduler.name, people)
    if jobs:
        yield from scheduler.cancel(jobs)
