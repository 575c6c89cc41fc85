"""What did the dead leave behind?"""

from __future__ import annotations

from datetime import timedelta

from dripdrop.engine.dispatcher import Dispatcher
from dripdrop.operations import awaiting, dispatching, keeping


async def rescue(dispatcher: Dispatcher, *, limit: int = 100) -> int:
    """Take over what workers hold whose lease ran out: a claim is handed back, an open attempt becomes a doubt."""
    runtime, worker = dispatcher.runtime, dispatcher.lease.worker
    policy = runtime.policy()
    taken = await runtime.database.run(lambda now: dispatching.take_over(now, worker, policy, limit=limit))
    for each in taken:
        runtime.telemetry.emit("rescue.recovered", metadata={"state": each.claim.state})
    dispatcher.start(taken)
    return len(taken)


async def take_up(dispatcher: Dispatcher) -> int:
    """Take up rows of our own that no task knows of, once they were seen so at two looks in a row."""
    runtime, worker = dispatcher.runtime, dispatcher.lease.worker
    held = await runtime.database.run(lambda now: dispatching.held(now, worker))
    known = dispatcher.known
    unknown = {key: token for key, token in held.items() if key not in known}
    again = {key: token for key, token in unknown.items() if dispatcher.forgotten.get(key) == token}
    dispatcher.forgotten = unknown
    if not again:
        return 0
    policy = runtime.policy()
    taken = await runtime.database.run(lambda now: dispatching.take_again(now, worker, policy, again))
    dispatcher.start(taken)
    return len(taken)


async def settle(dispatcher: Dispatcher) -> int:
    """Find the events that steps missed which began to wait in the same moment; how many were woken."""
    runtime = dispatcher.runtime
    return await runtime.database.run(lambda now: awaiting.sweep(now, scheduler=runtime.scheduler()))


async def tidy(dispatcher: Dispatcher, *, months: int = 6) -> int:
    """Make partitions ahead and forget workers long dead; how many partitions were made."""
    return await dispatcher.runtime.database.run(lambda now: keeping.tidy(now, months=months))


async def prune(dispatcher: Dispatcher) -> bool:
    """Forget what came back long ago, a bounded number of rows; whether there may be more."""
    runtime = dispatcher.runtime
    days = runtime.config().keep_feedback_days
    if not days:
        return False
    return await runtime.database.run(lambda now: keeping.prune(now, keep=timedelta(days=days)))
