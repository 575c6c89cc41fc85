"""Which keys and values may a sequence file have, as an editor is told?"""

from __future__ import annotations

from typing import Any

from dripdrop.rules.condition import OPERATORS
from dripdrop.rules.definition import CHANNELS, UNITS
from dripdrop.rules.document import SEQUENCE_KEYS, STEP_CONFIG_KEYS, STEP_KEYS, TEMPLATE_KEYS
from dripdrop.rules.reading import ENDS, SEQUENCE_KEY
from dripdrop.rules.validation import LATER_SEQUENCE_KEYS, LATER_STEP_KEYS, WORDS

_TEXT: dict[str, Any] = {"type": "string"}
_MAPPING: dict[str, Any] = {"type": "object"}
_LISTED = {"oneOf": [_TEXT, {"type": "array", "items": _TEXT}]}
_KNOWN: dict[str, Any] = {
    **dict.fromkeys(("name", "description", "timezone", "topic", "hooks", "adapter", "adapter_override"), _TEXT),
    **dict.fromkeys(("subject", "html", "text", "body", "from", "reply_to", "url", "chat_id", "event"), _TEXT),
    **dict.fromkeys(("to", "cc", "bcc", "exit_on"), _LISTED),
    **dict.fromkeys(("metadata", "headers", "config"), _MAPPING),
    "active": {"type": "boolean"},
    "retries": {"type": "integer", "minimum": 0},
    "position": {"type": ["integer", "null"]},
    "mode": {"enum": ["lifecycle", "outbound"]},
    "channel": {"enum": list(CHANNELS)},
    "template": {"oneOf": [{"type": "string", "pattern": "^[^:]+:[^:]+$"}, _MAPPING]},
    "timing": {"$ref": "#/$defs/timing"},
    "when": {"$ref": "#/$defs/when"},
    "next": {"$ref": "#/$defs/next"},
    "start": {"$ref": "#/$defs/next"},
}


def json_schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of a sequence file."""
    own = (*SEQUENCE_KEYS,)
    sequence = {key: _property(key) for key in own if key not in LATER_SEQUENCE_KEYS}
    sequence["sequence"] = {"type": "string", "pattern": f"^{SEQUENCE_KEY.pattern}$"}
    sequence["defaults"] = {**_step(), "required": []}
    sequence["steps"] = {
        "oneOf": [
            {"type": "object", "additionalProperties": {"$ref": "#/$defs/step"}, "minProperties": 1},
            {"type": "array", "items": {"$ref": "#/$defs/step"}, "minItems": 1},
        ]
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A sequence",
        "type": "object",
        "properties": sequence,
        "required": ["sequence", "steps"],
        "additionalProperties": False,
        "$defs": {"step": _step(), "timing": _timing(), "when": _when(), "comparison": _comparison(), "next": _next()},
    }


def _step() -> dict[str, Any]:
    keys = [key for key in (*STEP_KEYS, "key") if key not in LATER_STEP_KEYS]
    return {
        "type": "object",
        "properties": {key: _property(key) for key in keys},
        "additionalProperties": False,
    }


def _property(key: str) -> dict[str, Any]:
    if key in _KNOWN:
        return dict(_KNOWN[key])
    if key in WORDS:
        return {"enum": list(WORDS[key])}
    assert key in {*SEQUENCE_KEYS, *STEP_CONFIG_KEYS, *TEMPLATE_KEYS, "key"}
    return {}


def _timing() -> dict[str, Any]:
    span = {
        "type": "object",
        "properties": {unit: {"type": "integer"} for unit in UNITS},
        "additionalProperties": False,
    }
    mapped = {
        "delay": span,
        "cron": _TEXT,
        "event": _TEXT,
        "match": _MAPPING,
        "timeout": {"oneOf": [_TEXT, span, _MAPPING]},
        "timeout_goto": _TEXT,
    }
    return {
        "oneOf": [{"type": "string", "examples": ["immediate", "in 3 days"]}, {"type": "object", "properties": mapped}]
    }


def _when() -> dict[str, Any]:
    several = {"type": "array", "items": {"$ref": "#/$defs/when"}}
    joined = {"type": "object", "properties": {"all": several, "any": several}, "minProperties": 1, "maxProperties": 1}
    return {"anyOf": [_TEXT, {"$ref": "#/$defs/comparison"}, {**joined, "additionalProperties": False}]}


def _comparison() -> dict[str, Any]:
    subjects = ("field", "hook", "event", "time_window", "predicate")
    return {
        "type": "object",
        "properties": {
            **{name: {} for name in subjects},
            "is": {"enum": sorted(OPERATORS)},
            "value": {},
            "config": _MAPPING,
        },
        "additionalProperties": False,
        "anyOf": [{"required": [name]} for name in subjects],
    }


def _next() -> dict[str, Any]:
    goto = {"type": ["string", "null"], "description": f"A step's key, or one of: {', '.join(ENDS)}."}
    way = {
        "type": "object",
        "properties": {"when": {"$ref": "#/$defs/when"}, "goto": goto, "priority": {"type": "integer"}},
        "additionalProperties": False,
    }
    return {"anyOf": [goto, way, {"type": "array", "items": {"anyOf": [goto, way]}}]}
