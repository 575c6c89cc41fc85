"""How does background work go round, survive a bad turn, and stop?"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

_LOG = logging.getLogger("dripdrop.engine")
LONGEST_PAUSE = 30.0


async def turn(
    name: str,
    work: Callable[[], Awaitable[bool]],
    *,
    every: Callable[[], float],
    stopping: asyncio.Event,
    wake: asyncio.Event | None = None,
) -> None:
    """Call `work` until `stopping`: again at once while it says there is more, else after `every()` seconds or a wake.

    A turn that fails is logged and tried again later, at longer and longer intervals: a loop never dies of one.
    """
    failures = 0
    while not stopping.is_set():
        if wake is not None:
            wake.clear()
        try:
            more = await work()
            failures = 0
        except asyncio.CancelledError:
            raise
        except Exception as error:
            failures += 1
            more = False
            _LOG.warning("%s: %s: %s", name, type(error).__name__, error, exc_info=failures == 1)
        if not more:
            pause = every() if not failures else min(every() * 2**failures, LONGEST_PAUSE)
            await _either(stopping, wake, pause)


async def _either(stopping: asyncio.Event, wake: asyncio.Event | None, seconds: float) -> None:
    waits = [asyncio.ensure_future(event.wait()) for event in (stopping, wake) if event is not None]
    try:
        await asyncio.wait(waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for each in waits:
            each.cancel()
