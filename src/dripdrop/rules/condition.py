"""Does a condition hold for these facts?"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache
from typing import Any, TypeAlias

import orjson

from dripdrop.errors import Invalid
from dripdrop.rules import predicate, timing, windows
from dripdrop.rules.comparator import ORDERED, comparable, compare, field_path
from dripdrop.rules.definition import Condition, Mode
from dripdrop.rules.facts import Facts, Happened

Judged: TypeAlias = tuple[bool, dict[str, Any]]

# Names of what a person's data lacked, in the evidence of a predicate.
MAX_MISSING = 10


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether conditions hold, and on what evidence: one mapping for each condition that was looked at."""

    holds: bool
    evidence: tuple[Mapping[str, Any], ...] = ()

    def __bool__(self) -> bool:
        return self.holds


@dataclass(frozen=True, slots=True)
class Asked:
    """What must be known before conditions can be judged: the answers of these hooks, the records of these events."""

    hooks: frozenset[str] = frozenset()
    events: frozenset[str] = frozenset()


def asked(conditions: Iterable[Condition]) -> Asked:
    """The hooks and events that conditions ask; also the hooks that are only named to fetch a variable."""
    hooks: set[str] = set()
    events: set[str] = set()
    for condition in conditions:
        if condition.type == "hook":
            hooks.add(hook_name(condition))
        elif condition.type == "event":
            events.add(condition.subject)
        elif condition.type == "predicate" and (found := _predicate(condition.subject)) is not None:
            hooks |= found.hooks()
    return Asked(frozenset(hooks), frozenset(events))


def hook_name(condition: Condition) -> str:
    """The hook that a condition asks, by its function's name or by that of its HTTP hook."""
    return condition.subject or str(condition.config.get("http_hook", ""))


def holds(conditions: Sequence[Condition], mode: Mode, facts: Facts) -> Verdict:
    """Whether the conditions hold for these facts.

    `all` is true without conditions, `any` is not; what decides ends the search. What cannot be judged does not hold.
    The evidence names fields, operators and rows, and never repeats a person's value.
    """
    if mode == "always":
        return Verdict(True)
    decisive = mode == "any"
    evidence: list[Mapping[str, Any]] = []
    for condition in conditions:
        held, seen = _judge(condition, facts)
        seen["holds"] = held
        evidence.append(seen)
        if held is decisive:
            return Verdict(decisive, tuple(evidence))
    return Verdict(not decisive, tuple(evidence))


def _judge(condition: Condition, facts: Facts) -> Judged:
    match condition.type:
        case "enrollment_data":
            return _compared(condition, field_path(facts.data, condition.subject))
        case "hook":
            name = hook_name(condition)
            if name in facts.broken:
                return False, {**_told(condition), "problem": "hook_broken"}
            if name not in facts.hooks:
                return False, {**_told(condition), "problem": "no_answer"}
            return _compared(condition, facts.hooks[name])
        case "event":
            return _event(condition, facts)
        case "predicate":
            return _typed(condition, facts)
        case "time_window":
            return _calendar(condition, facts)


def _told(condition: Condition) -> dict[str, Any]:
    return {condition.type: condition.subject, "is": condition.operator, "value": condition.expected}


def _compared(condition: Condition, value: Any) -> Judged:
    seen = _told(condition)
    held = compare(value, condition.operator, condition.expected)
    if value is None:
        seen["missing"] = True
    elif not held and condition.operator in ORDERED and not comparable(value, condition.expected):
        seen["problem"] = "not_comparable"
    return held, seen


def _answered(condition: Condition, so: bool, seen: dict[str, Any]) -> Judged:
    """The answer to a question of yes and no: yes is wanted unless `value` says otherwise."""
    return compare(so, condition.operator, True if condition.expected is None else condition.expected), seen


def _event(condition: Condition, facts: Facts) -> Judged:
    """The latest event counts, within the span if there is one: a field of its data, or that it happened at all."""
    recorded, within = facts.events.get(condition.subject, ()), condition.config.get("within")
    latest: Happened | None = recorded[0] if recorded else None
    seen = _told(condition)
    if within is not None:
        span = _span(within) if isinstance(within, str) else None
        if span is None or facts.now is None:
            return False, {**seen, "problem": "no_time" if span else "within"}
        latest = latest if latest is not None and latest.at >= facts.now - span else None
    if latest is not None and latest.id is not None:
        seen["id"] = str(latest.id)
    path = condition.config.get("field_path")
    if path is None:
        return _answered(condition, latest is not None, seen)
    if latest is None:
        return False, {**seen, "missing": True}
    held, compared = _compared(condition, field_path(latest.data, str(path)))
    return held, {**compared, **seen}


def _typed(condition: Condition, facts: Facts) -> Judged:
    found = _predicate(condition.subject)
    if found is None:
        return False, {"predicate": condition.subject[:300], "problem": "predicate"}
    if facts.broken and not facts.broken.keys().isdisjoint(found.hooks()):
        return False, {"predicate": condition.subject[:300], "problem": "hook_broken"}
    held = found.holds(facts)
    seen: dict[str, Any] = {"predicate": condition.subject[:300]}
    if not held and (missing := found.missing(facts)):
        seen["missing"] = list(missing[:MAX_MISSING])
    return held, seen


def _calendar(condition: Condition, facts: Facts) -> Judged:
    written = condition.config.get("window")
    seen: dict[str, Any] = {"time_window": written, "zone": facts.zone}
    if facts.now is None:
        return False, {**seen, "problem": "no_time"}
    try:
        window = _window(orjson.dumps(written, option=orjson.OPT_NON_STR_KEYS))
        so = window is not None and windows.allowed(facts.now, window, facts.zone)
    except (Invalid, TypeError) as trouble:
        return False, {**seen, "problem": getattr(trouble, "code", "window")}
    return _answered(condition, so, seen)


def _predicate(text: str) -> predicate.Predicate | None:
    try:
        return predicate.parse(text)
    except Invalid:
        return None


@lru_cache(maxsize=1024)
def _span(phrase: str) -> timedelta | None:
    try:
        return timing.span(phrase)
    except Invalid:
        return None


@lru_cache(maxsize=1024)
def _window(written: bytes) -> windows.Window | None:
    return windows.parse(orjson.loads(written), "time_window")
