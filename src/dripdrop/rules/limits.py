"""Which slot does a message get?"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Slot:
    """A reserved place: `at` is when the message may go, `bucket` what it was taken from (None: no limit)."""

    at: datetime
    bucket: str | None = None


def reserve(now: datetime) -> Slot:
    """Without any limit set, every message has its slot at once."""
    return Slot(now)
