"""What do stored webhooks tell, and to which messages does it belong?"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime

from dripdrop import clock
from dripdrop.channels import listening
from dripdrop.engine.runtime import Runtime
from dripdrop.errors import DripDropError
from dripdrop.operations import matching
from dripdrop.operations.consequences import Policy
from dripdrop.operations.matching import Matched, Opened, Taken
from dripdrop.store.database import is_transient

_LOG = logging.getLogger("dripdrop.engine")
BATCH = 100
MOST_EVENTS = 2_000
SETTLE_SECONDS = 10.0


class Matcher:
    """Any number of these run at once: a request belongs to whoever took it up, for a minute at first."""

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime
        self._settled_at = -SETTLE_SECONDS

    async def once(self, limit: int = BATCH) -> int:
        """Take up a batch of stored requests and all they tell; how many there were."""
        taken = await self.runtime.database.run(lambda now: matching.claim(now, limit=limit))
        for some in _portions([self._opened(each) for each in taken]):
            for result in await self._take_in(some):
                self._tell(result)
        if taken or clock.monotonic() - self._settled_at >= SETTLE_SECONDS:
            self._settled_at = clock.monotonic()
            zone = self.runtime.config().default_timezone
            await self.runtime.database.run(lambda now: matching.settle(now, default_zone=zone))
        return len(taken)

    def policy(self) -> Policy:
        """What the settings of this moment say of effects."""
        config = self.runtime.config()
        return Policy(config.feedback_ends, config.default_timezone, config.on_reply is not None)

    def _opened(self, taken: Taken) -> Opened:
        try:
            provider = self.runtime.plugins.get("provider", taken.provider, taken.channel)
        except DripDropError as error:
            return Opened(taken, (), f"unreadable:{error.code}")
        received = taken.received_at
        assert received is not None
        events, problem = listening.hear(
            provider, taken.body, taken.headers, channel=taken.channel, received=_aware(received)
        )
        return Opened(taken, events, problem)

    async def _take_in(self, opened: Sequence[Opened]) -> list[Matched]:
        """In one transaction; where one request cannot be written, the others are, and it is found by halving."""
        policy = self.policy()
        try:
            return await self.runtime.database.run(lambda now: matching.take_in(now, opened, policy))
        except Exception as error:
            if is_transient(error):
                raise  # they are due again by themselves
            if len(opened) == 1:
                return await self._set_aside(opened[0], error)
            middle = len(opened) // 2
            return await self._take_in(opened[:middle]) + await self._take_in(opened[middle:])

    async def _set_aside(self, opened: Opened, error: Exception) -> list[Matched]:
        """Data that the database refuses will not do better later; whatever else it is, it is tried again."""
        state = str(getattr(error, "sqlstate", None) or "")
        _LOG.warning("stored webhook %s: %s %s", opened.taken.id, type(error).__name__, state)
        if state[:2] not in ("22", "23"):
            return []
        failed = Opened(opened.taken, (), f"unwritable:{state}")
        return await self.runtime.database.run(lambda now: matching.take_in(now, [failed], self.policy()))

    def _tell(self, result: Matched) -> None:
        telemetry = self.runtime.telemetry
        for status, times in Counter(result.statuses).items():
            telemetry.emit("ingest.event", {"count": times}, {"status": status})
        if result.duplicates:
            telemetry.emit("ingest.duplicate", {"count": result.duplicates})
        if result.unmatched and result.state != "stored":
            telemetry.emit("ingest.unmatched_event", {"count": result.unmatched})


def _portions(opened: Sequence[Opened]) -> Iterator[list[Opened]]:
    """As many requests at once as hold a bearable number of events."""
    some: list[Opened] = []
    events = 0
    for each in opened:
        if some and events + len(each.events) > MOST_EVENTS:
            yield some
            some, events = [], 0
        some.append(each)
        events += len(each.events)
    if some:
        yield some


def _aware(moment: datetime) -> datetime:
    return moment if moment.tzinfo else moment.astimezone()
