"""The forgiving comparator against its table, and every pair of values against a reading of that table by hand."""

from __future__ import annotations

import itertools
import json
from datetime import UTC, datetime
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dripdrop.comparator import OPERATORS, compare
from dripdrop.rules.comparator import comparable, field_path, ordered

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.parametrize(
    ("value", "operator", "expected", "so"),
    [
        (5, "==", "5", True),
        (5.0, "==", "5", False),
        (5.0, "==", "5.0", True),
        (1e16, "==", "1.0e16", True),
        (True, "==", "true", True),
        (False, "==", "false", True),
        (False, "==", "", False),
        ("Pro", "==", "pro", False),
        (None, "==", "x", False),
        (None, "!=", "x", True),
        (None, "==", "", True),
        ("enterprise", "contains", "prise", True),
        ("enterprise", "contains", "", True),
        (None, "contains", "x", False),
        (None, "contains", None, True),
        (["a", "b"], "contains", "a", True),
        (["ab"], "contains", "a", False),
        ([1, 2], "contains", "2", True),
        ({"a": 1}, "contains", "a", False),
        ("pro", "in", ["pro", "team"], True),
        ("pro", "in", '["pro", "team"]', True),
        ("pro", "in", "free, pro", True),
        (5, "in", "4,5", True),
        (5, "in", [5], True),
        ("p", "in", "pro", False),
        (None, "in", [None], False),
        ("pro", "in", "[broken", False),
        (7, ">", "5", True),
        ("7", ">=", 7, True),
        ("10", ">", "9", True),
        ("abc", ">", "5", False),
        ("abc", "<", "5", False),
        (None, "<", "5", False),
        (True, ">", "0", False),
        (" 7", ">", "5", False),
        (".5", ">", "0", False),
        ("1e3", ">", "999", True),
        (9007199254740993, ">", 9007199254740992, True),
        ("2030-03-01", "<", "2030-03-02", True),
        ("2030-03-01T12:00:00Z", ">", "2030-03-01", True),
        ("2030-03-01T12:00:00+02:00", "<", "2030-03-01T11:00:00Z", True),
        (datetime(2030, 3, 1, tzinfo=UTC), ">=", "2030-03-01", True),
        ("2030-03-01", ">", 5, False),
        ("2030-13-01", ">", "2030-01-01", False),
        ([5], ">", "4", False),
        ({"a": 1}, "==", {"a": 1}, True),
        ("x", "matches", "x", False),
    ],
)
def test_the_forgiving_comparator(value: Any, operator: str, expected: Any, so: bool) -> None:
    assert compare(value, operator, expected) is so


@given(JSON, st.sampled_from([*OPERATORS, "=~", ""]), JSON)
def test_nothing_raises(value: Any, operator: str, expected: Any) -> None:
    assert compare(value, operator, expected) in (True, False)


@given(JSON, JSON)
def test_equal_and_unequal_are_opposites(value: Any, expected: Any) -> None:
    assert compare(value, "==", expected) is not compare(value, "!=", expected)


@given(st.integers(-(10**30), 10**30), st.integers(-(10**30), 10**30))
def test_whole_numbers_are_ordered_exactly_also_as_text(one: int, other: int) -> None:
    assert compare(str(one), ">", str(other)) is (one > other)
    assert compare(one, "<=", str(other)) is (one <= other)


def test_hosts_objects_do_not_raise_either() -> None:
    class Bad:
        def __str__(self) -> str:
            raise RuntimeError

    loop: list[Any] = []
    loop.append(loop)
    for value in (Bad(), loop, 10**5000, object()):
        for operator in OPERATORS:
            assert compare(value, operator, value) in (True, False)


def test_field_paths() -> None:
    data = {"plan": {"name": "pro", "trial": False}, "a.b": 1}
    assert field_path(data, "plan.name") == "pro"
    assert field_path(data, "$.$.plan..name") == "pro"
    assert field_path(data, "plan.trial") is False
    assert field_path(data, "plan.name.length") is None
    assert field_path(data, "nothing") is None
    assert field_path(data, None) is data


# The same once more, said differently: texts by json, numbers by their grammar and exact, dates by their formats.

