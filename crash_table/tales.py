"""Which sequence must people be in for a worker to come to a place?  Every tale has three steps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

HOOKS = "host"
READ = "read"
STEPS = ("one", "two", "three")
PLAIN, WAYS, WAITS, DEADLINES, RECEIPTS = "plain", "ways", "waits", "deadlines", "receipts"

# What is not here comes by in every tale.
_OF: Mapping[str, str] = {
    "leave_advance": WAYS,
    "advance": WAYS,
    "ask_hook": WAYS,
    "time_out": DEADLINES,
    "sweep": WAITS,
    "track": WAITS,
    "track_many": WAITS,
    "receive": RECEIPTS,
    "match": RECEIPTS,
    "take_in": RECEIPTS,
    "confirm": RECEIPTS,
}
# Work of a clock, not of messages: it comes by every few seconds, and in a cell's short lives more often.
HASTY = (WAITS, RECEIPTS)
# Doubts are noted and settled wherever the provider's answers get lost.
MANNERS: Mapping[str, Mapping[str, float]] = {"doubt": {"reset_after": 0.5}}


def operation(place: str) -> str:
    """`claim` of `claim.begun`."""
    return place.partition(".")[0]


def tale(place: str) -> str:
    """The tale in which a worker comes to this place."""
    return _OF.get(operation(place), PLAIN)


def hasty(place: str) -> bool:
    """Whether the loops of a worker must turn quickly for one to die there."""
    return tale(place) in HASTY or operation(place) == "tidy"


def document(name: str, on_unknown: str) -> dict[str, Any]:
    """Three steps at once after one another; whatever is refused is tried again for long enough."""
    step = {"channel": "email", "text": "Hello {{ email }}", "on_unknown": on_unknown, "retries": 50}
    steps: dict[str, dict[str, Any]] = {key: {**step, "subject": key} for key in STEPS}
    told: dict[str, Any] = {"sequence": "tale", "name": "Tale", "steps": steps}
    match name:
        case "ways":
            # The way on is a hook's to choose: an outcome leaves an advance row behind, and the answer ends it.
            told["hooks"] = HOOKS
            steps["one"]["next"] = [{"when": "hook.score > 5", "goto": "two"}]
            steps["two"]["next"] = [{"when": "hook.seats > 5", "goto": "three"}]
            steps["three"]["when"] = "hook.score > 5"
        case "waits":
            steps["two"]["timing"] = {"event": READ, "timeout": "in 1 day", "timeout_goto": "three"}
        case "deadlines":
            steps["two"]["timing"] = {"event": READ, "timeout": "in 1 second", "timeout_goto": "three"}
    return told
