"""Does each provider of ours keep the contract that we ask of strangers?"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from tests.channels.email.test_sendgrid import spki
from tests.channels.test_recordings import FILES, call

from dripdrop.channels import BUILT_IN
from dripdrop.channels.deliver import Speaker
from dripdrop.channels.email.mailgun import MailgunProvider
from dripdrop.channels.email.postmark import PostmarkProvider
from dripdrop.channels.email.sendgrid import SendGridProvider
from dripdrop.channels.http import Sender
from dripdrop.channels.local import LocalProvider, list_messages
from dripdrop.channels.smtp import SmtpProvider
from dripdrop.channels.webhook import WebhookProvider
from dripdrop.rules.message import Webhook
from dripdrop.testing.contracts.feedback import FeedbackContract
from dripdrop.testing.contracts.provider import HttpProviderContract, ProviderContract
from dripdrop.testing.contracts.wire import HANGS, REFUSED, answer

PROVIDERS = [each for each in BUILT_IN if getattr(each, "group", "") == "dripdrop.providers"]


def recorded(provider):
    """(payloads, inbound calls) of the recordings of a provider."""
    payloads, inbound = [], []
    for path in FILES:
        if path.parent.name == provider:
            one = json.loads(path.read_text("utf-8"))
            if any(each.get("inbound") for each in one["expect"]):
                inbound.append(call(one))
            elif "json" in one:
                payloads += one["json"] if isinstance(one["json"], list) else [one["json"]]
    return payloads, inbound


def of_its_own(payloads, *path):
    """The payloads, each with an id of its own at a path: recordings share them."""
    for number, payload in enumerate(payloads):
        inner = payload
        for key in path[:-1]:
            inner = inner[key]
        if path[-1] in inner:
            inner[path[-1]] = f"{number}-{inner[path[-1]]}"
    return payloads


class TestPostmark(HttpProviderContract, FeedbackContract):
    provider = PostmarkProvider
    credentials = {"api_key": "server-token-1"}
    accepted = answer(200, {"MessageID": "b7bc2f4a", "ErrorCode": 0, "Message": "OK"})
    secrets = {"webhook_secret": "hook-secret-1"}
    payloads, inbound = recorded("postmark")
    payloads = of_its_own(payloads, "ID")
    signs_body = signs_time = False

    def webhook(self, events, secrets, at):
        return json.dumps(events[0]).encode(), {"x-webhook-secret": secrets["webhook_secret"]}


class TestPostmarkByPassword(FeedbackContract):
    provider = PostmarkProvider
    secrets = {"webhook_basic_auth": "user:password-1"}
    payloads, inbound = TestPostmark.payloads, TestPostmark.inbound
    signs_body = signs_time = False

    def webhook(self, events, secrets, at):
        login = base64.b64encode(secrets["webhook_basic_auth"].encode()).decode()
        return json.dumps(events[0]).encode(), {"authorization": f"Basic {login}"}


class TestSendGrid(HttpProviderContract, FeedbackContract):
    provider = SendGridProvider
    credentials = {"api_key": "SG.api-key-1"}
    accepted = answer(202, None, x_message_id="WrOdCSiPT9evi0eqRkJmzQ")
    payloads, inbound = recorded("sendgrid")
    batches = True
    private = [ec.generate_private_key(ec.SECP256R1()) for _ in range(2)]
    public = {spki(key): key for key in private}
    secrets = {"webhook_public_key": next(iter(public))}

    def other_secrets(self):
        return {"webhook_public_key": list(self.public)[1]}

    def webhook(self, events, secrets, at):
        body, stamp = json.dumps(events).encode(), str(int(at.timestamp()))
        key = self.public[secrets["webhook_public_key"]]
        signature = base64.b64encode(key.sign(stamp.encode() + body, ec.ECDSA(hashes.SHA256()))).decode()
        return body, {
            "x-twilio-email-event-webhook-signature": signature,
            "x-twilio-email-event-webhook-timestamp": stamp,
        }


class TestMailgun(HttpProviderContract, FeedbackContract):
    provider = MailgunProvider
    credentials = {"api_key": "key-12345678", "domain": "mg.example.com"}
    other_credentials = {"api_key": "key-87654321", "domain": "mg.example.net"}
    accepted = answer(200, {"id": "<0190.0@sender.example>", "message": "Queued. Thank you."})
    secrets = {"webhook_signing_key": "signing-key-1"}
    payloads, inbound = recorded("mailgun")
    payloads = [each["event-data"] for each in payloads]
    signs_body = False  # the signature covers a token, which may be used once

    def signature(self, secrets, at):
        stamp, token = str(int(at.timestamp())), "t" * 50
        signed = hmac.new(secrets["webhook_signing_key"].encode(), (stamp + token).encode(), hashlib.sha256)
        return {"timestamp": stamp, "token": token, "signature": signed.hexdigest()}

    def webhook(self, events, secrets, at):
        return json.dumps({"signature": self.signature(secrets, at), "event-data": events[0]}).encode(), {}

    def unsigned(self, events):
        return json.dumps({"event-data": events[0]}).encode(), {}


class TestWebhook(HttpProviderContract):
    provider = WebhookProvider
    credentials = {"url": "https://hooks.example.com/in", "secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}
    other_credentials = {"url": "https://hooks.example.net/in", "secret": "whsec_other0r8GKYqrTwjUPD8ILPZIo2LaLaSw"}
    message = Webhook({"type": "welcomed", "email": "ann.lee@recipient.example"})
    accepted = answer(204)


class Relay:
    """A mail server that says yes, hangs up after the last dot, or says nothing there any more."""

    def __init__(self, told):
        self.told = told
        self.heard = []

    async def __call__(self, reader, writer):
        writer.write(b"220 here\r\n")
        while line := await reader.readline():
            self.heard.append(line.decode())
            word = line[:4].upper()
            if word in (b"EHLO", b"AUTH"):
                self.heard.append(base64.b64decode(line.split()[-1]).decode() if word == b"AUTH" else "")
                writer.write(b"250-here\r\n250 AUTH PLAIN\r\n" if word == b"EHLO" else b"235 welcome\r\n")
                continue
            if word == b"DATA":
                writer.write(b"354 go\r\n")
                self.heard.append((await reader.readuntil(b"\r\n.\r\n")).decode())
                if self.told is HANGS:
                    await reader.read()
                if self.told is not ACCEPTED:
                    break
            writer.write(b"250 ok\r\n")
        writer.close()


ACCEPTED = "250"


class TestSmtp(ProviderContract):
    provider = SmtpProvider
    credentials = {"relay": "127.0.0.1", "username": "ann-user", "password": "pass-word-1"}
    other_credentials = {"relay": "127.0.0.1", "username": "bob-user", "password": "word-pass-2"}
    required = ["relay"]
    config = {"starttls": "never"}
    accepted = ACCEPTED

    async def observe(self, provider, delivery, config, told):
        relay = Relay(told)
        server = await asyncio.start_server(relay, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        if told is REFUSED:
            server.close()
        speaker = Speaker(Sender())
        try:
            outcome = await speaker.send(
                provider, delivery, {**config, "port": port}, timeout=1 if told is HANGS else 30
            )
        finally:
            await speaker.aclose()
            server.close()
        return outcome, "".join(relay.heard)


class TestLocal(ProviderContract):
    accepted = ACCEPTED

    def made(self):
        return LocalProvider("email")

    async def observe(self, provider, delivery, config, told):
        """Its wire is the disk: where a file stands in the way of the folder, nothing can be kept."""
        speaker = Speaker(Sender())
        with TemporaryDirectory() as folder:
            box = folder if told is ACCEPTED else __file__
            outcome = await speaker.send(provider, delivery, {**config, "folder": f"{box}/box"}, timeout=5)
            await speaker.aclose()
            return outcome, json.dumps(list_messages(f"{box}/box")) if told is ACCEPTED else ""


@pytest.mark.parametrize("point", PROVIDERS, ids=lambda each: each.name)
def test_every_provider_of_ours_is_put_to_the_suite(point):
    written = "".join(path.read_text("utf-8") for path in Path(__file__).parent.rglob("test_*.py"))
    assert f"    provider = {point.value.partition(':')[2]}\n" in written
