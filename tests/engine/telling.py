"""A provider that tells what became of its messages: signed, in batches, as providers do."""

from __future__ import annotations

import hmac
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import orjson

from dripdrop.contracts import (
    Config,
    Feedback,
    HttpRequest,
    HttpResponse,
    InboundMessage,
    Verified,
    WebhookRequest,
)
from dripdrop.errors import Unauthorized
from dripdrop.testing import FakeProvider

SECRET = "telling-secret"


class Telling(FakeProvider):
    """Bodies are JSON lists; each event names `id`, `type`, and `ours` or `theirs` (the ids of a message)."""

    def __init__(self, **more: Any) -> None:
        super().__init__(name="telling", **more)
        self.crashes = 0
        self.handshakes: list[WebhookRequest] = []

    def webhook_routes(self, adapter: Any) -> list[tuple[str, str]]:
        return [("POST", ""), ("GET", "")]

    def verify_webhook(self, raw_body: bytes, headers: Mapping[str, str], config: Config) -> Verified:
        if self.crashes:
            self.crashes -= 1
            raise RuntimeError("a bug of ours")
        wanted = signature(raw_body, str(config.get("secret", SECRET)))
        if not hmac.compare_digest(headers.get("x-signature", ""), wanted):
            raise Unauthorized("The signature does not hold.", cure="Sign it.")
        return Verified(tuple(each for each in [headers.get("x-once")] if each))

    def handshake(self, request: WebhookRequest, config: Config) -> HttpResponse | HttpRequest | None:
        self.handshakes.append(request)
        if request.method != "GET":
            return None
        if "token=right" not in request.url:
            raise Unauthorized("Wrong token.", cure="")
        return HttpResponse(200, {"content-type": "text/plain"}, b"hello")

    def parse_events(self, raw_body: bytes, headers: Mapping[str, str]) -> Sequence[Mapping[str, Any]]:
        return orjson.loads(raw_body)  # type: ignore[no-any-return]

    def provider_event_id(self, payload: Mapping[str, Any]) -> str | None:
        return payload.get("id")

    def resolve_delivery(self, payload: Mapping[str, Any]) -> Mapping[str, str] | None:
        named = {"delivery_id": payload.get("ours"), "provider_message_id": payload.get("theirs")}
        return {name: value for name, value in named.items() if value}

    def normalize_feedback(self, payload: Mapping[str, Any]) -> Feedback | None:
        if payload["type"] == "inbound":
            return None
        at = payload.get("at")
        return Feedback(
            payload["type"],
            payload.get("to"),
            datetime.fromisoformat(at) if at else None,
            payload.get("severity"),
            event=payload["type"],
            topic=payload.get("topic"),
            user_agent=payload.get("agent"),
        )

    def parse_inbound(self, payload: Mapping[str, Any]) -> list[InboundMessage]:
        if payload["type"] != "inbound":
            return []
        return [InboundMessage(payload["from"], "us@example.com", message_id=payload["id"], text=payload.get("text"),
                               in_reply_to=payload.get("in_reply_to"))]  # fmt: skip


def signature(body: bytes, secret: str = SECRET) -> str:
    return hmac.digest(secret.encode(), body, "sha256").hex()


def signed(*events: Mapping[str, Any], secret: str = SECRET, **headers: str) -> dict[str, Any]:
    """What `drip.webhooks.receive` is handed for these events."""
    return posted(orjson.dumps(list(events)), secret, **headers)


def posted(body: bytes, secret: str = SECRET, **headers: str) -> dict[str, Any]:
    own = {name.replace("_", "-"): value for name, value in headers.items()}
    pairs = {"content-type": "application/json", "x-signature": signature(body, secret), **own}
    return {"method": "POST", "url": "https://example.org/hook", "headers": pairs, "body": body}
