"""Which moves exist for a version, an enrollment and an execution?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from dripdrop.errors import IllegalMove


@dataclass(frozen=True, slots=True)
class Lifecycle:
    """A state machine as a table: name of the move -> {from state: to state}."""

    noun: str
    moves: Mapping[str, Mapping[str, str]]

    def after(self, move: str, state: str) -> str:
        """The state that `move` leads to; raises IllegalMove naming the states it may start from."""
        ways = self.moves[move]
        if state not in ways:
            raise IllegalMove(
                f"This {self.noun} is {state}: no way to {move} it.", cure=f"It must be {self.allowed(move)}."
            )
        return ways[state]

    def sources(self, move: str) -> list[str]:
        """The states that `move` may start from."""
        return list(self.moves[move])

    def allowed(self, move: str) -> str:
        return " or ".join(self.sources(move))


VERSION = Lifecycle(
    "version", {"activate": {"draft": "active", "archived": "active"}, "archive": {"active": "archived"}}
)

ENROLLMENT = Lifecycle(
    "enrollment",
    {
        "pause": {"active": "paused"},
        "resume": {"paused": "active"},
        "complete": {"active": "completed"},
        "reach": {"active": "completed", "paused": "completed"},
        "unenroll": {"active": "cancelled", "paused": "cancelled"},
    },
)

# The trigger on execution_queue and the check on execution_history hold the same table.
EXECUTION: Mapping[str, tuple[str, ...]] = {
    "scheduled": ("claiming", "waiting", "skipped", "cancelled"),
    "waiting": ("scheduled", "skipped", "cancelled"),
    "claiming": ("scheduled", "waiting", "sending", "skipped", "failed", "cancelled"),
    "sending": ("sent", "failed", "scheduled", "unknown", "cancelled"),
    "unknown": ("sent", "scheduled", "failed", "cancelled"),
    "failed": ("scheduled", "cancelled"),
    "sent": (),
    "skipped": (),
    "cancelled": (),
}

LIVE = ("scheduled", "waiting", "claiming", "sending", "unknown", "failed")
ENDED = ("sent", "skipped", "cancelled", "failed")


def may_become(state: str, to: str) -> bool:
    """Whether an execution may move from `state` to `to`."""
    return to in EXECUTION[state]
