"""Who answers a text message quotes nothing: what was sent to them last is what they answer."""

from __future__ import annotations

import hmac
import itertools
import json
from collections.abc import AsyncIterator, Mapping
from typing import Any
from uuid import UUID

import httpx2
import pytest
from tests.engine.messaging import ANN, PUBLIC, Messaging, by_twilio

from dripdrop.rules.heard import Reply

OURS = "+14155550100"
CHAT = 471100012
NUMBERS = {"from": OURS}


class Texting(Messaging):
    """Numbers its answers, as providers do; `says` lets somebody write to an adapter, signed."""

    def __init__(self, url: str) -> None:
        self.heard: list[Reply] = []
        super().__init__(url, on_reply=self.heard.append)
        self.numbers = itertools.count(1)
        self.answer = lambda request: self._accepts(request)

    def _accepts(self, request: httpx2.Request) -> httpx2.Response:
        number = next(self.numbers)
        if "twilio" in request.url.host:
            return httpx2.Response(201, json={"sid": f"SM{number}", "status": "queued"})
        if "telegram" in request.url.host:
            said = {"ok": True, "result": {"message_id": number, "chat": {"id": CHAT}}}
            return httpx2.Response(200, json=said)
        return httpx2.Response(200, json={"messages": [{"id": f"wamid.{number}"}]})

    async def says(self, provider: str, adapter: UUID, text: str, **more: Any) -> None:
        body, headers = getattr(self, f"_by_{provider}")(adapter, text, next(self.numbers), **more)
        assert (await self.post(provider, adapter, body, headers)).status == 200

    def _by_twilio(self, adapter: UUID, text: str, number: int, *, sender: str = ANN) -> Any:
        url = f"{PUBLIC}/webhooks/twilio/{adapter}"
        return by_twilio(url, MessageSid=f"IN{number}", SmsStatus="received", From=sender, To=OURS, Body=text)

    def _by_cloud_api(self, adapter: UUID, text: str, number: int) -> Any:
        message = {"from": ANN[1:], "id": f"wamid.in{number}", "type": "text", "text": {"body": text}}
        return _by_whatsapp({"messages": [message]})

    def _by_bot_api(self, adapter: UUID, text: str, number: int) -> Any:
        message = {"message_id": 9000 + number, "chat": {"id": CHAT, "type": "private"}, "text": text}
        body = json.dumps({"update_id": number, "message": message}).encode()
        return body, {"x-telegram-bot-api-secret-token": "webhook-secret-1"}

    async def state(self, enrollment: UUID) -> str:
        return (await self.drip.enrollments.get(enrollment)).state  # type: ignore[no-any-return]

    async def blocked(self, channel: str = "sms", address: str = ANN) -> str | None:
        found = await self.drip.suppressions.check(channel, address)
        return found.reason if found else None


def _by_whatsapp(value: Mapping[str, Any]) -> tuple[bytes, dict[str, str]]:
    body = json.dumps({"entry": [{"changes": [{"field": "messages", "value": value}]}]}).encode()
    return body, {"x-hub-signature-256": "sha256=" + hmac.new(b"app-secret-1", body, "sha256").hexdigest()}


@pytest.fixture
async def world(database_url: str) -> AsyncIterator[Texting]:
    made = Texting(database_url)
    yield made
    await made.drip.close()


MESSENGERS = [
    ("sms", "twilio", {"sms": "(415) 555-0123"}, ANN),
    ("whatsapp", "cloud_api", {"whatsapp": "+1 415 555 0123"}, ANN),
    ("telegram", "bot_api", {"telegram": CHAT}, str(CHAT)),
]


@pytest.mark.parametrize(("channel", "provider", "data", "address"), MESSENGERS)
async def test_who_says_stop_is_suppressed_and_leaves_and_comes_back_by_start(
    world: Texting, channel: str, provider: str, data: Any, address: str
) -> None:
    adapter = await world.begin(channel, provider, **NUMBERS)
    enrollment = await world.enroll(**data)
    assert len(world.calls) == 1
    stop, start = ("/stop", "/start") if channel == "telegram" else ("Stop.", "START")
    await world.says(provider, adapter, stop)
    assert await world.blocked(channel, address) == "unsubscribe"
    assert await world.state(enrollment) == "cancelled"
    (told,) = await world.drip.message_events.list()
    assert (told.event_type, told.execution_id) == ("unsubscribed", (await world.first(enrollment)).id)
    world.clock.advance(days=4)
    await world.drip.run_due()
    assert len(world.calls) == 1
    await world.says(provider, adapter, start)
    assert await world.blocked(channel, address) is None
    assert await world.state(enrollment) == "cancelled", "who comes back does not go on where they left"


