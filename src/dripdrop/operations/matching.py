"""Which executions do stored requests speak of, and what was new in them?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from dripdrop.operations import consequences, resolving
from dripdrop.operations.consequences import Happened, Policy
from dripdrop.operations.resolving import Proof
from dripdrop.rules import heard as hearing
from dripdrop.rules import humans
from dripdrop.rules.heard import Heard
from dripdrop.rules.threads import Candidate
from dripdrop.store import feedback, inbox
from dripdrop.store.feedback import Note, Sought, Spoke
from dripdrop.store.flow import Flow, Row
from dripdrop.store.inbox import Verdict

FIRST_WAIT = timedelta(seconds=5)
MOST_TRIES = 10
_SEEN_BY_PEOPLE = ("opened", "clicked")


@dataclass(frozen=True, slots=True)
class Taken:
    """A stored request that was taken up, still unread."""

    id: UUID
    tenant: str
    adapter: UUID
    channel: str
    provider: str
    headers: dict[str, str]
    body: bytes = field(repr=False)
    retries: int = 0
    received_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Opened:
    """A request that was read: its events, or the `problem` that keeps it from being read."""

    taken: Taken
    events: Sequence[Heard] = ()
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class Matched:
    """What became of a request: how many of its events were new, known already, or of nobody's message.

    Among the last are messages from people whom nobody wrote to: they are taken in, and listed.
    """

    id: UUID
    state: str
    fresh: int = 0
    duplicates: int = 0
    unmatched: int = 0
    statuses: tuple[str, ...] = ()


def claim(now: datetime, *, limit: int = 100) -> Flow[list[Taken]]:
    """Take up stored requests that are due; one that was taken up too often is failed instead."""
    rows = yield from inbox.claim(now, limit, MOST_TRIES)
    return [
        Taken(
            row["id"],
            row["tenant_key"],
            row["adapter_id"],
            row["channel"] or "",
            row["provider"],
            row["headers"],
            bytes(row["body"]),
            row["retries"],
            row["received_at"],
        )
        for row in rows
        if row["state"] == "stored"
    ]


@dataclass(frozen=True, slots=True)
class Applied:
    """What came of events by their number: new, early (nobody knows their message yet), and what they speak of."""

    numbered: Sequence[tuple[int, Taken, Heard]]
    fresh: set[int]
    early: set[int]
    found: Mapping[int, Row]


def take_in(now: datetime, opened: Sequence[Opened], policy: Policy) -> Flow[list[Matched]]:
    """Everything that these requests tell, with all that follows from it, in one transaction; one result each.

    An event that names a message nobody knows yet waits, and its request is read again: what was taken in of it is then
    known by its key. At the last try what is left counts as told of an address alone.
    """
    applied = yield from apply(now, opened, policy)
    results = list(_results(opened, applied))
    yield from inbox.finish(now, [_verdict(now, each, result) for each, result in zip(opened, results, strict=True)])
    return results


def apply(now: datetime, opened: Sequence[Opened], policy: Policy) -> Flow[Applied]:
    """Match, write down what is new, and carry out what follows from it; the requests themselves stay as they are."""
    numbered = [
        (nth, taken, one)
        for nth, (taken, one) in enumerate((each.taken, one) for each in opened for one in each.events)
    ]
    found = yield from feedback.correlate(
        [
            Sought(nth, taken.adapter, taken.tenant, one.candidates, one.told.status in _SEEN_BY_PEOPLE)
            for nth, taken, one in numbered
        ]
    )
    guessed = yield from _answered(now, [each for each in numbered if each[0] not in found])
    happened = {nth: _happened(now, taken, one, found.get(nth), guessed.get(nth, ())) for nth, taken, one in numbered}
    found = {**found, **{nth: rows[0] for nth, rows in guessed.items()}}
    early = {nth for nth, _, one in numbered if nth not in found and one.waits}
    fresh = yield from feedback.take_in(now, [_note(nth, happened[nth]) for nth in happened if nth not in early])
    left = {nth for nth, taken, _ in numbered if nth in early and taken.retries >= MOST_TRIES}
    yield from consequences.carry_out(now, [happened[nth] for nth in sorted(fresh | left)], policy)
    return Applied(numbered, fresh, early, found)


def _answered(now: datetime, numbered: Sequence[tuple[int, Taken, Heard]]) -> Flow[dict[int, list[Row]]]:
    """What people answer who name no message of ours: what was sent to them last, for each person at their address."""
    spoke: list[Spoke] = []
    for nth, taken, one in numbered:
        address = hearing.speaks_from(one, taken.channel)
        if address is not None:
            spoke.append(Spoke(nth, taken.adapter, taken.tenant, taken.channel, address, taken.received_at or now))
    if not spoke:
        return {}
    sent = yield from feedback.answered(spoke)
    asked = {one.nth: one for one in spoke}
    whose = list(enumerate((nth, execution) for nth, executions in sent.items() for execution in executions))
    rows = yield from feedback.correlate(
        [
            Sought(place, asked[nth].adapter, asked[nth].tenant, [Candidate(execution=execution)])
            for place, (nth, execution) in whose
        ]
    )
    found: dict[int, list[Row]] = {}
    for place, (nth, _) in whose:
        if place in rows:
            found.setdefault(nth, []).append(rows[place])
    return found


def settle(now: datetime, *, limit: int = 100, default_zone: str = "Etc/UTC") -> Flow[int]:
    """End doubts that feedback has settled: the provider had the message, so it was sent, and the path goes on."""
    yield from feedback.drop_proofs()
    proven = yield from feedback.proven(limit)
    proofs = [Proof(row["tenant_key"], row["execution_id"], row["provider_message_id"]) for row in proven]
    return (yield from resolving.confirm(now, proofs, default_zone=default_zone))


def _happened(now: datetime, taken: Taken, one: Heard, about: Row | None, guessed: Sequence[Row] = ()) -> Happened:
    at = one.told.occurred_at or taken.received_at or now
    # A provider's clock may be ahead; what has happened has happened by now.
    at = min(at, now) if at.tzinfo else (taken.received_at or now)
    about = guessed[0] if guessed else about
    # A reply is of whom was written to last; a wish to hear no more, or to hear again, of everybody at the address.
    besides = tuple(guessed[1:]) if one.told.status != "replied" else ()
    tenant = about["tenant_key"] if about else taken.tenant
    return Happened(one, at, tenant, taken.channel or (about["channel"] if about else ""), taken.provider,
                    taken.adapter, about, bool(guessed), besides)  # fmt: skip


def _note(nth: int, event: Happened) -> Note:
    one, message = event.heard, event.heard.message
    return Note(
        nth,
        event.adapter,
        one.key,
        event.tenant,
        event.about["execution_id"] if event.about else None,
        event.channel,
        event.provider,
        one.told.status,
        event.at,
        one.provider_message_id,
        one.provider_event_id,
        hearing.kept(one, _verdict_of(event)),
        message.in_reply_to if message else None,
        message.references if message else (),
    )


def _verdict_of(event: Happened) -> dict[str, Any]:
    if event.told.status not in _SEEN_BY_PEOPLE:
        return {}
    about = event.about
    found = humans.verdict(
        event.told,
        delivered_at=about["delivered_at"] if about else None,
        sent_at=about["sent_at"] if about else None,
    )
    return {"machine": found.machine, "why": list(found.why)}


def _results(opened: Sequence[Opened], applied: Applied) -> Iterator[Matched]:
    mine: dict[UUID, list[tuple[int, Heard]]] = {each.taken.id: [] for each in opened}
    for nth, taken, one in applied.numbered:
        mine[taken.id].append((nth, one))
    for each in opened:
        events = mine[each.taken.id]
        waiting = sum(nth in applied.early for nth, _ in events)
        nobodys = sum(one.message is not None and nth not in applied.found for nth, one in events)
        new = [one.told.status for nth, one in events if nth in applied.fresh]
        state, known = _state(each, waiting), len(events) - len(new) - waiting
        yield Matched(each.taken.id, state, len(new), known, waiting + nobodys, tuple(new))


def _state(opened: Opened, waiting: int) -> str:
    if opened.problem is not None:
        return "failed"
    if waiting:
        return "stored" if opened.taken.retries < MOST_TRIES else "failed"
    return "processed" if opened.events else "ignored"


def _verdict(now: datetime, opened: Opened, result: Matched) -> Verdict:
    taken = opened.taken
    reason = opened.problem or (f"unmatched:{result.unmatched}" if result.unmatched else None)
    again = now + FIRST_WAIT * 2 ** (taken.retries - 1) if result.state == "stored" else None
    return Verdict(taken.id, taken.retries, result.state, reason, again)
