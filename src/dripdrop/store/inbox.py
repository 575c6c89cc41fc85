"""What did providers post to us, what became of it, and which calls is the host owed for it?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from dripdrop.store.enrollments import dumps
from dripdrop.store.flow import Flow, Row
from dripdrop.store.scope import Scope
from dripdrop.store.statements import Statements

SQL = Statements("inbox")
STATES = ("stored", "processed", "ignored", "failed")


@dataclass(frozen=True, slots=True)
class Request:
    """A request as it was stored. `retries` counts how often it was taken up; headers and body only where asked for."""

    id: UUID
    tenant_key: str
    adapter_id: UUID | None
    provider: str
    state: str
    reason: str | None
    retries: int
    due_at: datetime | None
    received_at: datetime
    processed_at: datetime | None
    size: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What becomes of a stored request: `stored` again, to be taken up at `due_at`, or an end."""

    id: UUID
    retries: int
    state: str
    reason: str | None = None
    due_at: datetime | None = None


def spend(now: datetime, adapter: UUID, keys: Sequence[str]) -> Flow[set[str]]:
    """Use keys up that hold only once; gives those that were still unused."""
    rows = yield from SQL.all("spend", now=now, adapter=adapter, keys=list(keys))
    return {row["event_key"] for row in rows}


def spent(adapter: UUID, keys: Sequence[str]) -> Flow[set[str]]:
    """Which of these keys have been used."""
    rows = yield from SQL.all("spent", adapter=adapter, keys=list(keys))
    return {row["event_key"] for row in rows}


def store(
    now: datetime, tenant: str, adapter: UUID, provider: str, headers: Mapping[str, str], body: bytes
) -> Flow[UUID]:
    """Keep a verified request; it is due at once."""
    rows = yield from SQL.all(
        "store",
        last=True,
        now=now,
        tenant=tenant,
        adapter=adapter,
        provider=provider,
        headers=dumps(headers),
        body=body,
    )
    return rows[0]["id"]  # type: ignore[no-any-return]


def claim(now: datetime, limit: int, most: int) -> Flow[list[Row]]:
    """Take up what is due, with the adapter's channel; after `most` times a row is failed instead, and says so."""
    return (yield from SQL.all("claim", last=True, now=now, limit=limit, most=most))


def finish(now: datetime, verdicts: Sequence[Verdict]) -> Flow[None]:
    """Write what became of each, unless somebody else has taken it up meanwhile."""
    yield from SQL.run(
        "finish",
        last=True,
        now=now,
        ids=[each.id for each in verdicts],
        retries=[each.retries for each in verdicts],
        states=[each.state for each in verdicts],
        reasons=[each.reason for each in verdicts],
        due_at=[each.due_at for each in verdicts],
    )


def listed(scope: Scope, *, state: str | None, limit: int, after: UUID | None) -> Flow[list[Request]]:
    """The scope's own, newest first, without bodies."""
    rows = yield from SQL.all("list", tenant=scope.tenant, state=state, limit=limit, after=after)
    return [Request(**row) for row in rows]


def get(scope: Scope, request: UUID) -> Flow[Request | None]:
    """One request, headers and body and all."""
    row = yield from SQL.one("get", id=request, tenant=scope.tenant)
    return Request(**{**row, "body": bytes(row["body"])}) if row else None


def replay(now: datetime, scope: Scope, request: UUID) -> Flow[bool]:
    """Have a request processed once more, whatever became of it; False where there is none."""
    return (yield from SQL.one("replay", now=now, id=request, tenant=scope.tenant)) is not None


def prune_requests(before: datetime, limit: int) -> Flow[int]:
    """Forget requests that came in earlier and are done with; how many went."""
    return len((yield from SQL.all("prune_requests", before=before, limit=limit)))


def prune_seen(before: datetime, limit: int) -> Flow[int]:
    """Forget which events came earlier; how many went."""
    return len((yield from SQL.all("prune_seen", before=before, limit=limit)))


def next_due(after: datetime) -> Flow[datetime | None]:
    """When the next stored request or owed call is due after a moment."""
    row = yield from SQL.one("next_due", after=after)
    return row["at"] if row else None


def owe(now: datetime, calls: Sequence[tuple[str, str, Mapping[str, Any]]]) -> Flow[None]:
    """Write down calls to the host: (tenant, name, payload) each."""
    yield from SQL.run(
        "owe",
        now=now,
        tenants=[each[0] for each in calls],
        names=[each[1] for each in calls],
        payloads=[dumps(each[2]) for each in calls],
    )


def claim_calls(now: datetime, names: Sequence[str], limit: int, most: int) -> Flow[list[Row]]:
    """Take up calls that are owed; after `most` times a row is failed instead, and says so."""
    return (yield from SQL.all("claim_calls", last=True, now=now, names=list(names), limit=limit, most=most))


def called(calls: Sequence[UUID]) -> Flow[None]:
    """These were made."""
    yield from SQL.run("called", ids=list(calls))


def not_called(call: UUID, reason: str) -> Flow[None]:
    """This one failed; it is made again when it is due."""
    yield from SQL.run("not_called", id=call, reason=reason)