@pytest.mark.parametrize(("channel", "provider", "data", "address"), MESSENGERS)
async def test_a_plain_reply_holds_its_enrollment_and_the_host_is_told_whose_it_is(
    world: Texting, channel: str, provider: str, data: Any, address: str
) -> None:
    adapter = await world.begin(channel, provider, reply_behavior="pause", **NUMBERS)
    enrollment = await world.enroll(**data)
    await world.says(provider, adapter, "Yes please")
    assert await world.state(enrollment) == "paused"
    (reply,) = world.heard
    assert (reply.text, reply.step, reply.enrollment_id) == ("Yes please", "hello", enrollment)
    assert await world.blocked(channel, address) is None


async def test_a_reply_is_to_the_newest_of_two_sequences_and_stop_ends_both(world: Texting) -> None:
    adapter = await world.begin("sms", "twilio", reply_behavior="pause", **NUMBERS)
    first = await world.enroll(sms=ANN)
    world.clock.advance(minutes=5)
    second = await world.enroll("offers", sms=ANN)
    world.clock.advance(minutes=5)
    await world.says("twilio", adapter, "Yes please")
    assert [await world.state(each) for each in (first, second)] == ["active", "paused"]
    await world.says("twilio", adapter, "STOP")
    assert [await world.state(each) for each in (first, second)] == ["cancelled", "cancelled"]


async def test_who_says_stop_on_a_shared_phone_speaks_for_everybody_on_it(world: Texting) -> None:
    adapter = await world.begin("sms", "twilio", reply_behavior="end", **NUMBERS)
    ann = await world.enroll(sms=ANN)
    world.clock.advance(minutes=5)
    bob = await world.enroll(who=43, sms=ANN)
    other = await world.enroll(who=44, sms="+14155550199")
    await world.says("twilio", adapter, "No thanks")
    assert [await world.state(each) for each in (ann, bob, other)] == ["active", "cancelled", "active"]
    assert world.heard[0].subscriber_id == "43"
    await world.says("twilio", adapter, "STOP")
    assert [await world.state(each) for each in (ann, bob, other)] == ["cancelled", "cancelled", "active"]


async def test_what_is_transactional_stays_and_a_host_may_decide_that_nothing_ends(database_url: str) -> None:
    world = Texting(database_url)
    adapter = await world.begin("sms", "twilio", **NUMBERS)
    receipt = await world.enroll("receipts", sms=ANN)
    await world.says("twilio", adapter, "STOP")
    assert (await world.state(receipt), await world.blocked()) == ("active", "unsubscribe")
    await world.drip.close()


async def test_somebody_nobody_wrote_to_is_suppressed_and_listed_as_unmatched(world: Texting) -> None:
    adapter = await world.begin("sms", "twilio", **NUMBERS)
    ann = await world.enroll(sms=ANN)
    await world.says("twilio", adapter, "STOP", sender="+14155550199")
    await world.says("twilio", adapter, "Who is this?", sender="+14155550199")
    assert await world.blocked("sms", "+14155550199") == "unsubscribe"
    assert await world.state(ann) == "active"
    assert {(each.state, each.reason) for each in await world.drip.webhooks.list()} == {("processed", "unmatched:1")}
    (reply,) = world.heard
    assert (reply.text, reply.enrollment_id) == ("Who is this?", None)
    assert {each.event_type for each in await world.drip.message_events.list()} == {"unsubscribed", "replied"}


async def test_stop_ends_an_enrollment_whose_message_is_in_doubt_and_proves_nothing(world: Texting) -> None:
    adapter = await world.begin("sms", "twilio", **NUMBERS)
    world.answer = lambda request: httpx2.Response(504)
    enrollment = await world.enroll(sms=ANN)
    assert (await world.first(enrollment)).state == "unknown"
    await world.says("twilio", adapter, "STOP")
    assert await world.state(enrollment) == "cancelled"
    assert (await world.first(enrollment)).state == "unknown", "it may have been an earlier message that was answered"


