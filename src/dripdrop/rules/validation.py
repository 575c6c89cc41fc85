"""What keeps this definition from being published?"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import Any, Protocol, TypeAlias

from dripdrop.errors import Finding, Invalid
from dripdrop.rules import windows
from dripdrop.rules.condition import OPERATORS
from dripdrop.rules.definition import CHANNELS, Condition, Cron, Delay, Immediate, OnEvent, Step
from dripdrop.rules.document import Path, SequenceDocument
from dripdrop.rules.reachability import loops_without_wait, reached
from dripdrop.rules.zones import find_zone, is_field


class TemplateProblem(Protocol):
    """What a template checker says: a sentence, and where in the template it is (from 1)."""

    @property
    def message(self) -> str: ...

    @property
    def line(self) -> int | None: ...


CheckTemplate: TypeAlias = Callable[[str], Sequence[TemplateProblem]]
Found: TypeAlias = Iterator[Finding]

MAX_STEPS = 1_000
POLICIES = ("continue", "complete", "pause", "cancel")
WORDS: Mapping[str, tuple[Any, ...]] = {
    "on_failure": POLICIES,
    "on_exhausted": POLICIES,
    "on_no_match": POLICIES,
    "on_unknown": ("hold", "resend"),
    "class": ("marketing", "transactional"),
    "reentry": ("always", "never", True, False),
}
# What the types can hold already and nothing carries out yet: refused, never silently left undone.
LATER_STEP_KEYS = (
    "repeat", "late", "reply_behavior", "short_links", "spintax", "variants", "locales", "concurrency", "rate_limits",
    "sending_rules", "template_variation",
)  # fmt: skip
LATER_SEQUENCE_KEYS = ("pool", "http_hooks")
BODIES: Mapping[str, tuple[str, ...]] = {
    "email": ("text", "html"),
    "sms": ("body",),
    "slack": ("text", "body"),
    "telegram": ("text", "body"),
    "whatsapp": ("text", "body", "payload"),
}


def findings(
    document: SequenceDocument,
    check_template: CheckTemplate | None = None,
    channels: Collection[str] = CHANNELS,
) -> list[Finding]:
    """Every problem of a document, in the order of its steps; warnings have severity `warning`.

    `channels` are those that exist here; templates are looked into where a checker is given.
    """
    found = [*_sequence(document)]
    for step in document.steps:
        at: Path = ("steps", step.key)
        found += _step(document, step, at, channels)
        if check_template is not None:
            found += _templates(document, step.template, at, check_template)
    return [*found, *_ways(document), *_whole(document)]


def errors(found: Sequence[Finding]) -> list[Finding]:
    """Those that forbid publishing."""
    return [finding for finding in found if finding.severity == "error"]


def _sequence(document: SequenceDocument) -> Found:
    yield from _words(document, document.config, ())
    yield from _times(document, document.config, ())
    if document.mode == "outbound":
        yield _later(document, ("mode",), "Cold outbound")
    if document.hook_module:
        yield _later(document, ("hooks",), "Hooks")
    for name in LATER_SEQUENCE_KEYS:
        if document.config.get(name):
            yield _later(document, (name,), f"`{name}`")


def _step(document: SequenceDocument, step: Step, at: Path, channels: Collection[str]) -> Found:
    yield from _channel(document, step, at, channels)
    yield from _content(document, step, at)
    yield from _timing(document, step, at)
    yield from _words(document, step.config, at)
    yield from _times(document, step.config, at)
    yield from _conditions(document, step.conditions, step.gate_mode, (*at, "when"))
    retries = step.config.get("retries")
    if retries is not None and (type(retries) is not int or not 0 <= retries <= 1_000):
        cure = "Write how many times to send again after the first, such as 5."
        yield document.finding("retries", (*at, "retries"), "`retries` is no number from 0 to 1000.", cure)
    if step.adapter and step.adapter_override:
        message = "`adapter` and `adapter_override` exclude each other."
        yield document.finding("two_adapters", (*at, "adapter_override"), message, "Keep one of them.")
    for name in LATER_STEP_KEYS:
        if step.config.get(name):
            yield _later(document, (*at, name), f"`{name}`")


def _channel(document: SequenceDocument, step: Step, at: Path, channels: Collection[str]) -> Found:
    if not step.channel:
        yield document.finding("missing_channel", at, "The step has no channel.", f"One of: {', '.join(channels)}.")
    elif step.channel not in channels:
        cure = _cure(step.channel, tuple(channels))
        yield document.finding("unknown_channel", (*at, "channel"), f"There is no channel {step.channel!r}.", cure)


def _content(document: SequenceDocument, step: Step, at: Path) -> Found:
    if step.template_type == "module":
        return
    if step.channel == "email" and _blank(step.template.get("subject")):
        yield document.finding("missing_subject", at, "The e-mail has no subject.", "Write `subject:`.")
    bodies = BODIES.get(step.channel, ())
    if bodies and all(_blank(step.template.get(name)) for name in bodies):
        yield document.finding("missing_body", at, "The step says nothing.", f"Write `{bodies[0]}:`.")
    for name in ("topic", "event") if step.channel == "pubsub" else ():
        if _blank(step.template.get(name)):
            yield document.finding(f"missing_{name}", at, f"The message has no {name}.", f"Write `{name}:`.")


def _timing(document: SequenceDocument, step: Step, at: Path) -> Found:
    match step.timing:
        case Immediate():
            return
        case Delay(amount):
            if amount <= 0:
                cure = "Write `timing: immediate`, or a delay of one or more."
                yield document.finding("delay_not_positive", (*at, "timing"), "The delay is not positive.", cure)
        case Cron():
            yield _later(document, (*at, "timing"), "Recurring times")
        case OnEvent():
            yield _later(document, (*at, "timing"), "Waiting for an event")


def _conditions(document: SequenceDocument, conditions: Sequence[Condition], mode: str, at: Path) -> Found:
    if not conditions and mode == "any":
        yield document.finding("empty_when", at, "`any` of nothing never holds.", "Name a comparison, or remove it.")
    for place, condition in enumerate(conditions):
        here: Path = at if mode == "all" and len(conditions) == 1 else (*at, mode, place)
        yield from _condition(document, condition, here)


def _condition(document: SequenceDocument, condition: Condition, at: Path) -> Found:
    if condition.type != "enrollment_data":
        named = {"predicate": "The predicate language", "hook": "A hook", "event": "An event condition"}
        what = named.get(condition.type, "A time window as a condition")
        yield _later(document, at, what, "Compare a field: { field: plan, is: ==, value: pro }.")
        return
    if not condition.subject.strip():
        yield document.finding("missing_field", at, "The comparison names no field.", "Write `field: plan`.")
    if condition.operator not in OPERATORS:
        message = f"There is no operator {condition.operator[:40]!r}."
        yield document.finding("operator", (*at, "is"), message, _cure(condition.operator, OPERATORS))
    if _blank(condition.expected):
        message = "The comparison expects no value."
        yield document.finding("missing_value", at, message, "Write `value:` with what the field is compared to.")


def _words(document: SequenceDocument, config: Mapping[str, Any], at: Path) -> Found:
    for name, known in WORDS.items():
        value = config.get(name)
        if value is None or any(value is word or (isinstance(word, str) and value == word) for word in known):
            continue
        cure = _cure(str(value), [word for word in known if isinstance(word, str)])
        yield document.finding("unknown_word", (*at, name), f"`{name}` cannot be {str(value)[:40]!r}.", cure)


def _times(document: SequenceDocument, config: Mapping[str, Any], at: Path) -> Found:
    zone = config.get("timezone")
    if zone is not None and not is_field(zone) and (not isinstance(zone, str) or find_zone(zone) is None):
        cure = "Use an IANA name such as Europe/Vienna."
        yield document.finding("zone", (*at, "timezone"), f"There is no time zone {str(zone)[:60]!r}.", cure)
    try:
        windows.parse(config.get("window"))
    except Invalid as trouble:
        yield document.finding("window", (*at, "window"), trouble.message, trouble.cure)


def _templates(document: SequenceDocument, value: Any, at: Path, check: CheckTemplate) -> Found:
    if isinstance(value, str):
        for problem in check(value):
            place = f" (line {problem.line} of the template)" if problem.line else ""
            yield document.finding("template", at, f"{problem.message}{place}.", "Mend the Liquid template.")
    elif isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _templates(document, inner, (*at, str(name)), check)
    elif isinstance(value, (list, tuple)):
        for index, inner in enumerate(value):
            yield from _templates(document, inner, (*at, index), check)


def _ways(document: SequenceDocument) -> Found:
    keys = [step.key for step in document.steps]
    places: dict[str | None, int] = {}
    for way in document.transitions:
        place = places[way.origin] = places.get(way.origin, -1) + 1
        at: Path = ("start", place) if way.origin is None else ("steps", way.origin, "next", place)
        yield from _conditions(document, way.conditions, way.mode, (*at, "when"))
        for end, name in ((way.origin, "from"), (way.target, "goto")):
            if end is not None and end not in keys:
                yield document.finding("unknown_goto", (*at, name), f"There is no step {end!r}.", _cure(end, keys))
    start = document.config.get("start")
    if isinstance(start, str) and start not in keys:
        yield document.finding("unknown_goto", ("start",), f"There is no step {start!r}.", _cure(start, keys))


def _whole(document: SequenceDocument) -> Found:
    yield from _doubles(document)
    if len(document.steps) > MAX_STEPS:
        message = f"There are {len(document.steps)} steps; {MAX_STEPS} are possible."
        yield document.finding("too_many_steps", ("steps",), message, "Split the sequence in two.")
        return
    alive = reached(document)
    if not alive:
        message = "There is no step to begin with."
        yield document.finding("no_entry", ("steps",), message, "Write at least one active step with a position.")
        return
    for key in loops_without_wait(document):
        message = f"The way from {key!r} leads back to it without waiting."
        cure = "Give one of the steps on it a `timing` with a delay."
        yield document.finding("loop_without_wait", ("steps", key, "next"), message, cure)
    for step in document.steps:
        if step.key not in alive and step.active:
            cure = "Lead a `goto` to it, or remove it."
            at: Path = ("steps", step.key)
            yield document.finding("unreachable_step", at, "No way leads to this step.", cure, severity="warning")


def _doubles(document: SequenceDocument) -> Found:
    seen: dict[tuple[str, Any], str] = {}
    for step in document.steps:
        pairs: tuple[tuple[str, Any], ...] = (("key", step.key), ("position", step.position))
        for name, value in pairs:
            if value is not None and (name, value) in seen:
                message = f"{seen[name, value]!r} and {step.key!r} have the same {name}."
                yield document.finding(f"duplicate_{name}", ("steps", step.key), message, "Change one of them.")
            seen.setdefault((name, value), step.key)


def _later(document: SequenceDocument, at: Path, what: str, cure: str = "Remove it.") -> Finding:
    return document.finding("unsupported_here", at, f"{what} is not available in this version.", cure)


def _cure(value: str, known: Sequence[str]) -> str:
    near = get_close_matches(value, known, 1, 0.5)
    return f"Did you mean {near[0]!r}?" if near else f"Use one of: {', '.join(known)}."


def _blank(value: Any) -> bool:
    return value is None or value == [] or value == {} or (isinstance(value, str) and not value.strip())
