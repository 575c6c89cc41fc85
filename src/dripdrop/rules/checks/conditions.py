"""Can these conditions be judged?"""

from __future__ import annotations

from collections.abc import Sequence

from dripdrop.errors import Invalid
from dripdrop.rules import predicate, timing, windows
from dripdrop.rules.checks.common import Found, blank, nearest
from dripdrop.rules.comparator import OPERATORS, ORDERED, ordered
from dripdrop.rules.condition import hook_name
from dripdrop.rules.definition import Condition
from dripdrop.rules.document import Path, SequenceDocument

_EVENT_KEYS = ("field_path", "within")
_VALUE = "Write `value:` with what it is compared to."
_ORDER = "Order needs a number or a date: write it without quotes, or '2030-03-01'::DATE in a predicate."


def conditions(document: SequenceDocument, several: Sequence[Condition], mode: str, at: Path) -> Found:
    """What is wrong with the conditions of a step or of a way."""
    if not several and mode == "any":
        yield document.finding("empty_when", at, "`any` of nothing never holds.", "Name a comparison, or remove it.")
    for place, condition in enumerate(several):
        here: Path = at if mode == "all" and len(several) == 1 else (*at, mode, place)
        # A hook named at a step without an expectation only fetches a variable.
        yield from _condition(document, condition, here, fetches="next" not in at and at[:1] != ("start",))


def _condition(document: SequenceDocument, condition: Condition, at: Path, *, fetches: bool) -> Found:
    match condition.type:
        case "enrollment_data":
            if not condition.subject.strip():
                yield document.finding("missing_field", at, "The comparison names no field.", "Write `field: plan`.")
            yield from _compared(document, condition, at)
        case "hook":
            if not hook_name(condition).strip():
                yield document.finding("missing_field", at, "The comparison names no hook.", "Write `hook: score`.")
            if condition.expected is not None or not fetches:
                yield from _compared(document, condition, at)
        case "event":
            yield from _event(document, condition, at)
        case "predicate":
            yield from _predicate(document, condition, at)
        case "time_window":
            yield from _calendar(document, condition, at)


def _compared(document: SequenceDocument, condition: Condition, at: Path) -> Found:
    if condition.operator not in OPERATORS:
        message = f"There is no operator {condition.operator[:40]!r}."
        yield document.finding("operator", (*at, "is"), message, nearest(condition.operator, OPERATORS))
    if blank(condition.expected):
        yield document.finding("missing_value", at, "The comparison expects no value.", _VALUE)
    elif condition.operator in ORDERED and not ordered(condition.expected):
        message = f"Nothing is {condition.operator} {str(condition.expected)[:40]!r}, so this never holds."
        yield document.finding("never_holds", (*at, "value"), message, _ORDER, "warning")


def _event(document: SequenceDocument, condition: Condition, at: Path) -> Found:
    if not condition.subject.strip():
        yield document.finding("missing_event", at, "The comparison names no event.", "Write `event: signed_up`.")
    for name in condition.config:
        if name not in _EVENT_KEYS:
            message = f"{str(name)[:40]!r} is not known here."
            yield document.finding("unknown_key", (*at, "config", str(name)), message, nearest(str(name), _EVENT_KEYS))
    if condition.config.get("within") is not None:
        try:
            timing.span(condition.config["within"])
        except Invalid as trouble:
            yield document.finding(trouble.code, (*at, "config", "within"), trouble.message, trouble.cure)
    if condition.config.get("field_path") is not None:
        yield from _compared(document, condition, at)
    else:
        yield from _yes_or_no(document, condition, at, "Add `config: { field_path: plan }`, or write true or false.")


def _predicate(document: SequenceDocument, condition: Condition, at: Path) -> Found:
    try:
        found = predicate.parse(condition.subject)
    except Invalid as trouble:
        yield document.finding(trouble.code, at, trouble.message, trouble.cure)
        return
    for text in found.never():
        yield document.finding("never_holds", at, f"`{text}` never holds.", _ORDER, "warning")


def _calendar(document: SequenceDocument, condition: Condition, at: Path) -> Found:
    here: Path = (*at, "time_window")
    try:
        window = windows.parse(condition.config.get("window"), "time_window")
    except Invalid as trouble:
        yield document.finding(trouble.code, here, trouble.message, trouble.cure)
        return
    if window is None:
        cure = 'Write { days: [mon, tue], from: "09:00", to: "17:00" }.'
        yield document.finding("window", here, "The time window names no hours.", cure)
    yield from _yes_or_no(document, condition, at, "Write true or false, or leave it out.")


def _yes_or_no(document: SequenceDocument, condition: Condition, at: Path, cure: str) -> Found:
    """A question of yes and no is only compared to true and false."""
    if condition.operator not in ("==", "!="):
        yield document.finding("operator", (*at, "is"), "This is a question of yes and no.", "Write == or !=.")
    if condition.expected is not None and not isinstance(condition.expected, bool):
        yield document.finding("wrong_type", (*at, "value"), "This is a question of yes and no.", cure)
