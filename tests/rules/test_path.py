from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest

from dripdrop.errors import Invalid
from dripdrop.rules.definition import Condition, Immediate, Step, Transition, Version
from dripdrop.rules.facts import Facts
from dripdrop.rules.path import Complete, Goto, NoMatch, choose, first_step, gate, onward


def step(key: str, position: int | None, **more: Any) -> Step:
    return Step(uuid4(), key, key, "email", position, Immediate(), {}, **more)


def version(*steps: Step, ways: tuple[Transition, ...] = (), config: dict[str, Any] | None = None) -> Version:
    return Version(uuid4(), uuid4(), "s", "S", "", 1, "active", "lifecycle", steps, ways, config or {})


def key(way: Any) -> str:
    assert isinstance(way, Goto)
    return way.step.key


PRO = Condition("enrollment_data", "plan", "==", "pro")


def test_without_transitions_the_next_active_step_by_position_follows() -> None:
    a, off, c = step("a", 1), step("b", 2, active=False), step("c", 5)
    of = version(c, off, a)
    assert key(first_step(of)) == "a"
    assert key(choose(of, a)) == "c"
    assert choose(of, c) == Complete("end")


def test_transitions_are_tried_by_priority() -> None:
    a, b, c = step("a", 1), step("b", 2), step("c", 3)
    ways = (Transition("a", "b", priority=5), Transition("a", "c", "all", (PRO,), 1))
    of = version(a, b, c, ways=ways)
    found = choose(of, a, Facts({"plan": "pro"}))
    assert key(found) == "c"
    assert found.evidence[0]["holds"] is True
    assert key(choose(of, a, Facts({"plan": "free"}))) == "b"


def test_a_way_to_nowhere_is_the_end() -> None:
    a = step("a", 1)
    assert choose(version(a, step("b", 2), ways=(Transition("a", None),)), a) == Complete("transition")


def test_no_way_that_holds_is_said_with_the_steps_policy() -> None:
    a = step("a", 1, config={"on_no_match": "pause"})
    of = version(a, step("b", 2), ways=(Transition("a", "b", "all", (PRO,)),))
    found = choose(of, a)
    assert isinstance(found, NoMatch)
    assert found.policy == "pause"
    assert found.evidence[0]["missing"] is True
    assert key(onward(of, a)) == "b"


def test_a_goto_to_an_inactive_step_goes_on_behind_it() -> None:
    a, off, c, d = step("a", 1), step("off", 2, active=False), step("c", 3), step("d", 4)
    assert key(choose(version(a, off, c, d, ways=(Transition("a", "off"),)), a)) == "c"
    both = (Transition("a", "off"), Transition("off", "d"))
    assert key(choose(version(a, off, c, d, ways=both), a)) == "d"


def test_a_ring_of_inactive_steps_ends() -> None:
    a, b, c = step("a", 1), step("b", 2, active=False), step("c", 3, active=False)
    ways = (Transition("a", "b"), Transition("b", "c"), Transition("c", "b"))
    assert choose(version(a, b, c, ways=ways), a) == Complete("end")


def test_the_way_in() -> None:
    a, b, c = step("a", 1), step("b", 2), step("c", 3)
    entries = (Transition(None, "c", "all", (PRO,), 0), Transition(None, "b", "always", (), 1))
    assert key(first_step(version(a, b, c, ways=entries), None, Facts({"plan": "pro"}))) == "c"
    assert key(first_step(version(a, b, c, ways=entries))) == "b"
    assert key(first_step(version(a, b, c, config={"start": "b"}))) == "b"
    assert key(first_step(version(a, b, c), "c")) == "c"
    assert first_step(version()) == Complete("end")
    assert first_step(version(step("x", None))) == Complete("end")


@pytest.mark.parametrize("wanted", ["nope", "off"])
def test_a_starting_step_must_be_an_active_one(wanted: str) -> None:
    with pytest.raises(Invalid) as refused:
        first_step(version(step("a", 1), step("off", 2, active=False)), wanted)
    assert refused.value.code == "unknown_step"
    assert "a" in refused.value.cure


def test_a_step_without_a_position_leads_nowhere_by_itself() -> None:
    lonely = step("x", None)
    assert choose(version(step("a", 1), lonely), lonely) == Complete("end")


def test_the_gate_ignores_a_hook_that_only_fetches_a_variable() -> None:
    fetch = Condition("hook", "score")
    assert gate(step("a", 1, conditions=(fetch,)))
    assert not gate(step("a", 1, conditions=(fetch, PRO)), Facts({"plan": "free"}))
    assert gate(
        step("a", 1, conditions=(PRO, Condition("hook", "score", ">", 5))), Facts({"plan": "pro"}, {"score": 6})
    )
