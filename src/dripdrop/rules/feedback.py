"""What did a provider or a mailbox tell us of a message?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, TypeAlias

Status: TypeAlias = Literal[
    "accepted",  # the provider has it
    "sent",  # the provider handed it on; nothing is confirmed yet
    "delivered",  # the recipient's server, carrier or phone took it
    "deferred",  # a temporary failure; the provider goes on trying
    "bounced",  # the address is unreachable: for good, or (severity temporary) given up for this message
    "blocked",  # refused for policy or reputation: says nothing about the address
    "rejected",  # the provider never tried
    "failed",  # not delivered, for a reason that none of the above names
    "complained",  # the person called it spam
    "unsubscribed",
    "resubscribed",
    "opened",
    "clicked",
    "replied",
]
Severity: TypeAlias = Literal["permanent", "temporary"]
Intent: TypeAlias = Literal["reply", "ooo", "auto_reply", "bounce", "complaint", "unsubscribe", "resubscribe"]


@dataclass(frozen=True, slots=True)
class Feedback:
    """One event of a provider, in our words.

    `recipient`: whom it is about, as the provider writes the address; None where it does not say. `occurred_at` is
    aware; None where the provider gives no time (then it is the time of receipt). `severity` belongs to what failed:
    only `bounced` and `permanent` speaks against the address. `event` is the provider's own name of the event,
    `reason` its own code (`550 5.1.1`, `HardBounce`): never a whole text, which may quote the message. `topic` is the
    provider's list or group that was left or joined; None means everything. `machine` is True where the provider
    itself says that no person opened or clicked. `user_agent` and `ip` (of an open or a click) and `url` (clicked) are
    there to judge that, and are not kept. `detail` is small, JSON-safe and holds nothing personal.
    """

    status: Status
    recipient: str | None = None
    occurred_at: datetime | None = None
    severity: Severity | None = None
    event: str = ""
    reason: str = ""
    topic: str | None = None
    machine: bool | None = None
    user_agent: str | None = None
    ip: str | None = None
    url: str | None = None
    detail: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class InboundMessage:
    """A message that a person, or a machine for them, wrote to us.

    `sender` and `to` are bare addresses or numbers. Message ids are without angle brackets, `references` oldest first.
    `headers` are as received, in their order. `raw` is the whole message (RFC 5322) where the provider gives it: what
    the other fields leave out is read from it. `intent` is set where the provider itself knows (STOP and START of
    Twilio); None leaves it to our own classification. `intent_data` may hold `return_at` (date).
    `provider_message_id` is the provider's id of this message, `replies_to` the provider's id of ours.
    """

    sender: str
    to: str
    received_at: datetime | None = None
    message_id: str | None = None
    in_reply_to: str | None = None
    references: tuple[str, ...] = ()
    subject: str | None = None
    text: str | None = None
    html: str | None = None
    headers: tuple[tuple[str, str], ...] = ()
    intent: Intent | None = None
    intent_data: Mapping[str, Any] = field(default_factory=dict)
    provider_message_id: str | None = None
    replies_to: str | None = None
    raw: bytes | None = None
