"""Does this adapter work, and may I have a message to myself?"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

from dripdrop.channels.deliver import Speaker
from dripdrop.errors import Invalid
from dripdrop.rules.definition import Step, Version
from dripdrop.rules.message import AdapterRef, Delivery, Email, EnrollmentRef, Message, StepRef
from dripdrop.rules.outcome import Outcome
from dripdrop.store.adapters import Adapter


async def send_test(
    speaker: Speaker,
    provider: Any,
    adapter: Adapter,
    config: Mapping[str, Any],
    message: Message,
    *,
    version: Version,
    step: Step,
    timeout: float,
) -> Outcome:
    """Send one message for real, outside every enrollment: no execution, no history, no counters."""
    to = message.to[0].email if isinstance(message, Email) else str(getattr(message, "to", "") or "test")
    delivery = Delivery(
        one := uuid4(),
        f"test:{one}",
        message,
        to,
        StepRef(step.id, step.key, step.channel, step.name, step.config),
        EnrollmentRef(one, version.sequence_key, "test", "test"),
        AdapterRef(adapter.id, adapter.name, adapter.channel, adapter.provider),
        adapter.tenant_key,
    )
    return await speaker.send(provider, delivery, config, timeout=timeout)


async def check_adapter(speaker: Speaker, provider: Any, config: Mapping[str, Any], *, timeout: float) -> str | None:
    """Ask the provider whether these settings work: None is good, text says what is wrong."""
    return await speaker.check(provider, config, timeout=timeout)


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
