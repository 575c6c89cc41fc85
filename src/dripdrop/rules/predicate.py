"""Does a predicate such as `plan == 'pro' and (seats > 5 or tags contains 'vip')` hold for these facts?

    predicate  = term { "or" term }         term = factor { "and" factor }       factor = "(" predicate ")" | comparison
    comparison = name operator value        operator = == != > >= < <= contains "not contains"; in, before a list
    value      = 'text' | number | true | false | nil | '2030-03-01'::DATE | '2030-03-01T12:00:00Z'::DATETIME
               | "[" values "]"             within text '' is a quote, and \\\\ one backslash

Keywords are written small, capitalised or in capitals. A name alone reads the enrollment's data, `plan.name` within a
map of it. `enrollment.`, `sequence.`, `step.`, `event.` and `hook.` before a name say where it is looked up, also when
the data has a key like that: `enrollment.event.kind` then reads the data.

Typing is strict. What is not there is null, and so is what lies beyond anything but a map. `==` needs two of a kind: 1
is 1.0, and neither '1' nor true. Order needs two numbers, or a date (a date and time) and such a value of the data,
where it may be text of ISO 8601; anything else is not so, null neither. `contains` asks whether a list has exactly this
element, and is not so of anything but a list. `!=` and `not contains` are the opposites of `==` and `contains`.
"""

from __future__ import annotations

import operator as signs
from collections.abc import Callable, Mapping
from datetime import date, datetime
from functools import lru_cache
from typing import Any, TypeAlias

from dripdrop.errors import Finding, Invalid
from dripdrop.rules import predicate_syntax as syntax
from dripdrop.rules.dates import aware, day_of, instant_of
from dripdrop.rules.facts import Facts
from dripdrop.rules.predicate_syntax import Comparison, Tree, Value

Test: TypeAlias = Callable[[Facts], bool]
Check: TypeAlias = Callable[[Any], bool]

_ORDERS: Mapping[str, Callable[[Any, Any], bool]] = {
    ">": signs.gt,
    ">=": signs.ge,
    "<": signs.lt,
    "<=": signs.le,
}
_NUMBERS = frozenset({int, float})


class Predicate:
    """A predicate, compiled: `holds(facts)` costs a few microseconds and never raises. Equal when it says the same."""

    __slots__ = ("_asked", "_holds", "tree")

    def __init__(self, tree: Tree) -> None:
        self.tree = tree
        self._holds = _compiled(tree)
        self._asked = {syntax.named(each): _reader(each) for each in syntax.comparisons(tree)}

    def holds(self, facts: Facts | Mapping[str, Any]) -> bool:
        """Whether it holds for these facts; a plain mapping is the enrollment's data."""
        return self._holds(facts if isinstance(facts, Facts) else Facts(facts))

    def names(self) -> Mapping[str, frozenset[str]]:
        """What it asks, by place: dotted names under `enrollment`, `sequence`, `step`, `event`, `hook`."""
        asked: dict[str, set[str]] = {place: set() for place in syntax.PLACES}
        for each in syntax.comparisons(self.tree):
            asked[each.place].add(".".join(each.path))
        return {place: frozenset(names) for place, names in asked.items()}

    def hooks(self) -> frozenset[str]:
        """The hooks whose answers it needs."""
        return frozenset(each.path[0] for each in syntax.comparisons(self.tree) if each.place == "hook")

    def never(self) -> tuple[str, ...]:
        """Its comparisons that are so of nothing: order beside what has none, and `in` of an empty list."""
        idle = (
            each
            for each in syntax.comparisons(self.tree)
            if (each.operator in _ORDERS and each.value.kind not in ("number", "date", "datetime"))
            or (each.operator == "in" and not each.value.of)
        )
        return tuple(map(syntax.write, idle))

    def missing(self, facts: Facts | Mapping[str, Any]) -> tuple[str, ...]:
        """The names that are null for these facts, as a predicate writes them."""
        known = facts if isinstance(facts, Facts) else Facts(facts)
        return tuple(name for name, read in self._asked.items() if read(known) is None)

    def __str__(self) -> str:
        """The one way it is written; `parse` of it is equal to this predicate."""
        return syntax.write(self.tree)

    def __repr__(self) -> str:
        return f"Predicate({str(self)!r})"

    def __eq__(self, other: object) -> bool:
        return self.tree == other.tree if isinstance(other, Predicate) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.tree)


