from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

import dripdrop.timing
from dripdrop.errors import Invalid
from dripdrop.rules import timing, zones
from dripdrop.rules.definition import Cron, Delay, Immediate, OnEvent
from effort import at_once

NOON = datetime(2026, 5, 8, 12, tzinfo=UTC)
ZONES = [
    "Europe/Vienna", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata", "America/Santiago", "Pacific/Apia",
    "Africa/Casablanca", "Asia/Kathmandu", "Pacific/Chatham", "America/Sao_Paulo", "Asia/Tehran", "Etc/UTC",
]  # fmt: skip
TIMES = [
    "now", "in 1 second", "in 90 minutes", "in 1 hour", "in 1 day", "in 30 days", "in 2 weeks", "every day at 2:30",
    "every sunday at midnight", "every weekday at 1am and 2am", "every hour", "every 6 hours", "every 30 minutes",
    "every last day of the month at 0:30", "@daily", "15 */3 * * 6,0",
]  # fmt: skip


@pytest.mark.parametrize(
    ("phrase", "amount", "unit"),
    [
        ("in 5 seconds", 5, "seconds"),
        (" In  1 Minute", 1, "minutes"),
        ("in 3 days", 3, "days"),
        ("in 2 WEEKS", 2, "weeks"),
    ],
)
def test_a_delay_is_read_in_any_case_and_spacing(phrase: str, amount: int, unit: str) -> None:
    found = timing.parse(phrase)
    assert isinstance(found, Delay)
    assert (found.amount, found.unit) == (amount, unit)


def test_one_way_of_writing_is_kept() -> None:
    assert timing.parse("in 1 days") == timing.parse("IN 1 day") == Delay(1, "days", "in 1 day")


@pytest.mark.parametrize("phrase", ["immediate", "immediately", " Now "])
def test_at_once(phrase: str) -> None:
    assert timing.parse(phrase) == Immediate()


@pytest.mark.parametrize(
    "phrase", ["", "soon", "in three days", "in 3 fortnights", "3 days ago", "in -3 days", "in 3.5 days"]
)
def test_what_is_not_understood_is_refused_with_a_cure(phrase: str) -> None:
    with pytest.raises(Invalid) as refused:
        timing.parse(phrase)
    assert refused.value.code == "timing_phrase"
    assert "in 3 days" in refused.value.cure


PHRASES = [
    ("@hourly", "0 * * * *"),
    ("@daily", "0 0 * * *"),
    (" @Weekly ", "0 0 * * 0"),
    ("@monthly", "0 0 1 * *"),
    ("@yearly", "0 0 1 1 *"),
    ("every day at 9am", "0 9 * * *"),
    ("every day at 9", "0 9 * * *"),
    ("every day at 9:30", "30 9 * * *"),
    ("Every  Day at 9:30 PM", "30 21 * * *"),
    ("every day at 12am", "0 0 * * *"),
    ("every day at 12pm", "0 12 * * *"),
    ("every day at noon", "0 12 * * *"),
    ("every day at midnight", "0 0 * * *"),
    ("every day at 9am and 5pm", "0 9,17 * * *"),
    ("every sunday at 0:05", "5 0 * * 0"),
    ("every monday at 9am", "0 9 * * 1"),
    ("every saturday at 23:59", "59 23 * * 6"),
    ("every mon and thu at 9 am", "0 9 * * 1,4"),
    ("every monday, wednesday, and friday at 9", "0 9 * * 1,3,5"),
    ("every weekday at 9:30", "30 9 * * 1-5"),
    ("every weekend at 10", "0 10 * * 0,6"),
    ("every weekend and wednesday at 10", "0 10 * * 0,3,6"),
    ("every minute", "* * * * *"),
    ("every 15 minutes", "*/15 * * * *"),
    ("every hour", "0 * * * *"),
    ("every 1 hour", "0 * * * *"),
    ("every 6 hours", "0 */6 * * *"),
    ("every 1st of the month at 9am", "0 9 1 * *"),
    ("every 22nd and 3rd of the month at 9", "0 9 3,22 * *"),
    ("every last day of the month at 17:00", "0 17 L * *"),
    ("every first monday of the month at 9am", "0 9 * * 1#1"),
    ("every 2nd and last friday of the month at 9am", "0 9 * * 5L,5#2"),
    ("0  9 * * mon", "0 9 * * MON"),
    ("*/5 8-17 1,15 jan-mar *", "*/5 8-17 1,15 JAN-MAR *"),
]


@pytest.mark.parametrize(("phrase", "expression"), PHRASES)
def test_a_recurring_phrase_is_a_cron_expression(phrase: str, expression: str) -> None:
    found = timing.parse(phrase)
    assert isinstance(found, Cron)
    assert found.expression == expression
    assert found.phrase == ("" if expression.split() == phrase.upper().split() else " ".join(phrase.lower().split()))


