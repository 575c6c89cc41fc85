"""What was decided about an enrollment, when, and because of what?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from dripdrop.store.flow import Flow, Row
from dripdrop.store.scope import Scope
from dripdrop.store.statements import Statements

SQL = Statements("journal")


@dataclass(frozen=True, slots=True)
class Line:
    """One transition: (`seq`, `ordinal`) is its place. `times` and `last_at` tell of a deferral that came again."""

    id: UUID
    tenant_key: str
    enrollment_id: UUID
    seq: int
    ordinal: int
    execution_id: UUID | None
    step_id: UUID | None
    step: str | None
    event: str
    from_state: str | None
    to_state: str | None
    reasons: tuple[Mapping[str, Any], ...]
    gates: int
    at: datetime
    times: int
    last_at: datetime | None


def of_enrollment(
    scope: Scope,
    enrollment_id: UUID,
    *,
    execution_id: UUID | None = None,
    before: int | None = None,
    limit: int = 200,
) -> Flow[list[Line]]:
    """The newest lines of an enrollment (of one execution), in their order; `before` is a `seq` to page back from."""
    rows = yield from SQL.all(
        "of_enrollment",
        tenant=scope.tenant,
        enrollment=enrollment_id,
        execution=execution_id,
        before=before,
        limit=limit,
    )
    return [from_row(row) for row in rows]


def recent(scope: Scope, *, limit: int, after: UUID | None) -> Flow[list[Line]]:
    """The lines of every enrollment of the scope, newest first; `after` is the id that ended the page before."""
    rows = yield from SQL.all("recent", tenant=scope.tenant, limit=limit, after=after)
    return [from_row(row) for row in rows]


def from_row(row: Row) -> Line:
    reasons = row["reasons"] if isinstance(row["reasons"], list) else [row["reasons"]]
    told = tuple(each if isinstance(each, Mapping) else {"code": str(each)} for each in reasons)
    return Line(**{**row, "reasons": told})
