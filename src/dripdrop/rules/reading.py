"""Which definition does this mapping write down, and what in it cannot be read?"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from dripdrop.errors import Finding, Invalid
from dripdrop.rules import keys, timing
from dripdrop.rules.definition import UNITS, Condition, Cron, Delay, Immediate, Mode, OnEvent, Step, Timing, Transition
from dripdrop.rules.document import (
    NO_ID,
    STEP_CONFIG_KEYS,
    TEMPLATE_KEYS,
    VERSION_CONFIG_KEYS,
    Path,
    SequenceDocument,
    humanised,
    located,
    phrase_of,
)
from dripdrop.rules.plain import culprit, plain
from dripdrop.rules.shapes import Shape, misfits, unknown

SEQUENCE_KEY = re.compile(r"[a-z0-9][a-z0-9_-]*")
# Steps that a `goto` cannot name otherwise.
ENDS = ("end", "complete")

_SUBJECTS = {
    "field": "enrollment_data",
    "hook": "hook",
    "event": "event",
    "time_window": "time_window",
    "predicate": "predicate",
}
_STEP: Mapping[str, Shape] = {**keys.STEP, "key": {}}
_DEFAULTS: Mapping[str, Shape] = {name: shape for name, shape in keys.STEP.items() if name != "position"}
_EMAIL_ONLY = ("from", "reply_to", "cc", "bcc", "headers", "subject", "html", "attachments")
# The reference's words for the same thing.
_ALIASES = {"quiet_hours": "window", "on_max_retry": "on_exhausted"}


def read(source: Any) -> tuple[SequenceDocument | None, list[Finding]]:
    """The document a mapping writes down, and everything in it that cannot be read, each at its place.

    None when it is too broken to be judged further. A document together with findings may be judged, never used.
    """
    reader = _Reader(source)
    try:
        value = plain(source)
    except Invalid as trouble:
        at = culprit(source) if trouble.code == "not_plain" else ()
        reader.note(trouble.code, at, trouble.message, trouble.cure)
        return None, reader.findings
    if not isinstance(value, dict):
        reader.note("not_a_mapping", (), "A definition is a mapping.", "Begin with `sequence:` and `steps:`.")
        return None, reader.findings
    return reader.document(value), reader.findings


@dataclass
class _Reader:
    source: Any
    findings: list[Finding] = field(default_factory=list)
    keys: tuple[str, ...] = ()

    def note(self, code: str, path: Path, message: str, cure: str) -> None:
        self.findings.append(located(self.source, code, path, message, cure))

    def document(self, source: dict[str, Any]) -> SequenceDocument:
        value = self.fitting(source, keys.SEQUENCE, ())
        listed = list(self.listed_steps(value.get("steps")))
        self.keys = tuple(key for key, _ in listed)
        key = self.sequence_key(value.get("sequence"))
        config = {name: value[name] for name in VERSION_CONFIG_KEYS if name in value}
        config.update(self.config(value.get("config"), keys.VERSION_CONFIG, ("config",)))
        if isinstance(config.get("exit_on"), str):
            config["exit_on"] = [config["exit_on"]]
        start = value.get("start")
        if isinstance(start, str) and start not in ENDS:
            config["start"] = start
        entries = () if start is None or isinstance(start, str) else tuple(self.ways(start, None, ("start",)))
        steps, ways = [], list(entries)
        defaults = self.fitting(_mapping(value.get("defaults")), _DEFAULTS, ("defaults",))
        for place, (step_key, written) in enumerate(listed, 1):
            own = self.fitting(written, _STEP, ("steps", step_key))
            full = {**_fitting(defaults, own), **own}
            steps.append(self.step(step_key, full, place))
            following = full.get("next")
            ways += self.ways(following, step_key, ("steps", step_key, "next")) if following is not None else []
        return SequenceDocument(
            key=key,
            name=_text(value.get("name")) or humanised(key),
            steps=tuple(steps),
            transitions=tuple(ways),
            description=_text(value.get("description")),
            mode="outbound" if value.get("mode") == "outbound" else "lifecycle",
            config=config,
            hook_module=_text(value.get("hooks")),
            metadata=_mapping(value.get("metadata")),
            active=value.get("active") is not False,
            source=self.source,
        )

    def config(self, value: Any, known: Mapping[str, Shape], at: Path) -> dict[str, Any]:
        """What stands under `config:`: known keys are checked as if they stood beside it, others are the host's own."""
        written = {_ALIASES.get(name, name): each for name, each in _mapping(value).items()}
        return self.fitting(written, {**{name: {} for name in written}, **known}, at)

    def sequence_key(self, value: Any) -> str:
        key = value.strip().lower() if isinstance(value, str) else ""
        if not SEQUENCE_KEY.fullmatch(key):
            cure = "Write `sequence: trial_onboarding`: letters, digits, - and _, beginning with a letter or digit."
            self.note("sequence_key", ("sequence",), "The sequence has no usable key.", cure)
        return key

    def listed_steps(self, value: Any) -> Iterator[tuple[str, dict[str, Any]]]:
        entries: list[tuple[Any, Any]] = []
        if isinstance(value, dict):
            entries = list(value.items())
        elif isinstance(value, list):
            entries = [(each.get("key"), each) if isinstance(each, dict) else (None, each) for each in value]
        seen: set[str] = set()
        for place, (key, written) in enumerate(entries):
            at: Path = ("steps", str(key)) if isinstance(value, dict) else ("steps", place)
            if not isinstance(key, str) or not key.strip() or len(key) > 200:
                self.note("step_key", at, "A step has no usable key.", "Give it a key of text.")
            elif key in seen:
                self.note("duplicate_key", at, f"There are two steps {key!r}.", "Rename one of them.")
            elif not isinstance(written, dict):
                self.note(
                    "wrong_type", at, f"The step {key!r} is no mapping.", "Write `channel:` and its text below it."
                )
            else:
                seen.add(key)
                yield key, written

    def step(self, key: str, written: dict[str, Any], place: int) -> Step:
        at: Path = ("steps", key)
        config = {name: written[name] for name in STEP_CONFIG_KEYS if name in written}
        for name, value in self.config(written.get("config"), keys.STEP_CONFIG, (*at, "config")).items():
            config.setdefault(name, value)
        if "max_retries" in config and "retries" not in config and type(config["max_retries"]) is int:
            # The reference counts sends, `retries` counts what comes after the first.
            config["retries"] = max(config.pop("max_retries") - 1, 0)
        mode, conditions = self.when(written.get("when"), (*at, "when"))
        kind, template = self.template(written, at)
        return Step(
            id=NO_ID,
            key=key,
            name=_text(written.get("name")) or humanised(key),
            channel=_text(written.get("channel")) or "",
            position=written.get("position", place),
            timing=self.timing(written.get("timing"), (*at, "timing")),
            template=template,
            template_type=kind,  # type: ignore[arg-type]
            adapter=_text(written.get("adapter")),
            adapter_override=_text(written.get("adapter_override")),
            gate_mode="all" if mode == "always" and not conditions else mode,
            conditions=conditions,
            config=config,
            active=written.get("active") is not False,
        )

    def template(self, written: dict[str, Any], at: Path) -> tuple[str, dict[str, Any]]:
        fields = {name: written[name] for name in TEMPLATE_KEYS if name in written}
        own = written.get("template")
        if isinstance(own, dict) and "external" in own:
            return "external", {**self.external(own, at), **fields}
        if isinstance(own, dict):
            fit = self.fitting(own, {**{name: {} for name in own}, **keys.TEMPLATE}, (*at, "template"))
            return "inline", {**fit, **fields}
        if isinstance(own, str):
            module, colon, function = own.partition(":")
            if module == "external":
                return "external", {**self.external({"external": function}, at), **fields}
            if not (module and colon and function):
                self.note("template_module", (*at, "template"), f"{own!r} is no function.", "Write module:function.")
            return "module", {"module": module, "function": function, **fields}
        return "inline", fields

    def external(self, own: dict[str, Any], at: Path) -> dict[str, Any]:
        source, slash, name = str(own["external"]).partition("/")
        if not (source and slash and name):
            message = f"{own['external']!r} names no template."
            self.note("template_source", (*at, "template"), message, "Write external:SOURCE/NAME.")
        return self.fitting(own, {**keys.TEMPLATE, "external": keys.TEXT, "fetched": keys.MAPPING}, (*at, "template"))

    def timing(self, value: Any, at: Path) -> Timing:
        if isinstance(value, dict) and "event" in value:
            value = self.fitting(value, keys.WAIT, at)
        try:
            return read_timing(value)
        except Invalid as trouble:
            self.note(trouble.code, at, trouble.message, trouble.cure)
            return Immediate()

    def ways(self, value: Any, origin: str | None, at: Path) -> Iterator[Transition]:
        entries = value if isinstance(value, list) else [value]
        for place, entry in enumerate(entries):
            here = (*at, place)
            if isinstance(entry, str):
                yield Transition(origin, self.goal(entry), priority=place)
                continue
            if not isinstance(entry, dict):
                self.note("wrong_type", here, "A way on names no step.", "Write `- goto: step`, with `when` if needed.")
                continue
            fitting = self.fitting(entry, keys.WAY, here)
            if "goto" not in entry:
                self.note("missing_goto", here, "A way on names no step.", "Write `goto: step`, or `goto: end`.")
                continue
            mode, conditions = self.when(entry.get("when"), (*here, "when"))
            priority = fitting.get("priority")
            yield Transition(
                origin, self.goal(fitting.get("goto")), mode, conditions, place if priority is None else priority
            )

    def goal(self, value: Any) -> str | None:
        """A step's key, or None for the end, which only a step of that name can take away."""
        if value is None or (value in ENDS and value not in self.keys):
            return None
        return str(value)

    def when(self, value: Any, at: Path) -> tuple[Mode, tuple[Condition, ...]]:
        if value is None:
            return "always", ()
        if isinstance(value, str):
            return "all", (Condition("predicate", value),)
        modes = [mode for mode in ("all", "any", "always") if isinstance(value, dict) and mode in value]
        if isinstance(value, dict) and len(modes) == 1:
            mode = modes[0]
            self.fitting(value, {mode: {}}, at)
            several = value[mode] if isinstance(value[mode], list) else [value[mode]]
            found = (self.comparison(each, (*at, mode, place)) for place, each in enumerate(several))
            return mode, tuple(each for each in found if each is not None)  # type: ignore[return-value]
        if isinstance(value, list):
            self.note("wrong_type", at, "A list does not say how it is joined.", "Write `all: [...]` or `any: [...]`.")
            return "all", ()
        one = self.comparison(value, at)
        return "all", (one,) if one is not None else ()

    def comparison(self, value: Any, at: Path) -> Condition | None:
        if isinstance(value, str):
            return Condition("predicate", value)
        if not isinstance(value, dict):
            self.note("wrong_type", at, "This is no comparison.", "Write { field: plan, is: ==, value: pro }.")
            return None
        if "all" in value or "any" in value:
            cure = 'Write it as one text: "(a > 1 or b == 2) and c == 3".'
            self.note("nested_when", at, "A list within a list is not possible.", cure)
            return None
        named = [name for name in _SUBJECTS if name in value]
        if len(named) != 1:
            self.fitting(value, keys.COMPARISON, at)
            message = "A comparison names exactly one of field, hook, event, time_window and predicate."
            self.note("missing_field", at, message, "Write { field: plan, is: ==, value: pro }.")
            return None
        fit = self.fitting(value, keys.COMPARISON, at)
        subject = fit.get(named[0])
        config, operator, expected = _mapping(fit.get("config")), str(fit.get("is") or "=="), value.get("value")
        if named[0] == "time_window":
            return Condition("time_window", "", operator, expected, {**config, "window": subject})
        kind: Any = _SUBJECTS[named[0]]
        return Condition(kind, "" if subject is None else str(subject), operator, expected, config)

    def fitting(self, written: Mapping[str, Any], known: Mapping[str, Shape], at: Path) -> dict[str, Any]:
        """What has the shape that its key asks for; the rest is noted, and kept only where it is part of a message."""
        kept = {}
        for name, value in written.items():
            if name not in known:
                self.note(*unknown(name, tuple(known), at))
                continue
            found = [] if "$ref" in known[name] else list(misfits(value, known[name], (*at, name)))
            for misfit in found:
                self.note(*misfit)
            if not found or name in TEMPLATE_KEYS:
                kept[name] = value
        return kept


