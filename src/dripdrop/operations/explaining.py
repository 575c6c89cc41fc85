"""Why was this sent, or not, and when will it be?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from dripdrop.errors import Invalid, NotFound
from dripdrop.operations import standing, telling
from dripdrop.operations.standing import Facts
from dripdrop.operations.subscribers import Subscriber, who
from dripdrop.rules.recipients import normalize
from dripdrop.store import journal, reports, stops, suppressions
from dripdrop.store.enrollments import Enrollment
from dripdrop.store.flow import Flow, Row
from dripdrop.store.journal import Line
from dripdrop.store.reports import Execution
from dripdrop.store.scope import Scope
from dripdrop.store.suppressions import Suppression

LONGEST = 500
_OUTCOMES = frozenset(("sent", "retry", "failed", "unknown", "resolved", "skipped", "cancelled"))
_FIELDS = {"email": ("email",), "sms": ("phone",), "whatsapp": ("phone",)}


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing that happened. `reason` is a clause in plain words; `detail` holds no address and no content."""

    at: datetime
    event: str
    reason: str | None
    detail: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Explanation:
    """`sentence` answers; `next_at` is when it goes on by itself; `release` says what would have to change for more."""

    sentence: str
    state: str
    next_at: datetime | None = None
    release: str | None = None
    entries: tuple[Entry, ...] = ()


def explain(
    now: datetime,
    scope: Scope,
    *,
    enrollment: UUID | Enrollment | None = None,
    execution: UUID | None = None,
    subscriber: Subscriber | None = None,
    sequence: str | None = None,
) -> Flow[Explanation]:
    """The standing of an enrollment, of one execution, or of a subscriber (in a sequence, by key): exactly one of them.

    A subscriber who was never enrolled is an answer, not an error. Raises `NotFound` for an id that is not there.
    """
    if sum(each is not None for each in (enrollment, execution, subscriber)) != 1:
        raise Invalid(
            "One thing can be explained at a time.", cure="Name an enrollment, execution or subscriber.", code="subject"
        )
    wanted = enrollment.id if isinstance(enrollment, Enrollment) else enrollment
    if subscriber is not None:
        wanted = yield from reports.enrollment_of_subscriber(scope, who(subscriber), sequence)
        if wanted is None:
            return _stranger(who(subscriber), sequence)
    if execution is not None:
        wanted = yield from reports.enrollment_of_execution(scope, execution)
    facts = None if wanted is None else (yield from _facts(now, scope, wanted))
    if facts is None:
        noun, given = ("execution", execution) if execution is not None else ("enrollment", wanted)
        raise NotFound(f"There is no {noun} {given}.", cure=f"See: dripdrop {noun}s")
    return _of_enrollment(facts) if execution is None else (yield from _of_execution(facts, scope, execution))


def _facts(now: datetime, scope: Scope, enrollment_id: UUID) -> Flow[Facts | None]:
    row = yield from reports.standing(scope, enrollment_id)
    if row is None:
        return None
    live = yield from reports.live(scope, enrollment_id)
    lines = yield from journal.of_enrollment(scope, enrollment_id, limit=LONGEST)
    attempts = yield from reports.attempts_of(scope, enrollment_id)
    if len(lines) == LONGEST:
        attempts = [each for each in attempts if each["started_at"] >= lines[0].at]
    stop = suppression = None
    if live:
        stop = stops.holding(
            (yield from stops.in_force()),
            row["tenant_key"],
            sequence_id=row["sequence_id"],
            adapter_id=live[0]["adapter_id"],
        )
        suppression = yield from _suppression(now, scope, row, live[0], attempts)
    person = telling.person(row["subscriber_type"], row["subscriber_id"], row["data"])
    return Facts(now, row, person, live, lines, attempts, stop, suppression)


def _suppression(now: datetime, scope: Scope, row: Row, live: Row, attempts: Sequence[Row]) -> Flow[Suppression | None]:
    """What blocks the address that the pending message would go to, as far as one can tell before rendering."""
    data = row["data"] or {}
    channel = live["channel"]
    tried = next((each["recipient"] for each in reversed(attempts) if each["execution_id"] == live["id"]), None)
    address = tried or next((data[key] for key in _FIELDS.get(channel, ()) if isinstance(data.get(key), str)), None)
    if not address:
        return None
    topic = str((row["config"] or {}).get("topic") or "")
    asked = suppressions.Asked(scope.tenant, channel, normalize(channel, address), topic)
    return (yield from suppressions.lookup(now, [asked])).get(0)


