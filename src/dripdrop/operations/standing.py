"""How does an enrollment stand, said in plain words: what is next, and what holds it?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from dripdrop.operations import telling
from dripdrop.store.flow import Row
from dripdrop.store.journal import Line
from dripdrop.store.stops import Stop
from dripdrop.store.suppressions import Suppression


@dataclass(frozen=True, slots=True)
class Facts:
    """What an explanation is made from; `pending` is the path's own row of the queue, `live` holds replays too."""

    now: datetime
    enrollment: Row
    person: str
    live: Sequence[Row]
    lines: Sequence[Line]
    attempts: Sequence[Row]
    stop: Stop | None = None
    suppression: Suppression | None = None

    @property
    def pending(self) -> Row | None:
        return next((each for each in self.live if each["kind"] != "replay"), None)


@dataclass(frozen=True, slots=True)
class Standing:
    """`clause` says what is pending, `next_at` when it goes on by itself, `release` what else would have to change."""

    clause: str = ""
    next_at: datetime | None = None
    release: str | None = None
    head: str = ""


def of_enrollment(facts: Facts) -> Standing:
    """Where the person stands (`head`, such as `is active in onboarding`) and what is pending."""
    row, live = facts.enrollment, facts.pending
    sequence = row["sequence"]
    match row["state"]:
        case "completed":
            return Standing(head=f"completed {sequence} on {telling.moment(row['completed_at'])}", release=_again(row))
        case "cancelled":
            why = telling.because([{"code": row["reason"]}]) if row["reason"] else ""
            head = f"left {sequence} on {telling.moment(row['cancelled_at'])}" + (f" because {why}" if why else "")
            still = f"{live['step']} was on its way and is still being settled" if live else ""
            return Standing(still, head=head, release=_again(row))
        case "paused":
            return _paused(facts)
    head = f"is active in {sequence}"
    if live is None:
        cure = f"Move it to a step (dripdrop move {row['id']} --step KEY) or end it (dripdrop unenroll {row['id']})"
        return Standing("nothing is pending", release=cure, head=head)
    found = of_execution(facts, live)
    return Standing(found.clause, found.next_at, found.release, head)


def of_execution(facts: Facts, live: Row) -> Standing:
    """What a row of the queue waits for."""
    step, due = live["step"] or "the next step", live["due_at"]
    match live["state"]:
        case "claiming" | "sending":
            return Standing(f"{step} is on its way now")
        case "unknown":
            return _unknown(facts, live, step)
        case "failed":
            why = telling.because(last_reasons(facts.lines, live["id"]))
            said = f"{step} failed" + (f" because {why}" if why else "") + " and waits for a person"
            return Standing(said, release=f"Mend the cause, then: {_resolve(live, 'resend|drop')}")
        case "waiting":
            said = f"{step} waits for {_event(live)}"
            if due and due <= facts.now:
                return Standing(f"{said}, whose time is over", due)
            return Standing(f"{said}, until {telling.moment(due)} at the latest" if due else said, due, _happen(live))
    if live["kind"] == "advance":
        where = f"after {live['step']}, the way on" if live["step"] else "the way in"
        return Standing(f"{where} is being chosen{_put_off(facts.lines, live['id'])}", due)
    return _scheduled(facts, live, step, due)


def latest(lines: Sequence[Line]) -> str:
    """The last message that came to an end, as a clause; '' where none has."""
    line = next((each for each in reversed(lines) if each.event in ("sent", "skipped", "failed") and each.step), None)
    if line is None:
        return ""
    why = telling.because(line.reasons) if line.event != "sent" else ""
    return f"{telling.happened(line.event, line.step)} on {telling.moment(line.at)}" + (
        f" because {why}" if why else ""
    )


def last_reasons(lines: Sequence[Line], execution_id: UUID) -> Sequence[Mapping[str, Any]]:
    """The reasons of the last line about an execution."""
    return next((line.reasons for line in reversed(lines) if line.execution_id == execution_id), ())


