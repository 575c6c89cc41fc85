"""Which steps of a definition can anybody get to, and where would somebody go round for ever?"""

from __future__ import annotations

from collections.abc import Iterable

from dripdrop.rules.definition import Immediate, OnEvent, Step
from dripdrop.rules.document import SequenceDocument


def reached(document: SequenceDocument) -> set[str]:
    """The keys of the steps that some way leads to from the beginning."""
    found: set[str] = set()
    ahead = list(_beginnings(document))
    while ahead:
        key = ahead.pop()
        step = document.step(key)
        if key not in found and step is not None:
            found.add(key)
            ahead += following(document, step)
    return found


def following(document: SequenceDocument, step: Step) -> set[str]:
    """The keys of every step that may come next: by a transition, by position, or when a wait times out."""
    ways = [way for way in document.transitions if way.origin == step.key]
    keys = {way.target for way in ways if way.target is not None}
    policies = (step.on_failure, step.on_exhausted, step.on_no_match)
    if step.position is not None and (not ways or "continue" in policies):
        keys |= set(_next_in_line(document, step.position))
    if isinstance(step.timing, OnEvent) and step.timing.timeout_goto:
        keys.add(step.timing.timeout_goto)
    return keys


def loops_without_wait(document: SequenceDocument) -> list[str]:
    """One step of each round that could be walked without ever waiting, first come first."""
    hasty = {step.key: step for step in document.steps if isinstance(step.timing, Immediate)}
    edges = _pruned({key: following(document, step) & hasty.keys() for key, step in hasty.items()})
    beyond = {key: _closure(edges, key) for key in edges}
    found: list[str] = []
    known: set[str] = set()
    for key in beyond:
        if key in beyond[key] and key not in known:
            found.append(key)
            known |= {other for other in beyond[key] if key in beyond[other]}
    return found


def _pruned(edges: dict[str, set[str]]) -> dict[str, set[str]]:
    """The same without what leads nowhere: a sequence without rounds leaves nothing."""
    while True:
        kept = {key: {other for other in ahead if edges.get(other)} for key, ahead in edges.items() if ahead}
        if kept == edges:
            return kept
        edges = kept


def _closure(edges: dict[str, set[str]], start: str) -> set[str]:
    found: set[str] = set()
    ahead = list(edges[start])
    while ahead:
        key = ahead.pop()
        if key not in found:
            found.add(key)
            ahead += edges.get(key, ())
    return found


def _beginnings(document: SequenceDocument) -> Iterable[str]:
    start = document.config.get("start")
    if isinstance(start, str):
        return [start]
    entries = [way for way in document.transitions if way.origin is None]
    if entries:
        return [way.target for way in entries if way.target is not None]
    return _next_in_line(document, None)


def _next_in_line(document: SequenceDocument, position: int | None) -> list[str]:
    later = [
        (step.position, step.key)
        for step in document.steps
        if step.active and step.position is not None and (position is None or step.position > position)
    ]
    return [min(later)[1]] if later else []
