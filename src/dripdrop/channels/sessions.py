"""Who may use which open connection? Keeps sessions of providers that hold connections, and closes idle ones."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass, field
from typing import Any, TypeAlias
from weakref import WeakKeyDictionary

from dripdrop.rules.outcome import Rejected

Open: TypeAlias = Callable[[], Awaitable[Any]]
Close: TypeAlias = Callable[[Any], Awaitable[None]]

IDLE_SECONDS = 30.0
_CLOSING_SECONDS = 5.0


class NotOpened(Exception):
    """Raised by `open_session` to say precisely why; anything else it raises is a temporary rejection."""

    def __init__(self, outcome: Rejected) -> None:
        super().__init__(str(outcome.detail.get("reason", "connect")))
        self.outcome = outcome


@dataclass(slots=True, eq=False)
class Held:
    """A session in the hands of one delivery. `reused`: it served another one before."""

    session: Any
    pool: _Pool
    reused: bool = False
    idle_since: float = 0.0


@dataclass(slots=True, eq=False)
class _Pool:
    key: Hashable
    close: Close
    idle: list[Held] = field(default_factory=list)
    size: int = 0
    waiting: deque[asyncio.Future[None]] = field(default_factory=deque)
    timer: asyncio.TimerHandle | None = None


class Sessions:
    """Sessions by key, each event loop its own. A session's attribute `usable` (default True) says if it is whole."""

    def __init__(self, *, idle_seconds: float = IDLE_SECONDS) -> None:
        self._idle_seconds = idle_seconds
        self._loops: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[Hashable, _Pool]] = WeakKeyDictionary()
        self._closing: set[asyncio.Task[None]] = set()
        self._closed = False

    async def take(self, key: Hashable, most: int, open_one: Open, close: Close) -> Held:
        """An idle session, a new one, or, where there are `most`, the next to become free. Raises what opening does."""
        loop = asyncio.get_running_loop()
        pools = self._loops.setdefault(loop, {})
        while True:
            pool = pools.setdefault(key, _Pool(key, close))
            while pool.idle:
                held = pool.idle.pop()
                if _usable(held.session):
                    held.reused = True
                    return held
                self._drop(held)
            if pool.size < max(most, 1):
                return await self._open(pool, open_one)
            await self._turn(pool, loop.create_future())

    def give_back(self, held: Held, *, broken: bool = False) -> None:
        """Return a session; a broken one is closed and never used again."""
        pool = held.pool
        if broken or self._closed or not _usable(held.session):
            self._drop(held)
            return
        loop = asyncio.get_running_loop()
        held.idle_since = loop.time()
        pool.idle.append(held)
        if pool.timer is None:
            pool.timer = loop.call_later(self._idle_seconds, self._close_idle, pool)
        _wake(pool)

    async def aclose(self) -> None:
        """Close what is idle on the running loop, and whatever comes back later; wait for every close under way."""
        self._closed = True
        for pool in list(self._loops.get(asyncio.get_running_loop(), {}).values()):
            if pool.timer is not None:
                pool.timer.cancel()
                pool.timer = None
            while pool.idle:
                self._drop(pool.idle.pop())
        while self._closing:
            # Gathering what has just ended would not let the loop take it out of the set, from Python 3.12 on.
            await asyncio.wait(self._closing)

    async def _open(self, pool: _Pool, open_one: Open) -> Held:
        pool.size += 1
        try:
            return Held(await open_one(), pool)
        except BaseException:
            self._forget(pool)
            raise

    async def _turn(self, pool: _Pool, turn: asyncio.Future[None]) -> None:
        pool.waiting.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                _wake(pool)  # it was our turn; somebody else may have it
            raise

    def _drop(self, held: Held) -> None:
        task = asyncio.get_running_loop().create_task(_closed(held))
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)
        self._forget(held.pool)

    def _forget(self, pool: _Pool) -> None:
        pool.size -= 1
        _wake(pool)
        if not pool.size and not pool.waiting:
            if pool.timer is not None:
                pool.timer.cancel()
            self._loops.get(asyncio.get_running_loop(), {}).pop(pool.key, None)

    def _close_idle(self, pool: _Pool) -> None:
        loop = asyncio.get_running_loop()
        pool.timer = None
        while pool.idle and pool.idle[0].idle_since + self._idle_seconds <= loop.time() + 0.001:
            self._drop(pool.idle.pop(0))
        if pool.idle:
            pool.timer = loop.call_at(pool.idle[0].idle_since + self._idle_seconds, self._close_idle, pool)


def _wake(pool: _Pool) -> None:
    while pool.waiting:
        turn = pool.waiting.popleft()
        if not turn.done():
            turn.set_result(None)
            return


def _usable(session: Any) -> bool:
    return bool(getattr(session, "usable", True))


async def _closed(held: Held) -> None:
    try:
        async with asyncio.timeout(_CLOSING_SECONDS):
            await held.pool.close(held.session)
    except Exception:
        return  # it is gone either way, and nothing of a delivery depends on it
