"""What is due, and what may go?  Claim in batches, with facts, gates and a reservation."""

from __future__ import annotations

from collections.abc import Callable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, TypeAlias
from uuid import UUID

from dripdrop.rules import gates, limits, path
from dripdrop.rules.claim import Claim
from dripdrop.rules.definition import Step, Version
from dripdrop.rules.entering import THRESHOLD
from dripdrop.store import adapters, events, executions, sequences, stops, suppressions
from dripdrop.store.adapters import Adapter
from dripdrop.store.executions import Held
from dripdrop.store.flow import Flow
from dripdrop.store.stops import Stop
from dripdrop.store.suppressions import Asked, Suppression

UNJUDGED = timedelta(minutes=15)

Addresses: TypeAlias = Callable[[Claim], Sequence[tuple[str, str]]]
"""Every (channel, normalised address) that a claim's message would really go to."""


@dataclass(slots=True)
class Policy:
    """What the engine hands in: who would get it, and the settings that the gates ask for."""

    addresses: Addresses
    window: Callable[[Claim], Any]
    default_zone: str = "Etc/UTC"
    allows: Callable[[str], bool] | None = None
    versions: MutableMapping[UUID, Version] = field(default_factory=dict)


@dataclass(slots=True)
class Judged:
    """One claimed execution, what the gates say, and the adapter it would go through (None: there is none)."""

    claim: Claim
    judgement: gates.Judgement
    adapter: Adapter | None = None
    slot: limits.Slot | None = None
    recipients: Sequence[tuple[str, str]] = ()
    rescued: bool = False


@dataclass(frozen=True, slots=True)
class Found:
    """What was claimed; where that is nothing, the time until the next free execution falls due (None: none ever)."""

    judged: list[Judged]
    until_next: timedelta | None = None


def claim(
    now: datetime, worker: UUID, policy: Policy, *, limit: int = 100, watermark: datetime | None = None
) -> Flow[list[Judged]]:
    """Take what is due and judge it; nothing is put off here, since a claim locks queue rows only."""
    rows = yield from executions.claim(now, worker, limit, watermark)
    return (yield from _judged(now, rows, policy))


def look(
    now: datetime, worker: UUID, policy: Policy, *, limit: int = 100, watermark: datetime | None = None
) -> Flow[Found]:
    """Claim; where nothing is due, say how long until something is."""
    judged = yield from claim(now, worker, policy, limit=limit, watermark=watermark)
    if judged:
        return Found(judged)
    # Nothing follows: COMMIT travels along.
    due_at = yield from executions.next_due(now, last=True)
    return Found([], None if due_at is None else due_at - now)


def claim_one(now: datetime, worker: UUID, policy: Policy, execution_id: UUID) -> Flow[list[Judged]]:
    """Take one execution if it is due and free: what a scheduler's job asks for."""
    rows = yield from executions.claim_one(now, worker, execution_id)
    return (yield from _judged(now, rows, policy))


def take_again(now: datetime, worker: UUID, policy: Policy, held: Mapping[UUID, int]) -> Flow[list[Judged]]:
    """Take up what this worker holds without knowing of it: an answer that was lost, an item that failed."""
    rows = yield from executions.take_again(worker, held)
    claims = yield from facts(now, rows, policy.versions)
    used = yield from _adapters(claims)
    return [Judged(each, gates.PASS, _adapter(each, used), rescued=True) for each in claims]


def held(now: datetime, worker: UUID, *, limit: int = 1000) -> Flow[dict[UUID, int]]:
    """What a worker holds, as id -> token."""
    return (yield from executions.held_by(worker, limit))


def take_over(now: datetime, worker: UUID, policy: Policy, *, limit: int = 100) -> Flow[list[Judged]]:
    """Take what dead workers hold, with its facts; what was on the wire is settled as a doubt."""
    rows = yield from executions.take_over(worker, limit)
    claims = yield from facts(now, rows, policy.versions)
    used = yield from _adapters(claims)
    return [Judged(each, gates.PASS, _adapter(each, used), rescued=True) for each in claims]


