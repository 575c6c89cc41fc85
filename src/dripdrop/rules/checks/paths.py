"""Does every way lead somewhere, and does some way lead to every step?"""

from __future__ import annotations

from typing import Any

from dripdrop.rules.checks.common import Found, nearest
from dripdrop.rules.checks.conditions import conditions
from dripdrop.rules.document import Path, SequenceDocument
from dripdrop.rules.reachability import loops_without_wait, reached

MAX_STEPS = 1_000


def ways(document: SequenceDocument) -> Found:
    """The transitions: their conditions, and the steps that they name."""
    keys = [step.key for step in document.steps]
    places: dict[str | None, int] = {}
    for way in document.transitions:
        place = places[way.origin] = places.get(way.origin, -1) + 1
        at: Path = ("start", place) if way.origin is None else ("steps", way.origin, "next", place)
        yield from conditions(document, way.conditions, way.mode, (*at, "when"))
        for end, name in ((way.origin, "from"), (way.target, "goto")):
            if end is not None and end not in keys:
                yield document.finding("unknown_goto", (*at, name), f"There is no step {end!r}.", nearest(end, keys))
    start = document.config.get("start")
    if isinstance(start, str) and start not in keys:
        yield document.finding("unknown_goto", ("start",), f"There is no step {start!r}.", nearest(start, keys))


def whole(document: SequenceDocument) -> Found:
    """What only shows when all steps are looked at together."""
    yield from _doubles(document)
    if len(document.steps) > MAX_STEPS:
        message = f"There are {len(document.steps)} steps; {MAX_STEPS} are possible."
        yield document.finding("too_many_steps", ("steps",), message, "Split the sequence in two.")
        return
    alive = reached(document)
    if not alive:
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


def _doubles(document: SequenceDocument) -> Found:
    seen: dict[tuple[str, Any], str] = {}
    for step in document.steps:
        pairs: tuple[tuple[str, Any], ...] = (("key", step.key), ("position", step.position))
        for name, value in pairs:
            if value is not None and (name, value) in seen:
                message = f"{seen[name, value]!r} and {step.key!r} have the same {name}."
                yield document.finding(f"duplicate_{name}", ("steps", step.key), message, "Change one of them.")
            seen.setdefault((name, value), step.key)
