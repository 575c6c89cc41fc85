"""Which keys and values may a sequence file have, as an editor is told?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dripdrop.rules import keys
from dripdrop.rules.definition import UNITS
from dripdrop.rules.keys import Shape
from dripdrop.rules.reading import ENDS, SEQUENCE_KEY

_OBJECT = {"type": ["object", "null"]}
_SCHEMA = "https://json-schema.org/draft/2020-12/schema"


def json_schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of a sequence file: whatever is read without a finding is valid by it."""
    steps = [
        {"type": "object", "additionalProperties": {"$ref": "#/$defs/step"}},
        {"type": "array", "items": {"$ref": "#/$defs/listed_step"}},
    ]
    sequence = {
        **_properties(keys.SEQUENCE),
        "sequence": {"type": "string", "pattern": f"^\\s*(?i:{SEQUENCE_KEY.pattern})\\s*$"},
        "defaults": {**_closed({name: shape for name, shape in _step().items() if name != "position"}), **_OBJECT},
        "steps": _nullable({"anyOf": steps}),
    }
    return {
        "$schema": _SCHEMA,
        "title": "A sequence",
        **_closed(sequence, required=["sequence"]),
        "$defs": {
            "step": _closed(_step()),
            "listed_step": _closed({"key": {"type": "string"}, **_step()}, required=["key"]),
            "timing": _timing(),
            "when": _when(),
            "comparison": _comparison(),
            "next": _next(),
        },
    }


def _step() -> dict[str, Any]:
    files = {name: {"type": "string", "description": f"A file that `{of}` is read from."} for name, of in _FILES}
    return {**_properties(keys.STEP), **files}


_FILES = [(name, of) for name, of in keys.FILE_KEYS.items() if of in keys.STEP]


def _properties(shapes: Mapping[str, Shape]) -> dict[str, Any]:
    return {name: _nullable(shape) for name, shape in shapes.items()}


def _closed(properties: Mapping[str, Any], *, required: list[str] | None = None) -> dict[str, Any]:
    needed = {"required": required} if required else {}
    return {"type": "object", "properties": dict(properties), **needed, "additionalProperties": False}


def _nullable(shape: Any) -> Any:
    """The same or null: a key without a value says nothing, or takes a default back."""
    if isinstance(shape, list):
        return [_nullable(each) for each in shape]
    if not isinstance(shape, Mapping) or not shape:
        return shape
    said = {
        name: _properties(each) if name == "properties" else _nullable(each) if name in _INNER else each
        for name, each in shape.items()
    }
    if "anyOf" in said:
        nothing = [] if {"type": "null"} in said["anyOf"] else [{"type": "null"}]
        return {**said, "anyOf": [*said["anyOf"], *nothing]}
    if "enum" in said:
        return {**said, "enum": list(dict.fromkeys([*said["enum"], None]))}
    if "type" in said:
        kinds = [said["type"]] if isinstance(said["type"], str) else said["type"]
        return {**said, "type": [*kinds, *(["null"] if "null" not in kinds else [])]}
    return {"anyOf": [said, {"type": "null"}]}


_INNER = ("items", "additionalProperties")


def _timing() -> dict[str, Any]:
    unit = {"enum": [name for unit in UNITS for name in (unit, unit[:-1])]}
    forms = [
        _closed({"delay": {"anyOf": [keys.TEXT, keys.SPAN]}}, required=["delay"]),
        _closed({"delay": {"type": "integer"}, "unit": unit}, required=["delay", "unit"]),
        _closed({"cron": {**keys.TEXT, "examples": ["0 9 * * 1"]}}, required=["cron"]),
        _closed(_properties(keys.WAIT), required=["event"]),
        {"type": "object", "properties": {"type": {"type": "string"}}, "required": ["type"]},
    ]
    phrases = ["immediate", "in 3 days", "every monday at 9am", "every weekday at 9:30", "@daily"]
    return _nullable({"anyOf": [{"type": "string", "examples": phrases}, *forms]})  # type: ignore[no-any-return]


def _when() -> dict[str, Any]:
    one = {"anyOf": [keys.TEXT, {"$ref": "#/$defs/comparison"}]}
    several = {"anyOf": [one, {"type": "array", "items": one}]}
    joined = [_closed({mode: several}, required=[mode]) for mode in ("all", "any", "always")]
    return _nullable({"anyOf": [keys.TEXT, {"$ref": "#/$defs/comparison"}, *joined]})  # type: ignore[no-any-return]


def _comparison() -> dict[str, Any]:
    subjects = ("field", "hook", "event", "time_window", "predicate")
    return {
        **_closed(_properties(keys.COMPARISON)),
        "oneOf": [{"required": [name]} for name in subjects],
    }


def _next() -> dict[str, Any]:
    goto = {
        "type": ["string", "integer", "null"],
        "description": f"A step's key; for the end null, or one of: {', '.join(ENDS)}.",
    }
    way = _closed(
        {"when": {"$ref": "#/$defs/when"}, "goto": goto, "priority": {"type": ["integer", "null"]}}, required=["goto"]
    )
    named = {"type": "string"}
    return {"anyOf": [{"type": ["string", "null"]}, way, {"type": "array", "items": {"anyOf": [named, way]}}]}
