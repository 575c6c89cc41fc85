"""Text and chat messages to send, made in one line."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

from dripdrop.rules.message import AdapterRef, Chat, Delivery, EnrollmentRef, Sms, StepRef

NOW = datetime(2030, 3, 1, 9, 0, tzinfo=UTC)
ANN = "+14155550123"


def text(body="Hello ü, 5 > 4 & so on", *, to=ANN, sender=None, media=(), channel="sms", number=1, **step):
    """One delivery of a text message; `step` is the step's config."""
    return delivery(Sms(to, body, sender, tuple(media)), to, channel, number, step)


def chat(channel, text="Hello", *, to=None, extra=None, number=1, **step):
    """One delivery of a chat message; `step` is the step's config."""
    return delivery(Chat(to, text, extra or {}), to or "nobody", channel, number, step)


def delivery(message, recipient, channel, number=1, step=None):
    return Delivery(
        id=UUID(int=number),
        idempotency_key=f"{UUID(int=number)}:0",
        message=message,
        recipient=recipient,
        step=StepRef(UUID(int=1000), "welcome", channel, config=step or {}),
        enrollment=EnrollmentRef(UUID(int=2000), "onboarding", "user", "1"),
        adapter=AdapterRef(UUID(int=3000), "main", channel, "test"),
    )
