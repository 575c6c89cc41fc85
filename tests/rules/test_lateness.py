from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dripdrop.errors import Invalid
from dripdrop.rules.lateness import Lateness, OnTime, PutOff, Skip, judge, read

NOON = datetime(2030, 3, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


@pytest.mark.parametrize(
    ("written", "policy"),
    [
        (None, Lateness("send")),
        ("send", Lateness("send")),
        ("skip", Lateness("skip", HOUR)),
        ("space", Lateness("space", HOUR, HOUR)),
        ({"do": "skip", "after": "in 2 hours"}, Lateness("skip", 2 * HOUR)),
        ({"do": "space", "after": "in 5 minutes", "over": "in 1 day"}, Lateness("space", HOUR / 12, 24 * HOUR)),
    ],
)
def test_a_policy_is_read(written: Any, policy: Lateness) -> None:
    assert read(written) == policy


@pytest.mark.parametrize(
    ("written", "paths"),
    [
        ("later", ["late.do"]),
        (5, ["late"]),
        ([], ["late"]),
        ({}, ["late"]),
        ({"after": "in 2 hours"}, ["late"]),
        ({"do": [], "after": "every day at 9", "ever": 1}, ["late.ever", "late.do", "late.after"]),
        ({"do": "skip", "over": "in 1 hour"}, ["late.over"]),
        ({"do": "space", "over": 5}, ["late.over"]),
    ],
)
def test_everything_that_is_wrong_with_a_policy_is_said_at_once(written: Any, paths: list[str]) -> None:
    with pytest.raises(Invalid) as refused:
        read(written)
    assert refused.value.code == "late"
    assert [each.path for each in refused.value.findings] == paths


def test_a_message_in_time_goes_whatever_the_policy() -> None:
    for do in ("send", "skip", "space"):
        assert judge(read(do), NOON - HOUR, NOON, 0.5) == OnTime()
        assert judge(read(do), NOON + HOUR, NOON, 0.5) == OnTime()
        assert judge(read(do), None, NOON, 0.5) == OnTime()


def test_a_late_message_is_sent_skipped_or_put_off_to_its_own_moment() -> None:
    due = NOON - 3 * HOUR
    assert judge(read("send"), due, NOON, 0.5) == OnTime()
    assert judge(read("skip"), due, NOON, 0.5) == Skip(3 * HOUR)
    assert judge(read("space"), due, NOON, 0.5) == PutOff(NOON + HOUR / 2, 3 * HOUR)
    assert judge(read({"do": "skip", "after": "in 4 hours"}), due, NOON, 0.5) == OnTime()


@given(
    st.timedeltas(HOUR, timedelta(days=30)), st.floats(0, 1, exclude_max=True), st.timedeltas(timedelta(0), HOUR * 48)
)
def test_what_was_put_off_goes_within_the_span_and_is_put_off_once(
    late: timedelta, share: float, over: timedelta
) -> None:
    policy = Lateness("space", timedelta(minutes=59), over)
    came = judge(policy, NOON - late, NOON, share)
    if isinstance(came, OnTime):
        assert over * share < timedelta(microseconds=1)
        return
    assert isinstance(came, PutOff)
    assert NOON < came.until <= NOON + over
    assert judge(policy, came.until, came.until, share) == OnTime()
