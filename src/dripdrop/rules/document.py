"""What does a definition say, independent of how it was written down?"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeAlias
from uuid import UUID

import orjson

from dripdrop.errors import Finding, Invalid
from dripdrop.rules import keys, timing
from dripdrop.rules.definition import Condition, Cron, Delay, Immediate, OnEvent, Step, Timing, Transition, Version

NO_ID = UUID(int=0)
Path: TypeAlias = tuple[str | int, ...]

TEMPLATE_KEYS = tuple(keys.TEMPLATE)
STEP_CONFIG_KEYS = tuple(keys.STEP_CONFIG)
STEP_KEYS = tuple(keys.STEP)
VERSION_CONFIG_KEYS = tuple(keys.VERSION_CONFIG)
SEQUENCE_KEYS = tuple(keys.SEQUENCE)


@dataclass(frozen=True, slots=True)
class SequenceDocument:
    """A sequence and one version of it, without ids: each step's `id` is `NO_ID`. `source` knows lines and columns."""

    key: str
    name: str
    steps: tuple[Step, ...]
    transitions: tuple[Transition, ...] = ()
    description: str | None = None
    mode: Literal["lifecycle", "outbound"] = "lifecycle"
    config: Mapping[str, Any] = field(default_factory=dict)
    hook_module: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    active: bool = True
    source: Any = field(default=None, compare=False, repr=False)

    def step(self, key: str) -> Step | None:
        return next((step for step in self.steps if step.key == key), None)

    def finding(self, code: str, path: Path, message: str, cure: str, severity: str = "error") -> Finding:
        """A problem at a place of this document."""
        return located(self.source, code, path, message, cure, severity)


def document_of(version: Version, *, description: str | None = None, active: bool = True) -> SequenceDocument:
    """The document that a version is the content of."""
    return SequenceDocument(
        key=version.sequence_key,
        name=version.sequence_name,
        steps=tuple(replace(step, id=NO_ID) for step in version.steps),
        transitions=tuple(sorted(version.transitions, key=lambda way: way.priority)),
        description=description,
        mode=version.mode,
        config=version.config,
        hook_module=version.hook_module,
        metadata=version.metadata,
        active=active,
    )


def digest(document: SequenceDocument) -> bytes:
    """SHA-256 of what a version holds: 32 bytes, the same however it was written; name and metadata do not count."""
    content = {
        name: value for name, value in canonical(document).items() if name in ("mode", "start", "steps", "config")
    }
    content["version"] = {name: document.config[name] for name in sorted(document.config)}
    # A mapping's order is the order of its steps, which positions hold too.
    content["positions"] = [[step.key, step.position] for step in ordered(document)]
    return hashlib.sha256(orjson.dumps(content, option=orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS)).digest()


def canonical(document: SequenceDocument) -> dict[str, Any]:
    """The document as a mapping of the one form that can be read back without loss."""
    said: dict[str, Any] = {"sequence": document.key, "name": document.name}
    _put(said, "description", document.description)
    _put(said, "mode", document.mode, "lifecycle")
    _put(said, "active", document.active, True)
    _put(said, "hooks", document.hook_module)
    if document.metadata:
        said["metadata"] = dict(document.metadata)
    rest = dict(document.config)
    said.update({name: rest.pop(name) for name in VERSION_CONFIG_KEYS if name in rest})
    entries = [way for way in document.transitions if way.origin is None]
    if entries:
        said["start"] = _ways(entries)
    elif "start" in rest:
        said["start"] = rest.pop("start")
    if rest:
        said["config"] = rest
    defaults = document.config.get("defaults") or {}
    said["steps"] = {
        step.key: _step(document, step, place, defaults) for place, step in enumerate(ordered(document), 1)
    }
    return said


def ordered(document: SequenceDocument) -> list[Step]:
    """The steps in the order they are stored in: by position, then those without one by key."""
    return sorted(document.steps, key=lambda step: (step.position is None, step.position or 0, step.key))


def _step(document: SequenceDocument, step: Step, place: int, defaults: Mapping[str, Any]) -> dict[str, Any]:
    said: dict[str, Any] = {}
    _put(said, "name", step.name, None if "name" in defaults else humanised(step.key))
    said["channel"] = step.channel
    if step.position != place:
        said["position"] = step.position
    for name, value in (("adapter", step.adapter), ("adapter_override", step.adapter_override)):
        if value is not None or name in defaults:
            said[name] = value
    if not isinstance(step.timing, Immediate) or "timing" in defaults:
        said["timing"] = timing_form(step.timing)
    if step.conditions or step.gate_mode != "all" or "when" in defaults:
        said["when"] = _when(step.gate_mode, step.conditions)
    said.update(_template(step))
    rest = dict(step.config)
    said.update({name: rest.pop(name) for name in STEP_CONFIG_KEYS if name in rest})
    if rest:
        said["config"] = rest
    if not step.active or "active" in defaults:
        said["active"] = step.active
    ways = [way for way in document.transitions if way.origin == step.key]
    if ways or "next" in defaults:
        said["next"] = _ways(ways)
    return said


