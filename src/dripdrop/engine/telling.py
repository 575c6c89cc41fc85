"""What is counted and told of an execution once its close is written down?"""

from __future__ import annotations

from dripdrop.rules import variation
from dripdrop.rules.claim import Claim
from dripdrop.rules.endings import Defer, Ending, Following, Requeue
from dripdrop.telemetry import Telemetry

_EVENTS = {
    "sent": "dispatch.sent",
    "skipped": "dispatch.skipped",
    "deferred": "dispatch.deferred",
    "failed": "dispatch.failed",
    "retried": "dispatch.retried",
    "unknown": "dispatch.unknown",
}


def counted(following: Following) -> str:
    """The name under which a pass counts it."""
    if isinstance(following, Ending):
        return following.state
    if isinstance(following, Requeue):
        return "retried" if following.event == "retry" else following.event
    return "deferred" if isinstance(following, Defer) else "handed_back"


def tell(telemetry: Telemetry, name: str, claim: Claim) -> None:
    """Emit its event, if anybody listens."""
    event = _EVENTS.get(name)
    if event is None or not telemetry.wants(event):
        return
    telemetry.emit(
        event,
        metadata={
            "step_execution_id": claim.name,
            "enrollment_id": str(claim.enrollment_id),
            "sequence_key": claim.version.sequence_key,
            "step_key": claim.step.key,
            "channel": claim.step.channel,
            "tenant_key": claim.tenant or None,
            **_variation(claim),
        },
    )


def _variation(claim: Claim) -> dict[str, str | None]:
    """In which language and variant it was said, where there is a choice."""
    if not variation.varies(claim.step):
        return {}
    said = variation.chosen(claim.step, claim.data, claim.enrollment_id)
    return {"locale": said.locale, "variant": said.variant}
