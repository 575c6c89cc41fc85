"""Does anything provide what the templates and conditions ask for?

Where `variables:` declares the data that people come with, any other name is warned of. Without a declaration only a
name is that is used once and looks like a slip of one that is used elsewhere.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import Any, TypeAlias

from dripdrop.errors import Invalid
from dripdrop.rules import predicate
from dripdrop.rules.checks.common import Checks, Found
from dripdrop.rules.definition import Condition
from dripdrop.rules.document import Path, SequenceDocument

# What every template may name besides the person's data.
SYSTEM = frozenset({
    "sequence_key", "step_key", "now", "today", "now_iso8601", "tenant_key", "public_url", "unsubscribe_url",
    "subscriber_id", "subscriber_type", "enrollment_id", "event",
})  # fmt: skip

# Where a name is used: the name, the path, and for a template the line in it.
Use: TypeAlias = tuple[str, Path, int | None]

_NUMBERED = re.compile(r"\d+|s$")


def variables(document: SequenceDocument, known: Checks) -> Found:
    """Names that nothing provides, each with the one that was probably meant."""
    if known.variables is None:
        return
    uses = list(_uses(document, known))
    declared = document.config.get("variables")
    provided = SYSTEM | {_root(name) for name in _answers(document, known)}
    if isinstance(declared, list):
        provided |= {_root(str(each)) for each in declared}
        for name, at, line in uses:
            if _root(name) not in provided and not _of_step(document, at, name):
                near = get_close_matches(_root(name), sorted(provided), 1, 0.6)
                cure = (
                    f"Did you mean {near[0]!r}?" if near else f"Add {_root(name)} to `variables`, or give it a default."
                )
                yield document.finding("unknown_variable", at, _said(name, line), cure, "warning")
        return
    yield from _slips(document, uses, provided)


def _slips(document: SequenceDocument, uses: Sequence[Use], provided: frozenset[str]) -> Found:
    places: dict[str, set[Path]] = {}
    for name, at, _ in uses:
        places.setdefault(_root(name), set()).add(at)
    for name, at, line in uses:
        root = _root(name)
        if len(places[root]) > 1 or root in provided or _of_step(document, at, name):
            continue
        others = provided | {other for other, where in places.items() if len(where) > 1}
        near = [each for each in get_close_matches(root, sorted(others), 3, 0.85) if not _alike(each, root)]
        if near:
            cure = f"Did you mean {near[0]!r}? If not, declare it: `variables: [{root}]`."
            yield document.finding("unknown_variable", at, _said(name, line), cure, "warning")


def _uses(document: SequenceDocument, known: Checks) -> Iterator[Use]:
    for step in document.steps:
        at: Path = ("steps", step.key)
        yield from _named(step.template, at, known)
        for name in ("locales", "variants"):
            yield from _named(step.config.get(name), (*at, name), known)
        yield from _asked(step.conditions, (*at, "when"))
    places: dict[str | None, int] = {}
    for way in document.transitions:
        place = places[way.origin] = places.get(way.origin, -1) + 1
        here: Path = ("start", place) if way.origin is None else ("steps", way.origin, "next", place)
        yield from _asked(way.conditions, (*here, "when"))


def _named(value: Any, at: Path, known: Checks) -> Iterator[Use]:
    if isinstance(value, str):
        if "{" in value and known.variables is not None:
            yield from ((name, at, line) for name, line in known.variables(value))
    elif isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _named(inner, (*at, str(name)), known)
    elif isinstance(value, (list, tuple)):
        for place, inner in enumerate(value):
            yield from _named(inner, (*at, place), known)


def _asked(conditions: Sequence[Condition], at: Path) -> Iterator[Use]:
    for condition in conditions:
        if condition.type == "enrollment_data":
            yield condition.subject.removeprefix("$."), at, None
        elif condition.type == "predicate":
            try:
                names = predicate.parse(condition.subject).names()["enrollment"]
            except Invalid:
                continue
            yield from ((name, at, None) for name in sorted(names))


def _answers(document: SequenceDocument, known: Checks) -> Iterator[str]:
    """The names of hooks, whose answers a template may use."""
    asked = [step.conditions for step in document.steps] + [way.conditions for way in document.transitions]
    yield from (one.subject for several in asked for one in several if one.type == "hook" and one.subject)
    hooks = document.config.get("http_hooks")
    yield from hooks if isinstance(hooks, Mapping) else ()
    yield from known.http_hooks


def _of_step(document: SequenceDocument, at: Path, name: str) -> bool:
    step = document.step(str(at[1])) if at[0] == "steps" else None
    own = step.config.get("template_variables") if step is not None else None
    return isinstance(own, Mapping) and _root(name) in own


def _alike(one: str, other: str) -> bool:
    """Whether two names differ only in a number or a plural: both are meant then."""
    return _NUMBERED.sub("", one) == _NUMBERED.sub("", other)


def _root(name: str) -> str:
    return name.split(".")[0]


def _said(name: str, line: int | None) -> str:
    place = f" (line {line} of the template)" if line is not None and line > 1 else ""
    return f"Nothing provides {name[:60]!r}{place}."
