"""Would the table notice?  Three builds broken on purpose, for the tests alone: each must be caught."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from dripdrop.engine.dispatcher import Dispatcher
from dripdrop.engine.item import Item
from dripdrop.operations import delivering
from dripdrop.rules.following import Ending
from dripdrop.store import executions
from dripdrop.store.flow import Flow, Query

# What each build does, and at which place a worker that dies or stands still there shows it.
BUILDS = {
    "fence": "open and close write whatever token and worker the row has by now",
    "split": "an outcome and what follows from it are two transactions",
    "late_open": "the attempt is written down after the send",
}
_FENCES = (
    "and q.token = g.token\n",
    "and case when q.worker_id is distinct from %(worker)s::uuid then false else true end\n",
    "and case when q.state <> 'claiming' then false else true end\n",
)
_NEXT = """
with given as (
    select * from unnest(%(ids)s::uuid[], %(steps)s::uuid[], %(due)s::timestamptz[]) as g(id, step_id, due_at)
), bumped as (
    update dripdrop.enrollments e set visits = e.visits + 1, current_step_id = g.step_id
      from given g where e.id = g.id
    returning e.id, e.tenant_key, e.visits, g.step_id, g.due_at
)
insert into dripdrop.execution_queue (tenant_key, enrollment_id, step_id, visit, due_at)
select b.tenant_key, b.id, b.step_id, b.visits, b.due_at from bumped b
"""


def arrange(build: str | None) -> None:
    """Break this process's engine, if it is to be broken."""
    match build:
        case "fence":
            _without_fence()
        case "split":
            _close_in_two()
        case "late_open":
            # A message that goes alone opens and sends in one place.
            Item.alone = property(lambda self: True)  # type: ignore[assignment,method-assign]
            Item._open_and_send = _send_and_open  # type: ignore[method-assign]


def _without_fence() -> None:
    texts = dict(executions.SQL.texts)
    for name in ("open_many", "end_many", "requeue_many", "defer_many", "hand_back"):
        for fence in _FENCES:
            texts[name] = texts[name].replace(fence, "\n")
    executions.SQL.texts = texts


def _close_in_two() -> None:
    decide, begin = delivering.decide, Dispatcher.__init__
    following: list[tuple[UUID, UUID, datetime]] = []

    def without_next(claim: Any, *given: Any, **named: Any) -> Any:
        found = decide(claim, *given, **named)
        if isinstance(found, Ending) and found.next_step_id is not None and found.next_due_at is not None:
            following.append((claim.enrollment_id, found.next_step_id, found.next_due_at))
            found.next_step_id = found.next_due_at = found.next_as = None
        return found

    def and_wrap(self: Dispatcher, *given: Any, **named: Any) -> None:
        begin(self, *given, **named)
        first = self.closes._carry_out

        async def in_two(items: Sequence[Any]) -> Sequence[Any]:
            results = await first(items)
            ahead, following[:] = list(following), []
            if ahead:
                await self.runtime.database.run(lambda now: follow(ahead))
            return results

        self.closes._carry_out = self.closes._again = in_two

    def follow(ahead: Sequence[tuple[UUID, UUID, datetime]]) -> Flow[None]:
        ids, steps, due = (list(column) for column in zip(*ahead, strict=True))
        yield Query(_NEXT, {"ids": ids, "steps": steps, "due": due}, "breakage.follow", False)

    delivering.decide = without_next
    Dispatcher.__init__ = and_wrap  # type: ignore[method-assign]


async def _send_and_open(
    self: Item, provider: Any, adapter: Any, message: Any, mark: bytes, config: Any, *more: Any
) -> Any:
    outcome = await self.runtime.speaker.send(
        provider, self._delivery(adapter, message), config, timeout=self.config.adapter_timeout_seconds
    )
    return outcome if await self._open(adapter, message, mark, *more) else None
