"""Our own shorteners keep the contract that a stranger's must keep."""

from __future__ import annotations

from typing import Any, ClassVar

import orjson

from dripdrop.contracts import HttpRequest, HttpResponse, LinkRequest
from dripdrop.shorteners.builtin import BuiltInShortener
from dripdrop.shorteners.function import FunctionShortener
from dripdrop.shorteners.nothing import NoShortener
from dripdrop.shorteners.webhook import WebhookShortener
from dripdrop.testing.contracts.shortener import ShortenerContract


def blocking(request: LinkRequest, options: Any) -> dict[str, str]:
    return {"short_url": f"https://s.example/{request.idempotency_key[:8]}"}


async def awaited(request: LinkRequest, options: Any) -> str:
    return f"https://s.example/{request.idempotency_key[:8]}"


class TestBuiltIn(ShortenerContract):
    shortener = BuiltInShortener(lambda: [b"a secret of the tests"])


class TestWebhook(ShortenerContract):
    shortener = WebhookShortener
    options: ClassVar[dict[str, Any]] = {
        "endpoint": "https://api.s.example/links",
        "headers": {"Authorization": "Bearer x"},
    }
    speaks = True

    def answer(self, call: HttpRequest) -> HttpResponse:
        key = orjson.loads(call.body)["idempotency_key"]
        return HttpResponse(201, {}, orjson.dumps({"shortUrl": f"https://s.example/{key[:8]}", "id": 7}))


class TestBlockingFunction(ShortenerContract):
    shortener = FunctionShortener
    options: ClassVar[dict[str, Any]] = {"function": f"{__name__}:blocking"}


class TestAwaitedFunction(ShortenerContract):
    shortener = FunctionShortener
    options: ClassVar[dict[str, Any]] = {"module": __name__, "function": "awaited"}


class TestNone(ShortenerContract):
    shortener = NoShortener
    skips = True
