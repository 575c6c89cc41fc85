"""What must a copy of the database not do by itself?

A restored backup still lists as due what went out after it was taken, and so does a copy made for a staging system.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from dripdrop.errors import Refused
from dripdrop.store import installation, stops
from dripdrop.store.flow import Flow
from dripdrop.store.scope import Scope

SILENCE = timedelta(minutes=1)
BITE = 2_000
COPIED = "this database is a copy: see `dripdrop restored`"


def recognise(now: datetime) -> Flow[datetime | None]:
    """Stop everything in a copy of the database that was at work before; when the original was last heard of.

    None where it is the same database, or the first time that anybody works here.
    """
    found = yield from installation.recognise(SILENCE)
    if found is None or not found["copied"]:
        return None
    yield from stops.add(now, "", "all", None, COPIED)
    return found["last_at"]  # type: ignore[no-any-return]


def hold_back(now: datetime, scope: Scope, *, until: datetime | None = None, limit: int = BITE) -> Flow[int]:
    """Pause up to `limit` enrollments whose next message was due by `until` (default: now) and may have gone out.

    Call it until it answers 0, then lift the stop; each person resumes only when asked. Raises Refused (`global_only`).
    """
    if scope.tenant:
        raise Refused(
            "A copy concerns every tenant.", cure="Ask without a tenant: dripdrop restored.", code="global_only"
        )
    to = until or now
    return (yield from installation.hold_back(now, to, [{"code": "restored", "until": to.isoformat()}], limit))
