"""Which calls is the host owed, and were they made?"""

from __future__ import annotations

import asyncio
import importlib
import inspect
import logging
from collections.abc import Callable, Mapping
from dataclasses import fields
from datetime import datetime
from typing import Any
from uuid import UUID

from dripdrop.engine.runtime import Runtime
from dripdrop.operations import calling
from dripdrop.operations.calling import Call
from dripdrop.operations.consequences import ON_REPLY
from dripdrop.rules.heard import Reply

_LOG = logging.getLogger("dripdrop.engine")
BATCH = 20


async def make(runtime: Runtime, limit: int = BATCH) -> int:
    """Call the host's `on_reply` for each reply that waits, at least once; how many were taken up."""
    named = runtime.config().on_reply
    if named is None:
        return 0
    calls = await runtime.database.run(lambda now: calling.claim(now, [ON_REPLY], limit=limit))
    made: list[UUID] = []
    for each in calls:
        try:
            await _call(_function(named), reply_of(each), runtime.config().adapter_timeout_seconds)
            made.append(each.id)
        except Exception as error:
            reason = type(error).__name__
            _LOG.warning("on_reply failed for %s (try %d): %s", each.id, each.retries, reason, exc_info=True)
            await _note(runtime, each.id, reason)
    if made:
        await runtime.database.run(lambda now: calling.done(now, made))
    return len(calls)


def reply_of(call: Call) -> Reply:
    """The reply as it was written down."""
    known = {each.name for each in fields(Reply)}
    said: Mapping[str, Any] = {name: value for name, value in call.payload.items() if name in known}
    ids = {name: UUID(said[name]) for name in ("adapter_id", "execution_id", "enrollment_id") if said.get(name)}
    return Reply(**{**said, **ids, "received_at": datetime.fromisoformat(said["received_at"]), "id": call.id})


async def _note(runtime: Runtime, call: UUID, reason: str) -> None:
    await runtime.database.run(lambda now: calling.failed(now, call, reason))


async def _call(function: Callable[[Reply], Any], reply: Reply, seconds: float) -> None:
    """Awaited where it can be, else in a thread; what takes too long has failed and is called again."""
    async with asyncio.timeout(seconds):
        if inspect.iscoroutinefunction(function):
            await function(reply)
            return
        answer = await asyncio.to_thread(function, reply)
        if inspect.isawaitable(answer):
            await answer


def _function(named: Any) -> Callable[[Reply], Any]:
    if callable(named):
        return named  # type: ignore[no-any-return]
    module, _, attribute = str(named).partition(":")
    found: Callable[[Reply], Any] = getattr(importlib.import_module(module), attribute)
    return found
