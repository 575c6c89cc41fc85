"""What happens to each due execution?  Claim and gate in batches, then on together: render, open, send, close."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID

from dripdrop import clock
from dripdrop.engine.batch import Batch
from dripdrop.engine.collectors import Collector
from dripdrop.engine.item import Item
from dripdrop.engine.lanes import Lanes
from dripdrop.engine.runtime import Runtime
from dripdrop.engine.walk import Walk
from dripdrop.operations import delivering, dispatching
from dripdrop.operations.delivering import CloseResult, Closing, Opening, OpenResult
from dripdrop.operations.dispatching import Judged
from dripdrop.store.adapters import Adapter

BATCH = 250
# Items on their way in all, and those of them that wait for somebody: a provider, a connection, an answer.
IN_FLIGHT = 1500
WAITING = 400
# While more is due than one claim takes, the next one looks no further back than this behind the oldest that it found:
# it does not step over what is gone already. What fell due before that is found by the next claim without a watermark.
BEHIND = timedelta(seconds=2)
SWEEP_SECONDS = 30.0
# A look at what is due, where nobody says that there is something, and nothing is known to fall due before.
TICK = 1.0
# Where something was found, but not all that was asked for: what falls due meanwhile goes together, and the messages
# that were found have the database to themselves.
BREATH = 0.01
CONNECTIONS = 10
_LOG = logging.getLogger("dripdrop.engine")


@dataclass(frozen=True, slots=True)
class Run:
    """What one pass did: executions claimed, and how each came out."""

    claimed: int = 0
    sent: int = 0
    deferred: int = 0
    skipped: int = 0
    failed: int = 0
    unknown: int = 0
    retried: int = 0
    cancelled: int = 0


@dataclass(slots=True)
class Lease:
    """What a worker holds: its id, and until when nobody may take it over (by a clock that counts suspension).

    `turn` counts how often the lease had run out before it was confirmed again: what was opened in an earlier turn may
    be in other hands.
    """

    worker: UUID
    seconds: float
    confirmed_at: float = field(default_factory=clock.elapsed)
    turn: int = 0

    def confirm(self, at: float) -> None:
        """A heartbeat that was asked for at this moment came through."""
        if at - self.confirmed_at >= self.seconds:
            self.turn += 1
        self.confirmed_at = at

    def holds(self, turn: int) -> bool:
        """Whether what was opened in this turn is still safely ours to send."""
        return turn == self.turn and clock.elapsed() - self.confirmed_at < self.seconds


class Dispatcher:
    """Processes items for one worker; `counts` says what became of them."""

    def __init__(self, runtime: Runtime, lease: Lease) -> None:
        self.runtime = runtime
        self.lease = lease
        self.counts: Counter[str] = Counter()
        self.watermark: datetime | None = None
        self.pause = TICK
        self._swept_at = clock.monotonic()
        self.forgotten: dict[UUID, int] = {}
        self.lanes = Lanes()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._items: set[Item] = set()
        self._alone: set[Item] = set()
        self._room = asyncio.Event()
        self._to_open = 0
        self._to_close = 0
        self._connections: dict[UUID, asyncio.Semaphore] = {}
        database = runtime.database
        self.opens: Collector[Opening, OpenResult] = Collector(
            lambda items: database.run(lambda now: delivering.open(now, self.lease.worker, items)),
            again=lambda items: database.run(lambda now: delivering.open_again(now, self.lease.worker, items)),
            expected=lambda: self._to_open,
        )
        self.closes: Collector[Closing, CloseResult] = Collector(
            lambda items: database.run(
                lambda now: delivering.close(now, self.lease.worker, items, scheduler=runtime.scheduler())
            ),
            expected=lambda: self._to_close,
        )

    @property
    def in_flight(self) -> int:
        """How many items are on their way; those that wait for a hook leave room for others."""
        return len(self._items) - self.lanes.items

    @property
    def waiting(self) -> int:
        """How many of them wait for somebody by themselves."""
        return len(self._alone) - self.lanes.items

    async def claim(self, limit: int = BATCH) -> int:
        """Claim a batch and let it go its way; how many were claimed, and in `pause` how long until another look."""
        if clock.monotonic() - self._swept_at > SWEEP_SECONDS:
            self.watermark, self._swept_at = None, clock.monotonic()
        policy = self.runtime.policy()
        # What fails is tried again after this, and then less and less often.
        self.pause = TICK
        found = await self.runtime.database.run(
            lambda now: dispatching.look(now, self.lease.worker, policy, limit=limit, watermark=self.watermark)
        )
        judged = found.judged
        # Behind a watermark there may be more.
        self.pause = BREATH if judged or self.watermark else _until_another_look(found.until_next)
        oldest = min((each.claim.due_at for each in judged if each.claim.due_at), default=None)
        # Where less was found than asked for, the backlog is at its end, and the next claim looks at all again.
        self.watermark = oldest - BEHIND if oldest and len(judged) >= limit else None
        self.start(judged)
        return len(judged)

    async def claim_one(self, execution_id: UUID) -> int:
        """The same for one execution."""
        policy = self.runtime.policy()
        judged = await self.runtime.database.run(
            lambda now: dispatching.claim_one(now, self.lease.worker, policy, execution_id)
        )
        self.start(judged)
        return len(judged)

    def start(self, judged: Sequence[Judged]) -> None:
        """Let a batch go its way; what one of them waits for holds up no other."""
        self.counts["claimed"] += len(judged)
        if not judged:
            return
        batch = Batch(self.runtime)
        items = [Item(self, each, batch) for each in judged]
        self._items.update(items)
        self._keep(asyncio.create_task(self._walked(items)), items, alone=False)

    def let_go(self, item: Item) -> None:
        """It goes alone, from the beginning."""
        item.go_alone()
        self._alone.add(item)
        self._to_open += 1
        self._to_close += 1
        self._keep(asyncio.create_task(self._guarded(item)), [item], alone=True)

    def let_go_on(self, item: Item, task: asyncio.Task[Any]) -> None:
        """It was sent together with others, and now waits alone: this task will close it."""
        item.go_alone(opened=True)
        self._alone.add(item)
        self._to_close += 1
        self._keep(task, [item], alone=True)

    @property
    def known(self) -> set[UUID]:
        """The executions that are on their way here."""
        return {each.claim.id for each in self._items}

    async def some_room(self) -> None:
        """Return when at least one item has come to its end, or after a second."""
        if self._tasks:
            self._room.clear()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._room.wait(), 1.0)

    def abandon(self) -> None:
        """Give up what is in flight: its rows are taken over when the lease ends."""
        for each in (*self._tasks, *self.opens.running, *self.closes.running):
            each.cancel()

    async def settled(self) -> None:
        """Return when every item that was started has come to its end."""
        while self._tasks:
            await asyncio.wait(self._tasks)
        await self.opens.drained()
        await self.closes.drained()

    def take_counts(self) -> Run:
        """What became of the items since the last look."""
        counts, self.counts = self.counts, Counter()
        return Run(**{name: counts[name] for name in Run.__slots__})

    def _keep(self, task: asyncio.Task[Any], items: Sequence[Item], *, alone: bool) -> None:
        self._tasks.add(task)
        task.add_done_callback(partial(self._ended, items, alone))

    def _ended(self, items: Sequence[Item], alone: bool, task: asyncio.Task[Any]) -> None:
        """A task has ended, be it that it was cancelled before it began, and so have the items that were its own."""
        self._tasks.discard(task)
        ended = [each for each in items if each.goes_alone is alone]
        self._items.difference_update(ended)
        self._alone.difference_update(ended)
        self._room.set()
        for each in ended:
            each.past_open()
            each.past_close()

    async def _walked(self, items: Sequence[Item]) -> None:
        try:
            await Walk(self).go(items)
        except Exception:
            _LOG.exception("%d executions were left to the rescuer", len(items))

    async def _guarded(self, item: Item) -> None:
        try:
            await item.go()
        except asyncio.CancelledError:
            raise
        except Exception as error:
            _LOG.exception("execution %s could not be carried out", item.claim.id)
            await item.hand_in(item.gave_up(error))

    def opened_or_not(self) -> None:
        self._to_open -= 1
        self.opens.nudge()

    def closed_or_not(self) -> None:
        self._to_close -= 1
        self.closes.nudge()

    def connections(self, adapter: Adapter) -> asyncio.Semaphore:
        """Free connections of a provider that can neither de-duplicate nor be asked."""
        found = self._connections.get(adapter.id)
        if found is None:
            found = self._connections[adapter.id] = asyncio.Semaphore(_connections(adapter))
        return found


def _until_another_look(soon: timedelta | None) -> float:
    return TICK if soon is None else min(max(soon.total_seconds(), BREATH), TICK)


def _connections(adapter: Adapter) -> int:
    given = adapter.config.get("connections")
    return given if isinstance(given, int) and given > 0 else CONNECTIONS
