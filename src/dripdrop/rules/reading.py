"""Which definition does this mapping write down, and what in it cannot be read?"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any
from uuid import UUID

from dripdrop.errors import Finding, Invalid
from dripdrop.rules import timing
from dripdrop.rules.definition import UNITS, Condition, Cron, Delay, Immediate, Mode, OnEvent, Step, Timing, Transition
from dripdrop.rules.document import (
    NO_ID,
    SEQUENCE_KEYS,
    STEP_CONFIG_KEYS,
    STEP_KEYS,
    TEMPLATE_KEYS,
    VERSION_CONFIG_KEYS,
    Path,
    SequenceDocument,
    humanised,
    located,
    phrase_of,
)
from dripdrop.rules.plain import plain

SEQUENCE_KEY = re.compile(r"[a-z0-9][a-z0-9_-]*")
# Steps that a `goto` cannot name otherwise.
ENDS = ("end", "complete")

_COMPARISON_KEYS = ("field", "hook", "event", "time_window", "predicate", "is", "value", "config")
_SUBJECTS = {
    "field": "enrollment_data",
    "hook": "hook",
    "event": "event",
    "time_window": "time_window",
    "predicate": "predicate",
}
_TEXTS = ("name", "description", "mode", "timezone", "topic", "class", "channel", "adapter", "adapter_override")
_MAPPINGS = ("metadata", "defaults", "config", "headers", "http_hooks")
_EMAIL_ONLY = ("from", "reply_to", "cc", "bcc", "headers", "subject", "html", "attachments")
_FLAGS = ("active",)
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
        return None, trouble.findings
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

    def document(self, value: dict[str, Any]) -> SequenceDocument:
        self.unknown(value, SEQUENCE_KEYS, ())
        self.typed(value, ())
        listed = list(self.listed_steps(value.get("steps")))
        self.keys = tuple(key for key, _ in listed)
        key = self.sequence_key(value.get("sequence"))
        config = {name: value[name] for name in VERSION_CONFIG_KEYS if name in value}
        if isinstance(config.get("exit_on"), str):
            config["exit_on"] = [config["exit_on"]]
        config.update(_mapping(value.get("config")))
        start = value.get("start")
        if isinstance(start, str) and start not in ENDS:
            config["start"] = start
        entries = () if start is None or isinstance(start, str) else tuple(self.ways(start, None, ("start",)))
        steps, ways = [], list(entries)
        defaults = self.defaults(value.get("defaults"))
        for place, (step_key, written) in enumerate(listed, 1):
            full = {**_fitting(defaults, written), **written}
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

    def sequence_key(self, value: Any) -> str:
        key = str(value).strip().lower() if isinstance(value, (str, int)) and not isinstance(value, bool) else ""
        if not SEQUENCE_KEY.fullmatch(key):
            cure = "Write `sequence: trial_onboarding`: letters, digits, - and _, beginning with a letter or digit."
            self.note("sequence_key", ("sequence",), "The sequence has no usable key.", cure)
        return key

    def defaults(self, value: Any) -> dict[str, Any]:
        written = _mapping(value)
        allowed = tuple(name for name in STEP_KEYS if name != "position")
        self.unknown(written, allowed, ("defaults",))
        return {name: each for name, each in written.items() if name in allowed}

    def listed_steps(self, value: Any) -> Iterator[tuple[str, dict[str, Any]]]:
        entries: list[tuple[Any, Any]] = []
        if isinstance(value, dict):
            entries = list(value.items())
        elif isinstance(value, list):
            entries = [(each.get("key"), each) if isinstance(each, dict) else (None, each) for each in value]
        elif value is not None:
            self.note("wrong_type", ("steps",), "`steps` is neither a mapping nor a list.", "Write `steps:` with keys.")
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
        self.unknown(written, (*STEP_KEYS, "key"), at)
        self.typed(written, at)
        config = {name: written[name] for name in STEP_CONFIG_KEYS if name in written}
        for name, value in _mapping(written.get("config")).items():
            config.setdefault(_ALIASES.get(name, name), value)
        if "max_retries" in config and "retries" not in config and type(config["max_retries"]) is int:
            # The reference counts sends, `retries` counts what comes after the first.
            config["retries"] = max(config.pop("max_retries") - 1, 0)
        mode, conditions = self.when(written.get("when"), (*at, "when"))
        kind, template = self.template(written, at)
        position = written.get("position", place)
        if "position" in written and position is not None and type(position) is not int:
            self.note("wrong_type", (*at, "position"), "`position` is no whole number.", "Write `position: 3`.")
            position = place
        return Step(
            id=NO_ID,
            key=key,
            name=_text(written.get("name")) or humanised(key),
            channel=_text(written.get("channel")) or "",
            position=position,
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
        if isinstance(own, dict):
            return "inline", {**own, **fields}
        if isinstance(own, str):
            module, colon, function = own.partition(":")
            if not (module and colon and function):
                self.note("template_module", (*at, "template"), f"{own!r} is no function.", "Write module:function.")
            return "module", {"module": module, "function": function, **fields}
        if own is not None:
            self.note("wrong_type", (*at, "template"), "`template` is no function.", "Write module:function.")
        return "inline", fields

    def timing(self, value: Any, at: Path) -> Timing:
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
            self.unknown(entry, ("when", "goto", "priority"), here)
            if "goto" not in entry:
                self.note("missing_goto", here, "A way on names no step.", "Write `goto: step`, or `goto: end`.")
                continue
            mode, conditions = self.when(entry.get("when"), (*here, "when"))
            priority = entry.get("priority", place)
            yield Transition(
                origin, self.goal(entry["goto"]), mode, conditions, priority if type(priority) is int else place
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
            self.unknown(value, (mode,), at)
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
            self.note("unsupported_here", at, "Lists within lists are not available in this version.", "Use one list.")
            return None
        self.unknown(value, _COMPARISON_KEYS, at)
        named = [name for name in _SUBJECTS if name in value]
        if len(named) != 1:
            message = "A comparison names exactly one of field, hook, event, time_window and predicate."
            self.note("missing_field", at, message, "Write { field: plan, is: ==, value: pro }.")
            return None
        subject = value[named[0]]
        if named[0] == "time_window":
            return Condition("time_window", "", "==", None, {**_mapping(value.get("config")), "window": subject})
        return Condition(
            _SUBJECTS[named[0]],  # type: ignore[arg-type]
            "" if subject is None else str(subject),
            str(value.get("is", "==")),
            value.get("value"),
            _mapping(value.get("config")),
        )

    def unknown(self, written: Mapping[str, Any], known: Sequence[str], at: Path) -> None:
        for name in written:
            if name in known:
                continue
            near = get_close_matches(str(name), known, 1, 0.6)
            cure = f"Did you mean {near[0]!r}?" if near else f"Known here: {', '.join(known)}."
            self.note("unknown_key", (*at, str(name)), f"{str(name)[:80]!r} is not known here.", cure)

    def typed(self, written: Mapping[str, Any], at: Path) -> None:
        for names, kind, noun in (
            (_TEXTS, str, "text"),
            (_MAPPINGS, dict, "a mapping"),
            (_FLAGS, bool, "true or false"),
        ):
            for name in names:
                value = written.get(name)
                if value is not None and not isinstance(value, kind):
                    self.note("wrong_type", (*at, name), f"`{name}` is not {noun}.", f"Write {noun}.")
        events = written.get("exit_on")
        if events is not None and not isinstance(events, str) and not _is_texts(events):
            self.note("wrong_type", (*at, "exit_on"), "`exit_on` is no list of events.", "Write [event, event].")


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
    cure = 'Write "immediate", "in 3 days" or { delay: { days: 3 } }.'
    return Invalid("This is not a time that is understood.", cure=cure, code="timing_phrase")


def _text(value: Any) -> str | None:
    return str(value) if isinstance(value, (str, UUID)) and str(value).strip() else None


def _fitting(defaults: Mapping[str, Any], written: Mapping[str, Any]) -> dict[str, Any]:
    """The defaults that a step of its channel can use: a sender's mail address is none for a text message."""
    email = written.get("channel", defaults.get("channel")) == "email"
    return {name: value for name, value in defaults.items() if email or name not in _EMAIL_ONLY}


def _mapping(value: Any) -> dict[str, Any]:
    return dict(value) if isinstance(value, Mapping) else {}


def _is_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(each, str) for each in value)
