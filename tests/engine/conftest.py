"""Worlds for the tales of the engine."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from tests.world import NOON, TWO_STEPS, World

from dripdrop.testing import FakeProvider, FrozenClock

MakeWorld = Callable[..., Awaitable[World]]


@pytest.fixture
async def make_world(database_url: str) -> AsyncIterator[MakeWorld]:
    made: list[World] = []

    async def make(provider: FakeProvider | None = None, document: Any = TWO_STEPS, **config: Any) -> World:
        world = World(database_url, provider or FakeProvider(), FrozenClock(NOON), **config)
        made.append(world)
        return await world.begin(document)

    yield make
    for world in made:
        await world.close()


@pytest.fixture
async def world(make_world: MakeWorld) -> World:
    return await make_world()