def parse(text: str) -> Predicate:
    """The predicate of a text; compiled once and kept. Raises `Invalid` (`predicate`) with line, column and cure."""
    if not isinstance(text, str):
        finding = Finding("predicate", "predicate", "A predicate is text.", "Write it like: plan == 'pro'.")
        raise Invalid(finding.message, cure=finding.cure, code="predicate", findings=[finding])
    # What is too long to be one is not kept either.
    return _parse(text) if len(text) <= syntax.MAX_CHARACTERS else Predicate(syntax.read(text))


@lru_cache(maxsize=2048)
def _parse(text: str) -> Predicate:
    return Predicate(syntax.read(text))


def _compiled(tree: Tree) -> Test:
    if isinstance(tree, Comparison):
        check = _check(tree.operator, tree.value)
        if tree.place == "enrollment" and len(tree.path) == 1:
            key = tree.path[0]
            return lambda facts: check(facts.data.get(key))
        read = _reader(tree)
        return lambda facts: check(read(facts))
    tests = tuple(map(_compiled, tree.terms))
    if tree.word == "and":
        return _both(*tests) if len(tests) == 2 else lambda facts: all(test(facts) for test in tests)
    return _either(*tests) if len(tests) == 2 else lambda facts: any(test(facts) for test in tests)


def _both(one: Test, other: Test) -> Test:
    return lambda facts: one(facts) and other(facts)


def _either(one: Test, other: Test) -> Test:
    return lambda facts: one(facts) or other(facts)


def _reader(comparison: Comparison) -> Callable[[Facts], Any]:
    place = _PLACES[comparison.place]
    first, *rest = comparison.path
    if not rest:
        return lambda facts: place(facts).get(first)

    def walk(facts: Facts) -> Any:
        value = place(facts).get(first)
        for key in rest:
            if not isinstance(value, Mapping):
                return None
            value = value.get(key)
        return value

    return walk


_PLACES: Mapping[str, Callable[[Facts], Mapping[str, Any]]] = {
    "enrollment": signs.attrgetter("data"),
    "sequence": signs.attrgetter("sequence"),
    "step": signs.attrgetter("step"),
    "event": signs.attrgetter("event"),
    "hook": signs.attrgetter("hooks"),
}


def _check(sign: str, value: Value) -> Check:
    match sign:
        case "==":
            return _equal(value)
        case "!=":
            return _not(_equal(value))
        case "in":
            checks = tuple(map(_equal, value.of))
            return lambda found: any(check(found) for check in checks)
        case "contains":
            return _contains(value)
        case "not contains":
            return _not(_contains(value))
    return _ordered(_ORDERS[sign], value)


def _not(check: Check) -> Check:
    return lambda found: not check(found)


def _contains(value: Value) -> Check:
    check = _equal(value)
    return lambda found: isinstance(found, (list, tuple)) and any(map(check, found))


def _equal(value: Value) -> Check:
    wanted = value.of
    match value.kind:
        case "text":
            return lambda found: isinstance(found, str) and found == wanted
        case "null" | "boolean":
            return lambda found: found is wanted
        case "number" | "date" | "datetime":
            return _ordered(signs.eq, value)
        case "list":
            checks = tuple(map(_equal, wanted))
            return lambda found: (
                isinstance(found, (list, tuple))
                and len(found) == len(checks)
                and all(check(each) for check, each in zip(checks, found, strict=True))
            )


def _ordered(compare: Callable[[Any, Any], bool], value: Value) -> Check:
    """A comparison of numbers, dates or instants; of nothing else is it ever so."""
    wanted = value.of
    match value.kind:
        case "number":
            return lambda found: type(found) in _NUMBERS and compare(found, wanted)
        case "date":
            return lambda found: (day := _day(found)) is not None and compare(day, wanted)
        case "datetime":
            return lambda found: (instant := _instant(found)) is not None and compare(instant, wanted)
        case "text" | "null" | "boolean" | "list":
            return lambda _: False


def _day(found: Any) -> date | None:
    if isinstance(found, str):
        return day_of(found)
    return found if isinstance(found, date) and not isinstance(found, datetime) else None


def _instant(found: Any) -> datetime | None:
    if isinstance(found, str):
        return instant_of(found)
    return aware(found) if isinstance(found, datetime) else None
