"""What a reader's answer names is known: the Message-ID that arrives, whoever writes it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any

import httpx2
import pytest
from tests.world import KEY

from dripdrop import AsyncDripDrop

AWS = {"access_key": "AKIAIOSFODNN7EXAMPLE", "secret": "wJalrXUtnFEMI"}
STEPS = {"hello": {"channel": "email", "subject": "Hi", "text": "Hello", "reply_behavior": "pause"}}


class World:
    def __init__(self, url: str) -> None:
        self.answer: Mapping[str, Any] = {}
        http = httpx2.MockTransport(lambda request: httpx2.Response(200, **self.answer))
        self.drip = AsyncDripDrop(url, config={"encryption_key": KEY}, http=http)

    async def sent(self, provider: str, credentials: Mapping[str, str], **answer: Any) -> Any:
        self.answer = answer
        await self.drip.adapters.create(
            "main", channel="email", provider=provider, is_default=True, credentials=credentials,
            config={"from": "us@shop.example", "domain": "shop.example"},
        )  # fmt: skip
        await self.drip.sequences.apply({"sequence": "hello", "name": "Hello", "steps": STEPS})
        await self.drip.enroll("hello", subscriber=("user", 42), data={"email": "ann@example.org"})
        await self.drip.run_due()
        (found,) = await self.drip.executions.list(state="sent")
        return found

    async def answered(self, message_id: str) -> Any:
        raw = "From: ann@example.org\r\nTo: us@shop.example\r\nMessage-ID: <r1@example.org>\r\n"
        raw += f"In-Reply-To: {message_id}\r\n\r\nGladly!\r\n"
        return await self.drip.ingest_raw_email("main", raw.encode())


@pytest.fixture
async def world(database_url: str) -> AsyncIterator[World]:
    made = World(database_url)
    yield made
    await made.drip.close()


@pytest.mark.parametrize(
    ("region", "seen"),
    [("us-east-1", "<0100-1@email.amazonses.com>"), ("eu-west-1", "<0100-1@eu-west-1.amazonses.com>")],
)
async def test_ses_writes_its_own_and_a_reply_to_that_is_found(world: World, region: str, seen: str) -> None:
    sent = await world.sent("ses", {**AWS, "region": region}, json={"MessageId": "0100-1"})
    assert (sent.provider_message_id, sent.out_message_id) == ("0100-1", seen)
    assert (await world.answered(seen)).execution_id == sent.id


@pytest.mark.parametrize(
    ("provider", "answer"),
    [
        ("postmark", {"json": {"MessageID": "b7bc2f4a", "ErrorCode": 0}}),
        ("sendgrid", {"headers": {"x-message-id": "14c5d75ce93"}}),
    ],
)
async def test_who_leaves_ours_as_it_is_is_answered_by_ours(world: World, provider: str, answer: Any) -> None:
    sent = await world.sent(provider, {"api_key": "key-1234567"}, **answer)
    assert sent.out_message_id == f"<{sent.id}.0@shop.example>"
    assert (await world.answered(sent.out_message_id)).execution_id == sent.id


async def test_mailgun_answers_with_the_message_id_itself(world: World) -> None:
    sent = await world.sent(
        "mailgun", {"api_key": "key-1234567", "domain": "shop.example"}, json={"id": "<20300304.1@shop.example>"}
    )
    assert sent.out_message_id == "<20300304.1@shop.example>"
    assert (await world.answered(sent.out_message_id)).execution_id == sent.id


async def test_what_nobody_tells_is_not_made_up(world: World) -> None:
    sent = await world.sent("resend", {"api_key": "re_1234567"}, json={"id": "49a3999c-0ce1"})
    assert (sent.provider_message_id, sent.out_message_id) == ("49a3999c-0ce1", None)
