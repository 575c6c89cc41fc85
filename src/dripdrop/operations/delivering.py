"""How is an attempt opened before the wire, and closed together with what follows?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeAlias
from uuid import UUID

from dripdrop.contracts import Scheduler
from dripdrop.operations import awaiting, scheduling
from dripdrop.rules import path
from dripdrop.rules.claim import Claim
from dripdrop.rules.endings import Defer, Ending, Following, Free, Requeue, Setting, Standing
from dripdrop.rules.entering import THRESHOLD
from dripdrop.rules.following import Came, Decided, NoAnswer, decide, hook_trouble
from dripdrop.rules.outcome import Accepted, Rejected, Unknown, attempt_outcome
from dripdrop.store import enrollments, events, executions, suppressions
from dripdrop.store.executions import Attempted, Opening
from dripdrop.store.flow import Flow
from dripdrop.store.suppressions import Fresh


@dataclass(slots=True)
class Opened:
    """The attempt is on record: the new token, and its number."""

    token: int
    attempt: int


@dataclass(frozen=True, slots=True)
class Refused:
    """Still ours, but it may not go: the enrollment ended or paused, or a stop switch is in force."""


@dataclass(frozen=True, slots=True)
class Stale:
    """Somebody else has it; whatever we know of it is not written."""


@dataclass(slots=True)
class Closed:
    """Written down, with what follows."""

    following: Following


_GONE: tuple[str, Mapping[str, Any] | None] = ("cancelled", None)

OpenResult: TypeAlias = Opened | Refused | Stale
CloseResult: TypeAlias = Closed | Stale


@dataclass(slots=True)
class Closing:
    """What came of one execution; `recipient` is who a suppression would be about."""

    claim: Claim
    came: Came
    setting: Setting = field(default_factory=Setting)
    recipient: tuple[str, str] | None = None
    response: Mapping[str, Any] | None = None


def open(now: datetime, worker: UUID, openings: Sequence[Opening]) -> Flow[list[OpenResult]]:
    """Record that these attempts begin; one result per row, in order."""
    # COMMIT travels along; who asks why a row was not opened reads what is committed.
    made = yield from executions.open_many(now, worker, openings, last=True)
    opened = {id: Opened(token, attempt) for id, token, attempt in made}
    if len(opened) == len(openings):
        return [opened[each.id] for each in openings]
    rest = [each for each in openings if each.id not in opened]
    ours = yield from executions.still_held(worker, [each.id for each in rest], [each.token for each in rest])
    return [opened.get(each.id) or (Refused() if each.id in ours else Stale()) for each in openings]


def open_again(now: datetime, worker: UUID, openings: Sequence[Opening]) -> Flow[list[OpenResult]]:
    """The same after a commit whose answer was lost: what landed then is taken as opened, not opened twice."""
    landed = yield from executions.landed(worker, [each.id for each in openings], [each.token for each in openings])
    rest = [each for each in openings if each.id not in landed]
    results: dict[UUID, OpenResult] = {key: Opened(*value) for key, value in landed.items()}
    if rest:
        fresh = yield from open(now, worker, rest)
        results.update(zip((each.id for each in rest), fresh, strict=True))
    return [results[each.id] for each in openings]


def close(
    now: datetime, worker: UUID | None, closings: Sequence[Closing], *, scheduler: Scheduler | None = None
) -> Flow[list[CloseResult]]:
    """Write down what came of each, together with what follows; one result per row, in order.

    Enrollments are locked first. A row that is no longer ours is `Stale` and leaves no trace, whatever the others do.
    """
    standings = yield from _standings(closings)
    following: list[Following] = [
        decide(each.claim, each.came, standing, now, each.setting)
        for each, standing in zip(closings, standings, strict=True)
    ]
    alone = scheduler is None and all(_needs_nothing_more(each, now) for each in following)
    ours = yield from _write(now, worker, closings, following, last=alone)
    if not alone:
        yield from _and_then(now, closings, following, ours, scheduler)
    if len(ours) == len(closings):
        return [Closed(what) for what in following]
    return [Closed(what) if each.claim.id in ours else Stale() for each, what in zip(closings, following, strict=True)]


def _and_then(
    now: datetime,
    closings: Sequence[Closing],
    following: Sequence[Following],
    ours: set[UUID],
    scheduler: Scheduler | None,
) -> Flow[None]:
    """What else happens in the same transaction: suppressions, wake-ups, waits that begin."""
    yield from _suppress(now, closings, following, ours)
    due_now = any(
        isinstance(each, Ending) and each.next_due_at is not None and each.next_due_at <= now for each in following
    )
    if scheduler is not None or due_now:
        yield from scheduling.schedule(scheduler, [each.claim.enrollment_id for each in closings], due_now=due_now)
    waiting = [
        each.claim.enrollment_id
        for each, what in zip(closings, following, strict=True)
        if isinstance(what, Ending) and what.next_as == "waiting" and each.claim.id in ours
    ]
    if waiting:
        yield from awaiting.began(now, waiting, scheduler=scheduler)


def _standings(closings: Sequence[Closing]) -> Flow[list[Standing]]:
    """How each one's enrollment stands, in order; an enrollment that is not there any more is over."""
    claims = [each.claim for each in closings]
    by_id = {each.enrollment_id: each.data_revision for each in claims}
    locked = yield from executions.lock_enrollments(list(by_id), list(by_id.values()))
    unhappy = [each.claim for each in closings if isinstance(each.came, (Rejected, Unknown))]
    since = (
        (yield from executions.attempts_since([each.id for each in unhappy], [each.refusals for each in unhappy]))
        if unhappy
        else {}
    )
    standings: list[Standing] = []
    for claim in claims:
        state, data = locked.get(claim.enrollment_id, _GONE)
        standing = Standing(state, claim.data if data is None else data)
        tried = since.get(claim.id) if since else None
        if tried:
            standing.first_at, standing.key_at = tried["first_at"], tried["key_at"]
        standings.append(standing)
    special = [(each, standing) for each, standing in zip(closings, standings, strict=True) if _asks_more(each)]
    if special:
        yield from _asked_of(special)
    return standings


