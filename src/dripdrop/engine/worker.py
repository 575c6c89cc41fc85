"""How do the loops of a worker start together and stop gently?"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from contextlib import suppress
from datetime import timedelta
from uuid import UUID

from dripdrop import clock
from dripdrop.engine import calls, listener, rescuer
from dripdrop.engine.dispatcher import BATCH, IN_FLIGHT, TICK, WAITING, Dispatcher, Lease, Run
from dripdrop.engine.loop import turn
from dripdrop.engine.matcher import BATCH as REQUESTS
from dripdrop.engine.matcher import Matcher
from dripdrop.engine.runtime import Runtime
from dripdrop.errors import BadSettings
from dripdrop.operations import keeping, restoring

_LOG = logging.getLogger("dripdrop.engine")
SETTLE_SECONDS = 3.0
TIDY_SECONDS = 600.0
FAREWELL_SECONDS = 10.0


class Worker:
    """Any number of these run on any number of machines; nobody is elected."""

    def __init__(self, runtime: Runtime, *, name: str | None = None) -> None:
        self.runtime = runtime
        self.name = name or f"{socket.gethostname()}:{os.getpid()}"
        self.stopping = asyncio.Event()
        self.wake = asyncio.Event()
        self.dispatcher: Dispatcher | None = None
        self.matcher = Matcher(runtime)

    async def start(self) -> Dispatcher:
        """Register, so that what is claimed has an owner."""
        config = self.runtime.config()
        ahead = await self.runtime.database.run(keeping.clock_ahead)
        if ahead and not config.virtual_clock and self.runtime.database.clock is None:
            raise BadSettings(
                f"Business time is {ahead} ahead of real time.",
                cure="A worker runs on it only with DRIPDROP_VIRTUAL_CLOCK=1; set the clock back for real work.",
                code="virtual_clock",
            )
        if last := await self.runtime.database.run(restoring.recognise):
            _LOG.error("this database is a copy of one last at work %s: nothing is sent; see dripdrop restored", last)
        lease = config.lease_seconds
        worker = await self._register(lease)
        self.dispatcher = Dispatcher(self.runtime, Lease(worker, lease))
        self.runtime.telemetry.emit("worker.started")
        return self.dispatcher

    async def run(self) -> None:
        """Work until `stop` is called; then finish what is in flight and hand back the rest."""
        dispatcher = await self.start()
        config = self.runtime.config
        loops = [
            asyncio.create_task(
                turn("dispatch", self._dispatch, every=lambda: dispatcher.pause, stopping=self.stopping, wake=self.wake)
            ),
            asyncio.create_task(
                turn("rescue", self._rescue, every=lambda: config().lease_seconds / 4, stopping=self.stopping)
            ),
            asyncio.create_task(turn("match", self._match, every=lambda: TICK, stopping=self.stopping)),
            asyncio.create_task(turn("calls", self._call, every=lambda: TICK, stopping=self.stopping)),
            asyncio.create_task(turn("settle", self._settle, every=lambda: SETTLE_SECONDS, stopping=self.stopping)),
            asyncio.create_task(turn("tidy", self._tidy, every=lambda: TIDY_SECONDS, stopping=self.stopping)),
            asyncio.create_task(listener.listen(self.runtime.database.url, self.wake, self.stopping)),
        ]
        still = asyncio.Event()
        beat = asyncio.create_task(
            turn("heartbeat", self._beat, every=lambda: config().heartbeat_seconds, stopping=still)
        )
        await self.stopping.wait()
        for each in loops[-1:]:
            each.cancel()
        await asyncio.gather(*loops, return_exceptions=True)
        await self._finish(dispatcher)
        still.set()
        beat.cancel()
        await asyncio.gather(beat, return_exceptions=True)
        try:
            await asyncio.wait_for(self.close(), FAREWELL_SECONDS)
        except Exception as error:
            _LOG.warning("no farewell could be said: %s", type(error).__name__)

    def stop(self) -> None:
        """Claim nothing more; safe to call from a signal handler of the loop."""
        self.stopping.set()

    async def once(self, limit: int | None = None) -> Run:
        """One pass of matcher, rescuer and dispatcher: whatever is due now, and what follows from it at once."""
        dispatcher = self.dispatcher or await self.start()
        beat = asyncio.create_task(
            turn("heartbeat", self._beat, every=lambda: self.runtime.config().heartbeat_seconds, stopping=self.stopping)
        )
        try:
            while await self.matcher.once() == REQUESTS:
                pass
            while await calls.make(self.runtime) == calls.BATCH:
                pass
            await rescuer.settle(dispatcher)
            await rescuer.rescue(dispatcher)
            await dispatcher.settled()
            claimed = 0
            while limit is None or claimed < limit:
                batch = await dispatcher.claim(BATCH if limit is None else min(BATCH, limit - claimed))
                claimed += batch
                await dispatcher.settled()
                if not batch:
                    break
            return dispatcher.take_counts()
        finally:
            beat.cancel()
            with suppress(asyncio.CancelledError):
                await beat

    async def close(self) -> None:
        """Say farewell; leases still held, if any, are taken over by others."""
        if self.dispatcher is not None:
            worker = self.dispatcher.lease.worker
            await self.runtime.database.run(lambda now: keeping.farewell(now, worker))
            self.runtime.telemetry.emit("worker.stopped")
            self.dispatcher = None

    async def _register(self, lease: float) -> UUID:
        return await self.runtime.database.run(
            lambda now: keeping.register(now, self.name, lease=timedelta(seconds=lease))
        )

    async def _dispatch(self) -> bool:
        dispatcher = self.dispatcher
        assert dispatcher is not None
        if not dispatcher.lease.holds(dispatcher.lease.turn):
            return False
        room = min(IN_FLIGHT - dispatcher.in_flight, WAITING - dispatcher.waiting)
        if room <= 0:
            await dispatcher.some_room()
            return True
        asked = min(BATCH, room)
        return await dispatcher.claim(asked) == asked

    async def _rescue(self) -> bool:
        assert self.dispatcher is not None
        taken = await rescuer.take_up(self.dispatcher)
        return taken + await rescuer.rescue(self.dispatcher) > 0

    async def _match(self) -> bool:
        return await self.matcher.once() == REQUESTS

    async def _call(self) -> bool:
        return await calls.make(self.runtime) == calls.BATCH

    async def _settle(self) -> bool:
        assert self.dispatcher is not None
        return await rescuer.settle(self.dispatcher) > 0

    async def _tidy(self) -> bool:
        assert self.dispatcher is not None
        await rescuer.tidy(self.dispatcher)
        return await rescuer.prune(self.dispatcher)

    async def _beat(self) -> bool:
        """One statement whatever is in flight. A worker that was forgotten begins anew under another id."""
        dispatcher = self.dispatcher
        if dispatcher is None:
            return False
        lease, before = dispatcher.lease, clock.elapsed()
        alive = await self.runtime.database.run(
            lambda now: keeping.heartbeat(now, lease.worker, stopping=self.stopping.is_set())
        )
        if alive:
            lease.confirm(before)
        else:
            _LOG.warning("this worker was taken for dead; it goes on under a new id")
            lease.worker, lease.turn = await self._register(lease.seconds), lease.turn + 1
            lease.confirmed_at = before
        return False

    async def _finish(self, dispatcher: Dispatcher) -> None:
        patience = self.runtime.config().adapter_timeout_seconds + 5.0
        try:
            await asyncio.wait_for(dispatcher.settled(), patience)
        except TimeoutError:
            _LOG.warning("%d executions did not finish in time; others take them over", dispatcher.in_flight)
            dispatcher.abandon()