@pytest.mark.parametrize(
    ("phrase", "column"),
    [
        ("soon", 1),
        ("@reboot", 1),
        ("everyday at 9", 1),
        ("in three days", 4),
        ("in 3 fortnights", 6),
        ("in 3 days at 9am", 11),
        ("every", 6),
        ("every day", 10),
        ("every  day 9am", 12),
        ("every day at", 13),
        ("every day at 24:00", 14),
        ("every day at 9:60", 14),
        ("every day at 9:5", 14),
        ("every day at 13pm", 14),
        ("every day at 0am", 14),
        ("every day at 9am utc", 18),
        ("every day at 9:30 and 17:00", 14),
        ("every tuesdays at 9", 7),
        ("every monday and at 9", 18),
        ("every 7 minutes", 7),
        ("every 24 hours", 7),
        ("every 0 hours", 7),
        ("every 3 days", 9),
        ("every 31th of the month at 9", 7),
        ("every 32nd of the month at 9", 7),
        ("every 6th monday of the month at 9", 11),
        ("every last of the month at 9", 12),
        ("every other day at 9", 7),
    ],
)
def test_what_is_not_understood_is_refused_at_its_column(phrase: str, column: int) -> None:
    with pytest.raises(Invalid) as refused:
        timing.parse(phrase)
    assert refused.value.code == "timing_phrase"
    assert f"column {column} " in refused.value.message
    assert refused.value.cure


def test_a_recurring_time_is_not_a_delay() -> None:
    for phrase in ("in 3 days", "now"):
        with pytest.raises(Invalid) as refused:
            timing.recurring(phrase)
        assert "in 3 days" in refused.value.cure
    assert [timing.recurs(timing.parse(each)) for each in ("@daily", "in 3 days", "in 0 days", "now")] == [
        True, True, False, False,
    ]  # fmt: skip


def test_a_phrase_is_kept_only_beside_what_it_says() -> None:
    held = {"type": "cron", "cron_expression": "0 9 * * 1", "human_expression": "every monday at 9am"}
    assert timing.from_stored(held) == Cron("0 9 * * 1", "every monday at 9am")
    assert timing.from_stored({**held, "human_expression": "every day at 9am"}) == Cron("0 9 * * 1")
    assert timing.from_stored({**held, "human_expression": "mondays"}) == Cron("0 9 * * 1")
    assert timing.from_stored({**held, "cron_expression": "every monday at 9am"}) == timing.from_stored(held)


def test_a_delay_longer_than_a_hundred_years_is_refused() -> None:
    with pytest.raises(Invalid):
        timing.parse("in 9999999999 weeks")


@given(
    st.datetimes(datetime(2000, 1, 1), datetime(2036, 1, 1)).map(lambda at: at.replace(tzinfo=UTC)),
    st.sampled_from(TIMES),
    st.sampled_from([None, *ZONES]),
)
def test_nothing_is_ever_due_in_the_past(reached: datetime, phrase: str, zone: str | None) -> None:
    found = timing.parse(phrase)
    due = timing.due_at(found, reached=reached, zone=zone)
    assert due is not None
    assert due == reached if found == Immediate() else due > reached
    assert due.tzinfo is UTC
    if isinstance(found, (Cron, Delay)):
        again = timing.following(found, after=due, now=due, zone=zone)
        assert again > due
        late = timing.following(found, after=reached, now=due + timedelta(days=400), zone=zone)
        assert late > due + timedelta(days=400)


@pytest.mark.parametrize("text", ["every monday and " * 600_000, "in " * 4_000_000, "9" * 10_000_000, " " * 10_000_000])
def test_a_hostile_phrase_is_refused_at_once(text: str) -> None:
    with at_once(), pytest.raises(Invalid):
        timing.parse(text)


@given(st.text(max_size=40))
def test_parsing_raises_nothing_but_invalid(text: str) -> None:
    with suppress(Invalid):
        timing.parse(text)


def test_examples_of_the_reference() -> None:
    due = dripdrop.timing.due_at
    assert due(Delay(5, "seconds"), reached=NOON) == NOON.replace(second=5)
    assert due(Delay(2, "minutes"), reached=NOON) == NOON.replace(minute=2)
    assert due(Delay(2, "weeks"), reached=NOON) == datetime(2026, 5, 22, 12, tzinfo=UTC)
    assert due(Immediate(), reached=NOON) == NOON
    assert due(OnEvent("demo_booked"), reached=NOON) is None


def test_days_keep_the_time_of_day_over_a_change_of_the_clock() -> None:
    reached = datetime(2026, 3, 28, 8, tzinfo=UTC)  # 09:00 in Vienna, the clock goes forward that night
    assert timing.due_at(Delay(1, "days"), reached=reached, zone="Europe/Vienna") == datetime(
        2026, 3, 29, 7, tzinfo=UTC
    )
    assert timing.due_at(Delay(24, "hours"), reached=reached, zone="Europe/Vienna") == datetime(
        2026, 3, 29, 8, tzinfo=UTC
    )
    assert timing.due_at(Delay(1, "days"), reached=reached) == datetime(2026, 3, 29, 8, tzinfo=UTC)


def test_a_time_inside_a_gap_is_the_first_valid_instant_after_it() -> None:
    reached = datetime(2026, 3, 7, 7, 30, tzinfo=UTC)  # 02:30 in New York; on the 8th there is no 02:30
    assert timing.due_at(Delay(1, "days"), reached=reached, zone="America/New_York") == datetime(
        2026, 3, 8, 7, tzinfo=UTC
    )


