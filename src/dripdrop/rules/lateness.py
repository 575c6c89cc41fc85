"""What happens to a message that is found late, after an outage?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal, TypeAlias, cast, get_args

from dripdrop.errors import Finding, Invalid
from dripdrop.rules import timing

Do: TypeAlias = Literal["send", "skip", "space"]

HOUR = timedelta(hours=1)
_KEYS = ("do", "after", "over")
_CURE = "Write send, skip, space, or { do: space, after: in 2 hours, over: in 1 hour }."


@dataclass(frozen=True, slots=True)
class Lateness:
    """What to do with what is more than `after` late; `over` is the time that `space` spreads it over."""

    do: Do = "send"
    after: timedelta = HOUR
    over: timedelta = HOUR


@dataclass(frozen=True, slots=True)
class OnTime:
    """It may go now: it is in time, or its step sends what is late."""


@dataclass(frozen=True, slots=True)
class Skip:
    """It is not sent any more, and the path goes on; `late` is by how much."""

    late: timedelta


@dataclass(frozen=True, slots=True)
class PutOff:
    """It goes at `until`, so that all that was late does not go at once."""

    until: datetime
    late: timedelta


Judgement: TypeAlias = OnTime | Skip | PutOff
ON_TIME = OnTime()
SEND = Lateness()


def judge(policy: Lateness, due_at: datetime | None, now: datetime, share: float) -> Judgement:
    """Whether what was due then may go now; `share`, from 0 to below 1, is the execution's own and never changes.

    What was put off is due at its new time, and so no longer late.
    """
    if policy.do == "send" or due_at is None or now - due_at <= policy.after:
        return ON_TIME
    late = now - due_at
    if policy.do == "skip":
        return Skip(late)
    until = now + policy.over * share
    return PutOff(until, late) if until > now else ON_TIME


def read(value: Any, path: str = "late") -> Lateness:
    """The policy written as `send`, `skip`, `space` or a mapping of `do`, `after` and `over`; None is `send`.

    Raises `Invalid` (`late`) with a finding for each thing that is wrong.
    """
    if value is None:
        return SEND
    if not isinstance(value, (str, Mapping)):
        found = [_finding(path, "`late` does not say what to do.")]
        raise Invalid(found[0].message, cure=_CURE, code="late", findings=found)
    written = {"do": value} if isinstance(value, str) else value
    found = [_finding(f"{path}.{key}", f"{str(key)[:40]!r} is not known here.") for key in written if key not in _KEYS]
    kept: dict[str, Any] = {}
    for name, reader in (("do", _do), ("after", timing.span), ("over", timing.span)):
        try:
            kept |= {name: reader(written[name])} if written.get(name) is not None else {}
        except Invalid:
            found.append(_finding(f"{path}.{name}", f"{str(written[name])[:40]!r} cannot stand here."))
    if written.get("do") is None:
        found.append(_finding(path, "`do` is missing."))
    elif "over" in kept and kept.get("do") != "space":
        found.append(_finding(f"{path}.over", "`over` is for `space`: nothing else is spread."))
    if found:
        raise Invalid(found[0].message, cure=_CURE, code="late", findings=found)
    return Lateness(**kept)


def _do(value: Any) -> Do:
    if not isinstance(value, str) or value not in get_args(Do):
        raise Invalid("This is nothing to do.", cure=_CURE)
    return cast(Do, value)


def _finding(path: str, message: str) -> Finding:
    return Finding("late", path, message, _CURE)
