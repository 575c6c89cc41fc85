"""What follows from an outcome: an ending, another try, or a wait?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, TypeAlias, assert_never
from uuid import UUID

from dripdrop.errors import Invalid
from dripdrop.rules import gates, path, retry
from dripdrop.rules.claim import Claim
from dripdrop.rules.definition import Policy
from dripdrop.rules.entering import when_due
from dripdrop.rules.outcome import Accepted, Neither, OnDoubt, Outcome, Rejected, Unknown, attempt_outcome

Reason: TypeAlias = Mapping[str, Any]


@dataclass(slots=True)
class Standing:
    """How the enrollment stands at the moment of closing, under its lock."""

    state: str
    data: Mapping[str, Any]
    first_at: datetime | None = None
    key_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class HandBack:
    """The claim is given up before anything was opened."""


@dataclass(frozen=True, slots=True)
class Decided:
    """A verdict from outside the retry rules: a person's, or the answer of a provider that was asked."""

    verdict: retry.Verdict | None = None
    end_as: str | None = None
    reason: str = "resolved"
    provider_message_id: str | None = None


Came: TypeAlias = Outcome | gates.Hold | gates.Skip | HandBack | Decided


@dataclass(slots=True)
class Ending:
    """The execution ends: history, what comes next and the journal in one statement."""

    state: str
    why: str | None
    event: str
    next_step_id: UUID | None = None
    next_due_at: datetime | None = None
    enrollment_state: str | None = None
    reasons: tuple[Reason, ...] = ()
    suppress: str | None = None


@dataclass(slots=True)
class Requeue:
    """Back to the queue: another try, a question to the provider, or attention needed (`due_at` None)."""

    state: str
    due_at: datetime | None
    event: str
    refused: int = 0
    spent: int = 0
    reasons: tuple[Reason, ...] = ()
    suppress: str | None = None


@dataclass(slots=True)
class Defer:
    """Put off to a slot; nothing was tried."""

    due_at: datetime
    code: str
    reasons: tuple[Reason, ...] = ()


@dataclass(slots=True)
class Free:
    """Given back as it was."""


Following: TypeAlias = Ending | Requeue | Defer | Free


@dataclass(frozen=True, slots=True)
class Setting:
    """What deciding needs besides the claim: the zone of last resort, and what the provider can do about a doubt."""

    default_zone: str = "Etc/UTC"
    on_doubt: OnDoubt = field(default_factory=Neither)


NOTHING_ASKED = Setting()


def decide(claim: Claim, came: Came, standing: Standing, now: datetime, setting: Setting = NOTHING_ASKED) -> Following:
    """What to write down for an execution, and what comes next for its enrollment."""
    match came:
        case Accepted():
            return _ended(claim, standing, now, setting, "sent", "sent", None, ())
        case Rejected() | Unknown():
            return _not_accepted(claim, came, standing, now, setting)
        case gates.Skip(reason=reason, evidence=evidence):
            return _ended(claim, standing, now, setting, "skipped", "skipped", reason, ({"code": reason, **evidence},))
        case gates.Hold(until=until, reason=reason, evidence=evidence):
            if not _live(claim, standing):
                return _over(claim, standing)
            if standing.state == "paused" and claim.kind != "replay":
                return Free()
            return Defer(until, reason, ({"code": reason, "until": until.isoformat(), **evidence},))
        case HandBack():
            return Free() if _live(claim, standing) or claim.state == "unknown" else _over(claim, standing)
        case Decided():
            return _decided(claim, came, standing, now, setting)
    assert_never(came)


def _not_accepted(
    claim: Claim, outcome: Rejected | Unknown, standing: Standing, now: datetime, setting: Setting
) -> Following:
    verdict = retry.next_step(
        outcome,
        retries=claim.retries,
        refusals=claim.refusals,
        attempt=max(claim.attempt, 1),
        max_retries=retry.DEFAULT_RETRIES if claim.step.retries is None else claim.step.retries,
        on_unknown=claim.step.on_unknown,
        on_doubt=setting.on_doubt,
        first_sent_at=standing.first_at,
        key_sent_at=standing.key_at,
        now=now,
        seed=claim.id.hex,
    )
    kept, kind = attempt_outcome(outcome)
    told: Reason = {"code": kept, "class": kind, **_short(outcome)}
    return _by_verdict(
        claim,
        verdict,
        standing,
        now,
        setting,
        told,
        # While an earlier send under this key may have arrived, a refusal of the next one must not make a new key.
        refused=int(isinstance(outcome, Rejected) and claim.state == "sending" and not claim.in_doubt),
    )


def _by_verdict(
    claim: Claim,
    verdict: retry.Verdict,
    standing: Standing,
    now: datetime,
    setting: Setting,
    told: Reason,
    refused: int = 0,
) -> Following:
    match verdict:
        case retry.Advance():
            return _ended(claim, standing, now, setting, "sent", "sent", None, (told,))
        case retry.RetryAt(when=when, spends=spends, reason=reason):
            if not _live(claim, standing):
                return _over(claim, standing, told)
            again: Reason = {"code": reason, "again_at": when.isoformat()}
            return Requeue("scheduled", when, "retry", refused, int(spends), (told, again))
        case retry.ResendSameKey(when=when, reason=reason):
            if not _live(claim, standing):
                return Requeue("unknown", None, "unknown", 0, 0, (told, {"code": "enrollment_ended"}))
            return Requeue("scheduled", when, "retry", 0, 0, (told, {"code": reason, "again_at": when.isoformat()}))
        case retry.Ask(when=when):
            return Requeue("unknown", when, "unknown", 0, 0, (told, {"code": "ask", "again_at": when.isoformat()}))
        case retry.Hold(reason=reason):
            return Requeue("unknown", None, "unknown", 0, 0, (told, {"code": reason}))
        case retry.GiveUp(policy=kind, reason=reason, suppress=suppress):
            policy = claim.step.on_failure if kind == "failure" else claim.step.on_exhausted
            why: tuple[Reason, ...] = (told, {"code": reason, "policy": policy})
            return _given_up(claim, policy, standing, now, setting, why, suppress, refused)
    assert_never(verdict)


