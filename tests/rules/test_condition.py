from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dripdrop.comparator import OPERATORS, compare
from dripdrop.rules.condition import field_path, holds
from dripdrop.rules.definition import Condition
from dripdrop.rules.facts import Facts

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


def field(name: str, operator: str, expected: Any) -> Condition:
    return Condition("enrollment_data", name, operator, expected)


YES, NO = field("plan", "==", "pro"), field("seats", ">", 5)
FACTS = Facts({"plan": "pro", "seats": "few"})


def test_modes() -> None:
    assert holds((), "all", FACTS).holds
    assert not holds((), "any", FACTS).holds
    assert holds((NO,), "always", FACTS).holds
    assert not holds((YES, NO), "all", FACTS).holds
    assert holds((NO, YES), "any", FACTS).holds


def test_the_evidence_says_what_was_looked_at_and_never_a_persons_value() -> None:
    verdict = holds((NO, YES), "all", FACTS)
    assert [each["enrollment_data"] for each in verdict.evidence] == ["seats"]
    assert verdict.evidence[0]["problem"] == "not_comparable"
    assert "few" not in str(verdict.evidence)
    assert holds((field("age", ">", 1),), "all", FACTS).evidence[0]["missing"] is True


def test_a_hooks_answer_is_compared_and_what_is_not_available_never_holds() -> None:
    hook = Condition("hook", "score", ">=", 70)
    assert holds((hook,), "all", Facts({}, {"score": 80})).holds
    assert not holds((hook,), "all", Facts()).holds
    assert holds((Condition("predicate", "plan == 'pro'"),), "all", FACTS).evidence[0]["problem"] == "unsupported_here"
