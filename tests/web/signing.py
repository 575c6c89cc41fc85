"""How does each provider post, and sign, what it tells of a message? One published event of each, really signed."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx2
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from slack_sdk.signature import SignatureVerifier
from tests.channels.sns_topic import ARN, URL, issue, message
from twilio.request_validator import RequestValidator

from dripdrop.channels.webhook import secret_bytes, sign

PLACEHOLDER = "0190c0de-0000-7000-8000-000000000001"
RECORDINGS = Path(__file__).parents[1] / "recordings"
AWS = {"region": "eu-central-1", "access_key": "AKIDEXAMPLE12345", "secret": "secret-example-1"}
_PRIVATE = ec.generate_private_key(ec.SECP256R1())
_WHSEC = "whsec_" + base64.b64encode(b"hook-secret-1").decode()
_SID, _TOKEN = "AC" + "a" * 32, "auth-token-1"
_FORM = "application/x-www-form-urlencoded"

Call = tuple[bytes, dict[str, str]]


@cache
def authorities() -> tuple[Any, Any]:
    """(root, leaf): a certificate in the name of SNS that holds today, and whom an adapter must trust to believe it."""
    around = {"start": datetime.now(UTC) - timedelta(days=1), "end": datetime.now(UTC) + timedelta(days=1)}
    root = issue("Test Root", ca=True, **around)
    return root, issue("sns.amazonaws.com", root, names=("sns.amazonaws.com",), **around)


def amazon(certificate: str) -> httpx2.MockTransport:
    """Amazon's servers, as far as somebody asks them who signed."""
    return httpx2.MockTransport(
        lambda asked: httpx2.Response(200, text=certificate) if str(asked.url) == URL else httpx2.Response(404)
    )


def _octets(told: Any) -> bytes:
    return told if isinstance(told, bytes) else json.dumps(told).encode()


def _spki() -> str:
    der = _PRIVATE.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return base64.b64encode(der).decode()


def _postmark(told: Any, url: str) -> Call:
    login = base64.b64encode(b"dripdrop:a-long-password").decode()
    return _octets(told), {"authorization": f"Basic {login}"}


def _sendgrid(told: Any, url: str) -> Call:
    body, stamp = _octets(told), str(int(time.time()))
    signature = base64.b64encode(_PRIVATE.sign(stamp.encode() + body, ec.ECDSA(hashes.SHA256()))).decode()
    prefix = "x-twilio-email-event-webhook"
    return body, {f"{prefix}-signature": signature, f"{prefix}-timestamp": stamp}


def _mailgun(told: Any, url: str) -> Call:
    stamp, token = str(int(time.time())), hashlib.sha256(f"{url} {told}".encode()).hexdigest()[:50]
    signed = hmac.new(b"signing-key-1", (stamp + token).encode(), hashlib.sha256).hexdigest()
    return json.dumps({**told, "signature": {"timestamp": stamp, "token": token, "signature": signed}}).encode(), {}


def _mailersend(told: Any, url: str) -> Call:
    body = _octets(told)
    return body, {"signature": hmac.new(b"hook-secret-1", body, hashlib.sha256).hexdigest()}


def _resend(told: Any, url: str) -> Call:
    body, stamp = _octets(told), str(int(time.time()))
    signature = sign("msg_1", stamp, body, [secret_bytes(_WHSEC)])
    return body, {"svix-id": "msg_1", "svix-timestamp": stamp, "svix-signature": signature}


def _twilio(told: Any, url: str) -> Call:
    signature = RequestValidator(_TOKEN).compute_signature(url, told)
    return urlencode(told).encode(), {"content-type": _FORM, "x-twilio-signature": signature}


def by_sns(told: Any, url: str) -> Call:
    """As a topic of SNS posts: JSON, said to be text, signed inside."""
    frame = message(told["Message"], at=datetime.now(UTC), signer=authorities()[1], Subject=told["Subject"])
    headers = {"content-type": "text/plain; charset=UTF-8", "x-amz-sns-message-type": "Notification"}
    return json.dumps(frame).encode(), headers


def _slack(told: Any, url: str) -> Call:
    body, stamp = _octets(told), str(int(time.time()))
    signature = SignatureVerifier("signing-secret-1").generate_signature(timestamp=stamp, body=body)
    return body, {"x-slack-request-timestamp": stamp, "x-slack-signature": str(signature)}


def _telegram(told: Any, url: str) -> Call:
    return _octets(told), {"x-telegram-bot-api-secret-token": "webhook-secret-1"}


def _whatsapp(told: Any, url: str) -> Call:
    body = _octets(told)
    return body, {"x-hub-signature-256": f"sha256={hmac.new(b'app-secret-1', body, hashlib.sha256).hexdigest()}"}


