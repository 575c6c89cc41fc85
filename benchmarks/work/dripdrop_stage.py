"""On what does our own worker work?  Its settings, sequences and people, by kind of step, and what sends for it."""

from __future__ import annotations

import base64
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import psycopg

from benchmarks.work import letter, meter
from dripdrop import AsyncDripDrop
from dripdrop.channels.smtp import SmtpProvider
from dripdrop.contracts import Accepted, Delivery, Idempotent
from dripdrop.rules import mail
from dripdrop.rules.message import Email
from dripdrop.store import schema

SEQUENCE = "bench"
CHUNK = 20_000
SMTP = {"starttls": "never"}  # heeded by SMTP alone
FROM = f"{letter.SENDER[0]} <{letter.SENDER[1]}>"
CONFIG = {
    "encryption_key": base64.b64encode(bytes(32)).decode(),
    "virtual_clock": True,
    "quiet_hours_default": [8, 21],
}
# A person's channel, so that suppression and quiet hours are asked; its text is constant, so nothing is rendered.
NOTHING: dict[str, Any] = {"channel": "telegram", "template": {"text": "ping"}}
LETTER: dict[str, Any] = {
    "channel": "email",
    "template": {"subject": letter.SUBJECT, "html": letter.HTML, "text": letter.TEXT},
    "config": {"unsubscribe": False},
}
AT_NOON = """
update dripdrop.clock
   set ahead = (date_trunc('day', clock_timestamp() at time zone 'UTC') + interval '1 day 12 hours') at time zone 'UTC'
               - clock_timestamp()
"""
SHUFFLE = "update dripdrop.execution_queue set due_at = due_at - random() * interval '1 hour'"

# Every gate on: a list of whom one may write to, an unsubscribe address in each e-mail, and for each step a lateness,
# a window by the weekday in the person's zone and four conditions; two stop switches of others; suppressions of others.
CHATS = 10
GUARDED = {
    "public_url": "https://mail.example.com",
    "only_to": ("example.org", *(str(number) for number in range(CHATS))),
}
WEEK = {day: ["8:00", "21:00"] for day in ("mon", "tue", "wed", "thu", "fri", "sat", "sun")}
STEP_GATES = {"late": {"do": "skip", "after": "in 3 days"}, "window": {**WEEK, "holidays": ["2001-01-01"]}}
CONDITIONS: tuple[dict[str, Any], ...] = (
    {"condition_type": "enrollment_data", "field_path": "basket_state", "expected_value": "open"},
    {"condition_type": "predicate", "config": {"predicate": "seats > 2 and plan in ['pro', 'basic']"}},
    {"condition_type": "event", "expected_value": False, "config": {"event_key": "basket_paid"}},
    {"condition_type": "time_window", "config": {"window": [0, 24]}},
)
SUPPRESSED = 10_000
# One person in a hundred is in the way of a gate, by turns of these: so it shows that every gate was asked.
STOPPED_BY = ("suppressed", "not_in_only_to", "condition", "quiet_hours")
DECOYS = 100
DAYTIME, NIGHT = "Europe/Zurich", "Pacific/Auckland"  # at noon UTC


@dataclass(frozen=True)
class Kind:
    """What a side works on: its step, when each of the sequence's steps is due, and whether every gate is on."""

    step: Mapping[str, Any] = field(default_factory=lambda: NOTHING)
    timings: tuple[str, ...] = ("immediately", "in 1 day")
    gated: bool = False
    provider: str = "null"

    @property
    def channel(self) -> str:
        return str(self.step["channel"])


KINDS = {
    "noop": Kind(),
    "timed": Kind(),
    "shuffled": Kind(),
    "noop_gated": Kind(gated=True),
    "three": Kind(timings=("immediately",) * 3),
    "turnovers": Kind(timings=(*("immediately",) * 3, "in 1 day")),
    "email": Kind(LETTER),
    "email_gated": Kind(LETTER, gated=True),
    "smtp": Kind(LETTER, provider="counted_smtp"),
}


class Null:
    """Accepts everything, and can be asked again with the same key."""

    name = "null"
    on_doubt = Idempotent(timedelta(days=1))

    def __init__(self, channel: str, window: meter.Window | None = None) -> None:
        self.channel = channel
        self.window = window
        self.octets = 0
        self.sample: dict[str, Any] = {}
        self.unsubscribes = False
        self.started: dict[str, float] = {}

    async def deliver(self, delivery: Delivery, config: Mapping[str, Any]) -> Accepted:
        if isinstance(delivery.message, Email):
            self.octets += len(mail.build(delivery.message, boundary_seed=str(delivery.id)))
            if not self.sample:
                message = delivery.message
                self.sample = {"to": message.to[0].email, "subject": message.subject}
                self.sample |= {"html": message.html, "text": message.text}
                self.unsubscribes = any(name.lower() == "list-unsubscribe" for name, _ in message.headers)
        if self.window is not None:
            self.window.total += 1
        else:
            self.started[delivery.enrollment.subscriber_id] = time.monotonic()
        return Accepted()

    def validate_credentials(self, credentials: Mapping[str, Any]) -> list[tuple[str, str]]:
        return []


