"""A text message on its whole way: out over the wire, and what the provider says of it back to the person."""

from __future__ import annotations

import hmac
import json
from collections.abc import AsyncIterator, Callable
from typing import Any
from urllib.parse import parse_qs, urlencode
from uuid import UUID

import httpx2
import pytest
from tests.world import KEY, NOON
from twilio.request_validator import RequestValidator

from dripdrop import AsyncDripDrop
from dripdrop.contracts import QUERY
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

    def __init__(self, url: str) -> None:
        self.calls: list[httpx2.Request] = []
        self.answer: Callable[[httpx2.Request], httpx2.Response] = lambda request: httpx2.Response(200, json={})
        config = {"encryption_key": KEY, "public_url": PUBLIC}
        http = httpx2.MockTransport(self._handle)
        self.clock = FrozenClock(NOON)
        self.drip = AsyncDripDrop(url, clock=self.clock, config=config, http=http)

    def _handle(self, request: httpx2.Request) -> httpx2.Response:
        self.calls.append(request)
        return self.answer(request)

    async def begin(self, channel: str, provider: str, **config: Any) -> UUID:
        field = "body" if channel == "sms" else "text"
        steps = {name: {"channel": channel, field: name, "timing": when} for name, when in _STEPS}
        adapter = await self.drip.adapters.create(
            "main",
            channel=channel,
            provider=provider,
            is_default=True,
            config=config,
            credentials=CREDENTIALS[provider],
        )
        await self.drip.sequences.apply({"sequence": "onboarding", "name": "Onboarding", "steps": steps})
        return adapter.id

    async def enroll(self, **data: Any) -> UUID:
        enrolled = await self.drip.enroll("onboarding", subscriber=("user", 42), data=data)
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


@pytest.fixture
async def world(database_url: str) -> AsyncIterator[Messaging]:
    made = Messaging(database_url)
    yield made
    await made.drip.close()


def by_twilio(url: str, **fields: str) -> tuple[bytes, dict[str, str]]:
    signature = RequestValidator("auth-token-1").compute_signature(url, fields)
    kind = "application/x-www-form-urlencoded"
    return urlencode(fields).encode(), {"content-type": kind, "x-twilio-signature": signature}


def called_back(world: Messaging) -> str:
    return parse_qs(world.calls[0].content.decode())["StatusCallback"][0]


async def test_twilio_calls_back_where_it_was_told_to_and_the_message_is_delivered(world: Messaging) -> None:
    adapter = await world.begin("sms", "twilio", **{"from": "+14155550100"})
    world.answer = lambda request: httpx2.Response(201, json={"sid": "SM1", "status": "queued"})
    enrollment = await world.enroll(sms="(415) 555-0123")
    url = called_back(world)
    assert url.startswith(f"{PUBLIC}/webhooks/twilio/{adapter}?")
    body, headers = by_twilio(url, MessageSid="SM1", MessageStatus="delivered", To=ANN)
    answer = await world.post("twilio", adapter, body, headers, url[url.index("?") :])
    assert (answer.status, answer.body) == (200, b"<Response/>")
    (stored,) = await world.drip.webhooks.list()
    kept = (await world.drip.webhooks.get(stored.id)).headers
    assert kept[QUERY] == url[url.index("?") + 1 :]
    assert (await world.first(enrollment)).delivery_status == "delivered"


async def test_a_secret_in_the_address_is_not_kept(world: Messaging) -> None:
    adapter = await world.begin("sms", "twilio", **{"from": "+14155550100"})
    url = f"{PUBLIC}/webhooks/twilio/{adapter}?password=hunter2"
    body, headers = by_twilio(url, MessageSid="SM1", MessageStatus="sent", To=ANN)
    assert (await world.post("twilio", adapter, body, headers, "?password=hunter2")).status == 200
    (stored,) = await world.drip.webhooks.list()
    assert "hunter2" not in repr((await world.drip.webhooks.get(stored.id)).headers)


async def test_a_lost_answer_of_twilio_is_settled_by_the_status_that_names_our_delivery(world: Messaging) -> None:
    adapter = await world.begin("sms", "twilio", **{"from": "+14155550100"})
    world.answer = lambda request: httpx2.Response(504)
    enrollment = await world.enroll(sms=ANN)
    assert (await world.first(enrollment)).state == "unknown"
    url = called_back(world)
    body, headers = by_twilio(url, MessageSid="SM-never-heard-of", MessageStatus="sent", To=ANN)
    await world.post("twilio", adapter, body, headers, url[url.index("?") :])
    assert (await world.first(enrollment)).state == "sent"
    assert len(world.calls) == 1


