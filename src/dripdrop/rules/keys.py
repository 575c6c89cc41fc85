"""Which keys may a definition have, and what may stand under each?

Pieces of JSON Schema by key: reading checks types by them, and `dripdrop validate --schema` prints them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

from dripdrop.rules.comparator import OPERATORS
from dripdrop.rules.definition import CHANNELS, UNITS

Shape: TypeAlias = Mapping[str, Any]

POLICIES = ("continue", "complete", "pause", "cancel")
# Words that a key may be, by key; validation refuses any other.
WORDS: Mapping[str, tuple[Any, ...]] = {
    "on_failure": POLICIES,
    "on_exhausted": POLICIES,
    "on_no_match": POLICIES,
    "on_unknown": ("hold", "resend"),
    "reply_behavior": ("continue", "pause", "end", "pause_enrollment"),
    "class": ("marketing", "transactional"),
    "mode": ("lifecycle", "outbound"),
}

REENTRY = ("always", "never", True, False)

TEXT: Shape = {"type": "string"}
FLAG: Shape = {"type": "boolean"}
WHOLE: Shape = {"type": "integer"}
MAPPING: Shape = {"type": "object"}
TEXTS: Shape = {"type": "array", "items": TEXT}
TEXT_OR_TEXTS: Shape = {"anyOf": [TEXT, TEXTS]}
TEXT_OR_MAPPING: Shape = {"anyOf": [TEXT, MAPPING]}
SCALAR: Shape = {"type": ["string", "number", "boolean"]}
HOUR: Shape = {"type": ["string", "integer"]}
SPAN: Shape = {
    "type": "object",
    "properties": {name: WHOLE for unit in UNITS for name in (unit, unit[:-1])},
    "additionalProperties": False,
    "minProperties": 1,
    "maxProperties": 1,
}
WINDOW: Shape = {
    "anyOf": [{"type": "array", "items": HOUR, "minItems": 2, "maxItems": 2}, MAPPING, {"enum": [False]}],
    "description": "When sending is allowed: [8, 21], {mon: [9, 17], sat: false}, or false for no limit.",
}
ATTACHMENT: Shape = {
    "type": "object",
    "properties": dict.fromkeys(("filename", "content", "base64", "content_type", "content_id"), TEXT),
    "required": ["filename"],
    "additionalProperties": False,
}
EXIT: Shape = {
    "anyOf": [
        TEXT,
        {
            "type": "object",
            "properties": {"event": TEXT, "match": MAPPING, "as": {"enum": ["completed", "cancelled"]}},
            "required": ["event"],
            "additionalProperties": False,
        },
    ]
}
# What may stand under each key is judged with the hook itself; here are its names, for editors.
HTTP_HOOK: Shape = {
    "type": "object",
    "properties": {
        "url": {"description": "https://host/path?query; {{ variables }} after the host."},
        "method": {"enum": ["GET", "POST", "PUT", "PATCH", "DELETE"]},
        "auth": {"description": "{bearer: ${NAME}}, {basic: {username, password}} or {header: {name, value}}."},
        "headers": {"description": "Sent as they are."},
        "body_template": {"description": "Liquid; a value is escaped by its place. JSON unless Content-Type says so."},
        "response_path": {"description": "Where the value stands, such as data.scores[0]."},
        "response_type": {"enum": ["json", "text", "number", "boolean"]},
        "timeout_ms": {"minimum": 1, "maximum": 30_000},
        "retry_count": {"minimum": 0, "maximum": 5},
        **{name: {} for name in ("name", "description", "active")},
    },
}

TEMPLATE: Mapping[str, Shape] = {
    **dict.fromkeys(("to", "cc", "bcc"), TEXT_OR_TEXTS),
    "from": TEXT,
    "reply_to": TEXT_OR_TEXTS,
    "headers": {"type": "object", "additionalProperties": SCALAR},
    "attachments": {"type": "array", "items": ATTACHMENT},
    **dict.fromkeys(("subject", "html", "text"), TEXT),
    **dict.fromkeys(("body", "payload"), TEXT_OR_MAPPING),
    **dict.fromkeys(("url", "method", "topic", "event"), TEXT),
    "media_urls": TEXTS,
    "chat_id": {"type": ["string", "integer"]},
    "blocks": {"anyOf": [{"type": "array", "items": MAPPING}, TEXT]},
}
LOCALES: Shape = {
    "type": "object",
    "additionalProperties": {"type": "object", "properties": TEMPLATE, "additionalProperties": False},
    "description": "What is said in other languages: de-AT takes de where there is no de-AT.",
}
VARIANT: Shape = {
    "type": "object",
    "properties": {"name": TEXT, "weight": {"type": "number", "minimum": 0}, "locales": LOCALES, **TEMPLATE},
    "additionalProperties": False,
}
STEP_CONFIG: Mapping[str, Shape] = {
    "repeat": {"anyOf": [FLAG, {"type": "integer", "minimum": 1}], "description": "That many sends; true: for ever."},
    "timezone": {**TEXT, "description": "An IANA name, or the field that holds one: {{ timezone }}."},
    "window": WINDOW,
    "late": TEXT_OR_MAPPING,
    "retries": {"type": "integer", "minimum": 0, "maximum": 1_000},
    **{name: {"enum": list(WORDS[name])} for name in ("on_failure", "on_exhausted", "on_no_match", "on_unknown")},
    "reply_behavior": {"enum": list(WORDS["reply_behavior"])},
    "unsubscribe": FLAG,
    "short_links": {"anyOf": [FLAG, MAPPING]},
    "spintax": FLAG,
    "variants": {"type": "array", "items": VARIANT, "minItems": 1, "maxItems": 26},
    "locales": LOCALES,
    "locale_field": {**TEXT, "description": "The field of the data that names the language; `locale` where unset."},
    "inline_css": FLAG,
    **dict.fromkeys(("concurrency", "rate_limits", "sending_rules"), MAPPING),
}
STEP: Mapping[str, Shape] = {
    "name": TEXT,
    "channel": {"anyOf": [{"enum": list(CHANNELS)}, TEXT]},
    "position": {"type": "integer", "description": "The order; null: only a `goto` leads to it."},
    **dict.fromkeys(("adapter", "adapter_override"), TEXT),
    **TEMPLATE,
    "template": {"anyOf": [{"type": "string", "pattern": "^[^:]+:[^:]+$"}, MAPPING]},
    "timing": {"$ref": "#/$defs/timing"},
    "when": {"$ref": "#/$defs/when"},
    "next": {"$ref": "#/$defs/next"},
    **STEP_CONFIG,
    "active": FLAG,
    "config": MAPPING,
}
VERSION_CONFIG: Mapping[str, Shape] = {
    **dict.fromkeys(("pool", "timezone", "topic"), TEXT),
    **{name: {"enum": list(WORDS[name])} for name in ("class", "on_no_match")},
    "reentry": {
        "anyOf": [
            {"enum": list(REENTRY)},
            {"type": "object", "properties": {"after": TEXT}, "required": ["after"], "additionalProperties": False},
        ],
        "description": "Whether people may go through again, or how long after they ended: {after: in 30 days}.",
    },
    "exit_on": {"anyOf": [TEXT, {"type": "array", "items": EXIT}]},
    "http_hooks": {"type": "object", "additionalProperties": HTTP_HOOK},
    "defaults": MAPPING,
    "window": WINDOW,
    "variables": {
        **TEXTS,
        "description": "The data that people come with; other names in templates are warned of.",
    },
}
WAY: Mapping[str, Shape] = {"when": {}, "goto": {"type": ["string", "integer"]}, "priority": WHOLE}
COMPARISON: Mapping[str, Shape] = {
    **dict.fromkeys(("field", "hook", "event", "predicate"), TEXT),
    "time_window": {"anyOf": [MAPPING, {"type": "array", "items": HOUR}]},
    "is": {"enum": list(OPERATORS)},
    "value": {},
    "config": MAPPING,
}
WAIT: Mapping[str, Shape] = {"event": TEXT, "match": MAPPING, "timeout": TEXT_OR_MAPPING, "timeout_goto": TEXT}
SEQUENCE: Mapping[str, Shape] = {
    "sequence": {},
    **dict.fromkeys(("name", "description", "hooks"), TEXT),
    "mode": {"enum": list(WORDS["mode"])},
    **VERSION_CONFIG,
    "metadata": MAPPING,
    "active": FLAG,
    "start": {"$ref": "#/$defs/next"},
    "steps": {"type": ["object", "array"]},
    "config": MAPPING,
}
# `html_file: welcome.html` takes a file in where the notation has no `!file`.
FILE_KEYS: Mapping[str, str] = {f"{name}_file": name for name in ("subject", "html", "text", "body", "content")}
