"""Time stands still until it is told to go."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from dripdrop.clock import Clock, SystemClock, monotonic
from dripdrop.errors import Invalid
from dripdrop.testing.clock import FrozenClock


def test_the_systems_clock_is_aware_and_goes_on() -> None:
    first, second = SystemClock().now(), SystemClock().now()
    assert first.tzinfo is UTC
    assert first <= second
    assert monotonic() <= monotonic()


def test_both_clocks_keep_the_contract() -> None:
    assert isinstance(SystemClock(), Clock)
    assert isinstance(FrozenClock("2030-03-01"), Clock)


def test_a_frozen_clock_stands_where_it_was_put() -> None:
    clock = FrozenClock("2030-03-01 09:00")
    assert clock.now() == clock.now() == datetime(2030, 3, 1, 9, tzinfo=UTC)
    assert FrozenClock("2030-03-01T09:00+02:00").now() == datetime(2030, 3, 1, 7, tzinfo=UTC)
    assert FrozenClock(datetime(2030, 3, 1, 9)).now() == clock.now()


def test_it_advances_by_a_span_or_up_to_a_moment() -> None:
    clock = FrozenClock("2030-03-01 09:00")
    assert clock.advance(days=1, hours=2) == datetime(2030, 3, 2, 11, tzinfo=UTC)
    assert clock.advance(timedelta(minutes=5)) == datetime(2030, 3, 2, 11, 5, tzinfo=UTC)
    assert clock.advance("2030-03-05 08:00") == clock.now() == datetime(2030, 3, 5, 8, tzinfo=UTC)


def test_it_goes_back_only_when_it_is_set() -> None:
    clock = FrozenClock("2030-03-01 09:00")
    with pytest.raises(Invalid):
        clock.advance("2030-02-01")
    with pytest.raises(Invalid):
        clock.advance(days=-1)
    assert clock.set("2030-02-01") == clock.now() == datetime(2030, 2, 1, tzinfo=UTC)


def test_what_is_no_moment_says_how_to_write_one() -> None:
    with pytest.raises(Invalid, match="2030-03-01 09:00"):
        FrozenClock("tomorrow")
