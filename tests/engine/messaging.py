"""One adapter of a messenger, whose provider is a function of ours from requests to answers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

import httpx2
from tests.world import KEY, NOON
from twilio.request_validator import RequestValidator

from dripdrop import AsyncDripDrop
from dripdrop.testing import FrozenClock

ANN = "+14155550123"
PUBLIC = "https://mail.example.org"
CREDENTIALS = {
    "twilio": {"account_sid": "AC1", "auth_token": "auth-token-1"},
    "bot_api": {"bot_token": "123456:ABC", "webhook_secret": "webhook-secret-1"},
    "cloud_api": {
        "access_token": "EAAG-token-1",
        "phone_number_id": "1065",
        "app_secret": "app-secret-1",
        "verify_token": "verify-1",
    },
}


class Messaging:
    """One adapter whose provider is a function from requests to answers; `calls` is what it was asked."""

    def __init__(self, url: str, **settings: Any) -> None:
        self.calls: list[httpx2.Request] = []
        self.answer: Callable[[httpx2.Request], httpx2.Response] = lambda request: httpx2.Response(200, json={})
        config = {"encryption_key": KEY, "public_url": PUBLIC, **settings}
        http = httpx2.MockTransport(self._handle)
        self.clock = FrozenClock(NOON)
        self.drip = AsyncDripDrop(url, clock=self.clock, config=config, http=http)

    def _handle(self, request: httpx2.Request) -> httpx2.Response:
        self.calls.append(request)
        return self.answer(request)

    async def begin(self, channel: str, provider: str, *, reply_behavior: str = "continue", **config: Any) -> UUID:
        field = "body" if channel == "sms" else "text"
        common = {"channel": channel, "reply_behavior": reply_behavior}
        steps = {name: {**common, field: name, "timing": when} for name, when in _STEPS}
        adapter = await self.drip.adapters.create(
            "main",
            channel=channel,
            provider=provider,
            is_default=True,
            config=config,
            credentials=CREDENTIALS[provider],
        )
        for name in ("onboarding", "offers", "receipts"):
            kind = "transactional" if name == "receipts" else "marketing"
            await self.drip.sequences.apply({"sequence": name, "name": name, "class": kind, "steps": steps})
        return adapter.id

    async def enroll(self, sequence: str = "onboarding", *, who: int = 42, **data: Any) -> UUID:
        enrolled = await self.drip.enroll(sequence, subscriber=("user", who), data=data)
        await self.drip.run_due()
        return enrolled.id

    async def first(self, enrollment: UUID) -> Any:
        (found,) = [each for each in await self.drip.executions.list(enrollment=enrollment) if each.step == "hello"]
        return await self.drip.executions.get(found.id)

    async def post(self, provider: str, adapter: UUID, body: bytes, headers: dict[str, str], query: str = "") -> Any:
        url = f"{PUBLIC}/webhooks/{provider}/{adapter}{query}"
        answer = await self.drip.webhooks.receive(provider, adapter, method="POST", url=url, headers=headers, body=body)
        await self.drip.run_due()
        return answer


_STEPS = (("hello", "immediately"), ("later", "in 3 days"))


def by_twilio(url: str, **fields: str) -> tuple[bytes, dict[str, str]]:
    signature = RequestValidator("auth-token-1").compute_signature(url, fields)
    kind = "application/x-www-form-urlencoded"
    return urlencode(fields).encode(), {"content-type": kind, "x-twilio-signature": signature}
