"""How do the messages of a batch that wait for nobody go their way together?

Made one after the other, opened in one operation, handed to the provider one after the other, closed in one operation.
A provider that answers at once costs no turn of the event loop; a message whose provider lets it wait goes on alone.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dripdrop.channels.leaving import watch
from dripdrop.clock import sleep
from dripdrop.engine.collectors import Guilty
from dripdrop.engine.item import Item, lease_lost, unstorable
from dripdrop.operations.delivering import Opened, Opening, Refused
from dripdrop.rules.following import Came, HandBack
from dripdrop.rules.message import Message, digest
from dripdrop.rules.outcome import Rejected

if TYPE_CHECKING:
    from dripdrop.engine.dispatcher import Dispatcher

_LOG = logging.getLogger("dripdrop.engine")
STRIDE = 50  # messages made before others have their turn


@dataclass(slots=True)
class Ready:
    """A message that is made, and its attempt as it will be written down."""

    item: Item
    message: Message
    opening: Opening


class Walk:
    """One batch on its way."""

    __slots__ = ("_came", "_loop", "_owner", "_stepping")

    def __init__(self, owner: Dispatcher) -> None:
        self._owner = owner
        self._came: list[tuple[Item, Came]] = []
        self._loop = asyncio.get_running_loop()
        self._stepping = False

    async def go(self, items: Sequence[Item]) -> None:
        """To their end, or into a task of their own."""
        ready = await self._make(self._sort(items))
        if ready:
            self._send(await self._open(ready))
        if self._came:
            await self._close()

    def _sort(self, items: Sequence[Item]) -> list[Item]:
        """Those that go together; of some it is known at once what comes of them, and others go alone."""
        together: list[Item] = []
        for item in items:
            came = item.at_once()
            if came is not None:
                self._came.append((item, came))
            elif item.alone:
                self._owner.let_go(item)
            else:
                together.append(item)
        return together

    async def _make(self, items: Sequence[Item]) -> list[Ready]:
        ready: list[Ready] = []
        for number, item in enumerate(items, 1):
            adapter = item.adapter
            assert adapter is not None
            try:
                message = item.rendered(adapter)
                if isinstance(message, Rejected):
                    self._came.append((item, message))
                else:
                    ready.append(Ready(item, message, item.opening(adapter, message, digest(message))))
            except Exception as error:
                self._give_up(item, error)
            if number % STRIDE == 0:
                await sleep(0)
        return ready

    async def _open(self, ready: Sequence[Ready]) -> list[Ready]:
        """Those that may go to the wire."""
        lease = self._owner.lease
        turn = lease.turn
        if not lease.holds(turn):
            self._came += [(each.item, HandBack()) for each in ready]
            return []
        results = await self._owner.opens.together([each.opening for each in ready])
        opened: list[Ready] = []
        for each, result in zip(ready, results, strict=True):
            if isinstance(result, Opened):
                each.item.opened(result)
                opened.append(each)
            elif isinstance(result, Refused):
                self._came.append((each.item, HandBack()))
            elif isinstance(result, Guilty):
                self._came.append((each.item, unstorable(each.item.claim, result)))
        if lease.holds(turn):
            # For all tasks that begin from here.
            watch(lambda: lease.holds(turn))
            return opened
        self._came += [(each.item, lease_lost()) for each in opened]
        return []

    def _send(self, opened: Sequence[Ready]) -> None:
        """Nothing waits between open and wire."""
        for each in opened:
            self._stepping = True
            task = _begun(self._sent(each), self._loop)
            self._stepping = False
            if task.done():
                self._came.append((each.item, task.result()))
            else:
                self._owner.let_go_on(each.item, task)

    async def _sent(self, ready: Ready) -> Came:
        """What came of it; whoever had to wait hands it in himself."""
        item = ready.item
        try:
            came: Came = await self._outcome(ready)
        except asyncio.CancelledError:
            raise
        except Exception as error:
            _LOG.exception("execution %s could not be carried out", item.claim.id)
            came = item.gave_up(error)
        if not self._stepping:
            await item.hand_in(came)
        return came

    async def _outcome(self, ready: Ready) -> Came:
        item, adapter = ready.item, ready.item.adapter
        assert adapter is not None
        way = item.way
        assert way.config is not None
        delivery = item.delivery(adapter, ready.message, ready.opening.recipient)
        # A copy: what one call does to it must not reach the next.
        return await item.runtime.speaker.send(
            way.provider, delivery, {**way.config}, timeout=item.config.adapter_timeout_seconds
        )

    async def _close(self) -> None:
        closes = self._owner.closes
        closings = [item.closing(came) for item, came in self._came]
        results = await closes.together(closings)
        for (item, _), closing, result in zip(self._came, closings, results, strict=True):
            if isinstance(result, Guilty):
                (result,) = await closes.together([item.without_answer(closing, result)])
            if isinstance(result, Guilty):
                _LOG.error("execution %s was left to the rescuer", item.claim.id, exc_info=result)
            else:
                item.closed(result)

    def _give_up(self, item: Item, error: Exception) -> None:
        _LOG.error("execution %s could not be carried out", item.claim.id, exc_info=error)
        self._came.append((item, item.gave_up(error)))


def _begun(work: Coroutine[Any, Any, Came], loop: asyncio.AbstractEventLoop) -> asyncio.Task[Came]:
    """A task that has come to where it waits for the first time, where Python can do that; else one about to begin."""
    if sys.version_info >= (3, 12):
        return asyncio.Task(work, loop=loop, eager_start=True)
    return loop.create_task(work)
