"""What does this HTTP hook answer, asked now and for nobody?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import uuid4

from dripdrop import clock
from dripdrop.hooks.calls import Gate, Permanent, Temporary
from dripdrop.hooks.http import Endpoints
from dripdrop.rules.answers import Subject
from dripdrop.rules.definition import Immediate, Step, Version
from dripdrop.rules.http_hooks import Auth
from dripdrop.rules.redaction import evidence
from dripdrop.store.hooks import Hook


@dataclass(frozen=True, slots=True)
class Tried:
    """What came of a test. `outcome` is `answered` (with the value), `unavailable` or `broken` (with a reason)."""

    hook: str
    outcome: str
    value: Any = None
    reason: str | None = None
    retry_after: float | None = None
    seconds: float = 0.0

    @property
    def answered(self) -> bool:
        return self.outcome == "answered"

    def kept(self, patterns: Any = ()) -> dict[str, Any]:
        """What is stored of it: bounded, without secrets and personal data."""
        said = {"outcome": self.outcome, "reason": self.reason, "seconds": round(self.seconds, 3), "value": self.value}
        return evidence({name: value for name, value in said.items() if value is not None or name == "value"}, patterns)


async def test(endpoints: Endpoints, hook: Hook, auth: Auth, data: Mapping[str, Any], *, now: datetime) -> Tried:
    """Call it, with its retries and within its budget, past every cache and limit; `data` are the variables."""
    started = clock.monotonic()
    try:
        value = await endpoints.ask(hook, auth, _nobody(hook, data, now), Gate())
    except Temporary as trouble:
        return Tried(hook.key, "unavailable", None, trouble.reason, trouble.retry_after, clock.monotonic() - started)
    except Permanent as trouble:
        return Tried(hook.key, "broken", None, trouble.reason, None, clock.monotonic() - started)
    return Tried(hook.key, "answered", value, seconds=clock.monotonic() - started)


def _nobody(hook: Hook, data: Mapping[str, Any], now: datetime) -> Subject:
    step = Step(uuid4(), "test", "Test", "webhook", None, Immediate(), {})
    version = Version(
        uuid4(), hook.sequence_id, hook.sequence_key, "Test", hook.tenant_key, 0, "draft", "lifecycle", (step,)
    )
    said = {
        "subscriber_id": data.get("id"),
        "subscriber_type": "test",
        "sequence_key": hook.sequence_key,
        "step_key": step.key,
        "now": now,
        "today": now.date(),
        "now_iso8601": now.isoformat(),
        **data,
    }
    return Subject(uuid4(), hook.tenant_key, version, step, {"data": dict(data)}, said, now)
