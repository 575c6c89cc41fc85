"""What has been stopped, and by whom?"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from dripdrop.store.flow import Flow, Row
from dripdrop.store.scope import Scope
from dripdrop.store.statements import Statements

SQL = Statements("stops")


@dataclass(frozen=True, slots=True)
class Stop:
    """A switch that holds back sends. `kind` is all, tenant, sequence or adapter; the last two name a `target_id`.

    `tenant_key` is whose messages it concerns; '' means everybody's.
    """

    id: UUID
    tenant_key: str
    kind: str
    target_id: UUID | None
    reason: str | None
    at: datetime

    def concerns(self, tenant: str, *, sequence_id: UUID | None = None, adapter_id: UUID | None = None) -> bool:
        """Whether a message of this tenant, sequence and adapter is held back by it."""
        if self.tenant_key not in ("", tenant):
            return False
        if self.kind in ("all", "tenant"):
            return True
        return self.target_id is not None and self.target_id == (sequence_id if self.kind == "sequence" else adapter_id)


def in_force() -> Flow[list[Stop]]:
    """For the worker: every stop of every tenant, oldest first."""
    rows = yield from SQL.all("in_force")
    return [from_row(row) for row in rows]


def holding(
    stops: Iterable[Stop], tenant: str, *, sequence_id: UUID | None = None, adapter_id: UUID | None = None
) -> Stop | None:
    """The first stop that holds this message back, or None."""
    return next((each for each in stops if each.concerns(tenant, sequence_id=sequence_id, adapter_id=adapter_id)), None)


def add(now: datetime, tenant: str, kind: str, target: UUID | None, reason: str | None) -> Flow[Stop]:
    """Set a stop; where it is set already, only a given reason is written."""
    rows = yield from SQL.all("add", now=now, tenant=tenant, kind=kind, target=target, reason=reason)
    return from_row(rows[0])


def remove(tenant: str, kind: str, target: UUID | None) -> Flow[Stop | None]:
    """Lift a stop; None where there was none."""
    row = yield from SQL.one("remove", tenant=tenant, kind=kind, target=target)
    return from_row(row) if row else None


def listed(scope: Scope) -> Flow[list[Stop]]:
    """The stops that concern the scope, oldest first."""
    rows = yield from SQL.all("list", tenant=scope.tenant)
    return [from_row(row) for row in rows]


def from_row(row: Row) -> Stop:
    return Stop(row.id, row.tenant_key, row.target_kind, row.target_id, row.reason, row.inserted_at)
