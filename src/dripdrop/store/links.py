"""Which short links are there, and where do they lead?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson

from dripdrop.store.flow import Flow
from dripdrop.store.scope import Scope
from dripdrop.store.statements import Statements

SQL = Statements("links")


@dataclass(frozen=True, slots=True)
class Fresh:
    """A short link about to be kept, under the key that finds it again."""

    key: str
    original: str
    destination: str
    short_url: str
    external_id: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)


def found(scope: Scope, keys: Sequence[str]) -> Flow[dict[str, str]]:
    """The short URLs of those keys that have one."""
    rows = yield from SQL.all("found", tenant=scope.tenant, keys=list(keys))
    return {row.idempotency_key: row.short_url for row in rows}


def keep(
    now: datetime, scope: Scope, execution: UUID | None, provider: str, links: Sequence[Fresh]
) -> Flow[dict[str, str]]:
    """Keep them; the short URLs of those that were kept, by key."""
    rows = yield from SQL.all(
        "keep",
        now=now,
        tenant=scope.tenant,
        execution=execution,
        provider=provider,
        keys=[each.key for each in links],
        originals=[each.original for each in links],
        destinations=[each.destination for each in links],
        shorts=[each.short_url for each in links],
        externals=[each.external_id for each in links],
        metadata=[orjson.dumps(dict(each.metadata), default=str).decode() for each in links],
    )
    return {row.idempotency_key: row.short_url for row in rows}


def follow(now: datetime, code: str, agent: str, counted: bool) -> Flow[str | None]:
    """For whoever has the code: where it leads, or None. A click that is `counted` becomes a message event."""
    row = yield from SQL.one("follow", now=now, code=code, agent=agent, counted=counted)
    return row.destination_url if row else None
