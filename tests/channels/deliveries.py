"""Something to send: deliveries made in one line."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

from dripdrop.rules.message import AdapterRef, Address, Delivery, Email, EnrollmentRef, StepRef

NOW = datetime(2030, 3, 1, 9, 0, tzinfo=UTC)
HELLO = Email(
    to=(Address("ann@example.org", "Ann"),),
    subject="Welcome",
    text="Hello\n.\nBye\n",
    sender=Address("news@example.com", "News"),
)


def delivery_of(message=HELLO, *, recipient="ann@example.org", number=1, adapter="main"):
    """One delivery; `number` tells deliveries apart."""
    channel = type(message).__name__.lower()
    return Delivery(
        id=UUID(int=number),
        idempotency_key=f"{UUID(int=number)}:0",
        message=message,
        recipient=recipient,
        step=StepRef(UUID(int=1000), "welcome", channel),
        enrollment=EnrollmentRef(UUID(int=2000), "onboarding", "user", "1"),
        adapter=AdapterRef(UUID(int=sum(map(ord, adapter))), adapter, channel, "test"),
    )