def _paused(facts: Facts) -> Standing:
    row, live = facts.enrollment, facts.pending
    line = next((each for each in reversed(facts.lines) if each.event == "paused"), None)
    why = telling.because(line.reasons) if line else ""
    since = f" since {telling.moment(line.at)}" if line else ""
    clause = ""
    if live is not None and live["state"] in ("scheduled", "waiting"):
        left = row["remaining"]
        held = live["step"] or "the way in"
        clause = f"{held} is held" + (f" with {telling.span(left)} left" if left is not None else "")
    elif live is not None:
        clause = of_execution(facts, live).clause
    head = f"is paused in {row['sequence']}{since}" + (f" because {why}" if why else "")
    return Standing(clause, None, f"Resume it: dripdrop resume {row['id']}", head)


def _scheduled(facts: Facts, live: Row, step: str, due: datetime | None) -> Standing:
    late = due is not None and due <= facts.now
    said = f"next is {step}, " + (f"due {'since ' * late}{telling.moment(due)}" if due else "with no time set")
    if (stop := facts.stop) is not None:
        why = f" ({stop.reason})" if stop.reason else ""
        return Standing(f"{said}, but {_stopped(stop)} is stopped{why}", None, _lift(stop))
    if (blocked := facts.suppression) is not None:
        cure = "The person would have to ask for it, or the address would have to change"
        if blocked.reason == "manual":
            cure = f"Lift it: dripdrop suppressions lift {blocked.channel} ADDRESS"
        said = f"{said}, but will be skipped: the recipient is suppressed ({blocked.reason})"
        return Standing(said, due, cure)
    return Standing(said + _put_off(facts.lines, live["id"]), due, None if due else "Move it to a step, or unenroll it")


def _unknown(facts: Facts, live: Row, step: str) -> Standing:
    attempt = next((each for each in reversed(facts.attempts) if each["execution_id"] == live["id"]), None)
    at = f" at {telling.moment(attempt['started_at'])}" if attempt else ""
    said = f"{step} may have been sent{at}: the provider gave no clear answer"
    settle = _resolve(live, "sent|resend|drop")
    if due := live["due_at"]:
        return Standing(f"{said} and is asked again at {telling.moment(due)}", due, f"Or settle it: {settle}")
    return Standing(
        f"{said}, and it is held so that nothing goes out twice", None, f"Find out what became of it, then: {settle}"
    )


def _put_off(lines: Sequence[Line], execution_id: UUID) -> str:
    line = next((each for each in reversed(lines) if each.execution_id == execution_id), None)
    if line is None or line.event not in ("deferred", "retry"):
        return ""
    why = telling.because(line.reasons)
    times = f" {line.times} times" if line.times > 1 else ""
    verb = "to be tried again" if line.event == "retry" else f"put off{times}"
    return f" ({verb} because {why})" if why else f" ({verb})"


def _resolve(live: Row, ways: str) -> str:
    return f"dripdrop executions resolve {live['id']} --as {ways}"


def _event(live: Row) -> str:
    name = (live["timing"] or {}).get("trigger_event")
    return f"the event {name}" if name else "its event"


def _happen(live: Row) -> str:
    return f"Track {_event(live)} for this person"


def _again(row: Row) -> str:
    return f"To go through {row['sequence']} again: enroll anew, where re-entry is allowed"


def _stopped(stop: Stop) -> str:
    return {
        "all": "everything of this tenant" if stop.tenant_key else "everything",
        "tenant": "this tenant",
        "sequence": "the sequence",
        "adapter": "its adapter",
    }[stop.kind]


def _lift(stop: Stop) -> str:
    ways = {"all": "--everything", "tenant": f"--tenant-key {stop.tenant_key}"}
    return f"Lift the stop: dripdrop go {ways.get(stop.kind) or f'--{stop.kind} {stop.target_id}'}"
