"""What goes out when somebody asks for a message to themselves?"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

from dripdrop.errors import Invalid
from dripdrop.rules.definition import Step, Version
from dripdrop.rules.message import Delivery, Email, EnrollmentRef, Message, StepRef
from dripdrop.store.adapters import Adapter


def test_delivery(adapter: Adapter, message: Message, *, version: Version, step: Step) -> Delivery:
    """One message to be sent for real, outside every enrollment: no execution, no history, no counters."""
    to = message.to[0].email if isinstance(message, Email) else str(getattr(message, "to", "") or "test")
    return Delivery(
        one := uuid4(),
        f"test:{one}",
        message,
        to,
        StepRef(step.id, step.key, step.channel, step.name, step.config),
        EnrollmentRef(one, version.sequence_key, "test", "test"),
        adapter.ref,
        adapter.tenant_key,
    )


def addressed_to(data: Mapping[str, Any], step: Step, to: str) -> dict[str, Any]:
    """The data with another address in the field that the step reads."""
    if not to.strip():
        raise Invalid("A test needs an address.", cure="Name one with to=.", code="missing_recipient")
    return {**data, str(step.config.get("recipient_key") or step.channel): to}


def utc_now(clock: Callable[[], datetime] | None) -> datetime:
    """Business time for what touches no row."""
    return clock() if clock is not None else datetime.now(UTC)


def as_id(value: Any) -> UUID | None:
    """A UUID where the value is one."""
    try:
        return value if isinstance(value, UUID) else UUID(str(value))
    except ValueError:
        return None
