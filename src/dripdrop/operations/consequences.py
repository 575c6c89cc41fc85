"""What follows from an event that was taken in: for the address, the enrollment, the execution in doubt, the host?"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from dripdrop.errors import Invalid
from dripdrop.rules import effects, heard
from dripdrop.rules.effects import ENDS_ON, Standing
from dripdrop.rules.feedback import Feedback
from dripdrop.rules.heard import Heard
from dripdrop.rules.lifecycle import ENROLLMENT
from dripdrop.rules.recipients import email_address, normalize
from dripdrop.rules.zones import zone_of
from dripdrop.store import enrollments, feedback, inbox, suppressions
from dripdrop.store.enrollments import Leaving
from dripdrop.store.flow import Flow, Row
from dripdrop.store.scope import Scope
from dripdrop.store.suppressions import Fresh, Wish

ON_REPLY = "on_reply"
_LIVE = ("active", "paused")
_IN_DOUBT = ("sending", "unknown")
_WHOSE = ("execution_id", "enrollment_id", "sequence", "step", "subscriber_type", "subscriber_id")


@dataclass(frozen=True, slots=True)
class Policy:
    """What the settings say: what ends enrollments, the zone of last resort, whether the host hears of replies."""

    ends_on: tuple[str, ...] = ENDS_ON
    default_zone: str = "Etc/UTC"
    tells_replies: bool = False


@dataclass(frozen=True, slots=True)
class Happened:
    """An event, new and dated; `about` is the execution it speaks of, with its enrollment; None where it is unknown.

    `guessed` says that it names none, and `about` is what was sent there last. `besides` are the last ones of others at
    the same address: who wants no more speaks for everybody there.
    """

    heard: Heard
    at: datetime
    tenant: str
    channel: str
    provider: str
    adapter: UUID
    about: Row | None = None
    guessed: bool = False
    besides: tuple[Row, ...] = ()

    @property
    def told(self) -> Feedback:
        return self.heard.told

    @property
    def concerned(self) -> tuple[Row, ...]:
        return self.besides if self.about is None else (self.about, *self.besides)

    @property
    def proves(self) -> bool:
        """Whether the provider must have had the message: it is named, in doubt, and cannot be told of otherwise."""
        about = self.about
        if about is None or self.guessed or not about["live"]:
            return False
        return about["state"] in _IN_DOUBT and effects.proves(self.told)


def carry_out(now: datetime, events: Sequence[Happened], policy: Policy) -> Flow[None]:
    """Everything that follows, each kind in one statement: enrollments before addresses, as whoever closes has it."""
    yield from _end(now, events, policy)
    for each in events:
        yield from _answer(now, each, policy)
    proofs = [
        (each.about["execution_id"], each.told.status, each.heard.provider_message_id, each.at)
        for each in events
        if each.about and each.proves
    ]
    if proofs:
        yield from feedback.prove(proofs)
    yield from _addresses(now, events)
    if policy.tells_replies:
        calls = [(each.tenant, ON_REPLY, call) for each in events if (call := _reply(each)) is not None]
        if calls:
            yield from inbox.owe(now, calls)


def _end(now: datetime, events: Sequence[Happened], policy: Policy) -> Flow[None]:
    ending: dict[tuple[str, str], set[UUID]] = defaultdict(set)
    people: dict[str, set[tuple[str, str, str, str]]] = defaultdict(set)
    for each in events:
        status = each.told.status
        for about in each.concerned:
            if effects.ends(each.told, _standing(about), policy.ends_on) or _behavior(each) == "end":
                ending[about["tenant_key"], status].add(about["enrollment_id"])
            if effects.ends_besides(each.told, policy.ends_on):
                person = (about["tenant_key"], about["subscriber_type"], about["subscriber_id"], about["channel"])
                people[status].add(person)
    for cause, asked in sorted(people.items()):
        for row in (yield from feedback.others_of(sorted(asked))):
            ending[row["tenant_key"], cause].add(row["id"])
    for (tenant, cause), ids in sorted(ending.items()):
        because = ({"code": cause, "source": "feedback"},)
        leaving = [Leaving(each, "cancelled", cause, because) for each in sorted(ids)]
        yield from enrollments.leave_many(now, Scope(tenant), leaving, sources=ENROLLMENT.sources("unenroll"))


def _answer(now: datetime, event: Happened, policy: Policy) -> Flow[None]:
    """A reply may hold its enrollment; an absence lets it wait."""
    about = event.about
    if about is None or about["enrollment_state"] not in _LIVE:
        return
    scope, enrollment = Scope(event.tenant), about["enrollment_id"]
    if _behavior(event) == "pause":
        yield from enrollments.pause(
            now, scope, enrollment, sources=ENROLLMENT.sources("pause"), reasons=[{"code": "replied"}]
        )
    elif event.heard.read is not None and event.heard.read.return_on is not None:
        person = yield from enrollments.get(scope, enrollment)
        data: Any = (person["data"] if person else None) or {}
        zone, _ = zone_of(data.get("timezone"), about["sequence_config"].get("timezone"), policy.default_zone)
        until = heard.back_at(event.heard.read, zone)
        if until is not None and until > now:
            told = {"code": "out_of_office", "until": until.isoformat()}
            yield from feedback.put_off_path(now, scope, enrollment, until, [told])


def _addresses(now: datetime, events: Sequence[Happened]) -> Flow[None]:
    blocked: list[Fresh] = []
    wishes: list[Wish] = []
    for each in events:
        reason, address = effects.suppression(each.told), _address(each)
        if address is None:
            continue
        shown, normalized = address
        topic, channel, provider = each.told.topic or "", each.channel, each.provider
        for tenant in sorted({each.tenant, *(about["tenant_key"] for about in each.besides)}):
            if reason is not None:
                named = {"provider_event_id": each.heard.provider_event_id} if each.heard.provider_event_id else {}
                blocked.append(Fresh(tenant, channel, shown, normalized, reason, provider, topic, None, named, each.at))
            elif effects.lifts(each.told):
                wishes.append(Wish(tenant, channel, normalized, each.at, topic, provider))
    if blocked:
        yield from suppressions.add_many(now, blocked)
    if wishes:
        yield from suppressions.resubscribe(now, wishes)


def _address(event: Happened) -> tuple[str, str] | None:
    """Whom it is about: (as written, normalized). Who answers a forwarded message speaks for whom it was sent to."""
    sent_to = event.about["recipient"] if event.about else None
    found = (sent_to or event.told.recipient) if event.heard.message is not None else event.told.recipient or sent_to
    if event.channel == "email":
        found = email_address(found)
    try:
        normalized = normalize(event.channel, found) if found else ""
    except Invalid:
        return None
    return (heard.shortened(found), normalized) if found and normalized else None


def _behavior(event: Happened) -> str:
    """What a human reply does, by its step, else by its sequence."""
    about = event.about
    if about is None or event.heard.read is None or event.heard.read.intent != "reply":
        return "continue"
    configured = about["step_config"].get("reply_behavior") or about["sequence_config"].get("reply_behavior")
    return effects.behavior(configured) if configured else "continue"


def _standing(about: Row) -> Standing:
    return Standing(about["enrollment_state"] in _LIVE, about["transactional"], about["only_channel"])


def _reply(event: Happened) -> dict[str, Any] | None:
    said = heard.reply(event.heard, event.at)
    if said is None:
        return None
    whose = {"tenant": event.tenant or None, "channel": event.channel, "provider": event.provider}
    about = {name: event.about[name] for name in _WHOSE} if event.about is not None else {}
    return {**said, **whose, "adapter_id": event.adapter, **about}
