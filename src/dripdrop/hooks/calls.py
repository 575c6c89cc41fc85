"""How can one call of a hook go wrong, and may the next one be made?"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any

IN_FLIGHT = 20
SECONDS_IN_LINE = 2.0
BUSY_SECONDS = 3.0
STRIKES = 5
SHUT_SECONDS = 10.0
LONGEST_SHUT_SECONDS = 60.0


class Temporary(Exception):
    """It may answer later. `strike`: the endpoint itself was in trouble, which counts towards shutting the gate."""

    def __init__(self, reason: str, retry_after: float | None = None, *, strike: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.retry_after = retry_after
        self.strike = strike


class Permanent(Exception):
    """It will never answer so; `reason` is a word that holds nothing of a person or a secret."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Gate:
    """One hook's gate: so many calls at once, and none for a while after several in a row found it in trouble.

    Others wait in line for a moment and are then told `busy`. Once shut it lets one call through at a time to see
    whether the trouble is over. It knows business time only: what is put off by it comes back when it may open.
    """

    def __init__(self, most: int = IN_FLIGHT) -> None:
        self._slots = asyncio.Semaphore(most)
        self._strikes = 0
        self._shut_for = SHUT_SECONDS
        self._shut_until: datetime | None = None

    @asynccontextmanager
    async def entered(self, now: datetime) -> AsyncIterator[None]:
        """Hold one of the places; raises `Temporary` (`busy`, `resting`)."""
        self._pass(now, probing=False)
        try:
            async with asyncio.timeout(SECONDS_IN_LINE):
                await self._slots.acquire()
        except TimeoutError:
            raise Temporary("busy", BUSY_SECONDS) from None
        try:
            self._pass(now, probing=True)
            yield
        finally:
            self._slots.release()

    def struck(self, now: datetime) -> bool:
        """Note one call that found it in trouble; whether the gate is shut now."""
        self._strikes += 1
        if self._strikes >= STRIKES and not self.is_shut(now):
            self._shut_until = now + timedelta(seconds=self._shut_for)
            self._shut_for = min(self._shut_for * 2, LONGEST_SHUT_SECONDS)
        return self.is_shut(now)

    def answered(self) -> None:
        """Note one call that was answered, well or not: it is there."""
        self._strikes, self._shut_for, self._shut_until = 0, SHUT_SECONDS, None

    def is_shut(self, now: datetime) -> bool:
        """Whether nobody is let through at this moment."""
        return self._shut_until is not None and now < self._shut_until

    def _pass(self, now: datetime, *, probing: bool) -> None:
        if self._shut_until is None:
            return
        if now < self._shut_until:
            raise Temporary("resting", max((self._shut_until - now).total_seconds(), 1.0))
        if probing:
            # This one finds out; who comes meanwhile waits until it is known.
            self._shut_until = now + timedelta(seconds=SHUT_SECONDS)


async def watched(gate: Gate, now: datetime, call: Callable[[], Awaitable[Any]]) -> Any:
    """Make one call and let the gate know how it went."""
    try:
        value = await call()
    except Temporary as trouble:
        if trouble.strike:
            gate.struck(now)
        else:
            gate.answered()
        raise
    except Permanent:
        gate.answered()
        raise
    gate.answered()
    return value
