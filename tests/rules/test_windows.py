from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dripdrop.errors import Invalid
from dripdrop.quiet_hours import Window, allowed, next_allowed, parse


def window(value: Any) -> Window:
    found = parse(value)
    assert found is not None
    return found


DAY = window([8, 21])


def test_an_instant_inside_the_window_is_given_back_itself() -> None:
    at = datetime(2030, 3, 1, 12, 0, 7, 13, tzinfo=UTC)
    assert next_allowed(at, DAY, "Europe/Vienna") is at
    assert next_allowed(at, None, "Europe/Vienna") is at


def test_before_the_opening_it_is_today_and_after_the_end_tomorrow() -> None:
    assert next_allowed(datetime(2030, 3, 1, 3, tzinfo=UTC), DAY, "Etc/UTC") == datetime(2030, 3, 1, 8, tzinfo=UTC)
    assert next_allowed(datetime(2030, 3, 1, 21, tzinfo=UTC), DAY, "Etc/UTC") == datetime(2030, 3, 2, 8, tzinfo=UTC)


def test_the_persons_zone_decides() -> None:
    at = datetime(2030, 3, 1, 6, tzinfo=UTC)
    assert allowed(at, DAY, "Asia/Tokyo")
    assert not allowed(at, DAY, "America/New_York")
    assert next_allowed(at, DAY, "America/New_York") == datetime(2030, 3, 1, 13, tzinfo=UTC)


def test_a_window_over_midnight_and_one_that_is_always_open() -> None:
    night = window([22, 6])
    assert allowed(datetime(2030, 3, 1, 23, tzinfo=UTC), night, "Etc/UTC")
    assert allowed(datetime(2030, 3, 1, 5, 59, tzinfo=UTC), night, "Etc/UTC")
    assert next_allowed(datetime(2030, 3, 1, 6, tzinfo=UTC), night, "Etc/UTC") == datetime(2030, 3, 1, 22, tzinfo=UTC)
    assert allowed(datetime(2030, 3, 1, 3, tzinfo=UTC), window([8, 8]), "Etc/UTC")


def test_an_opening_in_a_gap_maps_forward_and_one_in_an_overlap_is_the_first() -> None:
    early = window([2, 5])
    assert next_allowed(datetime(2026, 3, 8, 6, tzinfo=UTC), early, "America/New_York") == datetime(
        2026, 3, 8, 7, tzinfo=UTC
    )
    one = window([1, 5])
    assert next_allowed(datetime(2026, 11, 1, 4, tzinfo=UTC), one, "America/New_York") == datetime(
        2026, 11, 1, 5, tzinfo=UTC
    )


def test_weekdays_minutes_and_holidays() -> None:
    office = window({"weekdays": ["9:30", "17:00"], "sat": False, "holidays": ["2030-03-04"]})
    friday_evening = datetime(2030, 3, 1, 18, tzinfo=UTC)
    assert next_allowed(friday_evening, office, "Etc/UTC") == datetime(2030, 3, 5, 9, 30, tzinfo=UTC)
    assert not allowed(datetime(2030, 3, 4, 12, tzinfo=UTC), office, "Etc/UTC")


def test_a_night_that_begins_on_friday_ends_on_saturday() -> None:
    friday = window({"fri": [22, 2]})
    assert allowed(datetime(2030, 3, 2, 1, tzinfo=UTC), friday, "Etc/UTC")
    assert not allowed(datetime(2030, 3, 1, 1, tzinfo=UTC), friday, "Etc/UTC")


@pytest.mark.parametrize("value", [False, None])
def test_false_is_no_window(value: Any) -> None:
    assert parse(value) is None


@pytest.mark.parametrize(
    "value",
    [[8], [8, 25], [8, "24:30"], ["x", 9], "8-21", 8, {"mun": [8, 9]}, {"mon": 8}, {"start": 8}, {}, {"mon": False},
     [True, 9], {"mon": [8, 9], "holidays": ["soon"]}, {"mon": [8, 9], "holidays": 5}],
)  # fmt: skip
def test_what_is_no_window_is_refused(value: Any) -> None:
    with pytest.raises(Invalid) as refused:
        parse(value)
    assert refused.value.code == "window"


