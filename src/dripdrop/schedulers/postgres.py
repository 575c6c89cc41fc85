"""How are workers woken without any scheduler but PostgreSQL itself?"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from dripdrop.store import enrollments
from dripdrop.store.flow import Flow


class PostgresScheduler:
    """The built-in one: the queue's due index is the schedule, so there are no jobs; NOTIFY says something came."""

    kind = "scheduler"
    name = "postgres"

    def schedule(self, due: Sequence[tuple[UUID, datetime]]) -> Flow[list[str]]:
        """Wake the workers at commit, once for the whole list; no job ids."""
        if due:
            yield from enrollments.wake()
        return []

    def cancel(self, job_ids: Sequence[str]) -> Flow[None]:
        """There are no jobs: what was put off is not due."""
        return
        yield
