"""What time is it, for code that is handed no `now`?

The one door to this machine's clock. Operations are handed `now` from the database, and rules take it as an argument.
"""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from typing import Protocol, runtime_checkable


@runtime_checkable
class Clock(Protocol):
    """Says what business time it is; a test may pass a frozen one."""

    def now(self) -> datetime:
        """The present, aware and in UTC."""
        ...


class SystemClock:
    """This machine's own clock."""

    __slots__ = ()

    def now(self) -> datetime:
        return datetime.now(UTC)

    def __repr__(self) -> str:
        return "SystemClock()"


def monotonic() -> float:
    """Seconds that only ever grow: for measuring how long something took, never for dates."""
    return time.monotonic()


def elapsed() -> float:
    """Seconds that grow also while the machine is suspended, where the system can tell: for leases."""
    return time.clock_gettime(_BOOT) if _BOOT is not None else time.monotonic()


_BOOT: int | None = getattr(time, "CLOCK_BOOTTIME", None)


async def sleep(seconds: float) -> None:
    """Let `seconds` of real time pass; what is not positive only yields to the other tasks."""
    await asyncio.sleep(max(seconds, 0.0))