def _of_enrollment(facts: Facts) -> Explanation:
    found = standing.of_enrollment(facts)
    said = "; ".join(filter(None, (standing.latest(facts.lines), found.clause)))
    sentence = f"{facts.person} {found.head}" + (f": {said}." if said else ".")
    entries = _entries(facts.lines, facts.attempts)
    return Explanation(sentence, facts.enrollment["state"], found.next_at, found.release, entries)


def _of_execution(facts: Facts, scope: Scope, execution_id: UUID) -> Flow[Explanation]:
    lines = [line for line in facts.lines if line.execution_id == execution_id]
    entries = _entries(lines, [each for each in facts.attempts if each["execution_id"] == execution_id])
    live = next((each for each in facts.live if each["id"] == execution_id), None)
    if live is None:
        found = yield from reports.executions(scope, ids=[execution_id], limit=1)
        return _ended(facts, found[0], entries)
    if live["kind"] != "replay" and facts.enrollment["state"] != "active":
        stands = standing.of_enrollment(facts)
        clause, next_at, release = f"{stands.head}: {stands.clause}", None, stands.release
        return Explanation(f"{facts.person} {clause}.", live["state"], next_at, release, entries)
    stands = standing.of_execution(facts, live)
    sentence = f"For {facts.person} in {facts.enrollment['sequence']}, {stands.clause}."
    return Explanation(sentence, live["state"], stands.next_at, stands.release, entries)


def _ended(facts: Facts, one: Execution, entries: tuple[Entry, ...]) -> Explanation:
    calls = len(one.attempts)
    why = telling.because(standing.last_reasons(facts.lines, one.id)) or telling.because([{"code": one.reason or ""}])
    sentence = (
        f"{one.step} for {facts.person} in {one.sequence} {'failed' if one.state == 'failed' else f'was {one.state}'}"
        f" on {telling.moment(one.ended_at)}"
        + (f" after {calls} attempts" if calls > 1 else "")
        + (f" because {why}" if why and one.state != "sent" else "")
        + "."
        + (f" The provider reports: {one.delivery_status}." if one.delivery_status not in (None, "accepted") else "")
    )
    release = None if one.state == "sent" else f"To send it all the same: dripdrop executions replay {one.id}"
    return Explanation(sentence, one.state, None, release, entries)


def _entries(lines: Sequence[Line], attempts: Sequence[Row]) -> tuple[Entry, ...]:
    """The journal in its order; each call to a provider stands before the line that records what came of it."""
    waiting = list(attempts)
    entries: list[Entry] = []
    for line in lines:
        if line.event in _OUTCOMES:
            done = [each for each in waiting if each["execution_id"] == line.execution_id and _over(each, line)]
            entries += [_attempt(each) for each in done]
            waiting = [each for each in waiting if each not in done]
        entries.append(_entry(line))
    return (*entries, *(_attempt(each) for each in waiting))


def _over(attempt: Row, line: Line) -> bool:
    return bool(attempt["started_at"] <= line.at)


def _entry(line: Line) -> Entry:
    detail: dict[str, Any] = {
        "step": line.step,
        "execution": None if line.execution_id is None else str(line.execution_id),
        "from": line.from_state,
        "to": line.to_state,
        "reasons": [dict(reason) for reason in line.reasons],
        "said": telling.happened(line.event, line.step, line.times),
    }
    if line.times > 1:
        detail |= {"times": line.times, "last_at": line.last_at}
    why = telling.because(line.reasons) or telling.chosen(line.reasons)
    return Entry(line.at, line.event, why or None, detail)


def _attempt(row: Row) -> Entry:
    detail = {key: row[key] for key in ("number", "outcome", "error_class", "adapter")}
    return Entry(row["started_at"], "attempt", row["error_class"], {**detail, "execution": str(row["execution_id"])})


def _stranger(subscriber: tuple[str, str], sequence: str | None) -> Explanation:
    where = f"in {sequence}" if sequence else "in any sequence"
    return Explanation(
        f"{subscriber[0]} {subscriber[1]} was never enrolled {where}, so nothing is or was sent.",
        "not_enrolled",
        release=f"Enroll: dripdrop enroll {sequence or 'SEQUENCE'} --type {subscriber[0]} --id {subscriber[1]}",
    )
