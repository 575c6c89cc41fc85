"""What does a bounce mean, in Amazon's words? (Resend, which sends through Amazon, uses the same.)

https://docs.aws.amazon.com/ses/latest/dg/notification-contents.html#bounce-types
"""

from __future__ import annotations

from dripdrop.rules.feedback import Severity, Status

# Of the message, not of the address: too large, or what stands in it.
_MESSAGE = frozenset(("MessageTooLarge", "ContentRejected", "AttachmentRejected"))


def meaning(kind: str, sub_kind: str) -> tuple[Status, Severity | None]:
    """Status and severity of a bounce of this type (Permanent, Transient, Undetermined) and subtype.

    Only `Permanent` speaks against the address: Amazon itself says to remove it then.
    """
    if sub_kind == "UnsubscribedRecipient":
        return "unsubscribed", None
    if sub_kind in _MESSAGE:
        return "blocked", "permanent" if kind == "Permanent" else "temporary"
    return "bounced", "permanent" if kind == "Permanent" else "temporary"