def read_timing(value: Any) -> Timing:
    """The timing of a phrase, of `{delay}`, `{cron}`, `{event, ...}` or of the stored form; raises `Invalid`."""
    if value is None:
        return Immediate()
    if isinstance(value, Delay):
        return _delay(value.amount, value.unit)
    if isinstance(value, Cron):
        return timing.from_stored(timing.stored(value))
    if isinstance(value, (Immediate, OnEvent)):
        return value
    if isinstance(value, str):
        return timing.parse(value)
    match value:
        case {"type": _}:
            found = timing.from_stored(value)
            return _delay(found.amount, found.unit) if isinstance(found, Delay) else found
        case {"delay": str(phrase), **rest} if not rest:
            return timing.parse(phrase if phrase.strip().lower().startswith("in ") else f"in {phrase}")
        case {"delay": {**span}, **rest} if not rest and len(span) == 1:
            ((unit, amount),) = span.items()
            return _delay(amount, unit)
        case {"delay": int(amount), "unit": str(unit), **rest} if not rest:
            return _delay(amount, unit)
        case {"cron": str(expression), **rest} if not rest:
            return timing.recurring(expression)
        case {"event": str(event), **rest} if not set(rest) - {"match", "timeout", "timeout_goto"}:
            return _event(event, rest)
    raise _no_timing()


