"""Letters that use everything an e-mail can have."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID

from dripdrop.rules.message import AdapterRef, Address, Attachment, Delivery, Email, EnrollmentRef, StepRef

NOW = datetime(2030, 3, 1, 9, 0, tzinfo=UTC)
PIXEL = bytes.fromhex("89504e470d0a1a0a0000000d49484452")

PLAIN = Email(
    to=(Address("ann@example.org", "Ann Lee"),),
    subject="Welcome",
    text="Hello\n",
    sender=Address("news@example.com", "News"),
)
FULL = Email(
    to=(Address("ann@example.org", 'Lee, "Ann"'), Address("bo@example.org")),
    subject="Grüße, Ann",
    text="Hello ü\n",
    html='<p>Hello <img src="cid:logo@example.com"></p>',
    sender=Address("news@example.com", "Größe & Co"),
    cc=(Address("cy@example.org", "Cy"),),
    bcc=(Address("di@example.org"),),
    reply_to=(Address("help@example.com", "Help"),),
    headers=(
        ("List-Unsubscribe", "<https://example.com/u/abc>"),
        ("List-Unsubscribe-Post", "List-Unsubscribe=One-Click"),
    ),
    attachments=(
        Attachment("terms.pdf", b"%PDF-1.4 terms", "application/pdf"),
        Attachment("logo.png", PIXEL, "image/png", "logo@example.com"),
    ),
)


def letter(message=PLAIN, *, number=1, step=None, **changes):
    """One delivery of a letter; `step` is the step's config."""
    return Delivery(
        id=UUID(int=number),
        idempotency_key=f"{UUID(int=number)}:0",
        message=replace(message, **changes) if changes else message,
        recipient="ann@example.org",
        step=StepRef(UUID(int=1000), "welcome", "email", config=step or {}),
        enrollment=EnrollmentRef(UUID(int=2000), "onboarding", "user", "1"),
        adapter=AdapterRef(UUID(int=3000), "main", "email", "test"),
    )