async def test_a_refused_message_is_not_what_somebody_answers(world: Texting) -> None:
    adapter = await world.begin("sms", "twilio", reply_behavior="pause", **NUMBERS)
    first = await world.enroll(sms=ANN)
    world.clock.advance(minutes=5)
    world.answer = lambda request: httpx2.Response(400, json={"code": 21617, "message": "too long"})
    second = await world.enroll("offers", sms=ANN)
    assert (await world.first(second)).state == "failed"
    await world.says("twilio", adapter, "Yes please")
    assert await world.state(first) == "paused"


async def test_what_was_sent_after_a_reply_came_in_is_not_what_it_answers(world: Texting) -> None:
    adapter = await world.begin("sms", "twilio", reply_behavior="pause", **NUMBERS)
    first = await world.enroll(sms=ANN)
    body, headers = world._by_twilio(adapter, "Yes please", 9)
    url = f"{PUBLIC}/webhooks/twilio/{adapter}"
    await world.drip.webhooks.receive("twilio", adapter, method="POST", url=url, headers=headers, body=body)
    world.clock.advance(minutes=5)
    second = (await world.drip.enroll("offers", subscriber=("user", 42), data={"sms": ANN})).id
    await world.drip.executions.dispatch((await world.first(second)).id)
    assert (await world.first(second)).state == "sent"
    await world.drip.run_due()
    assert [await world.state(each) for each in (first, second)] == ["paused", "active"]


async def test_tenants_who_share_a_number_hear_of_it_each_and_others_do_not(world: Texting) -> None:
    adapter = await world.begin("sms", "twilio", **NUMBERS)
    acme, globex, initech = (world.drip.for_tenant(each) for each in ("acme", "globex", "initech"))
    people = []
    for each in (acme, globex):
        enrolled = await each.enroll("onboarding", subscriber=("user", 42), data={"sms": ANN})
        await world.drip.run_due()
        world.clock.advance(minutes=1)
        people.append((each, enrolled.id))
    await world.says("twilio", adapter, "STOP")
    for each, enrollment in people:
        assert (await each.enrollments.get(enrollment)).state == "cancelled"
        assert (await each.suppressions.check("sms", ANN)) is not None
    assert await initech.suppressions.check("sms", ANN) is None
    world.clock.advance(minutes=1)
    await world.says("twilio", adapter, "UNSTOP")
    for each, _ in people:
        assert await each.suppressions.check("sms", ANN) is None


async def test_a_wish_that_whatsapp_tells_counts_as_one_that_was_written(world: Texting) -> None:
    adapter = await world.begin("whatsapp", "cloud_api")
    enrollment = await world.enroll(whatsapp=ANN)
    wish = {"wa_id": ANN[1:], "category": "marketing_messages", "value": "stop", "timestamp": "1898586000"}
    assert (await world.post("cloud_api", adapter, *_by_whatsapp({"user_preferences": [wish]}))).status == 200
    assert (await world.blocked("whatsapp"), await world.state(enrollment)) == ("unsubscribe", "cancelled")


async def test_who_blocks_the_bot_later_leaves(world: Texting) -> None:
    adapter = await world.begin("telegram", "bot_api")
    enrollment = await world.enroll(telegram=CHAT)
    change = {"chat": {"id": CHAT, "type": "private"}, "new_chat_member": {"status": "kicked"}}
    body = json.dumps({"update_id": 1, "my_chat_member": change}).encode()
    await world.post("bot_api", adapter, body, {"x-telegram-bot-api-secret-token": "webhook-secret-1"})
    assert (await world.blocked("telegram", str(CHAT)), await world.state(enrollment)) == ("unsubscribe", "cancelled")


async def test_a_host_that_pumps_its_own_messages_finds_the_same_person(world: Texting) -> None:
    await world.begin("sms", "twilio", reply_behavior="pause", **NUMBERS)
    enrollment = await world.enroll(sms=ANN)
    message = {"from": "415-555-0123", "to": OURS, "received_at": world.clock.now(), "message_id": "SM77",
               "body_text": "Yes please"}  # fmt: skip
    found = await world.drip.ingest_inbound_message("main", message)
    assert (found.intent, found.enrollment_id) == ("reply", enrollment)
    assert await world.state(enrollment) == "paused"
