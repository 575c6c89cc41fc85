"""What did this process do in its window, and what did that cost? Standard library only: every side runs it.

While running, a script says `ready`, waits for one line, works, and ends with one JSON object on the last line.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import resource
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

TICKS = os.sysconf("SC_CLK_TCK")
DIE_WITH_PARENT = 1  # PR_SET_PDEATHSIG


class Window:
    """Counts steps always, and notes what the middle part of the run did: `warmup` seconds in, for `seconds`."""

    def __init__(self, job: dict[str, Any]) -> None:
        self.job = job
        self.total = 0
        self.timeline: list[int] = []
        self._begin: tuple[int, float, float, float] = (0, 0.0, 0.0, 0.0)
        self._end: tuple[int, float, float, float] | None = None

    def begin(self) -> None:
        self._begin = self._now()

    def end(self) -> None:
        self._end = self._now()

    async def pass_by(self) -> None:
        """Wait until the window is over, counting each second of it."""
        await asyncio.sleep(self.job["warmup"])
        self.begin()
        for second in range(int(self.job["seconds"])):
            before, until = self.total, self._begin[1] + second + 1
            await asyncio.sleep(until - time.monotonic())
            self.timeline.append(self.total - before)
        await asyncio.sleep(self._begin[1] + self.job["seconds"] - time.monotonic())
        self.end()

    def result(self, **more: Any) -> dict[str, Any]:
        """`steps`, `seconds`, `cpu` and `postgres_cpu` (seconds) of the window; `total` of the whole run."""
        assert self._end is not None
        steps, seconds, cpu, postgres = (b - a for a, b in zip(self._begin, self._end, strict=True))
        figures = {"steps": steps, "seconds": seconds, "cpu": cpu, "postgres_cpu": postgres}
        return {**figures, "total": self.total, "timeline": self.timeline, "rss_mb": rss_mb(), **more}

    def _now(self) -> tuple[int, float, float, float]:
        return self.total, time.monotonic(), cpu_seconds(), postgres_cpu(self.job["postmaster"])


async def until(holds: Callable[[], bool], every: float = 0.005) -> None:
    """Return once it holds; looking now and then costs the steps nothing, while a signal would cost each of them."""
    while not holds():  # noqa: ASYNC110
        await asyncio.sleep(every)


def ready() -> None:
    """Say that everything is imported and connected, and wait for the word to begin."""
    print("ready", flush=True)
    if not sys.stdin.readline():
        os._exit(1)


def wait_for_line() -> None:
    """Wait for the word to end."""
    sys.stdin.readline()


def die_with_parent() -> None:
    """Have the kernel end this process when the harness is gone (Linux)."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(DIE_WITH_PARENT, signal.SIGKILL)


def cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def rss_mb() -> float:
    """Resident memory in MiB, now."""
    with suppress(OSError):
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return pages * resource.getpagesize() / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def postgres_cpu(postmaster: int) -> float:
    """CPU seconds of the server so far: the postmaster, those it has reaped, and those that live."""
    spent = 0
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            words = path.read_text().rpartition(")")[2].split()
            if int(path.parent.name) == postmaster:
                spent += sum(map(int, words[11:15]))
            elif int(words[1]) == postmaster:
                spent += int(words[11]) + int(words[12])
    return spent / TICKS
