"""Is this the database that was at work before, or a copy of it?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from dripdrop.store.enrollments import dumps
from dripdrop.store.flow import Flow, Row
from dripdrop.store.statements import Statements

SQL = Statements("installation")


def recognise(silence: timedelta) -> Flow[Row | None]:
    """Note where we are: `copied` and `last_at`, when the original was last heard of; None at the very first time."""
    return (yield from SQL.one("recognise", silence=silence))


def hold_back(now: datetime, until: datetime, reasons: Sequence[Mapping[str, Any]], limit: int) -> Flow[int]:
    """Pause the active enrollments with something due by `until`; how many were paused now."""
    row = yield from SQL.one("hold_back", now=now, until=until, reasons=dumps(reasons), limit=limit)
    return row["held"] if row else 0
