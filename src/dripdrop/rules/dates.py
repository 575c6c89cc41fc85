"""Which day or instant does a text of ISO 8601 name?"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime

_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_INSTANT = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]{1,9})?)?(?:Z|[+-][0-9]{2}:?[0-9]{2})?"
)


def day_of(text: str) -> date | None:
    """The day of `2030-03-01`; None for any other text."""
    if len(text) != 10 or not _DAY.fullmatch(text):
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


def instant_of(text: str) -> datetime | None:
    """The instant of `2030-03-01T12:00:00+02:00`, in UTC without an offset; None for any other text, and for a day."""
    if not 16 <= len(text) <= 40 or not _INSTANT.fullmatch(text):
        return None
    try:
        return aware(datetime.fromisoformat(text))
    except ValueError:
        return None


def aware(at: datetime) -> datetime:
    """The same time, in UTC where it has no zone."""
    return at if at.tzinfo is not None else at.replace(tzinfo=UTC)