@dataclass(frozen=True)
class Provider:
    """An account, what its API answers to a message, one event it publishes, and what is to come of that.

    `event` is (recording, the event in our words); `status` and `reason` what the message and the suppression then
    say. `garbled` is what can be signed and not understood; `ours`, whether the event carries our own id.
    """

    name: str
    credentials: Mapping[str, Any]
    accepted: tuple[int, Any, Mapping[str, str]]
    event: tuple[str, str]
    signed: Callable[[Any, str], Call]
    status: str | None
    reason: str | None
    channel: str = "email"
    host: str = ""
    to: str = ""
    config: Callable[[], Mapping[str, Any]] = dict
    garbled: Any = b"\xff\xfe nonsense"
    ours: bool = True
    said: Mapping[str, str] = field(default_factory=lambda: {"subject": "Hello", "text": "Hello."})

    @property
    def recipient(self) -> str:
        return self.to or f"{self.name}@example.org"

    def told(self, execution: Any) -> tuple[Any, str]:
        """The published event about our message, and the query of the address it comes to."""
        recorded = json.loads((RECORDINGS / self.name / f"{self.event[0]}.json").read_text("utf-8"))
        query = recorded.get("headers", {}).get(":query", "")
        text = json.dumps([recorded.get("json", recorded.get("form")), query])
        assert (PLACEHOLDER in text) is self.ours
        told, query = json.loads(text.replace(PLACEHOLDER, str(execution)).replace("ann@example.org", self.recipient))
        return told, query


def _believing() -> dict[str, Any]:
    return {"sns_ca": authorities()[0].pem().decode()}


PROVIDERS = [
    Provider(
        "postmark", {"api_key": "server-token", "webhook_basic_auth": "dripdrop:a-long-password"},
        (200, {"MessageID": "b7bc2f4a", "ErrorCode": 0, "Message": "OK"}, {}),
        ("hard_bounce", "bounced"), _postmark, "bounced", "bounce",
    ),
    Provider(
        "sendgrid", {"api_key": "SG.api-key-1", "webhook_public_key": _spki()},
        (202, None, {"x-message-id": "WrOdCSiP"}),
        ("every_event", "complained"), _sendgrid, "complained", "complaint",
    ),
    Provider(
        "mailgun", {"api_key": "key-12345678", "domain": "mg.example.com", "webhook_signing_key": "signing-key-1"},
        (200, {"id": "<0190.0@sender.example>", "message": "Queued. Thank you."}, {}),
        ("complained", "complained"), _mailgun, "complained", "complaint", garbled={"nothing": "of an event"},
    ),
    Provider(
        "mailersend", {"api_key": "mlsn.api-key-1", "webhook_secret": "hook-secret-1"},
        (202, None, {"x-message-id": "5e42957d51f1d94a1070a733"}),
        ("spam_complaint", "complained"), _mailersend, "complained", "complaint",
    ),
    Provider(
        "resend", {"api_key": "re_api-key-1", "webhook_secret": _WHSEC},
        (200, {"id": "49a3999c-0ce1-4ea6-ab68-afcd6dc2e794"}, {}),
        ("bounced", "bounced"), _resend, "bounced", "bounce",
    ),
    Provider(
        "ses", {**AWS, "sns_topic_arn": ARN}, (200, {"MessageId": "010701"}, {}),
        ("bounce", "bounced"), by_sns, "bounced", "bounce", host="email.eu-central-1", config=_believing,
        garbled={"Message": '{"eventType": "Bou', "Subject": "Amazon SES Email Event Notification"},
    ),
    Provider(
        "twilio", {"account_sid": _SID, "auth_token": _TOKEN, "from": "+14155550100"},
        (201, {"sid": "SM1", "status": "queued"}, {}),
        ("undelivered_unknown_number", "bounced"), _twilio, "bounced", "bounce", "sms",
        to="+14155550123", garbled={"Nothing": "of a message"}, said={"body": "Hello."},
    ),
    Provider(
        "api", {"bot_token": "xoxb-token-1", "signing_secret": "signing-secret-1"},
        (200, {"ok": True, "channel": "CJN879K8A", "ts": "1898586000.673769"}, {}),
        ("our_message_posted", "delivered"), _slack, "delivered", None, "slack",
        host="slack.com", to="U061F7AUR", said={"text": "Hello."}, garbled=b'{"type": "event_ca',
    ),
    Provider(
        "bot_api", {"bot_token": "123456:ABC", "webhook_secret": "webhook-secret-1"},
        (200, {"ok": True, "result": {"message_id": 42, "chat": {"id": 4711}}}, {}),
        ("reply", "replied"), _telegram, "accepted", None, "telegram",
        host="api.telegram.org", to="4711", said={"text": "Hello."}, ours=False,
    ),
    Provider(
        "cloud_api", {"access_token": "EAAG-1", "phone_number_id": "1065", "app_secret": "app-secret-1"},
        (200, {"messages": [{"id": "wamid.1"}]}, {}),
        ("failed_stopped_marketing", "unsubscribed"), _whatsapp, "accepted", "unsubscribe", "whatsapp",
        host="graph.facebook.com", to="+16505551234", said={"text": "Hello."},
    ),
]  # fmt: skip
