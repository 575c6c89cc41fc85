"""A text message on its whole way: out over the wire, and what the provider says of it back to the person."""

from __future__ import annotations

import hmac
import json
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import parse_qs, urlencode

import httpx2
import pytest
from tests.engine.messaging import ANN, PUBLIC, Messaging, by_twilio

from dripdrop.contracts import QUERY


@pytest.fixture
async def world(database_url: str) -> AsyncIterator[Messaging]:
    made = Messaging(database_url)
    yield made
    await made.drip.close()


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
