"""Where does a worker die?  Every boundary of its work has a name; one of them, the nth time, is its end."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Generator
from datetime import datetime
from typing import Any

from dripdrop.engine.item import Item
from dripdrop.engine.runtime import Runtime
from dripdrop.store.database import AsyncDatabase
from dripdrop.store.flow import Flow, Query, Row

# An operation is begun, has asked everything and not committed, or has committed and nobody knows of it yet.
STAGES = ("begun", "uncommitted", "committed")
OPERATIONS = ("claim", "open", "close", "take_over")
PLACES = (
    *(f"{operation}.{stage}" for operation in OPERATIONS for stage in STAGES),
    "gate",
    "render",
    "wire.before",
    "wire.during",
    "wire.answered",
)


class Fate:
    """Ends or stops this very process when it comes to `place` for the `hit`th time."""

    def __init__(self, place: str | None, hit: int = 1, *, stop: bool = False) -> None:
        self.place = place
        self.left = hit
        self.stop = stop

    def pass_by(self, place: str) -> None:
        if place != self.place:
            return
        self.left -= 1
        if self.left == 0:
            # No handler, no flush, no farewell: the kernel takes the process away, or stands it still.
            os.kill(os.getpid(), signal.SIGSTOP if self.stop else signal.SIGKILL)


def arrange(fate: Fate) -> None:
    """Make every boundary of this process's engine tell the fate that it was reached."""
    run = AsyncDatabase.run

    async def watched(self: AsyncDatabase, operation: Callable[[datetime], Flow[Any]]) -> Any:
        name = ""

        def noted(now: datetime) -> Flow[Any]:
            nonlocal name
            flow = operation(now)
            name = flow.__name__
            return _watched(flow, name, fate)

        result = await run(self, noted)
        fate.pass_by(f"{name}.committed")
        return result

    AsyncDatabase.run = watched  # type: ignore[method-assign]
    go, render = Item.go, Runtime.render

    async def gated(self: Item) -> None:
        fate.pass_by("gate")
        await go(self)

    def rendered(self: Runtime, *given: Any, **named: Any) -> Any:
        message = render(self, *given, **named)
        fate.pass_by("render")
        return message

    Item.go = gated  # type: ignore[method-assign]
    Runtime.render = rendered  # type: ignore[method-assign]


def _watched(flow: Flow[Any], name: str, fate: Fate) -> Generator[Query, list[Row], Any]:
    """The same flow. COMMIT may travel along with the last query: then it dies before that one is asked."""
    fate.pass_by(f"{name}.begun")
    travelled = False
    try:
        query = next(flow)
        while True:
            if query.last:
                travelled = True
                fate.pass_by(f"{name}.uncommitted")
            query = flow.send((yield query))
    except StopIteration as end:
        if not travelled:
            fate.pass_by(f"{name}.uncommitted")
        return end.value
