"""Can these conditions be judged?"""

from __future__ import annotations

from collections.abc import Sequence

from dripdrop.rules.checks.common import Found, blank, later, nearest
from dripdrop.rules.condition import OPERATORS
from dripdrop.rules.definition import Condition
from dripdrop.rules.document import Path, SequenceDocument


def conditions(document: SequenceDocument, several: Sequence[Condition], mode: str, at: Path) -> Found:
    """What is wrong with the conditions of a step or of a way."""
    if not several and mode == "any":
        yield document.finding("empty_when", at, "`any` of nothing never holds.", "Name a comparison, or remove it.")
    for place, condition in enumerate(several):
        here: Path = at if mode == "all" and len(several) == 1 else (*at, mode, place)
        yield from _condition(document, condition, here)


def _condition(document: SequenceDocument, condition: Condition, at: Path) -> Found:
    if condition.type != "enrollment_data":
        named = {"predicate": "The predicate language", "hook": "A hook", "event": "An event condition"}
        what = named.get(condition.type, "A time window as a condition")
        yield later(document, at, what, "Compare a field: { field: plan, is: ==, value: pro }.")
        return
    if not condition.subject.strip():
        yield document.finding("missing_field", at, "The comparison names no field.", "Write `field: plan`.")
    if condition.operator not in OPERATORS:
        message = f"There is no operator {condition.operator[:40]!r}."
        yield document.finding("operator", (*at, "is"), message, nearest(condition.operator, OPERATORS))
    if blank(condition.expected):
        message = "The comparison expects no value."
        yield document.finding("missing_value", at, message, "Write `value:` with what the field is compared to.")