def _asks_more(closing: Closing) -> bool:
    """Whether what follows depends on more than the claim and its enrollment; most steps ask for nothing more."""
    claim = closing.claim
    return isinstance(closing.came, NoAnswer) or bool(claim.step.repeat) or bool(_ways(claim).events)


def _ways(claim: Claim) -> path.Questions:
    return path.questions(claim.version, None if claim.step is THRESHOLD else claim.step).ways


def _asked_of(asking: Sequence[tuple[Closing, Standing]]) -> Flow[None]:
    """Events that ways look up, sends of a repeated step, and how often a hook gave no answer: a statement for each."""
    claims = [closing.claim for closing, _ in asking]
    looked_up = [(each.enrollment_id, key) for each in claims for key in _ways(each).events]
    happened = (yield from events.of_enrollments(looked_up)) if looked_up else {}
    repeated = [(each.id, each.enrollment_id, each.step.id) for each in claims if each.step.repeat]
    sends = (yield from executions.repeats(repeated)) if repeated else {}
    unanswered = {each.claim.id: hook_trouble(each.came) for each, _ in asking if isinstance(each.came, NoAnswer)}
    put_off = (yield from executions.put_off_before(unanswered)) if unanswered else {}
    for claim, (_, standing) in zip(claims, asking, strict=True):
        standing.events = happened.get(claim.enrollment_id, standing.events)
        standing.sends, standing.put_off = sends.get(claim.id, 0), put_off.get(claim.id, 0)


def _needs_nothing_more(following: Following, now: datetime) -> bool:
    """Whether writing the ending is all there is to do, so that COMMIT can travel along."""
    if not isinstance(following, Ending) or following.suppress is not None:
        return False
    if following.next_as == "waiting":
        return False
    return following.next_due_at is None or following.next_due_at > now


def _write(
    now: datetime, worker: UUID | None, closings: Sequence[Closing], following: Sequence[Following], *, last: bool
) -> Flow[set[UUID]]:
    endings: list[tuple[UUID, int, Ending, Attempted]] = []
    again: list[tuple[UUID, int, Requeue, Attempted]] = []
    put_off: list[tuple[UUID, int, Defer]] = []
    freed: list[tuple[UUID, int]] = []
    for each, what in zip(closings, following, strict=True):
        key = (each.claim.id, each.claim.token)
        if isinstance(what, Ending):
            endings.append((*key, what, _attempted(each)))
        elif isinstance(what, Requeue):
            again.append((*key, what, _attempted(each)))
        elif isinstance(what, Defer):
            put_off.append((*key, what))
        else:
            freed.append(key)
    ours: set[UUID] = set()
    if endings:
        ours |= yield from executions.end_many(now, worker, endings, last=last)
    if again:
        ours |= yield from executions.requeue_many(now, worker, again)
    if put_off and worker is not None:
        ours |= yield from executions.defer_many(now, worker, put_off)
    if freed and worker is not None:
        ours |= yield from executions.hand_back(worker, freed)
    return ours


def _attempted(closing: Closing) -> Attempted:
    came = closing.came
    if isinstance(came, (Accepted, Rejected, Unknown)):
        outcome, kind = attempt_outcome(came)
        told = closing.response if closing.response is not None else _told(came)
        return Attempted(
            outcome,
            kind,
            came.provider_message_id if isinstance(came, Accepted) else None,
            enrollments.dumps(told) if told else None,
        )
    if isinstance(came, Decided):
        return Attempted(message_id=came.provider_message_id)
    return Attempted()


def _told(came: Accepted | Rejected | Unknown) -> Mapping[str, Any]:
    return came.meta if isinstance(came, Accepted) else came.detail


def _suppress(
    now: datetime, closings: Sequence[Closing], following: Sequence[Following], ours: set[UUID]
) -> Flow[None]:
    fresh: list[Fresh] = []
    for each, what in zip(closings, following, strict=True):
        if not isinstance(what, (Ending, Requeue)) or what.suppress is None or each.recipient is None:
            continue
        if each.claim.id in ours:
            channel, address = each.recipient
            told = {"execution_id": str(each.claim.id)}
            fresh.append(Fresh(each.claim.tenant, channel, address, address, what.suppress, "provider", metadata=told))
    if fresh:
        yield from suppressions.add_many(now, fresh)


__all__ = ["Closed", "Closing", "Free", "Opened", "Opening", "Refused", "Stale", "close", "open"]
