"""Who must not be written to, and why?"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import orjson

from dripdrop.store.flow import Flow, Row
from dripdrop.store.scope import Scope
from dripdrop.store.statements import Statements

SQL = Statements("suppressions")

# Weakest first, as the enum in the database: a stronger reason is never written over by a weaker one.
REASONS = ("manual", "provider_block", "unsubscribe", "bounce", "complaint")


@dataclass(frozen=True, slots=True)
class Suppression:
    """One recipient who must not be written to. `topic` '' means every topic; `expires_at` None means for good."""

    id: UUID
    tenant_key: str
    channel: str
    recipient: str
    recipient_normalized: str
    topic: str
    reason: str
    source: str | None
    expires_at: datetime | None
    metadata: Mapping[str, Any]
    inserted_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class Fresh:
    """A suppression about to be written; `normalized` as `rules.recipients.normalize` gives it.

    `occurred_at` is when its cause came about; None is now.
    """

    tenant: str
    channel: str
    recipient: str
    normalized: str
    reason: str
    source: str | None = None
    topic: str = ""
    expires_at: datetime | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    occurred_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Wish:
    """Somebody wants to be written to again; `normalized` as above."""

    tenant: str
    channel: str
    normalized: str
    occurred_at: datetime
    topic: str = ""
    source: str | None = None


@dataclass(frozen=True, slots=True)
class Change:
    """How a suppression came or went: `action` is added, lifted or resubscribed, `reason` the suppression's."""

    id: UUID
    tenant_key: str
    channel: str
    recipient_normalized: str
    topic: str
    action: str
    reason: str | None
    source: str | None
    occurred_at: datetime
    inserted_at: datetime


class Asked(NamedTuple):
    """May this recipient be written to?  `normalized` as above; `topic` is the sequence's, '' where it has none."""

    tenant: str
    channel: str
    normalized: str
    topic: str = ""


def add_many(now: datetime, rows: Sequence[Fresh]) -> Flow[list[Suppression]]:
    """Write any number in one statement; gives what now stands for each key, once, in the order of the keys."""
    if not rows:
        return []
    found = yield from SQL.all(
        "add_many",
        now=now,
        tenants=[row.tenant for row in rows],
        channels=[row.channel for row in rows],
        recipients=[row.recipient for row in rows],
        normalized=[row.normalized for row in rows],
        topics=[row.topic for row in rows],
        reasons=[row.reason for row in rows],
        sources=[row.source for row in rows],
        expires=[row.expires_at for row in rows],
        metadata=[orjson.dumps(dict(row.metadata)).decode() for row in rows],
        occurred=[row.occurred_at for row in rows],
    )
    return [from_row(row) for row in found]


def lookup(now: datetime, asked: Sequence[Asked], *, last: bool = False) -> Flow[dict[int, Suppression]]:
    """What blocks each of those asked: position in the list -> the strongest suppression; nobody else is in it."""
    if not asked:
        return {}
    rows = yield from SQL.all(
        "lookup",
        last=last,
        now=now,
        tenants=[each.tenant for each in asked],
        channels=[each.channel for each in asked],
        normalized=[each.normalized for each in asked],
        topics=[each.topic for each in asked],
    )
    return {row.pop("ordinal"): from_row(row) for row in rows}


def listed(
    now: datetime,
    scope: Scope,
    *,
    channel: str | None,
    normalized: str | None,
    reason: str | None,
    expired: bool,
    limit: int,
    after: UUID | None,
) -> Flow[list[Suppression]]:
    """The scope's own and the global ones, newest first; `after` is the last id of the page before."""
    rows = yield from SQL.all(
        "list",
        now=now,
        tenant=scope.tenant,
        channel=channel,
        normalized=normalized,
        reason=reason,
        expired=expired,
        limit=limit,
        after=after,
    )
    return [from_row(row) for row in rows]


def page(now: datetime, scope: Scope, *, after: tuple[str, str, str] | None, limit: int) -> Flow[list[Suppression]]:
    """The scope's own that hold, in the order of their keys; `after` is (channel, normalized, topic)."""
    channel, normalized, topic = after or ("", "", "")
    rows = yield from SQL.all(
        "page", now=now, tenant=scope.tenant, channel=channel, normalized=normalized, topic=topic, limit=limit
    )
    return [from_row(row) for row in rows]


def lift(
    now: datetime, scope: Scope, channel: str, normalized: str, topic: str, source: str | None
) -> Flow[Suppression | None]:
    """Take away the scope's own row; gives it back, or None where there was none."""
    row = yield from SQL.one(
        "lift", now=now, tenant=scope.tenant, channel=channel, normalized=normalized, topic=topic, source=source
    )
    return from_row(row) if row else None


def resubscribe(now: datetime, wishes: Sequence[Wish]) -> Flow[list[Row]]:
    """Take back what unsubscribing set before; the keys (tenant_key, channel, ...) of what is gone."""
    return (
        yield from SQL.all(
            "resubscribe",
            now=now,
            tenants=[each.tenant for each in wishes],
            channels=[each.channel for each in wishes],
            normalized=[each.normalized for each in wishes],
            topics=[each.topic for each in wishes],
            sources=[each.source for each in wishes],
            occurred=[each.occurred_at for each in wishes],
        )
    )


def history(scope: Scope, channel: str, normalized: str, *, limit: int, after: UUID | None) -> Flow[list[Change]]:
    """How this recipient's suppressions came and went, newest first: the scope's own and the global ones."""
    rows = yield from SQL.all(
        "history", tenant=scope.tenant, channel=channel, normalized=normalized, limit=limit, after=after
    )
    return [Change(**row) for row in rows]


def prune_history(before: datetime, limit: int) -> Flow[int]:
    """Forget what is older of suppressions that are gone; how many lines went."""
    return len((yield from SQL.all("prune_history", before=before, limit=limit)))


def execution(scope: Scope, execution_id: UUID) -> Flow[Row | None]:
    """Of an execution: id, enrollment_id, enrollment_state, subscriber, adapter_id, transactional, topic."""
    return (yield from SQL.one("execution", tenant=scope.tenant, execution=execution_id))


def sequence(sequence_id: UUID) -> Flow[Row | None]:
    """Of a sequence: id, topic."""
    return (yield from SQL.one("sequence", sequence=sequence_id))


def enrolled_as(scope: Scope, sequence_id: UUID, piece: str, *, digits: bool) -> Flow[list[Row]]:
    """Live marketing enrollments that hold a piece of an address (`digits`: of a number): id, subscriber, data."""
    return (yield from SQL.all("enrolled_as", tenant=scope.tenant, sequence=sequence_id, piece=piece, digits=digits))


def note_unsubscribe(
    now: datetime, scope: Scope, execution_id: UUID, adapter_id: UUID | None, channel: str, data: Mapping[str, Any]
) -> Flow[None]:
    """Record the message event, once per execution."""
    yield from SQL.run(
        "note_unsubscribe",
        now=now,
        tenant=scope.tenant,
        execution=execution_id,
        adapter=adapter_id,
        channel=channel,
        data=orjson.dumps(dict(data)).decode(),
    )


def from_row(row: Row) -> Suppression:
    return Suppression(**row)


def strongest(rows: Iterable[Suppression]) -> Suppression | None:
    """The one with the strongest reason."""
    return max(rows, key=lambda row: REASONS.index(row.reason), default=None)
