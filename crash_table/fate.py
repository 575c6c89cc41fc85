"""Where does a worker die?  Every boundary of its work has a name; one of them, the nth time, is its end."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Generator, Mapping, Sequence
from datetime import datetime
from typing import Any

from dripdrop.engine.item import Item
from dripdrop.engine.runtime import Runtime
from dripdrop.hooks.asking import Hooks
from dripdrop.operations.delivering import Closing
from dripdrop.rules import path
from dripdrop.rules.following import Came, Decided, TimedOut
from dripdrop.rules.outcome import Unknown
from dripdrop.store.database import AsyncDatabase
from dripdrop.store.flow import Flow, Query, Row

# An operation is begun, has asked everything and not committed, or has committed and nobody knows of it yet.
STAGES = ("begun", "uncommitted", "committed")
OPERATIONS: Mapping[tuple[str, str], str] = {
    ("dispatching", "look"): "claim",
    ("delivering", "open"): "open",
    ("delivering", "close"): "close",
    ("dispatching", "take_over"): "take_over",
    ("awaiting", "sweep"): "sweep",
    ("keeping", "tidy"): "tidy",
    ("tracking", "track"): "track",
    ("tracking", "track_many"): "track_many",
    ("receiving", "accept"): "receive",
    ("matching", "claim"): "match",
    ("matching", "take_in"): "take_in",
    ("matching", "settle"): "confirm",
}
# What a close may write, beside the outcome of a message.
CLOSES = ("leave_advance", "advance", "time_out", "doubt")
MOMENTS = (
    "gate", "render", "wire.before", "wire.during", "wire.answered",
    "advance.claimed", "ask_hook.before", "ask_hook.during", "ask_hook.answered",
)  # fmt: skip
PLACES = (*(f"{each}.{stage}" for each in (*OPERATIONS.values(), *CLOSES) for stage in STAGES), *MOMENTS)


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
    _at_operations(fate)
    _at_items(fate)


def _at_operations(fate: Fate) -> None:
    run = AsyncDatabase.run

    async def watched(self: AsyncDatabase, operation: Callable[[datetime], Flow[Any]]) -> Any:
        names: Sequence[str] = ()

        def noted(now: datetime) -> Flow[Any]:
            nonlocal names
            flow = operation(now)
            names = named(flow)
            return _watched(flow, names, fate)

        result = await run(self, noted)
        for name in names:
            fate.pass_by(f"{name}.committed")
        return result

    AsyncDatabase.run = watched  # type: ignore[method-assign]


def _at_items(fate: Fate) -> None:
    at_once, render, ask = Item.at_once, Runtime.render, Hooks.ask

    def gated(self: Item) -> Came | None:
        fate.pass_by("gate")
        if self.claim.kind == "advance":
            fate.pass_by("advance.claimed")
        return at_once(self)

    def rendered(self: Runtime, *given: Any, **named: Any) -> Any:
        message = render(self, *given, **named)
        fate.pass_by("render")
        return message

    async def asked(self: Hooks, *given: Any, **named: Any) -> Any:
        fate.pass_by("ask_hook.before")
        answer = await ask(self, *given, **named)
        fate.pass_by("ask_hook.answered")
        return answer

    Item.at_once = gated  # type: ignore[method-assign]
    Runtime.render = rendered  # type: ignore[method-assign]
    Hooks.ask = asked  # type: ignore[method-assign]


def named(flow: Flow[Any]) -> list[str]:
    """What an operation that has not begun yet is called here; a close also by whatever it is about to write."""
    frame = flow.gi_frame
    name = OPERATIONS.get((frame.f_globals["__name__"].rpartition(".")[2], flow.__name__))
    if name != "close":
        return [name] if name is not None else []
    return ["close", *sorted({each for one in frame.f_locals["closings"] if (each := _writes(one)) is not None})]


def _writes(closing: Closing) -> str | None:
    claim, came = closing.claim, closing.came
    if claim.kind == "advance":
        return "advance"
    if isinstance(came, TimedOut):
        return "time_out"
    if isinstance(came, (Unknown, Decided)):
        return "doubt"
    return "leave_advance" if path.questions(claim.version, claim.step).ways.hooks else None


def _watched(flow: Flow[Any], names: Sequence[str], fate: Fate) -> Generator[Query, list[Row], Any]:
    """The same flow. COMMIT may travel along with the last query: then it dies before that one is asked."""

    def pass_by(stage: str) -> None:
        for name in names:
            fate.pass_by(f"{name}.{stage}")

    pass_by("begun")
    travelled = False
    try:
        query = next(flow)
        while True:
            if query.last:
                travelled = True
                pass_by("uncommitted")
            query = flow.send((yield query))
    except StopIteration as end:
        if not travelled:
            pass_by("uncommitted")
        return end.value
