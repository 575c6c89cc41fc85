"""Do the other providers of e-mail keep the contract?"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from dataclasses import replace

from django.conf import settings
from tests.channels import sns_topic
from tests.channels.email import backends
from tests.channels.test_contract_suite import recorded

from dripdrop.channels.deliver import Speaker
from dripdrop.channels.email.django_backend import DjangoProvider
from dripdrop.channels.email.gmail import GmailProvider
from dripdrop.channels.email.mailersend import MailerSendProvider
from dripdrop.channels.email.ms365 import Ms365Provider
from dripdrop.channels.email.resend import ResendProvider
from dripdrop.channels.email.ses import SesProvider
from dripdrop.channels.http import Sender
from dripdrop.channels.webhook import secret_bytes, sign
from dripdrop.testing.contracts.feedback import FeedbackContract
from dripdrop.testing.contracts.provider import HttpProviderContract, ProviderContract
from dripdrop.testing.contracts.wire import LETTER, answer


def told(message):
    """The event in a message of SNS; {} where it is none."""
    try:
        return json.loads(message["Message"])
    except ValueError:
        return {}


class TestResend(HttpProviderContract, FeedbackContract):
    provider = ResendProvider
    credentials = {"api_key": "re_api-key-1"}
    accepted = answer(200, {"id": "49a3999c-0ce1-4ea6-ab68-afcd6dc2e794"})
    secrets = {"webhook_secret": "whsec_" + base64.b64encode(b"hook-secret-1").decode()}
    payloads, inbound = recorded("resend")

    def other_secrets(self):
        return {"webhook_secret": "whsec_" + base64.b64encode(b"hook-secret-2").decode()}

    def webhook(self, events, secrets, at):
        body, stamp = json.dumps(events[0]).encode(), str(int(at.timestamp()))
        identifier = "msg_" + hashlib.sha256(body).hexdigest()[:20]
        signature = sign(identifier, stamp, body, [secret_bytes(secrets["webhook_secret"])])
        return body, {"svix-id": identifier, "svix-timestamp": stamp, "svix-signature": signature}


class TestMailerSend(HttpProviderContract, FeedbackContract):
    provider = MailerSendProvider
    credentials = {"api_key": "mlsn.api-key-1"}
    accepted = answer(202, None, x_message_id="5e42957d51f1d94a1070a733")
    secrets = {"webhook_secret": "hook-secret-1"}
    payloads, inbound = recorded("mailersend")
    signs_time = False

    def webhook(self, events, secrets, at):
        body = json.dumps(events[0]).encode()
        signature = hmac.new(secrets["webhook_secret"].encode(), body, hashlib.sha256).hexdigest()
        return body, {"signature": signature}


class TestSes(HttpProviderContract, FeedbackContract):
    provider = SesProvider
    credentials = {"region": "eu-central-1", "access_key": "AKIDEXAMPLE", "secret": "secret-key-1"}
    other_credentials = {"region": "us-east-1", "access_key": "AKIDOTHER00", "secret": "other-secret-1"}
    accepted = answer(200, {"MessageId": "010701e9aedb9a"})
    config = {name: value for name, value in sns_topic.trusting().items() if name in ("sns_ca", "documents")}
    secrets = {"sns_topic_arn": sns_topic.ARN}
    payloads, inbound = recorded("ses")
    payloads = [each for each in map(told, payloads) if each]
    signs_body = False  # fields of it are signed, and not its octets: tests/channels/test_sns_messages.py

    def other_secrets(self):
        return {"sns_topic_arn": "arn:aws:sns:eu-central-1:123456789012:other"}

    def webhook(self, events, secrets, at):
        made = sns_topic.message(events[0], arn=secrets["sns_topic_arn"], at=at)
        return json.dumps(made).encode(), {"content-type": "text/plain; charset=UTF-8"}

    def unsigned(self, events):
        made = sns_topic.message(events[0])
        return json.dumps({name: value for name, value in made.items() if name != "Signature"}).encode(), {}


class TestGmail(HttpProviderContract):
    provider = GmailProvider
    credentials = {"user_email": "news@sender.example"}
    other_credentials = {"user_email": "tips@mailbox.example"}
    config = {"token": "ya29.token-1", "from": "letters@sender.example"}
    accepted = answer(200, {"id": "18f1", "threadId": "18f0"})
    message = replace(LETTER, sender=None)


class TestMs365(HttpProviderContract):
    provider = Ms365Provider
    credentials = {"user_email": "news@sender.example"}
    other_credentials = {"user_email": "tips@mailbox.example"}
    config = {"token": "eyJ0.token-1", "from": "letters@sender.example"}
    accepted = answer(202)
    message = replace(LETTER, sender=None)


class TestDjango(ProviderContract):
    provider = DjangoProvider
    config = {"backend": "tests.channels.email.backends.Backend"}
    accepted = ""

    async def observe(self, provider, delivery, config, told):
        if not settings.configured:
            settings.configure()
        backends.HEARD.clear()
        backends.STOPPED.clear()
        speaker = Speaker(Sender())
        try:
            how = getattr(told, "how", told)
            given = {**config, "backend_options": {"how": how}}
            outcome = await speaker.send(provider, delivery, given, timeout=1 if how == "hangs" else 30)
        finally:
            backends.STOPPED.set()
            await speaker.aclose()
        return outcome, "".join(each.message().as_string() for each in backends.HEARD)
