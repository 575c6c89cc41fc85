"""What does the host do around its messages?  It answers hooks, tracks events and listens to webhooks."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import uvicorn
import uvicorn.lifespan.off
import uvicorn.loops.asyncio
import uvicorn.protocols.http.h11_impl

from crash_table.tales import READ, RECEIPTS, WAITS
from dripdrop import AsyncDripDrop
from dripdrop.rules.message import Delivery
from dripdrop.web import app, pages, public, receiver

# Imported before the fork, or each victim would do it anew.
PARTS = (app, pages, public, receiver, uvicorn.lifespan.off, uvicorn.loops.asyncio, uvicorn.protocols.http.h11_impl)


class Hooks:
    """Answers that always lead on. `pass_by` is told of each question."""

    def __init__(self, pass_by: Callable[[str], None] = lambda place: None) -> None:
        self.pass_by = pass_by

    async def handle_hook(self, name: str, enrollment: Mapping[str, Any], context: Mapping[str, Any]) -> int:
        self.pass_by("ask_hook.during")
        await asyncio.sleep(0)
        return 7


class Host:
    """What one process of the host does besides sending, as its tale has it."""

    def __init__(self, drip: AsyncDripDrop, tale: str) -> None:
        self.drip, self.tale = drip, tale

    async def accepted(self, delivery: Delivery) -> None:
        """The provider has the message, and its attempt is still open: a good moment to die while tracking.

        What is tracked happened to somebody else, who may have begun to wait already, may be about to, or may be far
        from it. A third of all people hear of nothing and are timed out.
        """
        if self.tale != WAITS or delivery.step.key != "one":
            return
        person = int(delivery.enrollment.subscriber_id)
        before = {"subscriber": ("user", str(person - 1)), "data": {"by": person}}
        if person % 3 == 1:
            await self.drip.track(READ, **before)
        elif person % 3 == 2:
            await self.drip.track_many([{"event": READ, **before}])

    async def listen(self, path: str) -> None:
        """Serve the receiver of webhooks at a unix socket, in the worker's own process."""
        if self.tale != RECEIPTS:
            return
        config = uvicorn.Config(
            self.drip.asgi(), uds=path, log_level="critical", lifespan="off", http="h11", loop="asyncio",
            access_log=False,
        )  # fmt: skip
        os.makedirs(os.path.dirname(path), exist_ok=True)
        await _Server(config).serve()


class _Server(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Signals are the worker's."""
        yield
