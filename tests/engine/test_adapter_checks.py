"""Whether an adapter would work is asked as a send is made, and whatever a provider does is told in a sentence."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest
from tests.world import KEY

from dripdrop import AsyncDripDrop
from dripdrop.contracts import AccessToken, Config, HttpRequest, HttpResponse, TokenError
from dripdrop.errors import Invalid
from dripdrop.testing import FakeProvider

SECRET = "hunter2-hunter2"


class Checked(FakeProvider):
    """Does as `does` says when it is asked."""

    def __init__(self, does: Any) -> None:
        super().__init__(name="checked")
        self.does = does

    async def check(self, config: Config) -> Any:
        answer = self.does(config)
        return await answer if asyncio.iscoroutine(answer) else answer


def raising(error: BaseException) -> Any:
    def does(config: Config) -> None:
        raise error

    return does


class World:
    def __init__(self, url: str, *plugins: Any, seconds: float = 30.0) -> None:
        self.calls: list[httpx2.Request] = []
        self.answer: Any = lambda request: httpx2.Response(200, json={})
        config = {"encryption_key": KEY, "adapter_timeout_seconds": seconds}
        http = httpx2.MockTransport(self._handle)
        self.drip = AsyncDripDrop(url, config=config, http=http, plugins=list(plugins))

    def _handle(self, request: httpx2.Request) -> httpx2.Response:
        self.calls.append(request)
        return self.answer(request)  # type: ignore[no-any-return]

    async def wrong(self, provider: str, *, config: Any = None, **credentials: str) -> str | None:
        await self.drip.adapters.create(
            "main", channel="email", provider=provider, credentials=credentials, config=config or {}
        )
        return await self.drip.adapters.test("main")


@pytest.fixture
async def worlds(database_url: str) -> AsyncIterator[Any]:
    made: list[World] = []

    def make(*plugins: Any, **settings: float) -> World:
        made.append(World(database_url, *plugins, **settings))
        return made[-1]

    yield make
    for each in made:
        await each.drip.close()


@pytest.mark.parametrize(
    ("does", "said"),
    [
        (lambda config: None, None),
        (raising(ValueError(SECRET)), "It could not be asked: its adapter raised ValueError."),
        (raising(SystemExit(3)), "It could not be asked: its adapter raised SystemExit."),
        (raising(asyncio.CancelledError()), "It could not be asked: its adapter raised CancelledError."),
        (raising(Invalid("No sender.", cure="Set `from`.")), "It could not be asked: No sender. Set `from`."),
        (lambda config: {"ok": True}, "Its adapter answered with dict instead of a text."),
        (lambda config: f"key {config['api_key']}\nis\0 wrong", "key [REDACTED] is wrong"),
    ],
)
async def test_whatever_a_provider_does_is_told_in_a_sentence(worlds: Any, does: Any, said: str | None) -> None:
    world = worlds(Checked(does))
    assert await world.wrong("checked", api_key=SECRET) == said


async def test_a_provider_that_hangs_is_left(worlds: Any) -> None:
    world = worlds(Checked(lambda config: asyncio.Event().wait()), seconds=0.05)
    assert await world.wrong("checked") == "It did not answer within 0.05 seconds."


async def test_a_401_is_named_whatever_the_provider_reads_in_it(worlds: Any) -> None:
    world = worlds()
    world.answer = lambda request: httpx2.Response(401, json={"Message": "Invalid token"})
    said = await world.wrong("postmark", api_key="pm-token-1")
    assert said.startswith("It refused the credentials (401)")


class Blind(FakeProvider):
    """Of pure functions, and pleased with every answer."""

    def check_request(self, config: Config) -> HttpRequest:
        return HttpRequest("GET", "https://api.example.org/me")

    def checked(self, response: HttpResponse) -> None:
        return None


async def test_a_provider_that_overlooks_a_401_does_not_hide_it(worlds: Any) -> None:
    world = worlds(Blind(name="blind"))
    world.answer = lambda request: httpx2.Response(401)
    assert await world.wrong("blind") == "It refused the credentials (401)."


class Bank:
    kind, name = "token_source", "bank"

    def __init__(self, *tokens: str) -> None:
        self.tokens = list(tokens)

    async def token(self, adapter: Any) -> AccessToken:
        if not self.tokens:
            raise TokenError("permanent", "revoked")
        return AccessToken(self.tokens.pop(0), expires_in=3600)


GMAIL = {"config": {"token_source": "bank"}, "user_email": "us@example.org"}


async def test_an_adapter_with_tokens_is_asked_with_one_and_once_more_with_another(worlds: Any) -> None:
    world = worlds(Bank("old", "new"))
    fits = {"Bearer new": 200}
    world.answer = lambda request: httpx2.Response(fits.get(request.headers["authorization"], 401), json={})
    assert await world.wrong("gmail", **GMAIL) is None
    assert [each.headers["authorization"] for each in world.calls] == ["Bearer old", "Bearer new"]


async def test_an_adapter_that_gets_no_token_says_so(worlds: Any) -> None:
    world = worlds(Bank())
    assert await world.wrong("gmail", **GMAIL) == "It has no token: revoked."
    assert world.calls == []
