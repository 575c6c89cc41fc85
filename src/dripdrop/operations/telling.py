"""How is what was decided said in plain words?"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from itertools import takewhile
from typing import Any

from dripdrop.rules.onward import MOST_EVIDENCE

# What a reason's code means to a reader; `{name}` takes the evidence of that name.
_PHRASES = {
    "adapter": "its adapter could not send it",
    "bounced": "the address does not take mail",
    "condition": "its condition did not hold",
    "content_changed": "its content would no longer be the same",
    "enrollment_ended": "the enrollment had ended",
    "event": "{event} happened",
    "exit_on": "{event} happened",
    "failed": "the provider could not take it just then",
    "hook_broken": "the hook {hook} gave no answer",
    "hook_busy": "the hook {hook} had too much to do",
    "hook_unavailable": "the hook {hook} could not be asked",
    "late": "it was too late for it",
    "no_adapter": "there was no adapter to send it through",
    "no_match": "no way on fitted",
    "no_recipient": "there was no address to send it to",
    "not_in_only_to": "this installation may only write to its allow-list",
    "nothing_left": "nothing was left to send",
    "on_unknown_resend": "its author chose to send again when in doubt",
    "opted_out": "the recipient has opted out",
    "policy": "the provider's policy forbids it",
    "quiet_hours": "it was outside the hours in which this person may be written to",
    "recipient": "the provider does not accept this recipient",
    "rejected": "the provider refused it",
    "retries_exhausted": "its retries were used up",
    "sequence_inactive": "the sequence was switched off",
    "step_inactive": "the step was switched off",
    "still_unknown": "the provider never gave a clear answer",
    "stopped": "sending was stopped",
    "suppressed": "the recipient is suppressed ({reason})",
    "throttled": "the provider asked to slow down",
    "timed_out": "its event did not happen in time",
    "unenrolled": "it was unenrolled",
    "unsubscribed": "the person unsubscribed",
}
# These say no more than the event they stand beside.
_SILENT = frozenset(
    ("accepted", "ask", "choosing", "completed", "data_updated", "deferred", "enrolled", "message", "moved", "next",
     "replayed", "resolved", "resumed", "retry", "sent", "succeeded", "temporary", "unknown", "waits", "way")
)  # fmt: skip
_NAMES = ("name", "full_name", "first_name", "firstname")


def moment(at: datetime | None) -> str:
    """A time to the minute, in UTC: `2030-03-01 09:00 UTC`."""
    return "an unknown time" if at is None else f"{at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def span(left: timedelta) -> str:
    """A length of time in its largest whole units: `2 days 3 hours`, `less than a minute`."""
    minutes = int(left.total_seconds() // 60)
    units = (("day", minutes // 1440), ("hour", minutes % 1440 // 60), ("minute", minutes % 60))
    said = [f"{number} {unit}{'s' * (number != 1)}" for unit, number in units if number > 0]
    return " ".join(said[:2]) or "less than a minute"


def person(subscriber_type: str, subscriber_id: str, data: Mapping[str, Any] | None) -> str:
    """`Ann (user 42)`, or `user 42` where the data hold no name."""
    named = next((data[key] for key in _NAMES if data and isinstance(data.get(key), str) and data[key].strip()), None)
    who = f"{subscriber_type} {subscriber_id}"
    return f"{' '.join(named.split())[:80]} ({who})" if named else who


def because(reasons: Iterable[Mapping[str, Any]]) -> str:
    """The reasons as a clause; '' where they say nothing that the event does not."""
    told = list(reasons)
    # A refusal that names its own reason says more than the kind of cause that stands after it.
    silent = _SILENT | {each.get("cause") for each in told if isinstance(each.get("reason"), str)}
    said = [phrase(reason) for reason in told if reason.get("code") not in silent]
    return " and ".join(dict.fromkeys(said))


def phrase(reason: Mapping[str, Any]) -> str:
    """One reason as a clause; an unknown code is read as its own words."""
    code = str(reason.get("code", "no reason given"))
    if code in ("failed", "rejected") and isinstance(reason.get("reason"), str):
        return phrase({**{key: reason[key] for key in ("status", "hook") if key in reason}, "code": reason["reason"]})
    kind, _, subject = code.partition(":")
    if subject:
        return phrase({**reason, "code": kind, kind: subject})
    known = _PHRASES.get(code, code.replace("_", " "))
    status = f" (status {reason['status']})" if isinstance(reason.get("status"), int) else ""
    try:
        return known.format_map(reason) + status
    except KeyError:
        return known.partition("{")[0].rstrip(" (") or code.replace("_", " ")


def chosen(reasons: Iterable[Mapping[str, Any]]) -> str:
    """Which step follows by which conditions: `tips follows, since plan == pro`; '' where no condition chose it."""
    told = {str(reason.get("code")): reason for reason in reasons}
    step = (told.get("waits") or told.get("next") or {}).get("step")
    looked_at = (told.get("way") or {}).get("conditions")
    # As much evidence as is kept may have been cut off, and then its end decided nothing.
    if not step or not isinstance(looked_at, list) or not 0 < len(looked_at) < MOST_EVIDENCE:
        return ""
    held = list(takewhile(lambda seen: seen.get("holds"), reversed(looked_at)))
    clauses = " and ".join(_condition(seen) for seen in reversed(held))
    return f"{step} follows, since {clauses or 'no condition of another way held'}"


def _condition(seen: Mapping[str, Any]) -> str:
    """A condition as its author wrote it, in one line; what a person's data hold is no part of it."""
    if "predicate" in seen:
        return str(seen["predicate"])
    if "time_window" in seen:
        return f"it was such an hour in {seen.get('zone')}"
    kind = next((each for each in ("hook", "event") if each in seen), "")
    if kind == "event" and seen.get("value") is None:
        return f"{seen['event']} happened"
    subject = f"{kind} {seen[kind]}" if kind else seen.get("enrollment_data")
    return f"{subject} {seen.get('is')} {seen.get('value')}"


def happened(event: str, step: str | None, times: int = 1) -> str:
    """What a line of the journal says took place: `welcome was sent`, `the enrollment was paused`."""
    subject = step or "the message"
    match event:
        case "sent" | "skipped" | "failed" | "resolved" | "replayed":
            return f"{subject} {'failed' if event == 'failed' else f'was {event}'}"
        case "deferred":
            return f"{subject} was put off" + (f" {times} times" if times > 1 else "")
        case "retry":
            return f"{subject} will be tried again"
        case "unknown":
            return f"nobody can say whether {subject} was sent"
        case "rescued":
            return f"{subject} was taken over from a worker that had stopped"
        case "woken":
            return f"what {subject} waited for happened"
        case "advanced":
            return "the way on was chosen"
        case "enrolled":
            return "the person was enrolled"
        case "completed" | "paused" | "resumed" | "cancelled" | "moved":
            return f"the enrollment was {event}"
        case _:
            return event.replace("_", " ")