def test_a_time_that_comes_twice_is_the_first_of_them() -> None:
    reached = datetime(2026, 10, 31, 5, 30, tzinfo=UTC)  # 01:30 in New York; on the 1st it comes at 05:30 and 06:30
    due = timing.due_at(Delay(1, "days"), reached=reached, zone="America/New_York")
    assert due == datetime(2026, 11, 1, 5, 30, tzinfo=UTC)


def test_a_day_that_a_place_left_out_ends_at_its_end() -> None:
    reached = datetime(2011, 12, 29, 22, tzinfo=UTC)  # noon of the 29th in Apia, which had no 30th
    assert timing.due_at(Delay(1, "days"), reached=reached, zone="Pacific/Apia") == datetime(
        2011, 12, 30, 10, tzinfo=UTC
    )


@given(
    st.datetimes(datetime(2000, 1, 1), datetime(2036, 1, 1)).map(lambda at: at.replace(tzinfo=UTC, microsecond=0)),
    st.integers(1, 60),
    st.sampled_from(ZONES),
)
def test_days_in_a_zone_land_on_the_same_local_time_or_right_after_a_gap(at: datetime, days: int, zone: str) -> None:
    due = timing.due_at(Delay(days, "days"), reached=at, zone=zone)
    assert due is not None
    place = ZoneInfo(zone)
    wanted = at.astimezone(place).replace(tzinfo=None) + timedelta(days=days)
    landed = due.astimezone(place).replace(tzinfo=None)
    if landed == wanted:
        before = (due - timedelta(seconds=1)).astimezone(place).replace(tzinfo=None)
        earlier = due - timedelta(hours=3)
        assert before < wanted or before > landed
        same = [each for n in range(1, 13) if (each := earlier + timedelta(minutes=15 * n)) < due]
        assert all(each.astimezone(place).replace(tzinfo=None) != wanted for each in same)
    else:
        assert landed > wanted
        assert (due - timedelta(seconds=1)).astimezone(place).replace(tzinfo=None) < wanted


@given(st.integers(1, 10_000), st.sampled_from(["seconds", "minutes", "hours"]), st.sampled_from(ZONES))
def test_hours_are_exact_in_every_zone(amount: int, unit: str, zone: str) -> None:
    delay = Delay(amount, unit)
    assert timing.due_at(delay, reached=NOON, zone=zone) == NOON + delay.span


def test_an_unknown_zone_and_a_naive_time_are_refused() -> None:
    with pytest.raises(Invalid) as zone:
        timing.due_at(Delay(1, "days"), reached=NOON, zone="Mars/Base")
    with pytest.raises(Invalid) as naive:
        timing.due_at(Immediate(), reached=NOON.replace(tzinfo=None))
    assert (zone.value.code, naive.value.code) == ("zone", "naive_time")


def test_the_first_zone_that_exists_wins_and_the_bad_ones_are_told() -> None:
    assert timing.zone_of(None, "", "Mars/Base", 5, "Asia/Tokyo", "Europe/Vienna") == ("Asia/Tokyo", ("Mars/Base", "5"))
    assert timing.zone_of() == ("Etc/UTC", ())
    assert timing.zone_of("../../etc/passwd", "localtime")[0] == "Etc/UTC"


def test_zone_sources_stand_in_the_order_of_the_reference() -> None:
    sources = zones.zone_sources(
        {"timezone": "a", "home": {"zone": "b"}},
        {"timezone": "{{ home.zone }}"},
        {"timezone": "d"},
        {"default_timezone": "e", "timezone": "f"},
        by_channel="c",
        default="g",
    )
    assert sources == ("a", "b", "c", "d", "e", "f", "g")


@pytest.mark.parametrize(
    "each",
    [
        Immediate(),
        Delay(3, "days", "in 3 days"),
        Delay(3, "days"),
        Cron("0 9 * * 1", "every monday at 9am"),
        OnEvent("demo_booked", {"kind": "live"}, Delay(7, "days"), "nudge"),
        OnEvent("x"),
    ],
)
def test_the_stored_form_is_read_back(each: Immediate | Delay | Cron | OnEvent) -> None:
    assert timing.from_stored(timing.stored(each)) == each


@pytest.mark.parametrize("value", [{}, {"type": "delay"}, {"type": "delay", "delay_amount": 1, "delay_unit": "years"}])
def test_a_broken_stored_form_is_refused(value: dict[str, object]) -> None:
    with pytest.raises(Invalid) as refused:
        timing.from_stored(value)
    assert refused.value.code == "timing"


def test_a_zone_that_is_misspelt_is_answered_with_the_one_that_was_meant() -> None:
    with pytest.raises(Invalid) as wrong:
        zones.zone_named("Europe/Berln")
    assert (wrong.value.code, wrong.value.cure) == ("zone", "Did you mean Europe/Berlin?")
    with pytest.raises(Invalid, match="Mars/Base") as nowhere:
        zones.zone_named("Mars/Base")
    assert "IANA" in nowhere.value.cure
