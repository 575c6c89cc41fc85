"""How do many single opens and closes become one operation?  100 items or 10 ms, whichever is first."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from dripdrop.clock import sleep
from dripdrop.store.database import is_transient

I = TypeVar("I")  # noqa: E741
O = TypeVar("O")  # noqa: E741

SIZE = 100
WAIT = 0.010
_LOG = logging.getLogger("dripdrop.engine")


class Guilty(Exception):
    """The one item of a batch that the database refuses; the others went through. Its cause says why."""


class Collector(Generic[I, O]):
    """Gathers items and carries them out together; each gets its own result, or `Guilty`.

    `expected` says how many more may arrive soon: when it is none, nothing is waited for.
    """

    def __init__(
        self,
        carry_out: Callable[[Sequence[I]], Awaitable[Sequence[O]]],
        *,
        again: Callable[[Sequence[I]], Awaitable[Sequence[O]]] | None = None,
        expected: Callable[[], int] = lambda: 1,
        size: int = SIZE,
        wait: float = WAIT,
    ) -> None:
        self._carry_out = carry_out
        self._again = again or carry_out
        self._expected = expected
        self._size = size
        self._wait = wait
        self._items: list[tuple[I, asyncio.Future[O]]] = []
        self._timer: asyncio.TimerHandle | None = None
        self.running: set[asyncio.Task[None]] = set()

    def put(self, item: I) -> asyncio.Future[O]:
        """Hand in an item; await the future for its result."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[O] = loop.create_future()
        self._items.append((item, future))
        if len(self._items) >= self._size:
            self.flush()
        elif self._timer is None:
            self._timer = loop.call_later(self._wait, self.flush)
        return future

    def nudge(self) -> None:
        """Nothing more is expected: what is gathered may go."""
        if self._items and self._expected() <= 0:
            self.flush()

    def flush(self) -> None:
        """Carry out what is gathered now."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if not self._items:
            return
        batch, self._items = self._items[: self._size], self._items[self._size :]
        task = asyncio.create_task(self._settle(batch))
        self.running.add(task)
        task.add_done_callback(self.running.discard)
        if self._items:
            self.flush()

    async def drained(self) -> None:
        """Return when nothing is gathered and nothing runs."""
        while self._items or self.running:
            self.flush()
            # Gathering what has just ended would not let the loop take it out of the set, from Python 3.12 on.
            await asyncio.wait(self.running)

    async def together(self, items: Sequence[I]) -> Sequence[O | Guilty]:
        """Carry out what came together, at once: a result for each, in order. Down to the guilty row, so that it does
        not take 99 others with it."""
        try:
            return await self._patiently(items)
        except Exception as error:
            if len(items) == 1:
                guilty = Guilty(type(error).__name__)
                guilty.__cause__ = error
                return [guilty]
        middle = len(items) // 2
        return [*await self.together(items[:middle]), *await self.together(items[middle:])]

    async def _settle(self, batch: list[tuple[I, asyncio.Future[O]]]) -> None:
        results = await self.together([item for item, _ in batch])
        for (_, future), result in zip(batch, results, strict=True):
            if future.done():
                continue
            if isinstance(result, Guilty):
                future.set_exception(result)
            else:
                future.set_result(result)

    async def _patiently(self, items: Sequence[I]) -> Sequence[O]:
        """Repeat the whole batch, with the same tokens, for as long as it is the server that gives way."""
        pause, carry_out = 0.05, self._carry_out
        while True:
            try:
                return await carry_out(items)
            except Exception as error:
                cause = error.__cause__ or error
                if not (is_transient(error) or is_transient(cause)):
                    raise
                _LOG.warning("the database gave way (%s); trying the batch again", type(cause).__name__)
            await sleep(pause)
            pause, carry_out = min(pause * 2, 5.0), self._again
