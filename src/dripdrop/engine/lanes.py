"""How many items may wait for one hook at a time?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TypeAlias
from uuid import UUID

Lane: TypeAlias = tuple[UUID, str]

PER_HOOK = 50
IN_ALL = 300


class Lanes:
    """Room to wait for hooks, beside what is on its way: one that hangs fills its own lane and nobody else's."""

    def __init__(self, *, per_hook: int = PER_HOOK, in_all: int = IN_ALL) -> None:
        self._per_hook = per_hook
        self._in_all = in_all
        self._waiting: Counter[Lane] = Counter()
        self.items = 0

    def full(self, lanes: Sequence[Lane]) -> str | None:
        """The hook whose lane has no room, if there is one."""
        for lane in lanes:
            if self.items >= self._in_all or self._waiting[lane] >= self._per_hook:
                return lane[1]
        return None

    @contextmanager
    def waiting(self, lanes: Sequence[Lane]) -> Iterator[None]:
        """Hold a place in each of these lanes."""
        self.items += 1
        self._waiting.update(lanes)
        try:
            yield
        finally:
            self.items -= 1
            self._waiting.subtract(lanes)
            for lane in lanes:
                if self._waiting[lane] <= 0:
                    del self._waiting[lane]
