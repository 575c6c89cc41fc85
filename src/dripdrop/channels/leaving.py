"""May this still leave?  What is asked last of all, right before the first byte that could be a message.

A machine can be suspended between a worker's last look at its lease and the wire. Whoever writes to a provider asks
here once more; what remains between this look and the write is a few microseconds that no clock can close.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar

_guard: ContextVar[Callable[[], bool] | None] = ContextVar("dripdrop_leaving", default=None)


class LeaseLost(Exception):
    """It may not leave any more: another worker may have it. Nothing was written."""


def watch(guard: Callable[[], bool]) -> None:
    """Ask `guard` for everything that this task, and the threads it starts with its context, is about to write."""
    _guard.set(guard)


def about_to_leave() -> None:
    """Raises `LeaseLost` where it may not leave any more."""
    guard = _guard.get()
    if guard is not None and not guard():
        raise LeaseLost
