"""Where does the path lead when a visit has ended: the same step again, another, a question to hooks, or the end?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from dripdrop.rules import path, timing
from dripdrop.rules.claim import Claim
from dripdrop.rules.definition import Cron, Delay
from dripdrop.rules.endings import Ending, Reason, Setting, Standing
from dripdrop.rules.entering import THRESHOLD, Arrival, arrive, zone_for
from dripdrop.rules.facts import NO_FACTS, Facts, nothing

TIMED_OUT = "timed_out"
# As many conditions are written down with a way.
MOST_EVIDENCE = 10
# A visit that ended like this counts as one of a repeated step: others lead on at once.
_AGAIN = frozenset({None, "condition", "late"})


@dataclass(frozen=True, slots=True)
class Known:
    """What hooks said when they were asked for the way on: `answers` by name, and why others will not answer."""

    answers: Mapping[str, Any] = field(default_factory=nothing)
    broken: Mapping[str, str] = field(default_factory=nothing)


def lead_on(
    claim: Claim, ending: Ending, standing: Standing, now: datetime, setting: Setting, known: Known | None = None
) -> None:
    """Write into an ending what comes after it. Without `known`, hooks have not been asked yet."""
    if known is None and (again := _again(claim, ending, standing, now, setting)) is not None:
        ending.go_on(again)
        return
    asked = path.questions(claim.version, None if claim.step is THRESHOLD else claim.step).ways
    if known is None and asked.hooks and not _has_timed_out(claim, ending):
        told = {"code": "choosing", "hooks": list(asked.hooks)}
        ending.go_on(Arrival(claim.step_id, now, "advance", (told,)))
        return
    facts = _facts(claim, standing, now, setting, known or Known()) if asked.any else NO_FACTS
    way = _way(claim, ending, facts)
    match way:
        case path.Goto(step=following, why=because):
            arrival = arrive(claim.version, following, standing.data, now, setting.default_zone)
            ending.go_on(arrival, *_matched(because, way.evidence))
        case path.Complete(why=because):
            finish(ending, standing, "completed", {"code": "completed", "why": because})
        case path.NoMatch(policy=policy):
            told_no: Reason = {"code": "no_match", "policy": policy, "conditions": list(way.evidence)[:MOST_EVIDENCE]}
            ending.reasons = (*ending.reasons, told_no)
            if policy == "continue":
                _go_on(claim, ending, standing, now, setting)
            else:
                to = {"complete": "completed", "cancel": "cancelled", "pause": "paused"}[policy]
                finish(ending, standing, to, {"code": "no_match"})


def finish(ending: Ending, standing: Standing, state: str, told: Reason) -> None:
    """Nothing comes after it: the enrollment moves to that state, unless it is not active any more."""
    ending.reasons = (*ending.reasons, told)
    if standing.state == "active":
        ending.enrollment_state = state


def _again(claim: Claim, ending: Ending, standing: Standing, now: datetime, setting: Setting) -> Arrival | None:
    """The next occurrence of a repeated step, as long as sends are left."""
    step, when = claim.step, claim.step.timing
    if not step.repeat or not isinstance(when, (Cron, Delay)):
        return None
    if ending.state not in ("sent", "skipped") or (ending.state == "skipped" and ending.why not in _AGAIN):
        return None
    sends = standing.sends + (ending.state == "sent")
    if step.repeat is not True and sends >= step.repeat:
        return None
    zone, _ = zone_for(claim.version, step, standing.data, setting.default_zone)
    due = timing.following(when, after=claim.due_at or now, now=now, zone=zone)
    told = {"code": "next", "step": step.key, "due_at": due.isoformat(), "sends": sends}
    return Arrival(step.id, due, "scheduled", (told,))


def _has_timed_out(claim: Claim, ending: Ending) -> bool:
    """Whether the way is given by the timing itself."""
    return ending.why == TIMED_OUT and getattr(claim.step.timing, "timeout_goto", None) is not None


def _way(claim: Claim, ending: Ending, facts: Facts) -> path.Way:
    if claim.step is THRESHOLD:
        return path.first_step(claim.version, None, facts)
    if ending.why == TIMED_OUT:
        return path.timed_out(claim.version, claim.step, facts)
    return path.choose(claim.version, claim.step, facts)


def _facts(claim: Claim, standing: Standing, now: datetime, setting: Setting, known: Known) -> Facts:
    return replace(
        claim.facts(),
        data=standing.data,
        hooks=known.answers,
        broken=known.broken,
        events=standing.events,
        now=now,
        zone=zone_for(claim.version, claim.step, standing.data, setting.default_zone)[0],
    )


def _go_on(claim: Claim, ending: Ending, standing: Standing, now: datetime, setting: Setting) -> None:
    way = path.onward(claim.version, claim.step)
    if isinstance(way, path.Goto):
        ending.go_on(arrive(claim.version, way.step, standing.data, now, setting.default_zone))
    else:
        finish(ending, standing, "completed", {"code": "completed", "why": way.why})


def _matched(why: str, evidence: tuple[Reason, ...]) -> tuple[Reason, ...]:
    return ({"code": "way", "why": why, "conditions": list(evidence)[:MOST_EVIDENCE]},) if evidence else ()
