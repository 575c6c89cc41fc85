"""A topic of SNS is subscribed to an adapter of SES, and tells of a bounce."""

from __future__ import annotations

import base64
import json
from typing import Any

import httpx2
import psycopg
from tests.channels.sns_topic import ARN, NOW, URL, chain, message, trusting

from dripdrop import AsyncDripDrop
from dripdrop.testing import FrozenClock

KEYS = {"region": "eu-central-1", "access_key": "AKIDEXAMPLE", "secret": "secret-key-1", "sns_topic_arn": ARN}
BOUNCE = {
    "eventType": "Bounce",
    "bounce": {
        "bounceType": "Permanent",
        "bounceSubType": "General",
        "bouncedRecipients": [{"emailAddress": "ann@example.org", "status": "5.1.1"}],
    },
    "mail": {"messageId": "010701", "destination": ["ann@example.org"]},
}

WELCOME = {
    "sequence": "welcome",
    "name": "Welcome",
    "steps": {"hello": {"channel": "email", "subject": "Welcome", "text": "Hello"}},
}


async def test_its_subscription_is_confirmed_and_a_bounce_suppresses(database_url: str) -> None:
    asked: list[str] = []

    def amazon(request: httpx2.Request) -> httpx2.Response:
        asked.append(str(request.url))
        if request.url.path == "/v2/email/outbound-emails":
            return httpx2.Response(200, json={"MessageId": "010701"})
        return httpx2.Response(200, content=chain()[2].pem() if str(request.url) == URL else b"<Confirmed/>")

    key = base64.b64encode(b"k" * 32).decode()
    drip = AsyncDripDrop(
        database_url, clock=FrozenClock(NOW), http=httpx2.MockTransport(amazon), config={"encryption_key": key}
    )
    config = {"sns_ca": trusting()["sns_ca"], "from": "news@example.com"}
    made = await drip.adapters.create(
        "main", channel="email", provider="ses", credentials=KEYS, config=config, is_default=True
    )
    await drip.sequences.apply(WELCOME)
    await drip.enroll("welcome", subscriber=("user", 1), data={"email": "ann@example.org"})
    await drip.run_due()
    assert asked == ["https://email.eu-central-1.amazonaws.com/v2/email/outbound-emails"]
    asked.clear()

    async def posted(told: dict[str, Any]) -> int:
        """As SNS posts: JSON, said to be text."""
        answer = await drip.webhooks.receive(
            "ses",
            made.id,
            method="POST",
            url=f"https://shop.example/webhooks/ses/{made.id}",
            headers={"content-type": "text/plain; charset=UTF-8"},
            body=json.dumps(told).encode(),
        )
        return int(answer.status)

    subscribing = message("You have chosen to subscribe", "SubscriptionConfirmation", arn=ARN)
    assert await posted(subscribing) == 200
    assert asked == [URL, subscribing["SubscribeURL"]]
    assert await posted({**subscribing, "SubscribeURL": "https://evil.example/?x"}) == 401
    assert await posted(message(BOUNCE, arn=ARN + "-other")) == 401

    bounce = message(BOUNCE)
    assert [await posted(bounce), await posted(bounce)] == [200, 200]
    await drip.drain()
    with psycopg.connect(database_url) as connection:
        kept = connection.execute("select count(*) from dripdrop.webhook_requests").fetchone()
        found = connection.execute("select recipient_normalized, reason from dripdrop.suppressions").fetchall()
    assert kept == (1,), "a repeated message is taken in once, and a confirmation is none"
    assert found == [("ann@example.org", "bounce")]
    assert asked == [URL, subscribing["SubscribeURL"]], "the certificate is fetched once"
    await drip.close()
