"""A small world for tales: a database, a frozen clock, a fake provider, and workers that can die anywhere."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any
from uuid import UUID

import psycopg

from dripdrop import AsyncDripDrop
from dripdrop.engine.batch import Batch
from dripdrop.engine.dispatcher import Dispatcher
from dripdrop.engine.item import Item
from dripdrop.engine.worker import Worker
from dripdrop.operations import delivering, dispatching
from dripdrop.operations.delivering import Opened, Opening
from dripdrop.operations.dispatching import Judged
from dripdrop.rules.message import digest
from dripdrop.rules.outcome import Rejected
from dripdrop.testing import FakeProvider, FrozenClock

KEY = base64.b64encode(b"k" * 32).decode()
NOON = "2030-03-04 12:00"
TWO_STEPS: Mapping[str, Any] = {
    "sequence": "onboarding",
    "name": "Onboarding",
    "steps": {
        "welcome": {"channel": "email", "subject": "Welcome", "text": "Hello {{ name }}"},
        "nudge": {"channel": "email", "timing": "in 3 days", "subject": "Still there?", "text": "Hm"},
    },
}


def ann(**data: Any) -> dict[str, Any]:
    return {"email": "ann@example.org", "name": "Ann", **data}


class World:
    """One DripDrop object on a fresh database, with one adapter that goes to `provider`."""

    def __init__(self, url: str, provider: FakeProvider, clock: FrozenClock, **config: Any) -> None:
        self.url = url
        self.provider = provider
        self.clock = clock
        settings = {"encryption_key": KEY, **config}
        plugins, http = [provider, *settings.pop("plugins", ())], settings.pop("http", None)
        self.drip = AsyncDripDrop(url, plugins=plugins, clock=clock, config=settings, http=http)

    @property
    def runtime(self) -> Any:
        return self.drip._worker.runtime()

    async def begin(self, document: Mapping[str, Any] = TWO_STEPS) -> World:
        await self.drip.adapters.create(
            "main", channel="email", provider=self.provider.name, is_default=True, config={"from": "a@example.com"}
        )
        await self.drip.sequences.apply(document)
        return self

    async def enroll(self, who: Any = 42, **data: Any) -> UUID:
        enrolled = await self.drip.enroll("onboarding", subscriber=("user", who), data=ann(**data))
        return enrolled.id

    async def state(self, enrollment: UUID) -> list[tuple[str, str]]:
        """(step, state) of its executions, by visit."""
        found = await self.drip.executions.list(enrollment=enrollment)
        return [(each.step, each.state) for each in sorted(found, key=lambda each: each.visit)]

    def query(self, text: str, *params: Any) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.url, autocommit=True) as connection:
            cursor = connection.execute(text.encode(), params)
            return cursor.fetchall() if cursor.description else []

    async def close(self) -> None:
        await self.drip.close()


class Doomed:
    """A worker that does one stage at a time, so that it can die between any two of them."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.worker = Worker(world.runtime, name="doomed")
        self.dispatcher: Dispatcher | None = None

    async def claim(self) -> list[Judged]:
        self.dispatcher = await self.worker.start()
        runtime, worker = self.world.runtime, self.dispatcher.lease.worker
        policy = runtime.policy()
        return await runtime.database.run(lambda now: dispatching.claim(now, worker, policy))  # type: ignore[no-any-return]

    async def open(self, judged: Judged) -> None:
        assert self.dispatcher is not None
        runtime, claim, adapter = self.world.runtime, judged.claim, judged.adapter
        assert adapter is not None
        message = await Item(self.dispatcher, judged, Batch(runtime))._made(adapter)
        assert not isinstance(message, Rejected)
        opening = Opening(
            claim.id,
            claim.token,
            adapter.id,
            "ann@example.org",
            claim.version.id,
            claim.data_revision,
            digest(message),
            claim.now,
        )
        worker = self.dispatcher.lease.worker
        (result,) = await runtime.database.run(lambda now: delivering.open(now, worker, [opening]))
        assert isinstance(result, Opened)
        claim.token, claim.attempt, claim.state = result.token, result.attempt, "sending"

    def send(self, judged: Judged) -> None:
        """The receiver has it; nobody was told."""
        assert self.dispatcher is not None
        assert judged.adapter is not None
        item = Item(self.dispatcher, judged, Batch(self.world.runtime))
        message = self.world.runtime.render(judged.claim, judged.adapter, self.world.runtime.config())
        self.world.provider.take(item._delivery(judged.adapter, message))

    async def close(self, judged: Judged, came: Any) -> list[Any]:
        assert self.dispatcher is not None
        worker = self.dispatcher.lease.worker
        closing = delivering.Closing(judged.claim, came)
        return await self.world.runtime.database.run(lambda now: delivering.close(now, worker, [closing]))  # type: ignore[no-any-return]

    def die(self) -> None:
        """Its lease ran out long ago."""
        assert self.dispatcher is not None
        self.world.query(
            "update dripdrop.workers set heartbeat_at = heartbeat_at - interval '1 hour' where id = %s",
            self.dispatcher.lease.worker,
        )
