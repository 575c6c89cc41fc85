"""May this go now?  Pass, Hold until, or Skip because: one ordered list, cheap ones first."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from hashlib import blake2b
from typing import Any, TypeAlias

from dripdrop.rules import lateness, path, windows
from dripdrop.rules.claim import Claim
from dripdrop.rules.entering import zone_for

# What the journal names as the version of this list: absence of a gate's reason means that it passed.
VERSION = 2
STOPPED_LOOK_AGAIN = timedelta(seconds=60)
SPREAD_SECONDS = 300.0


@dataclass(frozen=True, slots=True)
class Pass:
    """Nothing is in the way."""


@dataclass(frozen=True, slots=True)
class Hold:
    """Not before `until`; it goes to that slot, and nothing polls."""

    until: datetime
    reason: str
    evidence: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Skip:
    """Not at all; the path goes on."""

    reason: str
    evidence: Mapping[str, Any] = field(default_factory=dict)


Judgement: TypeAlias = Pass | Hold | Skip
PASS = Pass()


@dataclass(slots=True)
class Circumstances:
    """What the gates look at besides the claim itself; read in the claim's own transaction."""

    stopped: Mapping[str, Any] | None = None
    suppressed: Mapping[str, Any] | None = None
    recipients: Sequence[str] = ()
    window: Any = None
    default_zone: str = "Etc/UTC"
    allows: Callable[[str], bool] | None = None


def judge(claim: Claim, facts: Circumstances) -> Judgement:
    """The first gate that does not pass decides; where there is no message, only the switches count."""
    for gate in GATES if claim.sends else SWITCHES:
        judgement = gate(claim, facts)
        if judgement is not PASS:
            return judgement
    return PASS


def not_stopped(claim: Claim, facts: Circumstances) -> Judgement:
    """A stop switch is in force; it also holds at the next open."""
    if facts.stopped is None:
        return PASS
    return Hold(claim.now + STOPPED_LOOK_AGAIN * (1 + _share(claim)), "stopped", facts.stopped)


def in_force(claim: Claim, facts: Circumstances) -> Judgement:
    """Sequence and step are switched on."""
    if not claim.sequence_active:
        return Hold(claim.now + timedelta(minutes=5) * (1 + _share(claim)), "sequence_inactive")
    if not claim.step_active and claim.kind != "replay" and claim.sends:
        return Skip("step_inactive")
    return PASS


def in_time(claim: Claim, facts: Circumstances) -> Judgement:
    """What was found late, after an outage, is sent, left out or spread, as its step says."""
    if "late" not in claim.step.config or claim.in_doubt:
        return PASS
    key = ("late", claim.step.key)
    policy = claim.version.memo.get(key)
    if policy is None:
        policy = claim.version.memo[key] = lateness.read(claim.step.config["late"])
    match lateness.judge(policy, claim.due_at, claim.now, _share(claim)):
        case lateness.OnTime():
            return PASS
        case lateness.Skip(late=late):
            return Skip("late", {"seconds": int(late.total_seconds())})
        case lateness.PutOff(until=until, late=late):
            return Hold(until, "late", {"seconds": int(late.total_seconds())})


def not_suppressed(claim: Claim, facts: Circumstances) -> Judgement:
    """Nobody who would get it is suppressed."""
    return PASS if facts.suppressed is None else Skip("suppressed", facts.suppressed)


def allowed_here(claim: Claim, facts: Circumstances) -> Judgement:
    """An allow-list makes a staging system harmless."""
    if facts.allows is None:
        return PASS
    others = [address for address in facts.recipients if not facts.allows(address)]
    return Skip("not_in_only_to", {"refused": len(others)}) if others else PASS


def condition_holds(claim: Claim, facts: Circumstances, *, informed: bool = False) -> Judgement:
    """The step's own conditions; where hooks have to be asked for them, once that is done (`informed`)."""
    if not claim.step.conditions or (not informed and path.questions(claim.version, claim.step).gate.hooks):
        return PASS
    zone, _ = zone_for(claim.version, claim.step, claim.data, facts.default_zone)
    verdict = path.gate(claim.step, claim.facts(zone))
    return PASS if verdict.holds else Skip("condition", {"conditions": list(verdict.evidence)[:10]})


def in_window(claim: Claim, facts: Circumstances) -> Judgement:
    """A decent hour where the person is; transactional messages pass."""
    if facts.window is None or claim.version.transactional:
        return PASS
    zone, ignored = zone_for(claim.version, claim.step, claim.data, facts.default_zone)
    opening = windows.next_allowed(claim.now, facts.window, zone)
    if opening <= claim.now:
        return PASS
    evidence: dict[str, Any] = {"zone": zone, "opens_at": opening.isoformat()}
    if ignored:
        evidence["unknown_zone"] = list(ignored)
    return Hold(_spread(claim, opening, facts.window, zone), "quiet_hours", evidence)


GATES: tuple[Callable[[Claim, Circumstances], Judgement], ...] = (
    not_stopped,
    in_force,
    in_time,
    not_suppressed,
    allowed_here,
    condition_holds,
    in_window,
)
SWITCHES = (not_stopped, in_force)


def _spread(claim: Claim, opening: datetime, window: Any, zone: str) -> datetime:
    """A moment after the opening, so that a night's worth of messages does not wake as one."""
    later = opening + timedelta(seconds=SPREAD_SECONDS * _share(claim))
    return later if windows.allowed(later, window, zone) else opening


def _share(claim: Claim) -> float:
    return int.from_bytes(blake2b(claim.id.bytes, digest_size=4).digest()) / 2**32
