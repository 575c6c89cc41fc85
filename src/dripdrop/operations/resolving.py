"""How does a person settle what stands under needs attention, or send something again?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from dripdrop.errors import Conflict, IllegalMove, Invalid, NotFound
from dripdrop.errors import Refused as RefusedError
from dripdrop.operations import delivering, dispatching
from dripdrop.operations.delivering import Closed, Closing
from dripdrop.rules import retry
from dripdrop.rules.claim import Claim
from dripdrop.rules.definition import Version
from dripdrop.rules.endings import Setting
from dripdrop.rules.following import Decided
from dripdrop.store import enrollments, executions
from dripdrop.store.flow import Flow
from dripdrop.store.scope import Scope


@dataclass(frozen=True, slots=True)
class Proof:
    """A provider's word that it had an execution's message, and its own id of it."""

    tenant: str
    execution: UUID
    provider_message_id: str | None = None


WAYS = ("sent", "resend", "drop")


def resolve(now: datetime, scope: Scope, execution: UUID, *, as_: str, default_zone: str = "Etc/UTC") -> Flow[str]:
    """Settle an execution that is `unknown`, or failed and kept for attention; answers its new state.

    `sent`: it arrived, the path goes on. `resend`: try again, under the same key. `drop`: it will not be sent, the path
    goes on. Raises NotFound, IllegalMove, Conflict (it is being asked about), Invalid (`resolve_as`).
    """
    if as_ not in WAYS:
        raise Invalid(
            f"An execution cannot be resolved as {as_!r}.", cure="Use sent, resend or drop.", code="resolve_as"
        )
    claim = yield from _held(now, scope, execution)
    if claim.state not in ("unknown", "failed") or (claim.state == "failed" and as_ == "sent"):
        raise IllegalMove(
            f"Execution {execution} is {claim.state}.",
            cure="Only an unknown or failed one that is kept can be resolved.",
        )
    if as_ == "resend" and claim.enrollment_state != "active" and claim.kind != "replay":
        raise RefusedError(
            f"Its enrollment is {claim.enrollment_state}.",
            cure="Resume it first, or use --as drop.",
            code="enrollment_not_active",
        )
    results = yield from delivering.close(now, None, [Closing(claim, _decision(as_, now), Setting(default_zone))])
    if not isinstance(results[0], Closed):
        raise Conflict(f"Execution {execution} changed meanwhile.", cure="Read it again and retry.")
    if as_ == "resend":
        yield from enrollments.wake()
    return {"sent": "sent", "resend": "scheduled", "drop": "cancelled"}[as_]


def confirm(now: datetime, proofs: Sequence[Proof], *, default_zone: str = "Etc/UTC") -> Flow[int]:
    """Settle doubts by proof: the provider had these messages, so they were sent and their paths go on; how many.

    Whatever is no doubt any more, or is being asked about just now, is left as it is.
    """
    closings: list[Closing] = []
    for proof in proofs:
        try:
            claim = yield from _held(now, Scope(proof.tenant), proof.execution)
        except (Conflict, NotFound):
            continue
        if claim.state == "unknown":
            came = Decided(end_as="sent", reason="feedback", provider_message_id=proof.provider_message_id)
            closings.append(Closing(claim, came, Setting(default_zone)))
    results = (yield from delivering.close(now, None, closings)) if closings else []
    return sum(isinstance(each, Closed) for each in results)


def replay(now: datetime, scope: Scope, execution: UUID) -> Flow[UUID]:
    """Send an ended execution's step once more, as an execution of its own that never advances the path.

    Raises NotFound, IllegalMove for one that has not ended.
    """
    row = yield from executions.replay(now, scope, execution, [{"code": "replayed", "of": str(execution)}])
    if row is None:
        if (yield from executions.enrollment_of(scope, execution)) is None:
            raise NotFound(f"There is no execution {execution}.", cure="See: dripdrop executions")
        raise IllegalMove(f"Execution {execution} has not ended.", cure="Wait for it, or resolve it.")
    yield from enrollments.wake()
    return row["id"]  # type: ignore[no-any-return]


def _decision(as_: str, now: datetime) -> Decided:
    if as_ == "resend":
        return Decided(retry.ResendSameKey(now, reason="resolved"), reason="resolved_resend")
    return Decided(end_as="sent" if as_ == "sent" else "cancelled", reason=f"resolved_{as_}")


def _held(now: datetime, scope: Scope, execution: UUID) -> Flow[Claim]:
    """Enrollments are locked before queue rows."""
    enrollment = yield from executions.enrollment_of(scope, execution)
    if enrollment is None:
        raise NotFound(f"There is no execution {execution}.", cure="See: dripdrop executions")
    yield from executions.lock_enrollments([enrollment], [0])
    row = yield from executions.hold_one(scope, execution)
    if row is None:
        raise IllegalMove(f"Execution {execution} has ended.", cure="Use replay to send it once more.")
    if row.worker_id is not None:
        raise Conflict(
            f"Execution {execution} is in a worker's hands.", cure="Try again in a moment.", code="execution_held"
        )
    versions: dict[UUID, Version] = {}
    claims = yield from dispatching.facts(now, [row], versions)
    return claims[0]
