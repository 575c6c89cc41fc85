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


def refusing(provider: FakeProvider, *tokens: str) -> None:
    """Let the provider refuse these tokens, and every token where none is named."""

    def answers(_: Any) -> Rejected | None:
        refused = not tokens or provider.configs[-1]["token"] in tokens
        return Rejected("temporary", "adapter", detail={"status": 401}) if refused else None

    provider.answers = answers


def used(provider: FakeProvider) -> list[str]:
    return [config["token"] for config in provider.configs]


async def test_a_token_that_was_refused_is_replaced_at_once_within_the_same_attempt(make_world: MakeWorld) -> None:
    bank, provider = Bank(), FakeProvider()
    refusing(provider, "main-token-1")
    world = await world_with(make_world, bank, provider)
    enrollment = await world.enroll()
    await world.drip.run_due()
    assert used(provider) == ["main-token-1", "main-token-2"]
    assert provider.outbox.steps() == ["welcome"]
    (sent,) = await world.drip.executions.list(enrollment=enrollment, state="sent")
    (attempt,) = (await world.drip.executions.get(sent.id)).attempts
    assert attempt.outcome == "succeeded"


async def test_a_second_refusal_is_the_adapters_trouble_and_the_person_is_not_blamed(make_world: MakeWorld) -> None:
    bank, provider = Bank(), FakeProvider()
    refusing(provider)
    world = await world_with(make_world, bank, provider)
    enrollment = await world.enroll()
    await world.drip.run_due()
    assert used(provider) == ["main-token-1", "main-token-2"], "two calls, and then it waits"
    assert await world.state(enrollment) == [("welcome", "scheduled")]
    refusing(provider, "main-token-1", "main-token-2")
    await world.drip.drain(until=world.clock.now() + timedelta(hours=1))
    assert used(provider)[2:] == ["main-token-3"], "the second one was forgotten too"
    assert provider.outbox.steps() == ["welcome"]


async def test_a_source_that_knows_but_one_token_is_not_tried_twice(make_world: MakeWorld) -> None:
    class Stubborn(Bank):
        async def token(self, adapter: Any) -> AccessToken:
            self.given += 1
            return AccessToken("for-ever")

    bank, provider = Stubborn(), FakeProvider()
    refusing(provider)
    world = await world_with(make_world, bank, provider)
    await world.enroll()
    await world.drip.run_due()
    assert (used(provider), bank.given) == (["for-ever"], 2)


async def test_where_no_fresh_token_is_to_be_had_the_refusal_stands(make_world: MakeWorld) -> None:
    class Fickle(Bank):
        async def token(self, adapter: Any) -> AccessToken:
            if self.given:
                raise TokenError("permanent", "revoked")
            return await super().token(adapter)

    bank, provider = Fickle(), FakeProvider()
    refusing(provider)
    world = await world_with(make_world, bank, provider)
    enrollment = await world.enroll()
    await world.drip.run_due()
    assert used(provider) == ["main-token-1"]
    assert await world.state(enrollment) == [("welcome", "scheduled")]


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
