"""Again? When? Or ask the provider first?

A step's key `retries` counts the sends *after* the first one: `retries: 2` means three sends at most, `0` means one.
(The reference's `max_retries` counts sends; take one off when reading it.) The default of 14 gives waits of 30 s,
1 min, 2 min, ... 2 h 8 min and then 4 h each: about 24 hours of patience in all.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import blake2b
from typing import Literal, TypeAlias

from dripdrop.rules.outcome import (
    Accepted,
    Askable,
    CannotTell,
    Found,
    Idempotent,
    Neither,
    NotFound,
    OnDoubt,
    Outcome,
    Rejected,
    Unknown,
)

DEFAULT_RETRIES = 14
BASE_SECONDS = 30.0
CAP_SECONDS = 4 * 3600.0
PATIENT_CAP_SECONDS = 1800.0
LONGEST_RETRY_AFTER_SECONDS = 24 * 3600.0
HORIZON = timedelta(days=3)
CONTENT_CHANGED = "content_changed"

OnUnknown: TypeAlias = Literal["hold", "resend"]


@dataclass(frozen=True, slots=True)
class Advance:
    """The provider took it: record it and go on along the path."""


@dataclass(frozen=True, slots=True)
class RetryAt:
    """Definitely refused, try again at `when` with a new key; `spends` says whether one of the retries is used up."""

    when: datetime
    spends: bool
    reason: str


@dataclass(frozen=True, slots=True)
class ResendSameKey:
    """In doubt: send the same message under the same key at `when`."""

    when: datetime
    reason: str = "in_doubt"


@dataclass(frozen=True, slots=True)
class Ask:
    """In doubt: ask the provider with `find` at `when`."""

    when: datetime


@dataclass(frozen=True, slots=True)
class Hold:
    """In doubt, and only feedback or a person can settle it."""

    reason: str


@dataclass(frozen=True, slots=True)
class GiveUp:
    """Not to be sent. `policy` names the step's policy that decides (`on_failure`, `on_exhausted`); `suppress` is the
    reason under which the recipient is to be suppressed, if at all."""

    policy: Literal["failure", "exhausted"]
    reason: str
    suppress: Literal["bounce", "unsubscribe"] | None = None


Verdict: TypeAlias = Advance | RetryAt | ResendSameKey | Ask | Hold | GiveUp


def backoff(retries: int, *, seed: str, base: float = BASE_SECONDS, cap: float = CAP_SECONDS) -> timedelta:
    """How long to wait after `retries` earlier waits: base * 2**retries seconds, at most `cap`, give or take a fifth.

    The jitter is a digest of `seed`, so the same execution always gets the same answer and a crowd spreads out.
    """
    wait = min(base * 2.0 ** min(max(retries, 0), 64), cap)
    return timedelta(seconds=wait * (0.8 + 0.4 * _share(f"{seed}:{retries}")))


def next_step(
    outcome: Outcome,
    *,
    retries: int,
    refusals: int,
    attempt: int,
    max_retries: int = DEFAULT_RETRIES,
    on_unknown: OnUnknown = "hold",
    on_doubt: OnDoubt,
    first_sent_at: datetime | None,
    now: datetime,
    seed: str,
    key_sent_at: datetime | None = None,
) -> Verdict:
    """What follows from this outcome.

    `retries` and `refusals` are the counters *before* this outcome; `attempt` counts this one too (first is 1).
    `first_sent_at` is the start of the first attempt of all, `key_sent_at` of the first under the present idempotency
    key; where the latter is not known, the former stands in, which can only shorten a de-duplication window.
    """
    since = first_sent_at or now
    match outcome:
        case Accepted():
            return Advance()
        case Rejected():
            return _refused(outcome, retries, refusals, max_retries, since, now, seed)
        case Unknown(detail=detail):
            if detail.get("reason") == CONTENT_CHANGED:
                return Hold(CONTENT_CHANGED)
            doubts = max(attempt - refusals, 1)
            return _in_doubt(on_doubt, on_unknown, doubts, max_retries, key_sent_at or since, now, seed)


def after_asking(
    found: Found,
    *,
    on_doubt: Askable,
    on_unknown: OnUnknown = "hold",
    attempt: int,
    refusals: int,
    max_retries: int = DEFAULT_RETRIES,
    doubted_at: datetime,
    now: datetime,
    seed: str,
) -> Verdict:
    """What follows from `find`: one "not found" proves nothing, so it is asked again, at longer and longer intervals
    and for the last time at `doubted_at + give_up`; then the step's `on_unknown` decides."""
    match found:
        case Accepted():
            return Advance()
        case NotFound() | CannotTell():
            last = doubted_at + on_doubt.give_up
            if now >= last:
                return _undecided(on_unknown, max(attempt - refusals, 1), max_retries, now, seed)
            wait = max(now - doubted_at, on_doubt.after, timedelta(seconds=1))
            return Ask(min(now + wait, last))


