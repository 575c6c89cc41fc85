"""What was told of which message, and what does that touch?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson

from dripdrop.rules.threads import Candidate
from dripdrop.store.enrollments import dumps
from dripdrop.store.flow import Flow, Row
from dripdrop.store.scope import Scope
from dripdrop.store.statements import Statements

SQL = Statements("feedback")


@dataclass(frozen=True, slots=True)
class Sought:
    """An event whose execution is looked for: through this adapter, by its candidates, best first."""

    nth: int
    adapter: UUID
    tenant: str
    candidates: Sequence[Candidate]
    opens: bool = False


@dataclass(frozen=True, slots=True)
class Spoke:
    """Somebody who wrote to this adapter at that moment, quoting nothing; the address as `normalize` spells it."""

    nth: int
    adapter: UUID
    tenant: str
    channel: str
    address: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Note:
    """A row of message_events about to be written, once for each (adapter, key)."""

    nth: int
    adapter: UUID
    key: str
    tenant: str
    execution: UUID | None
    channel: str
    provider: str
    type: str
    occurred_at: datetime
    provider_message_id: str | None = None
    provider_event_id: str | None = None
    data: Mapping[str, Any] | None = None
    in_reply_to: str | None = None
    references: Sequence[str] = ()


def correlate(sought: Sequence[Sought]) -> Flow[dict[int, Row]]:
    """What each event speaks of, by its number: the execution with all that the effects ask for."""
    ways = [(one, rank, each) for one in sought for rank, each in enumerate(one.candidates)]
    if not ways:
        return {}
    rows = yield from SQL.all(
        "correlate",
        nth=[one.nth for one, _, _ in ways],
        ranks=[rank for _, rank, _ in ways],
        executions=[each.execution for _, _, each in ways],
        keys=[each.key for _, _, each in ways],
        adapters=[one.adapter for one, _, _ in ways],
        tenants=[one.tenant for one, _, _ in ways],
        opens=[one.nth for one in sought if one.opens],
    )
    return {row["nth"]: row for row in rows}


def answered(spoke: Sequence[Spoke]) -> Flow[dict[int, list[UUID]]]:
    """What each was sent last, by their number: an execution for each person at the address, newest first."""
    rows = yield from SQL.all(
        "answered",
        nth=[each.nth for each in spoke],
        adapters=[each.adapter for each in spoke],
        tenants=[each.tenant for each in spoke],
        channels=[each.channel for each in spoke],
        recipients=[each.address for each in spoke],
        moments=[each.at for each in spoke],
    )
    found: dict[int, list[UUID]] = {}
    for row in rows:
        found.setdefault(row["nth"], []).append(row["execution_id"])
    return found


def take_in(now: datetime, notes: Sequence[Note]) -> Flow[set[int]]:
    """Write down what is new; the numbers of what was."""
    if not notes:
        return set()
    rows = yield from SQL.all(
        "take_in",
        now=now,
        nth=[each.nth for each in notes],
        adapters=[each.adapter for each in notes],
        keys=[each.key for each in notes],
        tenants=[each.tenant for each in notes],
        executions=[each.execution for each in notes],
        channels=[each.channel for each in notes],
        providers=[each.provider for each in notes],
        message_ids=[each.provider_message_id for each in notes],
        event_ids=[each.provider_event_id for each in notes],
        types=[each.type for each in notes],
        data=[dumps(each.data or {}) for each in notes],
        in_reply_to=[each.in_reply_to for each in notes],
        refs=[orjson.dumps(list(each.references)).decode() if each.references else None for each in notes],
        occurred=[each.occurred_at for each in notes],
    )
    return {row["nth"] for row in rows}


def others_of(people: Sequence[tuple[str, str, str, str]]) -> Flow[list[Row]]:
    """Live marketing enrollments of these (tenant, type, id, channel) that have no other channel: id, tenant_key."""
    return (
        yield from SQL.all(
            "others_of",
            tenants=[each[0] for each in people],
            types=[each[1] for each in people],
            subscribers=[each[2] for each in people],
            channels=[each[3] for each in people],
        )
    )


def put_off_path(
    now: datetime, scope: Scope, enrollment: UUID, until: datetime, reasons: Sequence[Mapping[str, Any]]
) -> Flow[bool]:
    """Let what is scheduled wait for a moment; False where nothing had to be moved."""
    moved = yield from SQL.one(
        "put_off_path", now=now, tenant=scope.tenant, enrollment=enrollment, until=until, reasons=dumps(list(reasons))
    )
    return moved is not None


def prove(proofs: Sequence[tuple[UUID, str, str | None, datetime]]) -> Flow[None]:
    """Keep that a provider had these executions' messages: (execution, event type, its message id, when)."""
    yield from SQL.run(
        "prove",
        ids=[each[0] for each in proofs],
        types=[each[1] for each in proofs],
        message_ids=[each[2] for each in proofs],
        occurred=[each[3] for each in proofs],
    )


def proven(limit: int) -> Flow[list[Row]]:
    """Executions in doubt whose doubt is settled: execution_id, tenant_key, event_type, provider_message_id."""
    return (yield from SQL.all("proven", limit=limit))


def drop_proofs() -> Flow[None]:
    """Forget proofs of what has ended."""
    yield from SQL.run("drop_proofs")
