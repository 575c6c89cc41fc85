from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dripdrop.comparator import OPERATORS
from dripdrop.rules import path
from dripdrop.rules.condition import Asked, asked, holds
from dripdrop.rules.definition import Condition, Immediate, Step
from dripdrop.rules.facts import Facts, Happened

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)


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


NOON = datetime(2030, 3, 1, 12, tzinfo=UTC)  # a Friday
NOW = Facts(
    {"plan": "pro"},
    hooks={"score": 80, "vip": False, "nothing": None},
    events={
        "changed": [Happened({"plan": "free"}, NOON - timedelta(days=1), UUID(int=2)),
                    Happened({"plan": "pro", "paid": True}, NOON - timedelta(days=9), UUID(int=1))],
        "opened": [],
    },
    event={"kind": "live"},
    now=NOON,
    zone="Europe/Vienna",
)  # fmt: skip


def judged(condition: Condition, facts: Facts = NOW) -> tuple[bool, Any]:
    verdict = holds((condition,), "all", facts)
    (seen,) = verdict.evidence
    assert seen["holds"] is verdict.holds
    return verdict.holds, seen.get("problem", "missing" if "missing" in seen else None)


@pytest.mark.parametrize(
    ("condition", "so"),
    [
        (Condition("hook", "score", ">=", 70), (True, None)),
        (Condition("hook", "score", ">=", 90), (False, None)),
        (Condition("hook", "vip", "==", False), (True, None)),
        (Condition("hook", "nothing", "!=", "x"), (True, "missing")),
        (Condition("hook", "other", "!=", "x"), (False, "no_answer")),
        (Condition("hook", "", ">", 70, {"http_hook": "score"}), (True, None)),
        (Condition("event", "changed"), (True, None)),
        (Condition("event", "changed", "!="), (False, None)),
        (Condition("event", "changed", "==", False), (False, None)),
        (Condition("event", "opened"), (False, None)),
        (Condition("event", "never"), (False, None)),
        (Condition("event", "never", "==", False), (True, None)),
        (Condition("event", "never", "!="), (True, None)),
        (Condition("event", "changed", "==", None, {"within": "in 1 day"}), (True, None)),
        (Condition("event", "changed", "==", None, {"within": "23 hours"}), (False, None)),
        (Condition("event", "changed", "==", False, {"within": "23 hours"}), (True, None)),
        (Condition("event", "changed", "==", None, {"within": "soon"}), (False, "within")),
        (Condition("event", "changed", "==", None, {"within": []}), (False, "within")),
        (Condition("event", "changed", "==", "free", {"field_path": "plan"}), (True, None)),
        (Condition("event", "changed", "==", "pro", {"field_path": "plan"}), (False, None)),
        (Condition("event", "changed", "==", True, {"field_path": "paid"}), (False, "missing")),
        (Condition("event", "changed", "==", "free", {"field_path": "$.plan", "within": "in 2 days"}), (True, None)),
        (Condition("event", "changed", "!=", "x", {"field_path": "plan", "within": "in 1 hour"}), (False, "missing")),
        (Condition("predicate", "plan == 'pro' and hook.score > 70 and event.kind == 'live'"), (True, None)),
        (Condition("predicate", "plan == 'free'"), (False, None)),
        (Condition("predicate", "plan == 'pro' and seats > 5"), (False, "missing")),
        (Condition("predicate", "plan = 'pro'"), (False, "predicate")),
        (Condition("predicate", ""), (False, "predicate")),
        (Condition("time_window", "", "==", None, {"window": {"days": ["fri"], "from": "13:00", "to": "13:01"}}),
         (True, None)),
        (Condition("time_window", "", "==", None, {"window": {"days": "weekend"}}), (False, None)),
        (Condition("time_window", "", "==", False, {"window": {"days": "weekend"}}), (True, None)),
        (Condition("time_window", "", "!=", None, {"window": {"days": "weekend"}}), (True, None)),
        (Condition("time_window", "", "==", None, {"window": [22, 14]}), (True, None)),
        (Condition("time_window", "", "==", None, {"window": {"days": ["fri"], "holidays": ["2030-03-01"]}}),
         (False, None)),
        (Condition("time_window", "", "==", None, {"window": {"days": ["someday"]}}), (False, "window")),
        (Condition("time_window", "", "==", False, {"window": None}), (True, None)),
    ],
)  # fmt: skip
def test_each_kind_of_condition(condition: Condition, so: tuple[bool, Any]) -> None:
    assert judged(condition) == so


def test_what_needs_the_time_never_holds_without_it() -> None:
    timeless = Facts(events=NOW.events)
    assert judged(Condition("event", "changed", "==", False, {"within": "in 1 day"}), timeless) == (False, "no_time")
    assert judged(Condition("time_window", "", "==", None, {"window": [0, 24]}), timeless) == (False, "no_time")
    lost = Facts(now=NOON, zone="Mars/Base")
    assert judged(Condition("time_window", "", "==", None, {"window": [0, 24]}), lost) == (False, "zone")


def test_the_evidence_of_an_event_names_its_row_and_not_its_data() -> None:
    compared = Condition("event", "changed", "==", "pro", {"field_path": "plan"})
    verdict = holds((compared,), "all", NOW)
    assert verdict.evidence == (
        {"event": "changed", "is": "==", "value": "pro", "id": str(UUID(int=2)), "holds": False},
    )


def test_the_evidence_of_a_predicate_names_what_was_missing() -> None:
    verdict = holds((Condition("predicate", "seats > 5 and home.city == 'x' and plan == 'free'"),), "all", NOW)
    assert verdict.evidence[0]["missing"] == ["seats", "home.city"]
    assert "pro" not in str(verdict.evidence)


def test_a_hook_named_at_a_step_without_an_expectation_only_fetches() -> None:
    step = Step(UUID(int=1), "a", "A", "email", 1, Immediate(), {}, conditions=(Condition("hook", "score"),))
    assert path.gate(step, Facts()).holds
    assert asked(step.conditions) == Asked(frozenset({"score"}), frozenset())


def test_what_conditions_ask_is_known_beforehand() -> None:
    conditions = [
        Condition("hook", "score", ">", 1),
        Condition("hook", "", ">", 1, {"http_hook": "credit"}),
        Condition("event", "opened"),
        Condition("predicate", "hook.tier.name == 'x' or plan == 'y'"),
        Condition("predicate", "not a predicate"),
        YES,
    ]
    assert asked(conditions) == Asked(frozenset({"score", "credit", "tier"}), frozenset({"opened"}))


@given(
    st.sampled_from(["hook", "event", "predicate", "time_window", "enrollment_data"]),
    st.text(max_size=6) | st.sampled_from(["score", "changed", "plan == 'pro'"]),
    st.sampled_from([*OPERATORS, "~"]),
    JSON,
    st.dictionaries(st.sampled_from(["within", "field_path", "window", "http_hook"]), JSON, max_size=3),
)
def test_no_condition_raises(kind: Any, subject: str, operator: str, expected: Any, config: dict[str, Any]) -> None:
    condition = Condition(kind, subject, operator, expected, config)
    verdict = holds((condition,), "any", NOW)
    assert verdict.holds in (True, False)
    assert len(verdict.evidence) == 1
