"""Which step comes next, or is this the end?  And what must be known before that can be said?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from dripdrop.errors import Finding, Invalid
from dripdrop.rules.condition import Verdict, asked, holds
from dripdrop.rules.definition import Condition, OnEvent, Policy, Step, Transition, Version
from dripdrop.rules.facts import NO_FACTS, Facts


@dataclass(frozen=True, slots=True)
class Goto:
    """Go on to this step; `why` is `starting_step`, `start`, `entry`, `transition`, `timeout` or `linear`."""

    step: Step
    why: str
    evidence: tuple[Mapping[str, Any], ...] = ()


@dataclass(frozen=True, slots=True)
class Complete:
    """The way ends here; `why` is `end` (no further step) or `transition` (a way on says so)."""

    why: str
    evidence: tuple[Mapping[str, Any], ...] = ()


@dataclass(frozen=True, slots=True)
class NoMatch:
    """There are ways on, and none of them holds: `policy` says what is to be done."""

    policy: Policy
    why: str = "no_match"
    evidence: tuple[Mapping[str, Any], ...] = ()


Way: TypeAlias = Goto | Complete | NoMatch


@dataclass(frozen=True, slots=True)
class Questions:
    """What has to be known before conditions can be judged: hooks to ask, and events to look up, by name.

    `any` says whether there are conditions at all: without, no facts are needed.
    """

    hooks: tuple[str, ...] = ()
    events: tuple[str, ...] = ()
    any: bool = False


@dataclass(frozen=True, slots=True)
class Asked:
    """The questions of a step's own conditions, and those of the ways on from it."""

    gate: Questions
    ways: Questions


def questions(version: Version, step: Step | None) -> Asked:
    """What a step, and the ways on from it (None: the ways in), ask; worked out once for each version."""
    key = ("questions", step.key if step is not None else None)
    known: Asked | None = version.memo.get(key)
    if known is None:
        ways = [condition for way in _all_ways(version, step) for condition in way.conditions]
        known = version.memo[key] = Asked(_asked(step.conditions if step is not None else ()), _asked(ways))
    return known


def _asked(conditions: Sequence[Condition]) -> Questions:
    found = asked(conditions)
    return Questions(tuple(sorted(found.hooks)), tuple(sorted(found.events)), bool(conditions))


def _all_ways(version: Version, step: Step | None) -> list[Transition]:
    """The ways on from a step, and from the inactive ones that they pass by."""
    found: list[Transition] = []
    ahead = [step.key if step is not None else None]
    seen: set[str | None] = set()
    while ahead:
        origin = ahead.pop()
        if origin in seen:
            continue
        seen.add(origin)
        ways = _ways(version, origin)
        found += ways
        targets = [version.step(way.target) for way in ways if way.target is not None]
        ahead += [each.key for each in targets if each is not None and not each.active]
    return found


def first_step(version: Version, starting_step: str | None = None, facts: Facts = NO_FACTS) -> Way:
    """Where an enrollment begins: the named step, else `start`, else the entry transitions, else the lowest position.

    An inactive step is passed by as if it had been done. Raises `Invalid` (`unknown_step`) for a `starting_step` that
    is not an active step of this version.
    """
    if starting_step is not None:
        return Goto(_active_step(version, starting_step), "starting_step")
    start = version.config.get("start")
    if isinstance(start, str) and (step := version.step(start)) is not None:
        return _arrive(version, step, "start", (), facts)
    entries = _ways(version, None)
    if entries:
        return _follow(version, entries, "entry", version.config.get("on_no_match", "complete"), facts)
    following = _next_in_line(version, None)
    return Goto(following, "linear") if following else Complete("end")


def choose(version: Version, after: Step, facts: Facts = NO_FACTS) -> Way:
    """What follows a step: its transitions by priority, or without any the next active step by position."""
    ways = _ways(version, after.key)
    if ways:
        return _follow(version, ways, "transition", after.on_no_match, facts)
    return onward(version, after)


def timed_out(version: Version, step: Step, facts: Facts = NO_FACTS) -> Way:
    """What follows a wait that was in vain: the step that its timing names, else what always follows."""
    goto = step.timing.timeout_goto if isinstance(step.timing, OnEvent) else None
    target = version.step(goto) if goto is not None else None
    return choose(version, step, facts) if target is None else _arrive(version, target, "timeout", (), facts)


def onward(version: Version, after: Step) -> Goto | Complete:
    """What follows by position alone: for the policy `continue`, and where no transition leaves a step."""
    key = ("onward", after.key, after.position)
    known: Goto | Complete | None = version.memo.get(key)
    if known is None:
        following = _next_in_line(version, after.position) if after.position is not None else None
        known = version.memo[key] = Goto(following, "linear") if following else Complete("end")
    return known


def gate(step: Step, facts: Facts = NO_FACTS) -> Verdict:
    """Whether the step's own conditions let it go; a hook named without an expectation only fetches a variable."""
    asked = [each for each in step.conditions if each.type != "hook" or each.expected is not None]
    return holds(asked, step.gate_mode, facts) if asked else Verdict(True)


def _ways(version: Version, origin: str | None) -> list[Transition]:
    if not version.transitions:
        return []
    ways = [way for way in version.transitions if way.origin == origin]
    if len(ways) > 1:
        ways.sort(key=_priority)
    return ways


def _priority(way: Transition) -> int:
    return way.priority


def _follow(version: Version, ways: list[Transition], why: str, policy: Policy, facts: Facts) -> Way:
    evidence: tuple[Mapping[str, Any], ...] = ()
    for way in ways:
        verdict = holds(way.conditions, way.mode, facts)
        evidence += verdict.evidence
        if not verdict.holds:
            continue
        step = version.step(way.target) if way.target is not None else None
        if step is None:
            return Complete(why, evidence)
        return _arrive(version, step, why, evidence, facts)
    return NoMatch(policy, evidence=evidence)


def _arrive(
    version: Version,
    step: Step,
    why: str,
    evidence: tuple[Mapping[str, Any], ...],
    facts: Facts,
    passed: frozenset[str] = frozenset(),
) -> Way:
    """The step itself, or what follows it while it is inactive; a ring of inactive steps is an end."""
    if step.active:
        return Goto(step, why, evidence)
    if step.key in passed:
        return Complete("end", evidence)
    passed |= {step.key}
    for way in _ways(version, step.key):
        verdict = holds(way.conditions, way.mode, facts)
        evidence += verdict.evidence
        if verdict.holds:
            target = version.step(way.target) if way.target is not None else None
            if target is None:
                return Complete("transition", evidence)
            return _arrive(version, target, why, evidence, facts, passed)
    if _ways(version, step.key):
        return NoMatch(step.on_no_match, evidence=evidence)
    return onward(version, step)


def _next_in_line(version: Version, position: int | None) -> Step | None:
    """The active step of the lowest position after this one; without a position, the first of all."""
    best: Step | None = None
    for step in version.steps:
        if not step.active or step.position is None or (position is not None and step.position <= position):
            continue
        if best is None or best.position is None or step.position < best.position:
            best = step
    return best


def _active_step(version: Version, key: str) -> Step:
    step = version.step(key)
    if step is not None and step.active:
        return step
    message = f"{version.sequence_key} has no active step {key!r}."
    cure = f"Choose one of: {', '.join(each.key for each in version.steps if each.active)}."
    raise Invalid(
        message, cure=cure, code="unknown_step", findings=[Finding("unknown_step", "starting_step", message, cure)]
    )
