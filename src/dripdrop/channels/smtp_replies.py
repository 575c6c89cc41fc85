"""What does an SMTP reply mean? (RFC 5321 codes, RFC 3463 enhanced codes)"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from dripdrop.rules.outcome import Cause, Kind, Rejected

Stage: TypeAlias = Literal["connect", "mail", "rcpt", "data", "end"]

_ENHANCED = re.compile(r"([245])\.(\d{1,3})\.(\d{1,3})(?!\d)")
_ADDRESS = re.compile(r"[^\s<>\"'(),;:=]{1,64}@[^\s<>\"'(),;:]{1,253}")
_LOGIN = frozenset((530, 534, 535, 538))
# Exim, sendmail, Postfix and Exchange, in this order; none has a code of its own for it.
_NO_RELAY = re.compile(r"relay not permitted|relaying (?:denied|not allowed)|relay access denied|unable to relay", re.I)
_ABOUT_THE_SENDER = frozenset((7, 8))
_LONGEST_TEXT = 200


@dataclass(frozen=True, slots=True)
class Reply:
    """One reply: its code, and its lines joined by spaces."""

    code: int
    text: str

    @property
    def good(self) -> bool:
        return 200 <= self.code < 300

    @property
    def status(self) -> str:
        """The enhanced code, or nothing."""
        found = _ENHANCED.match(self.text)
        return found[0] if found and found[1] == str(self.code)[:1] else ""

    @property
    def shown(self) -> str:
        """The text as it may be kept: short, and without addresses, which servers love to repeat."""
        return _ADDRESS.sub("<address>", self.text)[:_LONGEST_TEXT]


def refusal(reply: Reply, stage: Stage) -> Rejected:
    """The rejection a 4xx or 5xx reply stands for, at the stage it came."""
    kind, cause = _judged(reply, stage)
    detail = {"reason": "refused", "stage": stage, "reply": reply.code, "text": reply.shown}
    if reply.status:
        detail["status"] = reply.status
    return Rejected(kind, cause, None, detail)


def refusal_of_all(replies: Sequence[tuple[str, Reply]], person: str) -> Rejected:
    """The one rejection of a message that every recipient's server refused; `replies` are (recipient, reply).

    Where the person the message is for is among them, their own refusal counts: a bounce of a copy must never
    suppress them. Otherwise it is the worst, of which nobody is suppressed either.
    """
    refusals = [(recipient, refusal(reply, "rcpt")) for recipient, reply in replies]
    for recipient, rejected in refusals:
        if recipient.lower() == person.lower() or len(refusals) == 1:
            return rejected
    worst = max((rejected for _, rejected in refusals), key=lambda each: _GRAVITY[each.kind])
    kind: Kind = "permanent" if worst.kind == "bounced" else worst.kind
    return Rejected(kind, worst.cause, worst.retry_after, worst.detail)


_GRAVITY = {"temporary": 0, "permanent": 1, "bounced": 2}


def _judged(reply: Reply, stage: Stage) -> tuple[Kind, Cause]:
    code = reply.code
    if code in (421, 454):
        return "temporary", "throttled"
    if code in _LOGIN or stage == "connect":
        return "temporary", "adapter"
    _, subject, number = (int(each) for each in (reply.status or "0.0.0").split("."))
    if code < 500:
        return "temporary", _temporary_cause(subject, stage)
    if stage == "rcpt" and subject in (0, 7) and _NO_RELAY.search(reply.text):
        return "temporary", "adapter"  # it carries for those it knows, and that is not us: whoever it is for
    if subject == 7:
        return ("temporary", "adapter") if number in (8, 9) else ("permanent", "policy")
    if stage == "mail" and (subject == 1 or (not subject and code in (550, 551, 553))):
        return "temporary", "adapter"  # nothing wrong with the person: this sender is not wanted here
    if subject == 1:
        return ("temporary", "adapter") if number in _ABOUT_THE_SENDER else ("bounced", "recipient")
    if subject == 2 and number != 3:
        return ("bounced" if number == 1 else "permanent"), "recipient"
    if subject == 4:
        return "permanent", "recipient"
    if subject:
        return "permanent", "message"
    return _without_status(code, stage)


def _temporary_cause(subject: int, stage: Stage) -> Cause:
    if subject == 7:
        return "policy"
    return "recipient" if stage == "rcpt" and subject in (1, 2) else "message"


def _without_status(code: int, stage: Stage) -> tuple[Kind, Cause]:
    """A bare 5xx says little: only at RCPT is it about the mailbox, and only 550, 551 and 553 say there is none."""
    if stage == "rcpt":
        if code in (550, 551, 553):
            return "bounced", "recipient"
        return "permanent", "policy" if code == 554 else "recipient"
    return "permanent", "policy" if code in (550, 554) else "message"
