"""A shop that sends through every provider that calls back, and whatever is then posted to it."""

from __future__ import annotations

import base64
import re
from typing import Any
from uuid import UUID, uuid4

import httpx2
from tests.web.signing import AWS, PROVIDERS, Provider, by_sns

from dripdrop import DripDrop

KEY = base64.b64encode(bytes(range(32))).decode()
PUBLIC = "https://shop.example"
LARGEST = 20_000
_IN_THE_BODY = re.compile(rb'("signature": ")(.)', re.IGNORECASE)

Posted = tuple[str, bytes, dict[str, str], int]


class Shop:
    """Has sent one message through each provider; `check` says whether what was posted came to what it means."""

    def __init__(self, url: str) -> None:
        self.drip = DripDrop(url, config=config(), http=httpx2.MockTransport(_accept))
        self.adapters: dict[str, UUID] = {}
        self.sent: dict[str, Any] = {}
        self.kept: dict[str, set[bytes]] = {"processed": set(), "failed": set()}
        for each in PROVIDERS:
            self._send(each)
        self.drip.run_due()
        for execution in self.drip.executions.list():
            assert execution.state == "sent", execution
            self.sent[execution.recipient] = execution.id
        assert len(self.sent) == len(PROVIDERS)
        silent = self.drip.adapters.create("texts", channel="sms", provider="aws_sns", credentials=AWS)
        self.adapters["aws_sns"] = silent.id

    def calls(self, prefix: str) -> list[Posted]:
        """(path and query, body, headers, status to expect) of each provider; and of one that never calls."""
        found = [call for each in PROVIDERS for call in self._of(each, prefix)]
        body, headers = by_sns({"Message": "{}", "Subject": "Hello"}, "")
        return [*found, (f"{prefix}/aws_sns/{self.adapters['aws_sns']}", body, headers, 404)]

    def check(self) -> None:
        """What was posted has come to what it means; nothing is kept but what was signed."""
        self.drip.run_due()
        for each in PROVIDERS:
            execution = self.drip.executions.get(self.sent[each.recipient])
            assert (each.name, execution.delivery_status) == (each.name, each.status)
            assert each.event[1] in {event.event_type for event in execution.events}, each.name
            found = self.drip.suppressions.check(each.channel, each.recipient)
            assert (each.name, found and found.reason) == (each.name, each.reason)
        kept: dict[str, set[bytes]] = {}
        for request in self.drip.webhooks.list(limit=1000):
            kept.setdefault(request.state, set()).add(self.drip.webhooks.get(request.id).body)
            assert request.state != "failed" or str(request.reason).startswith("unparseable"), request
        assert kept == self.kept

    def _of(self, each: Provider, prefix: str) -> list[Posted]:
        """The event wrongly signed, to nobody, to another's address, too large, right, once more; and nonsense."""
        told, query = each.told(self.sent[each.recipient])
        tail = f"?{query}" if query else ""
        path = f"{prefix}/{each.name}/{self.adapters[each.name]}{tail}"
        body, headers = _signed(each, told, path)
        garbled, of_garbled = _signed(each, each.garbled, path)
        wrong = {name: _changed(name, value) for name, value in headers.items()}
        strangers = [f"{prefix}/{each.name}/{uuid4()}{tail}"]
        strangers += [f"{prefix}/{each.name}/{other}" for name, other in self.adapters.items() if name != each.name]
        self.kept["processed"].add(body)
        self.kept["failed"].add(garbled)
        return [
            (path, _IN_THE_BODY.sub(_other, body), wrong, 401),
            *((stranger, *_signed(each, told, stranger), 404) for stranger in strangers[:2]),
            (path, body + b" " * LARGEST, headers, 413),
            (path, body, headers, 200),
            (path, body, headers, 200),
            (path, garbled, of_garbled, 200),
        ]

    def _send(self, each: Provider) -> None:
        sender = {"from": "news@example.com"} if each.channel == "email" else {}
        self.adapters[each.name] = self.drip.adapters.create(
            each.name, channel=each.channel, provider=each.name, credentials=each.credentials,
            config={**sender, **each.config()},
        ).id  # fmt: skip
        steps = {"hello": {"channel": each.channel, "adapter": each.name, **each.said}}
        self.drip.sequences.apply({"sequence": each.name, "name": each.name, "class": "transactional", "steps": steps})
        self.drip.enroll(each.name, subscriber=("user", each.name), data={each.channel: each.recipient})


def config() -> dict[str, Any]:
    return {"encryption_key": KEY, "public_url": PUBLIC, "webhook_max_body_bytes": LARGEST}


def _accept(request: httpx2.Request) -> httpx2.Response:
    (found,) = [each for each in PROVIDERS if (each.host or each.name) in request.url.host]
    status, body, headers = found.accepted
    said = {"json": body} if body else {}
    return httpx2.Response(status, headers=dict(headers), **said)


def _signed(each: Provider, told: Any, path: str) -> tuple[bytes, dict[str, str]]:
    body, headers = each.signed(told, f"{PUBLIC}{path}")
    return body, {"content-type": "application/json", **headers}


def _changed(name: str, value: str) -> str:
    if name in ("content-type", "svix-id") or name.endswith("timestamp"):
        return value
    # A digit: a signature in hex may be read in capitals too.
    return value[:-6] + ("0" if value[-6] != "0" else "1") + value[-5:]


def _other(found: re.Match[bytes]) -> bytes:
    return found[1] + (b"0" if found[2] != b"0" else b"1")
