"""What time is it in this test?"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias

from dripdrop.errors import Invalid

Moment: TypeAlias = datetime | str


class FrozenClock:
    """A clock that stands still until it is told otherwise: `FrozenClock("2030-03-01 09:00")`.

    Text is ISO 8601; without a zone it is UTC.
    """

    def __init__(self, at: Moment) -> None:
        self._now = instant(at)

    def now(self) -> datetime:
        return self._now

    def set(self, at: Moment) -> datetime:
        """Jump to this moment, forwards or backwards; returns it."""
        self._now = instant(at)
        return self._now

    def advance(self, by: timedelta | Moment | None = None, **units: Any) -> datetime:
        """Go forward: by a timedelta or its keywords (`days=5, hours=2`), or up to a moment; returns the new time.

        Going backwards raises `Invalid`: say `set` where that is meant.
        """
        if by is None or isinstance(by, timedelta):
            then = self._now + (by or timedelta()) + timedelta(**units)
        else:
            then = instant(by) + timedelta(**units)
        if then < self._now:
            raise Invalid(f"{then} is before {self._now}.", cure="Use set() to go back.", code="time_goes_forward")
        self._now = then
        return then

    def __repr__(self) -> str:
        return f"FrozenClock({self._now.isoformat()!r})"


def instant(at: Moment) -> datetime:
    """The moment as an aware UTC datetime."""
    if isinstance(at, str):
        try:
            at = datetime.fromisoformat(at.strip())
        except ValueError:
            raise Invalid(f"{at!r} is no date and time.", cure="Write it like 2030-03-01 09:00.") from None
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
