"""Does each messenger of ours keep the contract that we ask of strangers?"""

from __future__ import annotations

import asyncio
import base64
import hmac
import json
from unittest.mock import patch
from urllib.parse import parse_qsl, urlencode

import psycopg
from tests.channels.pubsub.redis_server import Server, running
from tests.channels.test_recordings import FILES, call

from dripdrop.brokers.postgres import PostgresProvider
from dripdrop.channels.chat.slack import SlackApiProvider, SlackWebhookProvider
from dripdrop.channels.chat.telegram import TelegramProvider
from dripdrop.channels.chat.whatsapp import WhatsAppProvider
from dripdrop.channels.deliver import Speaker
from dripdrop.channels.pubsub.process import ProcessProvider
from dripdrop.channels.pubsub.redis import RedisProvider
from dripdrop.channels.sms.aws_sns import AwsSnsProvider
from dripdrop.channels.sms.twilio import TwilioProvider
from dripdrop.rules.message import Chat, Sms
from dripdrop.testing.contracts.feedback import FeedbackContract
from dripdrop.testing.contracts.provider import HttpProviderContract, ProviderContract
from dripdrop.testing.contracts.wire import Wire, answer

ANN = "+14155550123"
WORDS = "The text of the message, which nobody but Ann may read. " * 20


def recorded(provider, kind="json"):
    """(payloads, inbound calls) of the recordings of a provider."""
    payloads, inbound = [], []
    for path in FILES:
        if path.parent.name == provider:
            one = json.loads(path.read_text("utf-8"))
            if any(each.get("inbound") for each in one["expect"]):
                inbound.append(call(one))
            elif kind in one:
                payloads.append(one[kind])
    assert payloads
    return payloads, inbound


class TestTwilio(HttpProviderContract, FeedbackContract):
    provider = TwilioProvider
    credentials = {"account_sid": "AC" + "1" * 32, "auth_token": "auth-token-1"}
    config = {"from": "+14155550100"}
    message = Sms(ANN, WORDS)
    recipient = ANN
    accepted = answer(201, {"sid": "SM1", "status": "queued"})
    secrets = {"auth_token": "auth-token-1"}
    payloads, inbound = recorded("twilio", "form")
    signs_time = False

    def webhook(self, events, secrets, at):
        body = urlencode(events[0]).encode()
        fields = sorted(parse_qsl(body.decode(), keep_blank_values=True))
        signed = "https://example.com/" + "".join(name + value for name, value in fields)
        digest = hmac.digest(secrets["auth_token"].encode(), signed.encode(), "sha1")
        return body, {
            "content-type": "application/x-www-form-urlencoded",
            "x-twilio-signature": base64.b64encode(digest).decode(),
        }


class TestTwilioByKey(HttpProviderContract):
    provider = TwilioProvider
    credentials = {**TestTwilio.credentials, "api_key": "SK" + "2" * 32, "api_secret": "api-secret-1"}
    required = ("account_sid", "auth_token", "api_secret")
    config = {"messaging_service_sid": "MG" + "3" * 32}
    message, recipient, accepted = TestTwilio.message, ANN, TestTwilio.accepted


class TestAwsSns(HttpProviderContract):
    provider = AwsSnsProvider
    credentials = {"region": "eu-west-1", "access_key": "AKIDEXAMPLE12345", "secret": "secret-example-1"}
    other_credentials = {"region": "us-east-1", "access_key": "AKIDOTHER5678901", "secret": "secret-another-2"}
    message = Sms(ANN, WORDS)
    recipient = ANN
    accepted = answer(200, b"<R><PublishResult><MessageId>m1</MessageId></PublishResult></R>")


class TestSlackWebhook(HttpProviderContract):
    provider = SlackWebhookProvider
    credentials = {"url": "https://hooks.slack.com/services/T0/B0/webhook-1"}
    other_credentials = {"url": "https://hooks.slack.com/services/T0/B0/webhook-2"}
    message = Chat(None, WORDS, {"blocks": []})
    accepted = answer(200, b"ok")


class TestSlackApi(HttpProviderContract, FeedbackContract):
    provider = SlackApiProvider
    credentials = {"bot_token": "xoxb-token-12345"}
    message = Chat("U061F7AUR", WORDS)
    recipient = "U061F7AUR"
    accepted = answer(200, {"ok": True, "channel": "D024BE91L", "ts": "1503435956.000247"})
    secrets = {"signing_secret": "signing-secret-1"}
    payloads, inbound = recorded("api")

    def webhook(self, events, secrets, at):
        body, stamp = json.dumps(events[0]).encode(), str(int(at.timestamp()))
        digest = hmac.digest(secrets["signing_secret"].encode(), b"v0:%s:%s" % (stamp.encode(), body), "sha256")
        return body, {"x-slack-request-timestamp": stamp, "x-slack-signature": f"v0={digest.hex()}"}