def _template(step: Step) -> dict[str, Any]:
    if step.template_type == "module":
        rest = {name: value for name, value in step.template.items() if name not in ("module", "function")}
        return {"template": f"{step.template.get('module')}:{step.template.get('function')}", **rest}
    said = {name: step.template[name] for name in TEMPLATE_KEYS if name in step.template}
    if step.template_type == "external" and "fetched" not in step.template:
        return {"template": f"external:{step.template.get('external')}", **said}
    rest = {name: value for name, value in step.template.items() if name not in said}
    return {**said, "template": rest} if rest else said


def timing_form(timed: Timing) -> Any:
    """A timing as a definition writes it: a phrase, or a mapping."""
    match timed:
        case Immediate():
            return "immediate"
        case Delay(amount, unit) if amount >= 0:
            return phrase_of(amount, unit)
        case Delay(amount, unit):
            return {"delay": {unit: amount}}
        case Cron(expression, phrase):
            return phrase if phrase and _says(phrase, timed) else {"cron": expression}
        case OnEvent(event, match, timeout, timeout_goto):
            said: dict[str, Any] = {"event": event}
            _put(said, "match", dict(match), {})
            _put(said, "timeout", timing_form(timeout) if timeout else None)
            _put(said, "timeout_goto", timeout_goto)
            return said


def _says(phrase: str, timed: Timing) -> bool:
    try:
        return timing.parse(phrase) == timed
    except Invalid:
        return False


def phrase_of(amount: int, unit: str) -> str:
    """The phrase for a delay, the only way it is written: `in 1 day`, `in 3 days`."""
    return f"in {amount} {unit[:-1] if amount == 1 else unit}"


def _ways(ways: Sequence[Transition]) -> list[dict[str, Any]]:
    said = []
    for place, way in enumerate(ways):
        entry: dict[str, Any] = {}
        if way.mode != "always" or way.conditions:
            entry["when"] = _when(way.mode, way.conditions)
        entry["goto"] = way.target
        if way.priority != place:
            entry["priority"] = way.priority
        said.append(entry)
    return said


def _when(mode: str, conditions: Sequence[Condition]) -> Any:
    if mode == "all" and len(conditions) == 1:
        return _comparison(conditions[0])
    return {mode: [_comparison(each) for each in conditions]}


def _comparison(condition: Condition) -> dict[str, Any]:
    named = {"enrollment_data": "field"}.get(condition.type, condition.type)
    config = dict(condition.config)
    said: dict[str, Any] = {named: config.pop("window", None) if condition.type == "time_window" else condition.subject}
    if condition.type not in ("predicate", "time_window") or condition.operator != "==":
        said["is"] = condition.operator
    _put(said, "value", condition.expected)
    if config:
        said["config"] = config
    return said


def _put(said: dict[str, Any], name: str, value: Any, usual: Any = None) -> None:
    if value is not None and value != usual:
        said[name] = value


def humanised(key: str) -> str:
    """The name of something that was only given a key: `trial_onboarding` is `Trial onboarding`."""
    words = " ".join(key.replace("_", " ").replace("-", " ").split())
    return words[:1].upper() + words[1:]


def located(source: Any, code: str, path: Path, message: str, cure: str, severity: str = "error") -> Finding:
    """A finding at a path of a source; with line and column (from 1) where the source knows them."""
    line, column = _mark(source, path) or (None, None)
    return Finding(code, spelled(path), message, cure, line, column, severity)


def spelled(path: Path) -> str:
    """A path as people read it: `steps.welcome.next[0].goto`."""
    text = ""
    for segment in path:
        text += f"[{segment}]" if isinstance(segment, int) else f".{segment}" if text else segment
    return text or "document"


def _mark(source: Any, path: Path) -> tuple[int, int] | None:
    """The place of the deepest part of the path that stands in the source itself."""
    node, mark = source, _begin(source)
    for segment in path:
        if isinstance(segment, int) and isinstance(node, Mapping) and segment == 0:
            continue  # a list of one may be written without its brackets
        if isinstance(node, (list, tuple)) and isinstance(segment, str):
            segment = next((n for n, each in enumerate(node) if _keyed(each, segment)), segment)
        try:
            inner, place = node[segment], _place(node, segment)
        except (KeyError, IndexError, TypeError):
            break
        node, mark = inner, place or mark
    return mark


def _keyed(node: Any, key: str) -> bool:
    return isinstance(node, Mapping) and node.get("key") == key


def _begin(node: Any) -> tuple[int, int] | None:
    marks = getattr(node, "lc", None)
    return (marks.line + 1, marks.col + 1) if marks is not None and isinstance(marks.line, int) else None


def _place(node: Any, segment: str | int) -> tuple[int, int] | None:
    marks = getattr(node, "lc", None)
    if marks is None:
        return None
    try:
        line, column = marks.key(segment) if isinstance(node, Mapping) else marks.item(segment)
    except (KeyError, TypeError, AttributeError):  # merged in from elsewhere
        return None
    return line + 1, column + 1
