"""Does every way lead somewhere, and does some way lead to every step?"""

from __future__ import annotations

from typing import Any

from dripdrop.errors import Finding
from dripdrop.rules.checks.common import Found, nearest
from dripdrop.rules.checks.conditions import conditions
from dripdrop.rules.document import Path, SequenceDocument
from dripdrop.rules.reachability import loops_without_wait, reached

MAX_STEPS = 1_000


def ways(document: SequenceDocument) -> Found:
    """The transitions: their conditions, and the steps that they name."""
    keys = [step.key for step in document.steps]
    asleep = {step.key for step in document.steps if not step.active}
    places: dict[str | None, int] = {}
    taken: set[str | None] = set()
    for way in document.transitions:
        place = places[way.origin] = places.get(way.origin, -1) + 1
        at: Path = ("start", place) if way.origin is None else ("steps", way.origin, "next", place)
        yield from conditions(document, way.conditions, way.mode, (*at, "when"))
        for end, name in ((way.origin, "from"), (way.target, "goto")):
            if end is not None and end not in keys:
                yield document.finding("unknown_goto", (*at, name), f"There is no step {end!r}.", nearest(end, keys))
        if way.target in asleep:
            yield _passed_by(document, way.target, (*at, "goto"))
        if way.origin in taken:
            message = "A way before this one is always taken, so this one never is."
            cure = "Put the way without `when` last."
            yield document.finding("never_taken", at, message, cure, severity="warning")
        elif way.mode == "always" or (way.mode == "all" and not way.conditions):
            taken.add(way.origin)
    start = document.config.get("start")
    if isinstance(start, str) and start not in keys:
        yield document.finding("unknown_goto", ("start",), f"There is no step {start!r}.", nearest(start, keys))
    elif start in asleep:
        yield _passed_by(document, start, ("start",))


def _passed_by(document: SequenceDocument, key: str | None, at: Path) -> Finding:
    message = f"The step {key!r} is not active, so it is passed by."
    return document.finding("inactive_goto", at, message, "Switch it on, or lead elsewhere.", severity="warning")


def whole(document: SequenceDocument) -> Found:
    """What only shows when all steps are looked at together."""
    yield from _doubles(document)
    if len(document.steps) > MAX_STEPS:
        message = f"There are {len(document.steps)} steps; {MAX_STEPS} are possible."
        yield document.finding("too_many_steps", ("steps",), message, "Split the sequence in two.")
        return
    alive = reached(document)
    if not alive:
        # A `start` that names no step was told already.
        if not (isinstance(document.config.get("start"), str) and any(step.active for step in document.steps)):
            message = "There is no step to begin with."
            yield document.finding("no_entry", ("steps",), message, "Write at least one active step with a position.")
        return
    for key in loops_without_wait(document):
        message = f"The way from {key!r} leads back to it without waiting."
        cure = "Give one of the steps on it a `timing` with a delay."
        yield document.finding("loop_without_wait", ("steps", key, "next"), message, cure)
    for step in document.steps:
        if step.key not in alive and step.active:
            cure = "Lead a `goto` to it, or remove it."
            at: Path = ("steps", step.key)
            yield document.finding("unreachable_step", at, "No way leads to this step.", cure, severity="warning")
    yield from _ends(document, alive)


def _ends(document: SequenceDocument, alive: set[str]) -> Found:
    """Steps after which the sequence is over, though nothing says so."""
    leading = {way.origin for way in document.transitions}
    for step in document.steps:
        if step.position is None and step.key in alive and step.key not in leading:
            message = "The sequence ends here: the step has no position that another could follow, and no `next`."
            cure = "Write `next:` with a step, or `next: end` if that is meant."
            yield document.finding("dead_end", ("steps", step.key), message, cure, severity="warning")


def _doubles(document: SequenceDocument) -> Found:
    seen: dict[tuple[str, Any], str] = {}
    for step in document.steps:
        pairs: tuple[tuple[str, Any], ...] = (("key", step.key), ("position", step.position))
        for name, value in pairs:
            if value is not None and (name, value) in seen:
                message = f"{seen[name, value]!r} and {step.key!r} have the same {name}."
                yield document.finding(f"duplicate_{name}", ("steps", step.key), message, "Change one of them.")
            seen.setdefault((name, value), step.key)
