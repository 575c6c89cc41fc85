"""Does each messenger of ours keep the contract that we ask of strangers?"""

from __future__ import annotations

import base64
import hmac
import json
from urllib.parse import parse_qsl, urlencode

from tests.channels.test_recordings import FILES, call

from dripdrop.channels.sms.aws_sns import AwsSnsProvider
from dripdrop.channels.sms.twilio import TwilioProvider
from dripdrop.rules.message import Sms
from dripdrop.testing.contracts.feedback import FeedbackContract
from dripdrop.testing.contracts.provider import HttpProviderContract
from dripdrop.testing.contracts.wire import answer

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
