"""A shop that sends through six providers, and what each of them posts about it: published events, really signed."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx2
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from twilio.request_validator import RequestValidator

from dripdrop import DripDrop
from dripdrop.channels.webhook import secret_bytes, sign

KEY = base64.b64encode(bytes(range(32))).decode()
PUBLIC = "https://shop.example"
PLACEHOLDER = "0190c0de-0000-7000-8000-000000000001"
RECORDINGS = Path(__file__).parents[1] / "recordings"
_PRIVATE = ec.generate_private_key(ec.SECP256R1())
_WHSEC = "whsec_" + base64.b64encode(b"hook-secret-1").decode()
_SID, _TOKEN = "AC" + "a" * 32, "auth-token-1"
_FORM = "application/x-www-form-urlencoded"

Call = tuple[bytes, dict[str, str]]


def _spki() -> str:
    der = _PRIVATE.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return base64.b64encode(der).decode()


def _postmark(told: Any, url: str) -> Call:
    login = base64.b64encode(b"dripdrop:a-long-password").decode()
    return json.dumps(told).encode(), {"authorization": f"Basic {login}"}


def _sendgrid(told: Any, url: str) -> Call:
    body, stamp = json.dumps(told).encode(), str(int(time.time()))
    signature = base64.b64encode(_PRIVATE.sign(stamp.encode() + body, ec.ECDSA(hashes.SHA256()))).decode()
    prefix = "x-twilio-email-event-webhook"
    return body, {f"{prefix}-signature": signature, f"{prefix}-timestamp": stamp}


def _mailgun(told: Any, url: str) -> Call:
    stamp, token = str(int(time.time())), hashlib.sha256(url.encode()).hexdigest()[:50]
    signed = hmac.new(b"signing-key-1", (stamp + token).encode(), hashlib.sha256).hexdigest()
    return json.dumps({**told, "signature": {"timestamp": stamp, "token": token, "signature": signed}}).encode(), {}


def _mailersend(told: Any, url: str) -> Call:
    body = json.dumps(told).encode()
    return body, {"signature": hmac.new(b"hook-secret-1", body, hashlib.sha256).hexdigest()}


def _resend(told: Any, url: str) -> Call:
    body, stamp = json.dumps(told).encode(), str(int(time.time()))
    signature = sign("msg_1", stamp, body, [secret_bytes(_WHSEC)])
    return body, {"svix-id": "msg_1", "svix-timestamp": stamp, "svix-signature": signature}


def _twilio(told: Any, url: str) -> Call:
    signature = RequestValidator(_TOKEN).compute_signature(url, told)
    return urlencode(told).encode(), {"content-type": _FORM, "x-twilio-signature": signature}


@dataclass(frozen=True)
class Provider:
    """An account, what its API answers to a message, one event it publishes, and what is to come of that."""

    name: str
    credentials: Mapping[str, Any]
    accepted: tuple[int, Any, Mapping[str, str]]
    event: str
    signed: Callable[[Any, str], Call]
    status: str
    reason: str
    channel: str = "email"

    @property
    def recipient(self) -> str:
        return f"{self.name}@example.org" if self.channel == "email" else "+14155550123"

    def told(self, execution: Any) -> tuple[Any, str]:
        """The published event about our message, and the query of the address it comes to."""
        recorded = json.loads((RECORDINGS / self.name / f"{self.event}.json").read_text("utf-8"))
        query = recorded.get("headers", {}).get(":query", "")
        text = json.dumps([recorded.get("json", recorded.get("form")), query])
        assert PLACEHOLDER in text
        told, query = json.loads(text.replace(PLACEHOLDER, str(execution)).replace("ann@example.org", self.recipient))
        return told, query


PROVIDERS = [
    Provider(
        "postmark", {"api_key": "server-token", "webhook_basic_auth": "dripdrop:a-long-password"},
        (200, {"MessageID": "b7bc2f4a", "ErrorCode": 0, "Message": "OK"}, {}),
        "hard_bounce", _postmark, "bounced", "bounce",
    ),
    Provider(
        "sendgrid", {"api_key": "SG.api-key-1", "webhook_public_key": _spki()},
        (202, None, {"x-message-id": "WrOdCSiP"}),
        "every_event", _sendgrid, "complained", "complaint",
    ),
    Provider(
        "mailgun", {"api_key": "key-12345678", "domain": "mg.example.com", "webhook_signing_key": "signing-key-1"},
        (200, {"id": "<0190.0@sender.example>", "message": "Queued. Thank you."}, {}),
        "complained", _mailgun, "complained", "complaint",
    ),
    Provider(
        "mailersend", {"api_key": "mlsn.api-key-1", "webhook_secret": "hook-secret-1"},
        (202, None, {"x-message-id": "5e42957d51f1d94a1070a733"}),
        "spam_complaint", _mailersend, "complained", "complaint",
    ),
    Provider(
        "resend", {"api_key": "re_api-key-1", "webhook_secret": _WHSEC},
        (200, {"id": "49a3999c-0ce1-4ea6-ab68-afcd6dc2e794"}, {}), "bounced", _resend, "bounced", "bounce",
    ),
    Provider(
        "twilio", {"account_sid": _SID, "auth_token": _TOKEN, "from": "+14155550100"},
        (201, {"sid": "SM1", "status": "queued"}, {}),
        "undelivered_unknown_number", _twilio, "bounced", "bounce", "sms",
    ),
]  # fmt: skip


class Shop:
    """Has sent one message through each provider; `prefix` is where its receiver is mounted."""

    def __init__(self, url: str) -> None:
        self.drip = DripDrop(url, config=config(), http=httpx2.MockTransport(self._accept))
        self.adapters: dict[str, Any] = {}
        self.sent: dict[str, Any] = {}
        for each in PROVIDERS:
            self._send(each)
        self.drip.run_due()
        for execution in self.drip.executions.list():
            assert execution.state == "sent", execution
            self.sent[execution.recipient] = execution.id
        assert len(self.sent) == len(PROVIDERS)

    def calls(self, prefix: str) -> list[tuple[str, bytes, dict[str, str], int]]:
        """(path and query, body, headers, status to expect): each event wrongly signed, then right, then once more."""
        found = []
        for each in PROVIDERS:
            told, query = each.told(self.sent[each.recipient])
            path = f"{prefix}/{each.name}/{self.adapters[each.name]}" + (f"?{query}" if query else "")
            body, headers = each.signed(told, f"{PUBLIC}{path}")
            headers = {"content-type": "application/json", **headers}
            wrong = {name: _changed(name, value) for name, value in headers.items()}
            found.append((path, body.replace(b'"signature": "', b'"signature": "0'), wrong, 401))
            found += [(path, body, headers, 200)] * 2
        return found

    def check(self) -> None:
        """What was posted has come to what it means."""
        self.drip.run_due()
        for each in PROVIDERS:
            execution = self.drip.executions.get(self.sent[each.recipient])
            assert (each.name, execution.delivery_status) == (each.name, each.status)
            found = self.drip.suppressions.check(each.channel, each.recipient)
            assert (each.name, found and found.reason) == (each.name, each.reason)
        assert {request.state for request in self.drip.webhooks.list(limit=1000)} == {"processed"}

    def _send(self, each: Provider) -> None:
        adapter = self.drip.adapters.create(
            each.name, channel=each.channel, provider=each.name, credentials=each.credentials,
            config={"from": "news@example.com"} if each.channel == "email" else {},
        )  # fmt: skip
        self.adapters[each.name] = adapter.id
        said = {"subject": "Hello", "text": "Hello."} if each.channel == "email" else {"body": "Hello."}
        steps = {"hello": {"channel": each.channel, "adapter": each.name, **said}}
        self.drip.sequences.apply({"sequence": each.name, "name": each.name, "class": "transactional", "steps": steps})
        contact = {each.channel: each.recipient}
        self.drip.enroll(each.name, subscriber=("user", each.name), data=contact)

    def _accept(self, request: httpx2.Request) -> httpx2.Response:
        (found,) = [each for each in PROVIDERS if each.name in request.url.host]
        status, body, headers = found.accepted
        return (
            httpx2.Response(status, json=body, headers=dict(headers))
            if body
            else httpx2.Response(status, headers=dict(headers))
        )


def config() -> dict[str, Any]:
    return {"encryption_key": KEY, "public_url": PUBLIC}


def _changed(name: str, value: str) -> str:
    if name in ("content-type", "svix-id") or name.endswith("timestamp"):
        return value
    # A digit: a signature in hex may be read in capitals too.
    return value[:-6] + ("0" if value[-6] != "0" else "1") + value[-5:]
