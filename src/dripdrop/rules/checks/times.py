"""Can each step come due, in a zone and a window that exist?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dripdrop.errors import Invalid
from dripdrop.rules import windows
from dripdrop.rules.checks import waiting
from dripdrop.rules.checks.common import Found
from dripdrop.rules.definition import Cron, Delay, Immediate, OnEvent, Step
from dripdrop.rules.document import Path, SequenceDocument
from dripdrop.rules.keys import REENTRY
from dripdrop.rules.timing import span
from dripdrop.rules.zones import find_zone, instead_of, is_field


def timing(document: SequenceDocument, step: Step, at: Path) -> Found:
    """When the step is due."""
    match step.timing:
        case Immediate():
            return
        case Delay(amount):
            if amount <= 0:
                cure = "Write `timing: immediate`, or a delay of one or more."
                yield document.finding("delay_not_positive", (*at, "timing"), "The delay is not positive.", cure)
        case Cron():
            return
        case OnEvent():
            yield from waiting.event(document, step.timing, (*at, "timing"))


def reentry(document: SequenceDocument) -> Found:
    """Whether, or how long after, people may go through again."""
    written = document.config.get("reentry")
    if written is None or any(written is word or (isinstance(word, str) and written == word) for word in REENTRY):
        return
    if not isinstance(written, Mapping) or set(written) != {"after"}:
        cure = "Write always, never or { after: in 30 days }."
        yield document.finding("unknown_word", ("reentry",), f"`reentry` cannot be {str(written)[:40]!r}.", cure)
        return
    try:
        span(written["after"])
    except Invalid as trouble:
        yield document.finding(trouble.code, ("reentry", "after"), trouble.message, trouble.cure)


def hours(document: SequenceDocument, config: Mapping[str, Any], at: Path) -> Found:
    """The zone and the window of a step or of a whole sequence."""
    zone = config.get("timezone")
    if zone is not None and not is_field(zone) and (not isinstance(zone, str) or find_zone(zone) is None):
        message = f"There is no time zone {str(zone)[:60]!r}."
        yield document.finding("zone", (*at, "timezone"), message, instead_of(zone))
    try:
        windows.parse(config.get("window"))
    except Invalid as trouble:
        yield document.finding("window", (*at, "window"), trouble.message, trouble.cure)