def test_an_unknown_zone_is_refused() -> None:
    with pytest.raises(Invalid) as refused:
        next_allowed(datetime(2030, 3, 1, tzinfo=UTC), DAY, "Mars/Base")
    assert refused.value.code == "zone"


def open_at(at: datetime, span: tuple[int, int], zone: ZoneInfo) -> bool:
    local = at.astimezone(zone)
    minute = local.hour * 60 + local.minute
    start, end = span
    return start <= minute < end if start < end else minute >= start or minute < end


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from([datetime(2026, month, day) for month, day in ((3, 8), (11, 1), (10, 4), (4, 5), (6, 1))]),
    st.integers(-1500, 1500),
    st.integers(0, 95),
    st.integers(0, 95),
    st.sampled_from(["America/New_York", "Australia/Lord_Howe", "America/Santiago", "Etc/UTC", "Asia/Kathmandu"]),
)  # fmt: skip
def test_the_next_opening_is_the_first_open_minute(
    day: datetime, minutes: int, start: int, end: int, zone: str
) -> None:
    at = (day + timedelta(minutes=minutes)).replace(tzinfo=UTC)
    span = (start * 15, end * 15)
    spelled = [f"{each // 60}:{each % 60:02}" for each in span]
    found = next_allowed(at, window(spelled), zone)
    place = ZoneInfo(zone)
    wanted = at
    while not open_at(wanted, span, place):
        wanted += timedelta(minutes=1)
    assert found == wanted


NAMES = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]


@given(
    st.lists(st.sampled_from(NAMES), min_size=1, unique=True),
    st.integers(0, 1439),
    st.integers(1, 1440),
    st.integers(0, 7 * 1440 - 1),
    st.sampled_from(["Europe/Vienna", "America/New_York", "Asia/Kathmandu", "Australia/Lord_Howe"]),
)
def test_days_from_to_is_open_on_those_days_and_runs_past_midnight(
    days: list[str], start: int, end: int, minute: int, zone: str
) -> None:
    clock = [f"{each // 60:02}:{each % 60:02}" for each in (start, end)]
    found = window({"days": days, "from": clock[0], "to": clock[1]})
    local = datetime(2030, 5, 6, tzinfo=ZoneInfo(zone)) + timedelta(minutes=minute)  # a Monday, no change that week
    today, now = NAMES[local.weekday()] in days, local.hour * 60 + local.minute
    yesterday = NAMES[local.weekday() - 1] in days
    if start == end:
        wanted = today
    elif start < end:
        wanted = today and start <= now < end
    else:
        wanted = (today and now >= start) or (yesterday and now < end)
    assert allowed(local.astimezone(UTC), found, zone) is wanted


def test_days_from_to_may_leave_things_out() -> None:
    assert window({"days": "weekdays"}) == window({"weekdays": True})
    assert window({"days": ["Mondays", "sat"], "from": 9}) == window({"mon": [9, 24], "sat": [9, 24]})
    assert window({"from": "9:30", "to": "17:00"}) == window(["9:30", "17:00"])
    closed = window({"days": ["fri"], "from": 9, "to": 17, "holidays": ["2030-03-01"]})
    assert not allowed(datetime(2030, 3, 1, 12, tzinfo=UTC), closed, "Etc/UTC")
    assert allowed(datetime(2030, 3, 8, 12, tzinfo=UTC), closed, "Etc/UTC")


@pytest.mark.parametrize(
    "value",
    [
        {"days": []},
        {"days": ["someday"]},
        {"days": [1]},
        {"days": 5},
        {"days": {"mon": True}},
        {"days": ["mon"], "start": 9},
        {"days": ["mon"], "tue": [9, 17]},
        {"from": "25:00"},
        {"from": 9, "to": None},
        {"days": ["mon"], "holidays": ["christmas"]},
    ],
)
def test_a_malformed_list_of_days_is_refused(value: Any) -> None:
    with pytest.raises(Invalid) as refused:
        parse(value)
    assert refused.value.code == "window"
    assert refused.value.cure
