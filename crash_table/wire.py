"""How does a worker speak to the receiver?  A provider of each class, with places to die in at every turn."""

from __future__ import annotations

import asyncio
import hmac
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import timedelta
from hashlib import blake2b
from typing import Any

from crash_table import postman
from dripdrop import Accepted, Askable, Idempotent, Neither, Rejected
from dripdrop.contracts import CannotTell, NotFound
from dripdrop.errors import Unauthorized
from dripdrop.rules.feedback import Feedback
from dripdrop.rules.message import Delivery
from dripdrop.rules.outcome import Found, OnDoubt, Outcome, Unknown

CLASSES: Mapping[str, OnDoubt] = {
    "idempotent": Idempotent(timedelta(hours=24)),
    "askable": Askable(timedelta(seconds=1), timedelta(seconds=5)),
    "neither": Neither(),
}


class Wire:
    """A provider whose far side is the receiver. `pass_by` is told each place that a delivery comes to."""

    channel, name = "email", "wire"

    def __init__(
        self,
        path: str,
        cell: str,
        kind: str,
        pass_by: Callable[[str], None] = lambda place: None,
        *,
        slow: float = 0.0,
        afterwards: Callable[[Delivery], Awaitable[None]] | None = None,
    ) -> None:
        self.path = path
        self.slow = slow
        self.afterwards = afterwards
        self.cell = cell
        self.on_doubt = CLASSES[kind]
        self.pass_by = pass_by
        self._free: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    def validate_credentials(self, credentials: Mapping[str, Any]) -> list[tuple[str, str]]:
        return []

    async def deliver(self, delivery: Delivery, config: Mapping[str, Any]) -> Outcome:
        if self.slow:
            await asyncio.sleep(self.slow)
        self.pass_by("wire.before")
        content = blake2b(repr(delivery.message).encode(), digest_size=8).hexdigest()
        told = {"op": "deliver", "id": str(delivery.id), "key": delivery.idempotency_key, "content": content}
        try:
            answer = await self._ask(told, on_the_way=lambda: self.pass_by("wire.during"))
        except ConnectionRefusedError:
            return Rejected("temporary", "adapter", detail={"reason": "connect"})
        except (ConnectionError, asyncio.IncompleteReadError) as error:
            return Unknown({"reason": type(error).__name__})
        self.pass_by("wire.answered")
        if answer.get("refused"):
            return Rejected("temporary", "message", detail={"code": "451"})
        if self.afterwards is not None:
            await self.afterwards(delivery)
        return Accepted(str(delivery.id))

    async def find(self, delivery: Delivery, config: Mapping[str, Any]) -> Found:
        try:
            answer = await self._ask({"op": "find", "key": delivery.idempotency_key})
        except (ConnectionError, asyncio.IncompleteReadError):
            return CannotTell()
        return Accepted(str(delivery.id)) if answer["found"] else NotFound()

    def webhook_routes(self, adapter: Any) -> Sequence[tuple[str, str]]:
        return [("POST", "")]

    def verify_webhook(self, raw_body: bytes, headers: Mapping[str, str], config: Mapping[str, Any]) -> None:
        if not hmac.compare_digest(headers.get(postman.SIGNATURE, ""), postman.signature(raw_body)):
            raise Unauthorized("This was not signed by the wire.", cure="Sign it.", code="bad_signature")

    def parse_events(self, raw_body: bytes, headers: Mapping[str, str]) -> Sequence[Mapping[str, Any]]:
        events: Sequence[Mapping[str, Any]] = json.loads(raw_body)["events"]
        return events

    def provider_event_id(self, payload: Mapping[str, Any]) -> str | None:
        return str(payload["event_id"])

    def resolve_delivery(self, payload: Mapping[str, Any]) -> Mapping[str, str] | None:
        return {"delivery_id": payload["message"], "provider_message_id": payload["message"]}

    def normalize_feedback(self, payload: Mapping[str, Any]) -> Feedback | None:
        if payload["event"] == "bounced":
            return Feedback("bounced", payload["recipient"], severity="permanent", event="bounced", reason="550")
        return Feedback("delivered", event="delivered")

    async def _ask(self, told: dict[str, Any], on_the_way: Callable[[], None] = lambda: None) -> dict[str, Any]:
        line = self._free.pop() if self._free else await asyncio.open_unix_connection(self.path)
        reader, writer = line
        try:
            writer.write(json.dumps({**told, "cell": self.cell}).encode() + b"\n")
            await writer.drain()
            on_the_way()
            answer: dict[str, Any] = json.loads(await reader.readuntil(b"\n"))
        except BaseException:
            writer.close()
            raise
        self._free.append(line)
        return answer
