"""Cron against a reading of its fields by hand, and against the minutes that clocks really showed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dripdrop.errors import Invalid
from dripdrop.rules import cron, timing
from dripdrop.rules.definition import Cron, Delay

MINUTE = timedelta(minutes=1)
RANGES = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 7))
# Days around which the clock of a place changed: forward or back, by an hour, half an hour or a whole day.
CHANGES = [
    ("Europe/Vienna", "2026-03-29"),
    ("Europe/Vienna", "2026-10-25"),
    ("America/New_York", "2026-03-08"),
    ("America/New_York", "2026-11-01"),
    ("Australia/Lord_Howe", "2026-04-05"),
    ("Australia/Lord_Howe", "2026-10-04"),
    ("Africa/Casablanca", "2026-02-15"),
    ("Africa/Casablanca", "2026-03-22"),
    ("Asia/Kathmandu", "1986-01-01"),
    ("Asia/Kathmandu", "2026-03-29"),
    ("Pacific/Apia", "2011-12-30"),
    ("Pacific/Apia", "2012-04-01"),
    ("Pacific/Chatham", "2026-04-05"),
    ("Pacific/Chatham", "2026-09-27"),
    ("America/Sao_Paulo", "2018-02-18"),
    ("America/Sao_Paulo", "2018-11-04"),
    ("Asia/Tehran", "2022-03-22"),
    ("Asia/Tehran", "2022-09-22"),
    ("Asia/Kolkata", "2026-03-29"),
    ("America/St_Johns", "2026-03-08"),
    ("America/St_Johns", "2026-11-01"),
    ("Africa/Cairo", "2026-04-24"),
    ("Africa/Cairo", "2026-10-30"),
]


def values(field: str, low: int, high: int) -> set[int]:
    """What a field of stars, numbers, ranges, steps and lists stands for, read by hand."""
    found: set[int] = set()
    for part in field.split(","):
        span, _, step = part.partition("/")
        first, _, last = span.partition("-")
        ends = (low, high) if span == "*" else (int(first), int(last or (high if step else first)))
        found |= set(range(ends[0], ends[1] + 1, int(step or 1)))
    return found


@lru_cache(maxsize=4096)
def fields(expression: str) -> tuple[set[int], ...]:
    return tuple(values(field, *ends) for field, ends in zip(expression.split(), RANGES, strict=True))


def matches(expression: str, wall: datetime) -> bool:
    minutes, hours, days, months, weekdays = fields(expression)
    if wall.minute not in minutes or wall.hour not in hours or wall.month not in months:
        return False
    _, _, day, _, weekday = expression.split()
    on_day, on_weekday = wall.day in days, bool({wall.isoweekday(), wall.isoweekday() % 7} & weekdays)
    return on_day and on_weekday if day[0] == "*" or weekday[0] == "*" else on_day or on_weekday


@lru_cache(maxsize=64)
def shown(zone: str, day: str) -> tuple[tuple[datetime, datetime], ...]:
    """Every minute of the days around a change, and what the clock on the wall showed."""
    noon = datetime.fromisoformat(day).replace(tzinfo=UTC) - timedelta(hours=60)
    place = ZoneInfo(zone)
    instants = (noon + n * MINUTE for n in range(5 * 24 * 60))
    return tuple((at, at.astimezone(place).replace(tzinfo=None)) for at in instants)


def occurrences(expression: str, zone: str, day: str) -> list[datetime]:
    """When an expression comes round, looked up minute by minute."""
    clock = shown(zone, day)
    if len(fields(expression)[1]) == 24:
        return [at for at, wall in clock if matches(expression, wall)]
    found, highest = [], clock[0][1] - MINUTE
    for at, wall in clock:
        # The minutes that come now for the first time: usually one, none in an overlap, many after a gap.
        while highest < wall:
            highest += MINUTE
            if matches(expression, highest) and (not found or found[-1] != at):
                found.append(at)
    return found


def field(low: int, high: int) -> st.SearchStrategy[str]:
    number = st.integers(low, high)
    ends = st.tuples(number, number)
    span = ends.map(lambda ends: f"{min(ends)}-{max(ends)}")
    wide = ends.filter(lambda ends: ends[0] != ends[1]).map(lambda ends: f"{min(ends)}-{max(ends)}")
    step = st.tuples(st.just("*") | wide, st.integers(1, 6)).map(lambda parts: f"{parts[0]}/{parts[1]}")
    part = number.map(str) | span | step
    return st.just("*") | part | st.lists(number.map(str) | span, min_size=1, max_size=3).map(",".join)


EXPRESSIONS = st.tuples(
    field(0, 59), field(0, 23), st.just("*") | field(1, 28), st.just("*"), st.just("*") | field(0, 7)
).map(" ".join)


@given(EXPRESSIONS, st.sampled_from(CHANGES), st.integers(0, 4 * 24 * 60 - 1), st.integers(0, 59_999_999))
@example("30 2 * * *", ("Europe/Vienna", "2026-03-29"), 2 * 24 * 60, 0)
@example("0,30 2,3 * * *", ("Europe/Vienna", "2026-03-29"), 2 * 24 * 60, 0)
@example("30 2 * * *", ("Europe/Vienna", "2026-10-25"), 60 * 60 - 30, 0)
@example("*/10 * * * *", ("Europe/Vienna", "2026-10-25"), 60 * 60, 0)
@example("15 2 * * *", ("Australia/Lord_Howe", "2026-10-04"), 2 * 24 * 60, 0)
@example("0 0 * * *", ("America/Sao_Paulo", "2018-11-04"), 2 * 24 * 60, 0)
@example("0 9 30 * *", ("Pacific/Apia", "2011-12-30"), 24 * 60, 0)
def test_the_next_occurrence_is_the_one_that_clocks_show(
    expression: str, change: tuple[str, str], start: int, microseconds: int
) -> None:
    after = shown(*change)[start][0] + timedelta(microseconds=microseconds)
    found = timing.due_at(Cron(expression), reached=after, zone=change[0])
    assert found is not None
    assert found > after
    coming = next((at for at in occurrences(expression, *change) if at > after), None)
    assert found == coming or (coming is None and found > shown(*change)[-1][0])


@pytest.mark.parametrize("change", CHANGES, ids="-".join)
@pytest.mark.parametrize("expression", ["0 2 * * *", "30 1 * * *", "0 0 * * *", "15 3 * * 0,1", "0 */2 * * *"])
def test_all_occurrences_around_a_change_in_a_row(expression: str, change: tuple[str, str]) -> None:
    zone, last = ZoneInfo(change[0]), shown(*change)[-1][0]
    at, found = shown(*change)[0][0] - MINUTE, []
    while (at := cron.next_after(expression, at, zone)) <= last:
        found.append(at)
    assert found == occurrences(expression, *change)


def test_a_time_of_day_comes_once_a_day_all_year() -> None:
    for zone in sorted({zone for zone, _ in CHANGES}):
        at, days = datetime(2026, 1, 1, tzinfo=UTC), []
        while (at := cron.next_after("30 2 * * *", at, ZoneInfo(zone))) < datetime(2027, 1, 1, tzinfo=UTC):
            days.append(at.astimezone(ZoneInfo(zone)).date())
        assert len(days) == len(set(days))
        assert {later - earlier for earlier, later in pairwise(days)} == {timedelta(days=1)}


@given(st.datetimes(datetime(2020, 1, 1), datetime(2040, 1, 1)))
def test_the_calendar_is_read_as_cron_reads_it(wall: datetime) -> None:
    after = wall.replace(tzinfo=UTC)
    for text, so in (
        ("0 9 L * *", lambda day: (day + timedelta(days=1)).day == 1),
        ("0 9 * * 1#1", lambda day: day.weekday() == 0 and day.day <= 7),
        ("0 9 * * 5L", lambda day: day.weekday() == 4 and (day + timedelta(days=7)).month != day.month),
        ("0 9 LW * *", lambda day: day.weekday() < 5 and all(
            later.weekday() > 4 for n in range(1, 4) if (later := day + timedelta(days=n)).month == day.month
        )),
        ("0 9 29 2 *", lambda day: (day.month, day.day) == (2, 29)),
        ("0 9 13 * 5", lambda day: day.day == 13 or day.weekday() == 4),
    ):  # fmt: skip
        nine = after.replace(hour=9, minute=0, second=0, microsecond=0)
        day = nine if nine > after else nine + timedelta(days=1)
        while not so(day):
            day += timedelta(days=1)
        assert cron.next_after(text, after, ZoneInfo("UTC")) == day


@pytest.mark.parametrize(
    ("text", "column"),
    [
        ("60 * * * *", 1),
        ("0 24 * * *", 3),
        ("0  9 0 * *", 6),
        ("0 9 32 * *", 5),
        ("0 9 * 13 *", 7),
        ("0 9 * feb-jan *", 7),
        ("0 9 * * 8", 9),
        ("0 9 * * sat-sun", 9),
        ("0 9 * * ?", 9),
        ("0 9 * * monday", 9),
        ("*/61 * * * *", 1),
        ("*/0 * * * *", 1),
        ("0 */25 * * *", 3),
        ("1,5-5/2 * * * *", 1),
        ("0 9 * * mon-1/2", 9),
        ("1,,2 * * * *", 1),
        ("-5 * * * *", 1),
        ("5- * * * *", 1),
        ("١ * * * *", 1),
        ("9999999999999999999999 * * * *", 1),
    ],
)
def test_a_malformed_field_is_refused_at_its_column(text: str, column: int) -> None:
    with pytest.raises(Invalid) as refused:
        timing.recurring(text)
    assert refused.value.code == "cron"
    assert f"at column {column} " in refused.value.message
    assert refused.value.findings[0].column == column


@pytest.mark.parametrize("text", ["", "0 9 * *", "0 0 9 * * *", "* " * 10_000, "1" * 10_000_000])
def test_a_cron_expression_has_five_fields(text: str) -> None:
    with pytest.raises(Invalid) as refused:
        timing.recurring(text)
    assert refused.value.code == "cron"


@pytest.mark.parametrize("text", ["0 9 30 2 *", "0 9 31 4,6,9,11 *", "0 9 */16 2 MON#5"])
def test_a_day_that_there_is_not_is_refused_where_it_is_written(text: str) -> None:
    with pytest.raises(Invalid) as refused:
        timing.parse(text)
    assert refused.value.code == "cron_never"


@pytest.mark.parametrize("text", ["0 9 29 2 *", "0 9 30 2 1", "0 9 * 2 MON#5"])
def test_a_day_that_comes_seldom_is_none_that_never_comes(text: str) -> None:
    assert isinstance(timing.parse(text), Cron)


@given(st.text("0123456789*/,-#LW ", max_size=20) | st.text(max_size=20).map(lambda text: f"0 9 {text}"))
def test_reading_raises_nothing_but_invalid_and_what_is_read_comes_round(text: str) -> None:
    try:
        found = timing.parse(text)
    except Invalid:
        return
    if isinstance(found, Cron):
        now = datetime(2026, 11, 22, tzinfo=UTC)
        due = timing.due_at(found, reached=now)
        assert due is not None
        assert now < due < now + timedelta(days=366 * 50)
        assert timing.parse(found.expression) == found


def test_a_repeated_step_leaves_out_what_it_missed() -> None:
    nine = timing.parse("every day at 9am")
    assert isinstance(nine, Cron)
    due, now = datetime(2030, 3, 1, 8, tzinfo=UTC), datetime(2030, 3, 9, 17, tzinfo=UTC)
    assert timing.following(nine, after=due, now=due, zone="Europe/Vienna") == datetime(2030, 3, 2, 8, tzinfo=UTC)
    assert timing.following(nine, after=due, now=now, zone="Europe/Vienna") == datetime(2030, 3, 10, 8, tzinfo=UTC)


@given(
    st.datetimes(datetime(2026, 1, 1), datetime(2027, 1, 1)).map(lambda at: at.replace(tzinfo=UTC)),
    st.integers(1, 40),
    st.sampled_from(["minutes", "hours", "days", "weeks"]),
    st.timedeltas(timedelta(0), timedelta(days=300)),
    st.sampled_from(sorted({zone for zone, _ in CHANGES})),
)
def test_a_repeated_delay_keeps_its_beat(after: datetime, amount: int, unit: str, late: timedelta, zone: str) -> None:
    delay, now = Delay(amount, unit), after + late
    found = timing.following(delay, after=after, now=now, zone=zone)
    beats = int(late / delay.span) + 2
    every = [
        timing.due_at(Delay(amount * n, unit), reached=after, zone=zone) for n in range(max(beats - 3, 1), beats + 2)
    ]
    assert found == min(each for each in every if each is not None and each > now)


def test_what_does_not_come_again_is_refused() -> None:
    noon = datetime(2030, 3, 1, 12, tzinfo=UTC)
    with pytest.raises(Invalid) as refused:
        timing.following(Delay(0, "days"), after=noon, now=noon)
    assert refused.value.code == "delay_not_positive"
