"""How much work is something?  Counted, never timed: a busy machine must not make a test fail."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

# What is meant to end at once needs milliseconds; what grows out of hand needs hours. Between the two is much room.
PATIENCE = 20.0


@contextmanager
def at_once(seconds: float = PATIENCE) -> Iterator[None]:
    """Fail what goes on for so many seconds of this process's own computing; waiting does not count."""

    def fail(number: int, frame: FrameType | None) -> None:
        raise AssertionError(f"it is still computing after {seconds:g} seconds")

    before = signal.signal(signal.SIGVTALRM, fail)
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


def calls(do: Callable[[], Any]) -> list[str]:
    """The names of the functions that `do` calls, directly or not, in Python or in C."""
    names: list[str] = []

    def note(frame: FrameType, event: str, about: Any) -> None:
        if event == "call":
            names.append(frame.f_code.co_qualname)
        elif event == "c_call":
            names.append(about.__qualname__)

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        do()
    finally:
        sys.setprofile(before)
    return names[1:-1]  # without `do` itself and the end of the counting
