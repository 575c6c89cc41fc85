"""What do the headers of an HTTP answer say?"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime


def seconds_to_wait(headers: Mapping[str, str]) -> float | None:
    """`Retry-After` in seconds (RFC 9110). A date is measured against the answer's own Date, so no clock is needed."""
    value = headers.get("retry-after", "").strip()
    if value.isascii() and value.isdigit() and len(value) < 10:
        return float(value)
    until, said = _moment(value), _moment(headers.get("date", ""))
    return max((until - said).total_seconds(), 0.0) if until is not None and said is not None else None


def _moment(text: str) -> datetime | None:
    try:
        at = parsedate_to_datetime(text)
    except (TypeError, ValueError, IndexError):
        return None
    return at if at.tzinfo is not None else at.replace(tzinfo=UTC)