def facts(now: datetime, rows: Sequence[Held], versions: MutableMapping[UUID, Version]) -> Flow[list[Claim]]:
    """Claims from rows: versions come from the cache, or are loaded; recipes where there was an attempt before."""
    for version_id in {row.sequence_version_id for row in rows} - versions.keys():
        versions[version_id] = yield from sequences.load_version(version_id)
    again = [row for row in rows if row.attempt > 0]
    made = (yield from executions.recipes([row.id for row in again], [row.attempt for row in again])) if again else {}
    claims: list[Claim] = []
    places: dict[tuple[UUID, UUID | None], tuple[Version, Step]] = {}
    for row in rows:
        key = (row.sequence_version_id, row.step_id)
        found = places.get(key)
        if found is None:
            found = places[key] = yield from _place(row, versions)
        claims.append(_claim(now, row, *found))
    for each in claims if made else ():
        each.recipe = made.get(each.id)
    yield from _what_happened(claims)
    return claims


def _place(row: Held, versions: MutableMapping[UUID, Version]) -> Flow[tuple[Version, Step]]:
    """The version and the step that an execution is at."""
    version = versions[row.sequence_version_id]
    if row.step_id is None:
        return version, THRESHOLD
    step = version.step_by_id(row.step_id)
    return (version, step) if step is not None else (yield from _elsewhere(row.step_id, versions))


def _what_happened(claims: Sequence[Claim]) -> Flow[None]:
    """The events that steps waited for, and those that their conditions look up; most ask for neither."""
    woken = [each for each in claims if each.event_id is not None]
    if woken:
        data = yield from events.data_of({each.event_id for each in woken if each.event_id is not None})
        for each in woken:
            each.event = data.get(each.event_id, {}) if each.event_id is not None else {}
    asking = [each for each in claims if each.step.conditions and each.kind != "advance"]
    asked = [
        (each.enrollment_id, key) for each in asking for key in path.questions(each.version, each.step).gate.events
    ]
    if asked:
        found = yield from events.of_enrollments(asked)
        for each in asking:
            each.events = found.get(each.enrollment_id, {})


def _elsewhere(step_id: UUID, versions: MutableMapping[UUID, Version]) -> Flow[tuple[Version, Step]]:
    """A replay, or a move, can leave an execution of a step of another version than the enrollment's."""
    version_id = yield from executions.version_of_step(step_id)
    if version_id not in versions:
        versions[version_id] = yield from sequences.load_version(version_id)
    step = versions[version_id].step_by_id(step_id)
    assert step is not None
    return versions[version_id], step


def _claim(now: datetime, row: Held, version: Version, step: Step) -> Claim:
    return Claim(
        row.id,
        row.tenant_key,
        row.enrollment_id,
        row.step_id,
        row.visit,
        row.kind,
        row.state,
        row.due_at,
        row.token,
        row.attempt,
        row.refusals,
        row.retries,
        row.adapter_id,
        row.enrollment_state,
        row.sequence_id,
        version.id,
        row.subscriber_type,
        row.subscriber_id,
        row.data_revision,
        row.data or {},
        row.sequence_active,
        row.step_active,
        now,
        version,
        step,
        None,
        row.event_id,
    )


def _judged(now: datetime, rows: Sequence[Held], policy: Policy) -> Flow[list[Judged]]:
    if not rows:
        return []
    switched_off = (yield from stops.in_force()) if rows[0].stops else ()
    claims = yield from facts(now, rows, policy.versions)
    usable = yield from _adapters(claims)
    recipients = [policy.addresses(each) if each.sends else () for each in claims]
    blocked = yield from _suppressed(now, claims, recipients)
    judged: list[Judged] = []
    slot = limits.reserve(now)
    for number, each in enumerate(claims):
        adapter = _adapter(each, usable)
        stop = (
            stops.holding(
                switched_off, each.tenant, sequence_id=each.sequence_id, adapter_id=adapter.id if adapter else None
            )
            if switched_off
            else None
        )
        judgement = _judge(each, policy, stop, blocked.get(number), recipients[number])
        reserved = slot if judgement is gates.PASS else None
        judged.append(Judged(each, judgement, adapter, reserved, recipients[number]))
    return judged


