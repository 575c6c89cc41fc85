"""Which steps of a definition can anybody get to, and where would somebody go round for ever?"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable

from dripdrop.rules.definition import Immediate, OnEvent
from dripdrop.rules.document import SequenceDocument


def reached(document: SequenceDocument) -> set[str]:
    """The keys of the steps that some way leads to from the beginning."""
    ahead = list(_beginnings(document))
    edges = following(document)
    found: set[str] = set()
    while ahead:
        key = ahead.pop()
        if key not in found and key in edges:
            found.add(key)
            ahead += edges[key]
    return found


def following(document: SequenceDocument) -> dict[str, set[str]]:
    """For each step the keys of all that may come next: by a transition, by position, or when a wait times out."""
    ways: dict[str, set[str]] = {}
    for way in document.transitions:
        if way.origin is not None:
            ways.setdefault(way.origin, set()).update(() if way.target is None else (way.target,))
    line = _line(document)
    positions = [position for position, _ in line]
    edges: dict[str, set[str]] = {}
    for step in document.steps:
        keys = set(ways.get(step.key, ()))
        policies = (step.on_failure, step.on_exhausted, step.on_no_match)
        if step.position is not None and (step.key not in ways or "continue" in policies):
            keys.update(key for _, key in line[bisect_right(positions, step.position) :][:1])
        if isinstance(step.timing, OnEvent) and step.timing.timeout_goto:
            keys.add(step.timing.timeout_goto)
        edges[step.key] = keys
    return edges


def loops_without_wait(document: SequenceDocument) -> list[str]:
    """One step of each round that could be walked without ever waiting, first come first."""
    hasty = {step.key for step in document.steps if isinstance(step.timing, Immediate)}
    edges = _pruned({key: ahead & hasty for key, ahead in following(document).items() if key in hasty})
    beyond = {key: _closure(edges, key) for key in edges}
    found: list[str] = []
    known: set[str] = set()
    for key in beyond:
        if key in beyond[key] and key not in known:
            found.append(key)
            known |= {other for other in beyond[key] if key in beyond[other]}
    return found


def _pruned(edges: dict[str, set[str]]) -> dict[str, set[str]]:
    """The same without what leads to no round: a sequence without rounds leaves nothing."""
    behind: dict[str, list[str]] = {}
    for key, ahead in edges.items():
        for other in ahead:
            behind.setdefault(other, []).append(key)
    left = {key: len(ahead) for key, ahead in edges.items()}
    ended = [key for key, number in left.items() if not number]
    while ended:
        for key in behind.get(ended.pop(), ()):
            left[key] -= 1
            if not left[key]:
                ended.append(key)
    return {key: {other for other in ahead if left[other]} for key, ahead in edges.items() if left[key]}


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
    return [key for _, key in _line(document)[:1]]


def _line(document: SequenceDocument) -> list[tuple[int, str]]:
    """The active steps that have a position, in order."""
    return sorted((step.position, step.key) for step in document.steps if step.active and step.position is not None)