SCALARS: list[Any] = [
    None, True, False, 0, 1, -1, 5, 7, 10, 2**53 + 1, 10**30, 0.0, -0.5, 5.0, 5.5, 1e20, 2.5e-7, "", " ", "0", "1",
    "-1", "5", "+5", "05", "5.0", "5.", ".5", "5e0", "1e3", "1E-2", "1e", "e3", "--1", " 5", "5 ", "5_0", "٥", "inf",
    "nan", "0x5", "true", "false", "True", "null", "pro", "Pro", "pro,team", "pro, 5", '["pro", 5]', "[5, true]",
    "[broken", "é", "1e999", "2030-03-01", "2030-03-02T00:00:00Z", "2030-03-01T23:30:00-02:00", "2030-03-01 12:00",
    "2030-02-30", "20300301", "2030-3-1", "2030-03-01T12", "2030-03-01x",
]  # fmt: skip


def spelled(value: Any) -> str:
    if value is None or isinstance(value, str):
        return value or ""
    text = json.dumps(value)
    if isinstance(value, bool):
        return text
    digits, exponent, power = text.partition("e")
    return f"{digits}{'' if '.' in digits else '.0'}e{int(power)}" if exponent else text


def number(value: Any) -> Fraction | None:
    if isinstance(value, bool) or value is None:
        return None
    if not isinstance(value, str):
        return Fraction(value)
    text = value[1:] if value[:1] in ("+", "-") else value
    mantissa, exponent, power = text.partition("e" if "e" in text else "E")
    whole, point, part = mantissa.partition(".")
    parts = [whole, *([part] if point else []), *([power.removeprefix("-").removeprefix("+")] if exponent else [])]
    if not all(digits and set(digits) <= set("0123456789") for digits in parts):
        return None
    if len(parts) == 1:
        return Fraction(int(value))
    return None if abs(float(value)) == float("inf") else Fraction(float(value))


def moment(value: Any) -> datetime | None:
    for form in ("%Y-%m-%d", "%Y-%m-%dT%H:%M:%S%z", "%Y-%m-%d %H:%M"):
        try:
            found = datetime.strptime(str(value), form)  # noqa: DTZ007 - what has no zone is given UTC below
        except ValueError:
            continue
        # strptime is lenient about the number of digits.
        if len(str(value)) == len("2030-03-01") or len(str(value)) > len("2030-03-01T12"):
            return found if found.tzinfo else found.replace(tzinfo=UTC)
    return None


def so(value: Any, operator: str, expected: Any) -> bool:
    if operator in ("==", "!="):
        return (spelled(value) == spelled(expected)) is (operator == "==")
    if operator == "contains":
        return spelled(expected) in spelled(value)
    if operator == "in":
        return value is not None and spelled(value) in members(expected)
    pair = [number(value), number(expected)]
    if pair == [None, None]:
        pair = [moment(value), moment(expected)]  # type: ignore[list-item]
    if None in pair:
        return False
    left, right = pair
    return {">": left > right, ">=": left >= right, "<": left < right, "<=": left <= right}[operator]  # type: ignore[operator]


def members(expected: Any) -> list[str]:
    if not isinstance(expected, str):
        return [] if expected is None else [spelled(expected)]
    try:
        if expected.lstrip().startswith("["):
            return [spelled(each) for each in json.loads(expected)]
    except ValueError:
        pass
    return [each.strip() for each in expected.split(",") if each.strip()]


@pytest.mark.parametrize("operator", OPERATORS)
def test_every_pair_of_values(operator: str) -> None:
    for value, expected in itertools.product(SCALARS, SCALARS):
        said = f"{value!r} {operator} {expected!r}"
        assert (said, compare(value, operator, expected)) == (said, so(value, operator, expected))


SIMPLE = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text("0123456789+-.eE ,[]", max_size=8)
)


@given(SIMPLE, st.sampled_from(OPERATORS), SIMPLE)
def test_any_pair_of_values(value: Any, operator: str, expected: Any) -> None:
    assert compare(value, operator, expected) is so(value, operator, expected)


@given(JSON, JSON)
def test_what_can_be_ordered_is_on_one_side_of_the_other(value: Any, expected: Any) -> None:
    assert comparable(value, expected) is (compare(value, "<=", expected) or compare(value, ">", expected))
    assert not comparable(value, expected) or (ordered(value) and ordered(expected))


def test_a_long_text_is_compared_in_good_time() -> None:
    digits = "9" * 10_000_000
    for operator in OPERATORS:
        assert compare(digits, operator, "5") in (True, False)
        assert compare("5", operator, digits) in (True, False)
    assert not compare(digits, ">", "5"), "what is longer than 4,000 digits is no number"