async def test_who_texts_stop_gets_no_more(world: Messaging) -> None:
    adapter = await world.begin("sms", "twilio", **{"from": "+14155550100"})
    world.answer = lambda request: httpx2.Response(201, json={"sid": "SM1", "status": "queued"})
    enrollment = await world.enroll(sms=ANN)
    url = f"{PUBLIC}/webhooks/twilio/{adapter}"
    body, headers = by_twilio(url, MessageSid="SM2", SmsStatus="received", From=ANN, To="+14155550100", Body="Stop")
    await world.post("twilio", adapter, body, headers)
    assert (await world.drip.suppressions.check("sms", ANN)).reason == "unsubscribe"
    world.clock.advance(days=4)
    await world.drip.run_due()
    assert len(world.calls) == 1
    later = [each for each in await world.drip.executions.list(enrollment=enrollment) if each.step == "later"]
    assert [each.state for each in later] == ["skipped"]


async def test_who_blocks_the_bot_is_written_to_no_more(world: Messaging) -> None:
    await world.begin("telegram", "bot_api")
    said = {"ok": False, "error_code": 403, "description": "Forbidden: bot was blocked by the user"}
    world.answer = lambda request: httpx2.Response(403, json=said)
    await world.enroll(telegram=471100012)
    assert json.loads(world.calls[0].content)["chat_id"] == "471100012"
    assert await world.drip.suppressions.check("telegram", "471100012") is not None


async def test_telegram_is_left_in_peace_as_long_as_it_asks(world: Messaging) -> None:
    await world.begin("telegram", "bot_api")
    said = {"ok": False, "error_code": 429, "description": "Too Many Requests", "parameters": {"retry_after": 40}}
    world.answer = lambda request: httpx2.Response(429, json=said)
    enrollment = await world.enroll(telegram=471100012)
    before = await world.first(enrollment)
    assert before.state == "scheduled"
    assert (before.scheduled_for - world.clock.now()).total_seconds() >= 40


async def test_whatsapp_shakes_hands_and_its_batch_finds_our_delivery(world: Messaging) -> None:
    adapter = await world.begin("whatsapp", "cloud_api")
    world.answer = lambda request: httpx2.Response(200, json={"messages": [{"id": "wamid.1"}]})
    enrollment = await world.enroll(whatsapp=ANN)
    query = urlencode({"hub.mode": "subscribe", "hub.verify_token": "verify-1", "hub.challenge": "4711"})
    url = f"{PUBLIC}/webhooks/cloud_api/{adapter}?{query}"
    greeted = await world.drip.webhooks.receive("cloud_api", adapter, method="GET", url=url, headers={}, body=b"")
    assert (greeted.status, greeted.body) == (200, b"4711")
    sent = json.loads(world.calls[0].content)
    statuses = [
        {"id": "wamid.1", "status": status, "timestamp": "1898586000", "recipient_id": ANN[1:]}
        | {"biz_opaque_callback_data": sent["biz_opaque_callback_data"]}
        for status in ("read", "delivered", "sent")
    ]
    body = json.dumps({"entry": [{"changes": [{"field": "messages", "value": {"statuses": statuses}}]}]}).encode()
    signature = "sha256=" + hmac.new(b"app-secret-1", body, "sha256").hexdigest()
    answer = await world.post("cloud_api", adapter, body, {"x-hub-signature-256": signature})
    assert answer.status == 200
    found = await world.first(enrollment)
    assert found.delivery_status == "delivered"
    assert {each.event_type for each in found.events} >= {"opened", "delivered"}
    forged = await world.post("cloud_api", adapter, body, {"x-hub-signature-256": "sha256=" + "0" * 64})
    assert forged.status == 401


async def test_a_function_of_the_host_hears_what_is_published(world: Messaging) -> None:
    heard: list[Any] = []
    await world.drip.adapters.create("main", channel="pubsub", provider="process", is_default=True)
    world.drip.plugins.get("provider", "process", "pubsub").subscribe("leads", heard.append)
    step = {"channel": "pubsub", "topic": "leads", "event": "lead.created", "payload": {"name": "{{ name }}"}}
    await world.drip.sequences.apply({"sequence": "onboarding", "name": "Onboarding", "steps": {"hello": step}})
    enrollment = await world.enroll(name="Ann")
    (message,) = heard
    assert (message.event, message.payload, message.sequence) == ("lead.created", {"name": "Ann"}, "onboarding")
    assert (await world.first(enrollment)).state == "sent"