def _judge(
    claim: Claim, policy: Policy, stop: Stop | None, blocked: Suppression | None, recipients: Sequence[tuple[str, str]]
) -> gates.Judgement:
    """The gates' answer for one claim; a row that no gate can judge is put off, and holds up nobody else."""
    if claim.state == "unknown":
        return gates.PASS
    try:
        circumstances = gates.Circumstances(
            stopped={"stop": stop.kind, "why": stop.reason} if stop else None,
            suppressed=_blocked(blocked),
            recipients=[address for _, address in recipients],
            window=policy.window(claim),
            default_zone=policy.default_zone,
            allows=policy.allows,
        )
        return gates.judge(claim, circumstances)
    except Exception as error:
        return gates.Hold(claim.now + UNJUDGED, "gate_error", {"error": type(error).__name__})


def _suppressed(
    now: datetime, claims: Sequence[Claim], recipients: Sequence[Sequence[tuple[str, str]]]
) -> Flow[dict[int, Suppression]]:
    """By number of the claim: the suppression of the first of its addresses that has one."""
    asked: list[Asked] = []
    owners: list[int] = []
    for number, (each, addresses) in enumerate(zip(claims, recipients, strict=True)):
        topic = each.version.config.get("topic") or ""
        for channel, address in addresses:
            asked.append(Asked(each.tenant, channel, address, topic))
            owners.append(number)
    # Nothing follows in the claim: COMMIT travels along.
    found = (yield from suppressions.lookup(now, asked, last=True)) if asked else {}
    result: dict[int, Suppression] = {}
    for place, row in found.items():
        result.setdefault(owners[place], row)
    return result


def _blocked(row: Suppression | None) -> dict[str, Any] | None:
    if row is None:
        return None
    return {"suppression": str(row.id), "reason": row.reason, "source": row.source}


def _adapters(claims: Sequence[Claim]) -> Flow[dict[Any, Adapter]]:
    """What the claims would go through: by id where a step names one, by (tenant, channel) for the defaults."""
    if not claims:
        return {}
    tenants, channels = {each.tenant for each in claims}, {each.step.channel for each in claims}
    rows = yield from adapters.usable(sorted(tenants), sorted(channels))
    known: dict[Any, Adapter] = {}
    for tenant in tenants:
        for channel in channels:
            found = adapters.default_for(rows, tenant, channel)
            if found is not None:
                known[tenant, channel] = found
    known.update({each.id: each for each in rows})
    named = {each for claim in claims if claim.recipe or _names(claim.step) for each in _named(claim)} - known.keys()
    if named:
        known.update({each.id: each for each in (yield from adapters.load(named))})
    return known


def _names(step: Step) -> bool:
    """Whether a step says what it goes through."""
    return step.adapter is not None or step.adapter_override is not None


def _named(claim: Claim) -> list[UUID]:
    names = [UUID(each) for each in (claim.step.adapter, claim.step.adapter_override) if each]
    pinned = claim.recipe.adapter_id if claim.recipe else None
    return [*names, *((pinned,) if pinned else ())]


def _adapter(claim: Claim, known: dict[Any, Adapter]) -> Adapter | None:
    """A message in doubt goes through the adapter that may have it; else the step's own, else the default."""
    if (claim.in_doubt or claim.state in ("sending", "unknown")) and claim.recipe and claim.recipe.adapter_id:
        return known.get(claim.recipe.adapter_id)
    if not _names(claim.step):
        return known.get((claim.tenant, claim.step.channel))
    for named in (claim.step.adapter_override, claim.step.adapter):
        if named is not None:
            own = known.get(UUID(named))
            fits = own is not None and own.active and own.channel == claim.step.channel
            return own if fits and own is not None and own.tenant_key in ("", claim.tenant) else None
    return known.get((claim.tenant, claim.step.channel))
