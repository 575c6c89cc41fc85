"""What follows from an outcome: an ending, another try, or a wait?"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeAlias, assert_never

from dripdrop.errors import Invalid
from dripdrop.rules import gates, retry
from dripdrop.rules.claim import Claim
from dripdrop.rules.definition import Policy
from dripdrop.rules.endings import (
    NOTHING_ASKED,
    Defer,
    Ending,
    Following,
    Free,
    Reason,
    Requeue,
    Setting,
    Standing,
)
from dripdrop.rules.onward import TIMED_OUT, Known, finish, lead_on
from dripdrop.rules.outcome import Accepted, Outcome, Rejected, Unknown, attempt_outcome

HOOK_BASE_SECONDS, HOOK_CAP_SECONDS, BUSY_CAP_SECONDS = 5.0, 600.0, 60.0


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


@dataclass(frozen=True, slots=True)
class TimedOut:
    """The event that the step waited for did not come in time."""


@dataclass(frozen=True, slots=True)
class NoAnswer:
    """A hook cannot answer now; `retry_after` is in seconds where it said so."""

    hook: str
    reason: str
    retry_after: float | None = None


Came: TypeAlias = Outcome | gates.Hold | gates.Skip | HandBack | Decided | TimedOut | Known | NoAnswer


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
        case TimedOut():
            return _timed_out(claim, standing, now, setting)
        case Known():
            return _advanced(claim, came, standing, now, setting)
        case NoAnswer():
            return _asked_again(claim, came, standing, now)
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


def _timed_out(claim: Claim, standing: Standing, now: datetime, setting: Setting) -> Following:
    if not _live(claim, standing):
        return _over(claim, standing)
    if standing.state == "paused":
        return Free()
    return _ended(claim, standing, now, setting, "skipped", "skipped", TIMED_OUT, ({"code": TIMED_OUT},))


def _advanced(claim: Claim, known: Known, standing: Standing, now: datetime, setting: Setting) -> Following:
    """The way on, now that hooks were asked for it; one that will not answer is told, and its condition fails."""
    if not _live(claim, standing):
        return _over(claim, standing)
    told = tuple({"code": "hook_broken", "hook": hook, "why": why} for hook, why in known.broken.items())
    return _ended(claim, standing, now, setting, "advanced", "advanced", None, told, known)


def _asked_again(claim: Claim, came: NoAnswer, standing: Standing, now: datetime) -> Following:
    """Put off, longer each time; nothing is lost and no retry spent."""
    if not _live(claim, standing):
        return _over(claim, standing)
    if standing.state == "paused" and claim.kind != "replay":
        return Free()
    code = hook_trouble(came)
    cap = BUSY_CAP_SECONDS if code == "hook_busy" else HOOK_CAP_SECONDS
    wait = retry.backoff(standing.put_off, seed=claim.id.hex, base=HOOK_BASE_SECONDS, cap=cap)
    if came.retry_after is not None:
        # Never before it said, and not all at once then.
        wait = max(wait, timedelta(seconds=min(came.retry_after, retry.LONGEST_RETRY_AFTER_SECONDS)) + wait / 4)
    until = now + wait
    told = {"code": code, "hook": came.hook, "why": came.reason, "until": until.isoformat()}
    return Defer(until, code, (told,))


def hook_trouble(came: NoAnswer) -> str:
    """The reason's code: a hook that has too much to do just now is no outage."""
    return "hook_busy" if came.reason == "busy" else "hook_unavailable"


def _ended(
    claim: Claim,
    standing: Standing,
    now: datetime,
    setting: Setting,
    state: str,
    event: str,
    why: str | None,
    reasons: tuple[Reason, ...],
    known: Known | None = None,
) -> Ending:
    """An ending together with the way on: a next step, completion, or whatever `on_no_match` says."""
    ending = Ending(state, why, event, reasons=reasons)
    if claim.kind == "replay" or standing.state not in ("active", "paused"):
        return ending
    try:
        lead_on(claim, ending, standing, now, setting, known)
    except Invalid as error:
        # What happened is recorded in any case; where the way cannot be chosen, a person is asked.
        finish(ending, standing, "paused", {"code": "path_error", "error": error.code})
    return ending


def _over(claim: Claim, standing: Standing, *told: Reason) -> Ending:
    return Ending(
        "cancelled",
        "enrollment_ended",
        "cancelled" if claim.kind != "advance" else "advanced",
        reasons=(*told, {"code": "enrollment_ended", "state": standing.state}),
    )


def _live(claim: Claim, standing: Standing) -> bool:
    return claim.kind == "replay" or standing.state in ("active", "paused")


def _short(outcome: Rejected | Unknown) -> Reason:
    """What the journal keeps of an outcome: the cause and a code, never a provider's whole answer."""
    kept = {
        key: outcome.detail[key]
        for key in ("reason", "code", "status", "reply", "enhanced", "hook", "why")
        if key in outcome.detail
    }
    return {"cause": outcome.cause, **kept} if isinstance(outcome, Rejected) else kept
