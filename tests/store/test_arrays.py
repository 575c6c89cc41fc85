"""Whatever a batch holds in a column, the server reads it as it was."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dripdrop.store.database import configure
from dripdrop.store.statements import placed

EVERY = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
TEXTS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))
MOMENTS = st.datetimes(
    datetime(1900, 1, 1),
    datetime(2200, 1, 1),
    timezones=st.sampled_from([UTC, timezone(timedelta(hours=5, minutes=30))]),
)


@pytest.fixture
def connection(empty_database_url: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(empty_database_url, autocommit=True) as connection:
        configure(connection)
        connection.execute("set timezone = 'UTC'")
        yield connection


def of(element: st.SearchStrategy[Any]) -> st.SearchStrategy[list[Any]]:
    """A column: of many values, with gaps or without, or of one value again and again."""
    repeated = st.builds(lambda value, times: [value] * times, element | st.none(), st.integers(1, 5))
    return st.lists(element) | st.lists(element | st.none()) | repeated


@EVERY
@given(
    texts=of(TEXTS),
    ids=of(st.uuids()),
    numbers=of(st.integers(-(2**63), 2**63 - 1)),
    switches=of(st.booleans()),
    octets=of(st.binary()),
    moments=of(MOMENTS),
)
def test_a_column_comes_back_as_it_went(connection: Any, **given: list[Any]) -> None:
    types = {"texts": "text", "ids": "uuid", "numbers": "bigint", "switches": "boolean", "octets": "bytea"}
    types["moments"] = "timestamptz"
    for name, kind in types.items():
        row = connection.execute(f"select %s::{kind}[]", [given[name]]).fetchone()
        assert row[0] == given[name]


def test_equal_numbers_and_switches_are_not_taken_for_each_other(connection: Any) -> None:
    row = connection.execute("select %s::text[]", [[1, True, 1]]).fetchone()
    assert row[0] == ["1", "t", "1"]


def test_json_comes_back_as_it_went(connection: Any) -> None:
    row = connection.execute("""select '{"a": [1, null, "ü"]}'::jsonb, '[]'::json, null::jsonb""").fetchone()
    assert row == ({"a": [1, None, "ü"]}, [], None)


def test_a_name_has_one_number_and_a_doubled_percent_sign_is_one() -> None:
    made = placed("select %(b)s, %(a)s, 7 %% %(b)s from dripdrop.clock", "own")
    assert made.text == b'select $1, $2, 7 % $1 from "own".clock'
    assert made.values({"a": 1, "b": 2, "c": 3}) == [2, 1]