class TestTelegram(HttpProviderContract, FeedbackContract):
    provider = TelegramProvider
    credentials = {"bot_token": "123456:ABC-DEF1234ghIkl"}
    message = Chat("471100012", WORDS)
    recipient = "471100012"
    accepted = answer(200, {"ok": True, "result": {"message_id": 42, "chat": {"id": 471100012}}})
    throttled = answer(429, {"ok": False, "error_code": 429, "parameters": {"retry_after": 7}})
    secrets = {"webhook_secret": "webhook-secret-1"}
    payloads, inbound = recorded("bot_api")
    # Only what a person answers names a message of ours.
    payloads = [*payloads, *(json.loads(body) for body, _ in inbound)]
    signs_body = signs_time = False

    def webhook(self, events, secrets, at):
        return json.dumps(events[0]).encode(), {"x-telegram-bot-api-secret-token": secrets["webhook_secret"]}


class TestWhatsApp(HttpProviderContract, FeedbackContract):
    provider = WhatsAppProvider
    credentials = {"access_token": "EAAG-token-12345", "phone_number_id": "106540352242922"}
    other_credentials = {"access_token": "EAAG-other-67890", "phone_number_id": "206540352242922"}
    message = Chat(ANN, WORDS)
    recipient = ANN
    accepted = answer(200, {"messaging_product": "whatsapp", "messages": [{"id": "wamid.HBgL"}]})
    secrets = {"app_secret": "app-secret-1"}
    payloads, inbound = recorded("cloud_api")
    payloads = [
        event
        for payload in payloads
        for kind in ("statuses", "user_preferences")
        for event in payload["entry"][0]["changes"][0]["value"].get(kind, ())
    ]
    signs_time = False
    batches = True

    def webhook(self, events, secrets, at):
        value = {"metadata": {"display_phone_number": "15550783881"}, "statuses": [], "user_preferences": []}
        for event in events:
            value["user_preferences" if "category" in event else "statuses"].append(event)
        body = json.dumps({"entry": [{"changes": [{"field": "messages", "value": value}]}]}).encode()
        digest = hmac.digest(secrets["app_secret"].encode(), body, "sha256")
        return body, {"x-hub-signature-256": f"sha256={digest.hex()}"}


class _PubSub(ProviderContract):
    message = Chat("orders", "", {"event": "order.paid", "payload": {"text": WORDS}})
    recipient = "42"

    async def observe(self, provider, delivery, config, told):
        speaker = Speaker(Wire(answer(200)).sender())
        try:
            return await self.spoken(speaker, provider, delivery, dict(config), getattr(told, "how", told))
        finally:
            await speaker.aclose()


def patience(how: object) -> float:
    """Only what hangs is waited for in vain."""
    return 1.0 if how == "hangs" else 30.0


class TestProcess(_PubSub):
    provider = ProcessProvider
    accepted = "taken"

    async def spoken(self, speaker, provider, delivery, config, how):
        heard = []

        async def listener(message):
            heard.append(message)
            if how == "lost":
                raise ConnectionError
            if how == "hangs":
                await asyncio.Event().wait()

        leave = provider.subscribe("orders" if how != "refused" else "others", listener)
        outcome = await speaker.send(provider, delivery, config, timeout=patience(how))
        leave()
        return outcome, repr(heard)


class TestRedis(_PubSub):
    provider = RedisProvider
    credentials = {"url": "redis://user-1:password-1@redis.example:6379/0"}
    other_credentials = {"url": "redis://user-2:password-2@redis.example:6379/0"}
    accepted = b":1\r\n"

    async def spoken(self, speaker, provider, delivery, config, how):
        server = Server(how)
        async with running(server) as port:
            where = "127.0.0.1:1" if how == "refused" else f"127.0.0.1:{port}"
            here = {**config, "url": config["url"].replace("redis.example:6379", where)}
            outcome = await speaker.send(provider, delivery, here, timeout=patience(how))
        return outcome, repr(server.heard)


class TestPostgres(_PubSub):
    """With a driver that goes wrong; what a real server makes of it is told in tests/brokers."""

    provider = PostgresProvider
    credentials = {"url": "postgresql://user-1:password-1@db.example/one"}
    other_credentials = {"url": "postgresql://user-2:password-2@db.example/two"}
    accepted = "taken"

    async def spoken(self, speaker, provider, delivery, config, how):
        heard = []

        class Connection:
            closed = False

            @classmethod
            async def connect(cls, url, **_):
                heard.append(url)
                if how == "refused":
                    raise psycopg.OperationalError("no server")
                return cls()

            async def execute(self, text, params):
                heard.append(params)
                if how == "lost":
                    raise psycopg.OperationalError("the connection is lost")
                if how == "hangs":
                    await asyncio.Event().wait()

            async def close(self):
                self.closed = True

        with patch.object(psycopg, "AsyncConnection", Connection):
            outcome = await speaker.send(provider, delivery, config, timeout=patience(how))
        return outcome, repr(heard)