def _refused(
    outcome: Rejected, retries: int, refusals: int, max_retries: int, since: datetime, now: datetime, seed: str
) -> Verdict:
    if outcome.cause == "opted_out":
        return GiveUp("failure", "opted_out", suppress="unsubscribe")
    if outcome.kind == "bounced":
        return GiveUp("failure", "bounced", suppress="bounce")
    if outcome.cause in ("throttled", "adapter"):
        # Not this message's fault: no retry is spent, but nobody waits longer than the horizon either.
        when = _when(backoff(refusals, seed=seed, cap=PATIENT_CAP_SECONDS), outcome.retry_after, now, seed)
        if when > since + HORIZON:
            return GiveUp("exhausted", outcome.cause)
        return RetryAt(when, spends=False, reason=outcome.cause)
    if outcome.kind == "permanent":
        return GiveUp("failure", outcome.cause)
    if retries >= max_retries:
        return GiveUp("exhausted", "retries_exhausted")
    return RetryAt(
        _when(backoff(retries, seed=seed), outcome.retry_after, now, seed), spends=True, reason=outcome.cause
    )


def _in_doubt(
    on_doubt: OnDoubt,
    on_unknown: OnUnknown,
    doubts: int,
    max_retries: int,
    key_sent_at: datetime,
    now: datetime,
    seed: str,
) -> Verdict:
    match on_doubt:
        case Askable(after=after):
            return Ask(now + after)
        case Idempotent():
            when = now + backoff(doubts - 1, seed=seed)
            if remembers(on_doubt, key_sent_at, when):
                return ResendSameKey(when)
            return _undecided(on_unknown, doubts, max_retries, now, seed)
        case Neither():
            return _undecided(on_unknown, doubts, max_retries, now, seed)


def remembers(on_doubt: Idempotent, key_sent_at: datetime, when: datetime) -> bool:
    """Whether a provider that first saw a key at `key_sent_at` still knows it when a request sent at `when` arrives."""
    margin = min(timedelta(minutes=1), on_doubt.window / 10)
    return when + margin <= key_sent_at + on_doubt.window


def _undecided(on_unknown: OnUnknown, doubts: int, max_retries: int, now: datetime, seed: str) -> Verdict:
    if on_unknown == "hold":
        return Hold("unknown")
    if doubts > max_retries:
        return Hold("still_unknown")
    return ResendSameKey(now + backoff(doubts - 1, seed=seed), reason="on_unknown_resend")


def _when(wait: timedelta, retry_after: float | None, now: datetime, seed: str) -> datetime:
    """Never earlier than the provider asked for (up to a day), and spread a little so that no crowd returns as one."""
    if retry_after is None or math.isnan(retry_after) or retry_after <= 0:
        return now + wait
    asked = min(retry_after, LONGEST_RETRY_AFTER_SECONDS)
    spread = min(asked * 0.1, 300.0) * _share(f"{seed}:after")
    return now + max(wait, timedelta(seconds=asked + spread))


def _share(seed: str) -> float:
    """A number from 0 to 1, the same for the same seed on every machine."""
    return int.from_bytes(blake2b(seed.encode(), digest_size=8).digest()) / 2**64