def _given_up(
    claim: Claim,
    policy: Policy,
    standing: Standing,
    now: datetime,
    setting: Setting,
    reasons: tuple[Reason, ...],
    suppress: str | None,
    refused: int,
) -> Following:
    why = str(reasons[-1]["code"])
    if not _live(claim, standing) and claim.state == "sending":
        return Ending("cancelled", "enrollment_ended", "cancelled", reasons=reasons, suppress=suppress)
    if policy == "pause" and claim.kind != "replay" and _live(claim, standing):
        return Requeue("failed", None, "failed", refused, 0, reasons, suppress)
    if policy == "continue":
        ending = _ended(claim, standing, now, setting, "failed", "failed", why, reasons)
    else:
        ending = Ending("failed", why, "failed", reasons=reasons)
        if claim.kind != "replay" and standing.state == "active":
            ending.enrollment_state = "completed" if policy == "complete" else "cancelled"
    ending.suppress = suppress
    return ending


def _decided(claim: Claim, came: Decided, standing: Standing, now: datetime, setting: Setting) -> Following:
    told: Reason = {"code": came.reason}
    if came.verdict is not None:
        return _by_verdict(claim, came.verdict, standing, now, setting, told)
    event = {"sent": "sent", "skipped": "skipped"}.get(came.end_as or "", "cancelled")
    return _ended(claim, standing, now, setting, came.end_as or "cancelled", event, came.reason, (told,))


def _ended(
    claim: Claim,
    standing: Standing,
    now: datetime,
    setting: Setting,
    state: str,
    event: str,
    why: str | None,
    reasons: tuple[Reason, ...],
) -> Ending:
    """An ending together with the way on: a next step, completion, or whatever `on_no_match` says."""
    ending = Ending(state, why, event, reasons=reasons)
    if claim.kind == "replay" or standing.state not in ("active", "paused"):
        return ending
    try:
        _lead_on(claim, ending, standing, now, setting)
    except Invalid as error:
        # What happened is recorded in any case; where the way cannot be chosen, a person is asked.
        _finish(ending, standing, "paused", {"code": "path_error", "error": error.code})
    return ending


def _lead_on(claim: Claim, ending: Ending, standing: Standing, now: datetime, setting: Setting) -> None:
    way = path.choose(claim.version, claim.step, replace(claim.facts, data=standing.data, now=now))
    match way:
        case path.Goto(step=following, why=because):
            due, told = when_due(claim.version, following, standing.data, now, setting.default_zone)
            ending.next_step_id, ending.next_due_at = following.id, due
            ending.reasons = (*ending.reasons, *told, *_matched(because, way.evidence))
        case path.Complete(why=because):
            _finish(ending, standing, "completed", {"code": "completed", "why": because})
        case path.NoMatch(policy=policy):
            told_no: Reason = {"code": "no_match", "policy": policy, "conditions": list(way.evidence)[:10]}
            ending.reasons = (*ending.reasons, told_no)
            if policy == "continue":
                _go_on(claim, ending, standing, now, setting)
            else:
                to = {"complete": "completed", "cancel": "cancelled", "pause": "paused"}[policy]
                _finish(ending, standing, to, {"code": "no_match"})


def _go_on(claim: Claim, ending: Ending, standing: Standing, now: datetime, setting: Setting) -> None:
    way = path.onward(claim.version, claim.step)
    if isinstance(way, path.Goto):
        due, told = when_due(claim.version, way.step, standing.data, now, setting.default_zone)
        ending.next_step_id, ending.next_due_at, ending.reasons = way.step.id, due, (*ending.reasons, *told)
    else:
        _finish(ending, standing, "completed", {"code": "completed", "why": way.why})


def _finish(ending: Ending, standing: Standing, state: str, told: Reason) -> None:
    ending.reasons = (*ending.reasons, told)
    if standing.state == "active":
        ending.enrollment_state = state


def _over(claim: Claim, standing: Standing, *told: Reason) -> Ending:
    return Ending(
        "cancelled",
        "enrollment_ended",
        "cancelled",
        reasons=(*told, {"code": "enrollment_ended", "state": standing.state}),
    )


def _live(claim: Claim, standing: Standing) -> bool:
    return claim.kind == "replay" or standing.state in ("active", "paused")


def _matched(why: str, evidence: tuple[Reason, ...]) -> tuple[Reason, ...]:
    return ({"code": "way", "why": why, "conditions": list(evidence)[:10]},) if evidence else ()


def _short(outcome: Rejected | Unknown) -> Reason:
    """What the journal keeps of an outcome: the cause and a code, never a provider's whole answer."""
    kept = {
        key: outcome.detail[key] for key in ("reason", "code", "status", "reply", "enhanced") if key in outcome.detail
    }
    return {"cause": outcome.cause, **kept} if isinstance(outcome, Rejected) else kept