class CountedSmtp(SmtpProvider):
    """The real provider; what the server took is counted as well."""

    name = "counted_smtp"

    def __init__(self, window: meter.Window | None = None) -> None:
        self.window = window
        self.octets = 0
        self.sample: dict[str, Any] = {}

    async def deliver(self, delivery: Delivery, config: Any, session: Any) -> Any:
        outcome = await super().deliver(delivery, config, session)
        if self.window is not None and isinstance(outcome, Accepted):
            self.window.total += 1
        if not self.sample and isinstance(delivery.message, Email):
            message = delivery.message
            self.sample = {"to": message.to[0].email, "subject": message.subject}
            self.sample |= {"html": message.html, "text": message.text}
        return outcome


def provider_for(job: Mapping[str, Any], window: meter.Window | None = None) -> Any:
    """What sends for this kind of step."""
    kind = KINDS[job.get("kind", "noop")]
    return CountedSmtp(window) if kind.provider == "counted_smtp" else Null(kind.channel, window)


def open_drip(job: Mapping[str, Any], provider: Any) -> AsyncDripDrop:
    """The engine on the job's database, with the settings of its kind."""
    settings = {**CONFIG, **GUARDED} if KINDS[job.get("kind", "noop")].gated else CONFIG
    return AsyncDripDrop(job["url"], config=settings, plugins=[provider])


async def build(job: Mapping[str, Any]) -> None:
    """Schema, the kind's sequence, and `rows` people whose first step is due, at noon."""
    kind = KINDS[job["kind"]]
    schema.migrate(job["url"])
    with psycopg.connect(job["url"], autocommit=True) as connection:
        connection.execute(AT_NOON)
        drip = open_drip(job, provider_for(job))
        await _define(drip, kind)
        if kind.gated:
            await _guard(drip)
        for begin in range(0, job["rows"], CHUNK):
            await drip.enroll_many(SEQUENCE, people(job["kind"], begin, min(begin + CHUNK, job["rows"])))
        await drip.close()
        if job["kind"] == "shuffled":
            connection.execute(SHUFFLE)


def people(kind: str, begin: int, end: int) -> list[dict[str, Any]]:
    """Rows for enroll_many."""
    chosen = KINDS[kind]
    rows = []
    for number in range(begin, end):
        data = letter.data(number) if chosen.channel == "email" else {"telegram": str(number)}
        rows.append(
            {"subscriber": ("user", str(number)), "data": _guarded(chosen, number, data) if chosen.gated else data}
        )
    return rows


def _guarded(kind: Kind, number: int, data: dict[str, Any]) -> dict[str, Any]:
    place = "email" if kind.channel == "email" else "telegram"
    if place == "telegram":
        data = {"telegram": str(number % CHATS), "plan": "pro"}
    data |= {"seats": 3, "basket_state": "open", "timezone": DAYTIME}
    if number % DECOYS:
        return data
    match STOPPED_BY[number // DECOYS % len(STOPPED_BY)]:
        case "suppressed":
            return {**data, place: _blocked(place, number % SUPPRESSED)}
        case "not_in_only_to":
            return {**data, place: "ann@elsewhere.example" if place == "email" else "987654321"}
        case "condition":
            return {**data, "basket_state": "empty"}
        case _:
            return {**data, "timezone": NIGHT}


def _blocked(place: str, number: int) -> str:
    return f"blocked{number}@example.org" if place == "email" else f"5{number:08}"


async def _define(drip: AsyncDripDrop, kind: Kind) -> None:
    relay = {} if kind.provider == "null" else {"relay": "127.0.0.1"}
    await drip.adapters.create(
        "sender",
        channel=kind.channel,
        provider=kind.provider,
        credentials=relay,
        config={"from": FROM, **SMTP},
        is_default=True,
    )
    await drip.sequences.create(SEQUENCE, name="Benchmark")
    version = await drip.sequences.draft(SEQUENCE)
    step = {**kind.step}
    if kind.gated:
        step["config"] = dict(STEP_GATES)
    for position, timing in enumerate(kind.timings, 1):
        added = await drip.sequences.add_step(version, key=f"step_{position}", position=position, timing=timing, **step)
        for condition in CONDITIONS if kind.gated else ():
            await drip.sequences.add_condition(step=added, **condition)
    await drip.sequences.activate(version)


async def _guard(drip: AsyncDripDrop) -> None:
    """Switches and suppressions that concern others, so that each is looked up and none is found."""
    await drip.stop(tenant="somebody_else", reason="benchmark")
    await drip.sequences.create("another", name="Another")
    await drip.stop(sequence="another", reason="benchmark")
    rows = [
        {"channel": place, "recipient": _blocked(place, number), "reason": "manual"}
        for number in range(SUPPRESSED)
        for place in ("email", "telegram")
    ]
    await drip.suppressions.import_(rows)
