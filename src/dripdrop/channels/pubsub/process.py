"""Who in this process listens to a topic?"""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeAlias

from dripdrop.channels.answers import unfit
from dripdrop.contracts import Config, Delivery
from dripdrop.errors import Invalid
from dripdrop.rules.outcome import Accepted, Neither, Outcome, Rejected, Unknown
from dripdrop.rules.publication import Publication, publication

Listener: TypeAlias = Callable[[Publication], Awaitable[None] | None]

_LOG = logging.getLogger("dripdrop.pubsub")


class ProcessProvider:
    """Hands messages to functions of the process that the worker runs in.

    `drip.plugins.get("provider", "process", "pubsub").subscribe("orders", listener)` before the worker starts. What
    nobody listens to has reached nobody and is tried again; where a listener raised, nobody knows what it did.
    """

    channel = "pubsub"
    name = "process"
    on_doubt = Neither()

    def __init__(self) -> None:
        self._listeners: dict[str, tuple[Listener, ...]] = {}

    def subscribe(self, topic: str, listener: Listener) -> Callable[[], None]:
        """Call `listener` with each `Publication` of a topic, awaited or in a thread; the result takes it back."""
        self._listeners = {**self._listeners, topic: (*self._listeners.get(topic, ()), listener)}

        def leave() -> None:
            staying = tuple(each for each in self._listeners.get(topic, ()) if each is not listener)
            others = {name: each for name, each in self._listeners.items() if name != topic}
            self._listeners = {**others, topic: staying} if staying else others

        return leave

    async def deliver(self, delivery: Delivery, config: Config) -> Outcome:
        try:
            said = publication(delivery)
        except Invalid as error:
            return unfit(error)
        listeners = self._listeners.get(said.topic, ())
        if not listeners:
            return Rejected("temporary", "adapter", None, {"reason": "nobody_listens"})
        told = await asyncio.gather(*(_told(each, said) for each in listeners))
        failed = [name for name in told if name is not None]
        if failed:
            return Unknown({"reason": "listener_raised", "exception": failed[0], "failed": len(failed)})
        return Accepted(said.id, {"listeners": len(listeners)})

    def validate_credentials(self, credentials: Mapping[str, Any]) -> list[tuple[str, str]]:
        return []


async def _told(listener: Listener, said: Publication) -> str | None:
    """Tell one; the name of what it raised, so that the others are told too."""
    try:
        if inspect.iscoroutinefunction(listener):
            await listener(said)
        else:
            answer = await asyncio.to_thread(listener, said)
            if inspect.isawaitable(answer):
                await answer
    except Exception as error:
        _LOG.warning("a listener of %s raised %s", said.topic, type(error).__name__, exc_info=True)
        return type(error).__name__
    return None
