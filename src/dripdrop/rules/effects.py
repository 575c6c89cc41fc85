"""What does it change that a provider or a mailbox told us this?"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from dripdrop.rules.feedback import Feedback, Status

# A delivery's status only moves to the right, so the order in which events arrive changes nothing. The view
# `step_executions` holds the same table. Opens, clicks, replies and wishes tell of a person, not of a delivery.
FORWARD: tuple[Status, ...] = (
    "accepted", "sent", "deferred", "delivered", "failed", "rejected", "blocked", "bounced", "complained",
)  # fmt: skip

# Only a message that the provider had can cause these; the others may be told of one it never took.
PROOFS: frozenset[Status] = frozenset({
    "accepted", "sent", "delivered", "deferred", "bounced", "blocked", "complained", "opened", "clicked", "replied",
    "unsubscribed",
})  # fmt: skip

SUPPRESSES: Mapping[Status, str] = MappingProxyType(
    {"bounced": "bounce", "complained": "complaint", "unsubscribed": "unsubscribe"}
)
LIFTED_BY_RESUBSCRIBING = "unsubscribe"
ENDS_ON: tuple[str, ...] = ("bounced", "complained", "unsubscribed")
BEHAVIORS = ("continue", "pause", "end")
_ALIASES = {"pause_enrollment": "pause", "end_enrollment": "end", "cancel": "end"}


@dataclass(frozen=True, slots=True)
class Standing:
    """What is known of the enrollment a message belongs to. `only` says that it speaks over this channel alone."""

    live: bool
    transactional: bool = False
    only: bool = True


def forward(before: str | None, told: str) -> str | None:
    """The delivery status after one more event: never back, whatever the order."""
    if told not in FORWARD:
        return before
    if before not in FORWARD:
        return told
    return max(before, told, key=_rank)


def status(told: Iterable[str]) -> str | None:
    """The delivery status that any number of events amount to."""
    standing: str | None = None
    for each in told:
        standing = forward(standing, each)
    return standing


def proves(told: Feedback) -> bool:
    """Whether the provider must have had the message for this to be said."""
    return told.status in PROOFS


def suppression(told: Feedback) -> str | None:
    """The reason why the recipient is not written to any more; None where this is no reason.

    Of what bounced, only what bounced for good: a full mailbox or a policy says nothing against an address.
    """
    if told.status == "bounced" and told.severity != "permanent":
        return None
    return SUPPRESSES.get(told.status)


def lifts(told: Feedback) -> bool:
    """Whether the recipient wishes to be written to again: that takes back a wish, never a bounce or a complaint."""
    return told.status == "resubscribed"


def ends(told: Feedback, standing: Standing, ends_on: Collection[str] = ENDS_ON) -> bool:
    """Whether the enrollment that sent the message ends by this.

    Where a person complains or wants no more, what is marketing ends. Where an address is dead, an enrollment ends that
    could only speak to it; one with other channels goes on with those.
    """
    if not standing.live or told.topic or told.status not in ends_on or suppression(told) is None:
        return False
    if told.status == "bounced":
        return standing.only
    return not standing.transactional


def ends_besides(told: Feedback, ends_on: Collection[str] = ENDS_ON) -> bool:
    """Whether the person's other enrollments end too, as far as they are marketing and have no other channel."""
    return told.status in ends_on and not told.topic and suppression(told) is not None


def behavior(configured: object) -> str:
    """What a human reply does to its enrollment: continue (the default), pause or end."""
    word = _ALIASES.get(str(configured), str(configured))
    return word if word in BEHAVIORS else "continue"


def _rank(status: str) -> int:
    return FORWARD.index(status)
