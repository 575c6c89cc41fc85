"""Has a value the shape that its key asks for?

A shape is a piece of JSON Schema, so that what is read and what editors are told cannot differ. Looked at are `type`,
`anyOf`, `items`, `properties`, `required` and `additionalProperties`; words and bounds are for the rules of each key.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import Any, TypeAlias

from dripdrop.rules.document import Path

Shape: TypeAlias = Mapping[str, Any]
Misfit: TypeAlias = tuple[str, Path, str, str]

NOUNS = {
    "string": "text",
    "object": "a mapping",
    "array": "a list",
    "boolean": "true or false",
    "integer": "a whole number",
    "number": "a number",
}


def misfits(value: Any, shape: Shape, at: Path) -> Iterator[Misfit]:
    """Every place where a plain value differs from a shape, as (code, path, message, cure); None fits everywhere."""
    if value is None:
        return
    fitting = [each for each in _branches(shape) if kind(value) in _kinds(each)]
    if not fitting:
        name = next((str(each) for each in reversed(at) if isinstance(each, str)), "It")
        wanted = _wanted(shape)
        yield _misfit("wrong_type", at, f"`{name}` is not {wanted}.", _cure(value, shape, wanted))
        return
    inner = [list(_within(value, each, at)) for each in fitting]
    yield from min(inner, key=len)


def kind(value: Any) -> str:
    """The name of a plain value's type in JSON Schema; a whole number is an `integer`."""
    match value:
        case None:
            return "null"
        case bool():
            return "boolean"
        case int():
            return "integer"
        case float():
            return "number"
        case str():
            return "string"
        case Mapping():
            return "object"
    return "array"


def unknown(name: str, known: Sequence[str], at: Path) -> Misfit:
    """What is said of a key that is not known at a place."""
    near = get_close_matches(name, known, 1, 0.6)
    cure = f"Did you mean {near[0]!r}?" if near else f"Known here: {', '.join(known)}."
    return _misfit("unknown_key", (*at, name), f"{name[:80]!r} is not known here.", cure)


def _misfit(code: str, at: Path, message: str, cure: str) -> Misfit:
    return code, at, message, cure


def _branches(shape: Shape) -> Sequence[Shape]:
    return [inner for each in shape["anyOf"] for inner in _branches(each)] if "anyOf" in shape else [shape]


def _kinds(shape: Shape) -> set[str]:
    if "enum" in shape:
        return {kind(word) for word in shape["enum"]}
    named = shape.get("type", tuple(NOUNS))
    kinds = {named} if isinstance(named, str) else set(named)
    return kinds | {"integer"} if "number" in kinds else kinds


def _within(value: Any, shape: Shape, at: Path) -> Iterator[Misfit]:
    if isinstance(value, list) and "items" in shape:
        for place, each in enumerate(value):
            yield from misfits(each, shape["items"], (*at, place))
    if not isinstance(value, Mapping):
        return
    known, rest = shape.get("properties", {}), shape.get("additionalProperties", True)
    for name, each in value.items():
        if name in known:
            yield from misfits(each, known[name], (*at, name))
        elif rest is False:
            yield unknown(name, tuple(known), at)
        elif rest is not True:
            yield from misfits(each, rest, (*at, name))
    for name in shape.get("required", ()):
        if value.get(name) is None:
            yield _misfit("missing_key", at, f"`{name}` is missing.", f"Write `{name}:`.")


def _wanted(shape: Shape) -> str:
    kinds = dict.fromkeys(each for branch in _branches(shape) for each in sorted(_kinds(branch)) if each in NOUNS)
    nouns = [NOUNS[each] for each in kinds if not (each == "integer" and "number" in kinds)]
    return nouns[0] if len(nouns) == 1 else f"{', '.join(nouns[:-1])} or {nouns[-1]}"


def _cure(value: Any, shape: Shape, wanted: str) -> str:
    words = [str(each) for branch in _branches(shape) for each in branch.get("enum", ()) if isinstance(each, str)]
    if words:
        return f"Use one of: {', '.join(words)}."
    if any("string" in _kinds(each) for each in _branches(shape)) and isinstance(value, (bool, int, float)):
        said = str(value).lower() if isinstance(value, bool) else str(value)
        return f'Put it in quotes: "{said}".'
    return f"Write {wanted}."