def _event(event: str, rest: Mapping[Any, Any]) -> OnEvent:
    timeout = read_timing(rest["timeout"]) if rest.get("timeout") is not None else None
    if timeout is not None and not isinstance(timeout, Delay):
        raise _no_timing()
    return OnEvent(event, _mapping(rest.get("match")), timeout, _text(rest.get("timeout_goto")))


def _delay(amount: Any, unit: Any) -> Delay:
    named = unit if unit in UNITS else f"{unit}s"
    if type(amount) is not int or named not in UNITS:
        raise _no_timing()
    if amount < 0:
        return Delay(amount, named)
    found = timing.parse(phrase_of(amount, named))
    assert isinstance(found, Delay)
    return found


def _no_timing() -> Invalid:
    cure = 'Write "immediate", "in 3 days", "every monday at 9am" or { event: demo_booked, timeout: in 7 days }.'
    return Invalid("This is not a time that is understood.", cure=cure, code="timing_phrase")


def _text(value: Any) -> str | None:
    return str(value) if isinstance(value, (str, UUID)) and str(value).strip() else None


def _fitting(defaults: Mapping[str, Any], written: Mapping[str, Any]) -> dict[str, Any]:
    """The defaults that a step of its channel can use: a sender's mail address is none for a text message."""
    email = written.get("channel", defaults.get("channel")) == "email"
    return {name: value for name, value in defaults.items() if email or name not in _EMAIL_ONLY}


def _mapping(value: Any) -> dict[str, Any]:
    return dict(value) if isinstance(value, Mapping) else {}
