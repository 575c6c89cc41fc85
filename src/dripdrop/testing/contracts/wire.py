"""What does a provider say on a wire that we hold both ends of?"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any
from urllib.parse import unquote_plus
from uuid import UUID

import httpx2

from dripdrop.channels.http import Sender
from dripdrop.contracts import HttpRequest, HttpResponse
from dripdrop.rules.message import AdapterRef, Address, Delivery, Email, EnrollmentRef, Message, StepRef

NOW = datetime(2030, 3, 1, 9, 0, tzinfo=UTC)
LETTER = Email(
    to=(Address("ann.lee@recipient.example", "Ann Lee"),),
    subject="A subject of some length",
    text="The text of the message, which nobody but Ann may read. " * 20,
    sender=Address("news@sender.example", "News"),
    message_id="0190.0@sender.example",
)


@dataclass(frozen=True)
class Trouble:
    """What goes wrong instead of an answer: `refused` (nothing left), `lost` (it left, no answer), `hangs`."""

    how: str


REFUSED, LOST, HANGS = Trouble("refused"), Trouble("lost"), Trouble("hangs")


@dataclass
class Wire(httpx2.AsyncBaseTransport):
    """Answers every call the same way, and remembers what was said."""

    answer: HttpResponse | Trouble
    calls: list[httpx2.Request] = field(default_factory=list)

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        self.calls.append(request)
        if isinstance(self.answer, Trouble):
            if self.answer.how == "hangs":
                await asyncio.Event().wait()
            raise httpx2.ConnectError("refused") if self.answer.how == "refused" else httpx2.ReadError("lost")
        return httpx2.Response(self.answer.status, headers=dict(self.answer.headers), content=self.answer.body)

    def sender(self) -> Sender:
        return Sender(transport=self)


def delivery_of(message: Message, recipient: str, channel: str, name: str, **step: Any) -> Delivery:
    """One delivery of a message; `step` is the step's config."""
    identifier = UUID("0190c0de-0000-7000-8000-000000000001")
    return Delivery(
        id=identifier,
        idempotency_key=f"{identifier}:0",
        message=message,
        recipient=recipient,
        step=StepRef(UUID(int=1), "welcome", channel, config=step),
        enrollment=EnrollmentRef(UUID(int=2), "onboarding", "user", "42"),
        adapter=AdapterRef(UUID(int=3), "main", channel, name),
    )


def frozen(*parts: Mapping[str, Any], **more: Any) -> Mapping[str, Any]:
    """A config as providers get it: it can be read and not written."""
    return MappingProxyType({key: value for part in parts for key, value in part.items()} | {"now": NOW} | more)


def readable(request: HttpRequest) -> str:
    """Everything a request says, in plain text: body as it is, unquoted, and with JSON's escapes undone."""
    body = request.body.decode("utf-8", "replace")
    heads = "\n".join(f"{name}: {value}" for name, value in request.headers)
    try:
        plain = json.dumps(json.loads(body), ensure_ascii=False)
    except ValueError:
        plain = ""
    return "\n".join((request.method, request.url, unquote_plus(request.url), heads, body, unquote_plus(body), plain))


def answer(status: int, body: Any = None, **headers: str) -> HttpResponse:
    """An answer; `body` as JSON unless it is bytes, header names with underscores for dashes."""
    raw = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
    return HttpResponse(status, {name.replace("_", "-"): value for name, value in headers.items()}, raw)
