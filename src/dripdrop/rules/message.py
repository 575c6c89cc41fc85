"""What is ready to be sent, and what is an adapter given?"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeAlias
from uuid import UUID

import orjson


@dataclass(frozen=True, slots=True)
class Address:
    """One mailbox: `email` as it goes on the wire, `name` as a person reads it (may be empty)."""

    email: str
    name: str = ""


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file that travels with an e-mail; `content_id` makes it inline (without angle brackets)."""

    filename: str
    content: bytes
    content_type: str = "application/octet-stream"
    content_id: str | None = None


@dataclass(frozen=True, slots=True)
class Email:
    """A rendered e-mail. `date` and `message_id` derive from the recipe, so rendering twice gives the same bytes."""

    to: tuple[Address, ...]
    subject: str
    text: str | None = None
    html: str | None = None
    sender: Address | None = None
    cc: tuple[Address, ...] = ()
    bcc: tuple[Address, ...] = ()
    reply_to: tuple[Address, ...] = ()
    headers: tuple[tuple[str, str], ...] = ()
    attachments: tuple[Attachment, ...] = ()
    date: datetime | None = None
    message_id: str | None = None


@dataclass(frozen=True, slots=True)
class Sms:
    """A rendered text message; `to` is E.164."""

    to: str
    body: str
    sender: str | None = None
    media_urls: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Webhook:
    """A rendered outgoing webhook: `payload` is JSON; `url` None means the adapter's own."""

    payload: Mapping[str, Any]
    url: str | None = None
    method: str = "POST"
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Chat:
    """A rendered Slack, Telegram, WhatsApp, pub/sub or custom message: `extra` is the channel's own JSON."""

    to: str | None
    text: str
    extra: Mapping[str, Any] = field(default_factory=dict)


Message: TypeAlias = Email | Sms | Webhook | Chat


@dataclass(frozen=True, slots=True)
class StepRef:
    """What an adapter may know of the step."""

    id: UUID
    key: str
    channel: str
    name: str = ""
    config: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class EnrollmentRef:
    """What an adapter may know of the enrollment."""

    id: UUID
    sequence_key: str
    subscriber_type: str
    subscriber_id: str
    visit: int = 1


@dataclass(frozen=True, slots=True)
class AdapterRef:
    """What an adapter may know of its own row; credentials come with `config`, not with this."""

    id: UUID
    name: str
    channel: str
    provider: str


@dataclass(frozen=True, slots=True)
class Delivery:
    """One message on its way: frozen, content already rendered.

    `id` is the step execution's id and stays the same through every retry; `idempotency_key` is the same after a
    doubt and a new one after a definite refusal.
    """

    id: UUID
    idempotency_key: str
    message: Message
    recipient: str
    step: StepRef
    enrollment: EnrollmentRef
    adapter: AdapterRef
    tenant_key: str = ""


def digest(message: Message) -> bytes:
    """SHA-256 over the rendered message: 32 bytes; equal messages give equal digests on every machine."""
    text = orjson.dumps(message, default=_plain, option=orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS)
    return hashlib.sha256(type(message).__name__.encode() + text).digest()


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return {"sha256": hashlib.sha256(value).hexdigest()}
    return dict(value) if isinstance(value, Mapping) else str(value)
