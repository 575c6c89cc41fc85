"""An adapter names a source of tokens: each message goes out with one, and a refused one is forgotten."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from tests.engine.conftest import MakeWorld
from tests.world import World

from dripdrop import Rejected
from dripdrop.contracts import AccessToken, TokenError
from dripdrop.testing import FakeProvider


class Bank:
    """A host's source: a new token each time, or trouble."""

    kind, name = "token_source", "bank"

    def __init__(self) -> None:
        self.given = 0
        self.trouble: TokenError | None = None

    async def token(self, adapter: Any) -> AccessToken:
        if self.trouble is not None:
            raise self.trouble
        self.given += 1
        return AccessToken(f"{adapter.name}-token-{self.given}", expires_in=3600)


async def world_with(make_world: MakeWorld, bank: Bank, provider: FakeProvider) -> World:
    world = await make_world(provider, plugins=[bank])
    await world.drip.adapters.update("main", config={"from": "a@example.com", "token_source": "bank"})
    return world


async def test_each_message_goes_out_with_the_token_of_its_adapter(make_world: MakeWorld) -> None:
    bank, provider = Bank(), FakeProvider()
    world = await world_with(make_world, bank, provider)
    await world.enroll(1)
    await world.enroll(2)
    await world.drip.run_due()
    assert [config["token"] for config in provider.configs] == ["main-token-1"] * 2


async def test_a_token_that_was_refused_is_fetched_anew_and_the_person_is_not_blamed(make_world: MakeWorld) -> None:
    def answers(_: Any) -> Rejected | None:
        first = provider.configs[-1]["token"] == "main-token-1"
        return Rejected("temporary", "adapter", detail={"status": 401}) if first else None

    bank = Bank()
    provider = FakeProvider(answers=answers)
    world = await world_with(make_world, bank, provider)
    await world.enroll()
    await world.drip.drain(until=world.clock.now() + timedelta(hours=1))
    assert [config["token"] for config in provider.configs] == ["main-token-1", "main-token-2"]
    assert provider.outbox.steps() == ["welcome"]


async def test_without_a_token_nothing_goes_out_until_there_is_one(make_world: MakeWorld) -> None:
    bank, provider = Bank(), FakeProvider()
    bank.trouble = TokenError("permanent", "revoked")
    world = await world_with(make_world, bank, provider)
    enrollment = await world.enroll()
    await world.drip.run_due()
    assert provider.calls == []
    assert await world.state(enrollment) == [("welcome", "scheduled")]
    bank.trouble = None
    await world.drip.drain(until=world.clock.now() + timedelta(hours=2))
    assert provider.outbox.steps() == ["welcome"]
