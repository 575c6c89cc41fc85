"""Does each wait end, each repetition recur, and each goal say what it is?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dripdrop.errors import Invalid
from dripdrop.rules import lateness
from dripdrop.rules.checks.common import Found, nearest
from dripdrop.rules.definition import OnEvent, Step
from dripdrop.rules.document import Path, SequenceDocument
from dripdrop.rules.timing import recurs

_GOAL_KEYS = frozenset({"event", "match", "as"})
_GOAL_CURE = "Write [event, { event: paid, match: { plan: pro }, as: completed }]."


def event(document: SequenceDocument, timing: OnEvent, at: Path) -> Found:
    """A step that waits for an event."""
    if not timing.event.strip() or timing.event != timing.event.strip():
        yield document.finding("missing_event", at, "The step names no event to wait for.", "Write `event: paid`.")
    if timing.timeout is not None and timing.timeout.amount <= 0:
        message, cure = "The timeout is not positive.", "Write `timeout: in 7 days`."
        yield document.finding("delay_not_positive", (*at, "timeout"), message, cure)
    goto = timing.timeout_goto
    if goto is None:
        return
    if timing.timeout is None:
        message = "`timeout_goto` without `timeout` is never gone to."
        yield document.finding("timeout_goto", (*at, "timeout_goto"), message, "Write `timeout: in 7 days` beside it.")
    keys = [step.key for step in document.steps]
    if goto not in keys:
        yield document.finding(
            "unknown_goto", (*at, "timeout_goto"), f"There is no step {goto!r}.", nearest(goto, keys)
        )


def recurrence(document: SequenceDocument, step: Step, at: Path) -> Found:
    """A step that is sent again and again, and what happens to one that is found late."""
    repeat = step.config.get("repeat")
    if (
        repeat is not None
        and not isinstance(repeat, bool)
        and (type(repeat) is not int or not 1 <= repeat <= 1_000_000)
    ):
        cure = "Write how many times to send it in all, or true for ever."
        yield document.finding("repeat", (*at, "repeat"), "`repeat` is no number of times.", cure)
    elif repeat and not recurs(step.timing):
        cure = "Write `timing: every monday at 9am`, or a delay of one or more."
        yield document.finding("repeat", (*at, "repeat"), "The step has no time to repeat itself at.", cure)
    try:
        lateness.read(step.config.get("late"))
    except Invalid as trouble:
        for each in trouble.findings:
            yield document.finding(each.code, (*at, "late"), each.message, each.cure)


def goals(document: SequenceDocument, config: Mapping[str, Any]) -> Found:
    """What ends an enrollment: events by key, or with what they must hold and how it ends then."""
    written = config.get("exit_on")
    if written is None:
        return
    if not isinstance(written, (list, tuple)):
        yield document.finding("exit_on", ("exit_on",), "`exit_on` is no list of events.", _GOAL_CURE)
        return
    for place, goal in enumerate(written):
        problem = _goal(goal)
        if problem is not None:
            yield document.finding("exit_on", ("exit_on", place), problem, _GOAL_CURE)


def _goal(goal: Any) -> str | None:
    """What is wrong with one entry, or None."""
    named = {"event": goal} if isinstance(goal, str) else goal
    if not isinstance(named, Mapping) or named.keys() - _GOAL_KEYS:
        return "This is neither an event nor { event, match, as }."
    key = named.get("event")
    if not isinstance(key, str) or not key or key != key.strip():
        return "The entry names no event."
    if not isinstance(named.get("match") or {}, Mapping):
        return "`match` is no mapping of fields."
    return None if named.get("as", "cancelled") in ("cancelled", "completed") else "`as` is completed or cancelled."
