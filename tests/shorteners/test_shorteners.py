"""What shorteners make, and what becomes of those that misbehave."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import orjson
import pytest

from dripdrop.contracts import HttpRequest, HttpResponse, ShortLink, ShortLinkFailed
from dripdrop.errors import Invalid
from dripdrop.plugins import Plugins
from dripdrop.shorteners.asking import ask
from dripdrop.shorteners.builtin import ALPHABET, LENGTH, BuiltInShortener, code_of
from dripdrop.shorteners.function import FunctionShortener
from dripdrop.shorteners.webhook import WebhookShortener
from dripdrop.testing.contracts.shortener import request_of

SECRET = b"a secret of the tests"


def test_codes_are_short_safe_and_of_one_secret_key_and_collision() -> None:
    codes = {
        code_of(secret, key, collisions)
        for secret in (SECRET, b"another")
        for key in ("a", "b", "a\0b")
        for collisions in range(3)
    }
    assert len(codes) == 18
    assert all(len(code) == LENGTH and set(code) <= set(ALPHABET) for code in codes)
    assert code_of(SECRET, "a") == code_of(SECRET, "a", 0)


async def test_the_built_in_one_needs_an_address_and_takes_the_domain_first() -> None:
    ours = BuiltInShortener(lambda: [SECRET, b"old"])
    code = code_of(SECRET, "a" * 64)
    made = await ask(ours, request_of(), {"public_url": "https://m.example/drip/"}, timeout=5)
    assert (made.short_url, made.provider_id) == (f"https://m.example/drip/l/{code}", code)
    made = await ask(ours, request_of(domain="go.example"), {"public_url": None}, timeout=5)
    assert made.short_url == f"https://go.example/l/{code}"
    with pytest.raises(ShortLinkFailed, match="temporary: public_url"):
        await ask(ours, request_of(), {"public_url": None}, timeout=5)


async def test_a_webhook_is_posted_the_whole_request() -> None:
    seen: list[HttpRequest] = []

    async def send(call: HttpRequest) -> HttpResponse:
        seen.append(call)
        return HttpResponse(200, {}, b'{"short_url": "https://s.example/1", "provider_id": "p", "token": "t0p-secret"}')

    options = {"endpoint": " https://api.s.example/links ", "headers": {"X-Key": "k"}, "send": send}
    request = request_of(domain="s.example", key="mine", prefix="p", metadata={"team": "growth"})
    made = await ask(WebhookShortener(), request, options, timeout=5)
    (call,) = seen
    assert (call.method, call.url) == ("POST", "https://api.s.example/links")
    assert dict(call.headers) == {"content-type": "application/json", "idempotency-key": "a" * 64, "X-Key": "k"}
    assert orjson.loads(call.body) == {
        "original_url": request.original_url, "destination_url": request.destination_url, "idempotency_key": "a" * 64,
        "tenant_key": "acme", "channel": "email", "sequence_key": "onboarding", "step_key": "welcome",
        "domain": "s.example", "key": "mine", "prefix": "p", "metadata": {"team": "growth"},
        "utm": {"source": "dripdrop", "medium": "email"},
    }  # fmt: skip
    assert (made.short_url, made.provider_id) == ("https://s.example/1", "p")
    assert "t0p-secret" not in str(made.response)
    with pytest.raises(ShortLinkFailed, match="permanent: no_endpoint"):
        await ask(WebhookShortener(), request, {"send": send}, timeout=5)


@pytest.mark.parametrize("options", [{}, {"module": "no.such.module"}, {"function": "json:no_such"}, {"module": ".x"}])
async def test_a_function_that_is_not_there_is_put_off(options: dict[str, Any]) -> None:
    with pytest.raises(ShortLinkFailed, match="temporary: no_function"):
        await ask(FunctionShortener(), request_of(), options, timeout=5)


@pytest.mark.parametrize(
    "url",
    [
        "", "no url", "ftp://s.example/1", "https://", "https://s.example/a b", 'https://s.example/"onclick=', 7, None,
        "javascript:alert(1)", "https://s.example/\n", f"https://s.example/{'x' * 3000}", "https://s.example/<b>",
    ],
)  # fmt: skip
async def test_a_link_that_is_none_is_refused(url: Any) -> None:
    with pytest.raises(ShortLinkFailed, match="permanent: no_short_url"):
        await ask(lambda request, options: ShortLink(url), request_of(), {}, timeout=5)


async def test_what_a_shortener_raises_is_temporary_and_told_in_one_word() -> None:
    def careless(request: Any, options: Any) -> Any:
        raise KeyError("a secret")

    def says(request: Any, options: Any) -> Any:
        raise ShortLinkFailed("for ever", "Quota: used up!\n")  # type: ignore[arg-type]

    with pytest.raises(ShortLinkFailed, match=r"^temporary: raised_keyerror$"):
        await ask(careless, request_of(), {}, timeout=5)
    with pytest.raises(ShortLinkFailed, match=r"^temporary: quota_used_up$"):
        await ask(says, request_of(), {}, timeout=5)


async def test_one_that_hangs_is_given_up_and_holds_up_nobody() -> None:
    let_go = threading.Event()

    async def sleeps(request: Any, options: Any) -> Any:
        await asyncio.Event().wait()

    def blocks(request: Any, options: Any) -> Any:
        let_go.wait(30)

    try:
        for hangs in (sleeps, blocks):
            with pytest.raises(ShortLinkFailed, match="temporary: timeout"):
                await ask(hangs, request_of(), {}, timeout=0.05)
        made = await ask(lambda request, options: "https://s.example/1", request_of(), {}, timeout=5)
        assert made.short_url == "https://s.example/1"
    finally:
        let_go.set()


async def test_an_object_whose_call_is_awaited_is_a_shortener_too() -> None:
    class Callable:
        async def __call__(self, request: Any, options: Any) -> None:
            return None

    assert (await ask(Callable(), request_of(), {}, timeout=5)).skipped


def test_a_plain_function_can_be_registered() -> None:
    def make(request: Any, options: Any) -> str:
        return "https://s.example/1"

    plugins = Plugins([("shortener", "mine", make)])
    assert plugins.get("shortener", "mine") is make
    with pytest.raises(Invalid, match="lacks create_link"):
        Plugins([("shortener", "mine", object())])
