"""How does a host, a test or a scheduler's job let the engine work for a moment?"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from datetime import datetime
from typing import Any
from uuid import UUID

from dripdrop.clock import sleep
from dripdrop.engine.dispatcher import Run
from dripdrop.engine.runtime import Runtime
from dripdrop.engine.worker import Worker
from dripdrop.errors import Invalid
from dripdrop.operations import keeping


async def run_due(runtime: Runtime, *, limit: int | None = None) -> Run:
    """One pass of rescuer, dispatcher and ticker: what is due now, and what follows from it at once."""
    worker = Worker(runtime)
    try:
        return await worker.once(limit)
    finally:
        await worker.close()


async def dispatch(runtime: Runtime, execution: UUID) -> Run:
    """Process one execution if it is due and free; nothing happens otherwise: a wake-up is only a hint."""
    worker = Worker(runtime)
    dispatcher = await worker.start()
    try:
        await dispatcher.claim_one(execution)
        await dispatcher.settled()
        return dispatcher.take_counts()
    finally:
        await worker.close()


async def drain(runtime: Runtime, *, until: datetime | None = None, clock: Any = None) -> Run:
    """Work until nothing is due; with `until`, move business time on to each next due moment up to it.

    Needs a frozen clock (`clock`) or the setting `virtual_clock`; else raises Invalid (`no_virtual_clock`).
    """
    total = await run_due(runtime)
    if until is None:
        return total
    if clock is None and not runtime.config().virtual_clock:
        raise Invalid(
            "Business time cannot be moved here.",
            cure="Give DripDrop a FrozenClock, or set DRIPDROP_VIRTUAL_CLOCK=1 (tests and demos only).",
            code="no_virtual_clock",
        )
    move = _by_clock(clock) if clock is not None else _by_table(runtime)
    while True:
        following = await runtime.database.run(keeping.next_due)
        if following is None or following > until:
            break
        await move(following)
        total = added(total, await run_due(runtime))
    await move(until)
    return total


def added(first: Run, second: Run) -> Run:
    """The sum of two passes."""
    return Run(**{each.name: getattr(first, each.name) + getattr(second, each.name) for each in fields(Run)})


def _by_clock(clock: Any) -> Callable[[datetime], Any]:
    async def move(to: datetime) -> None:
        if to > clock.now():
            clock.set(to)

    return move


def _by_table(runtime: Runtime) -> Callable[[datetime], Any]:
    async def move(to: datetime) -> None:
        while not await runtime.database.run(lambda now: keeping.advance_clock(now, to)):
            # Others still hold leases, or something fell due: they finish first.
            if await runtime.database.run(keeping.time) >= to:
                return
            await run_due(runtime)
            await sleep(0.05)

    return move
