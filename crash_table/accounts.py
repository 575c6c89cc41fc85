"""What came of every message, wait and receipt of a cell in the end?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import psycopg

from crash_table import tales

Connection: TypeAlias = psycopg.Connection[dict[str, Any]]
_ENDED = """
select h.id, h.state::text as state, h.reason, h.enrollment_id, s.key as step
  from dripdrop.execution_history h join dripdrop.steps s on s.id = h.step_id
"""
_LEFT = "select state::text as state, count(*) as number from dripdrop.enrollments group by state"
# Whose event came before the timeout, and was timed out nevertheless.
_MISSED = """
select count(*) as number
  from dripdrop.execution_history h join dripdrop.enrollments e on e.id = h.enrollment_id
 where h.state = 'skipped' and exists (
       select 1 from dripdrop.events v
        where v.tenant_key = e.tenant_key and v.subscriber_type = e.subscriber_type
          and v.subscriber_id = e.subscriber_id and v.occurred_at >= e.started_at and v.occurred_at < h.due_at)
"""
_TOLD = "select provider_event_id as id, count(*) as number from dripdrop.message_events group by 1"
_SUPPRESSED = "select recipient_normalized as address from dripdrop.suppressions"
_UNREAD = "select count(*) as number from dripdrop.webhook_requests where state not in ('processed', 'ignored')"


@dataclass(slots=True)
class Account:
    """What came of every message of a cell. `unknown` were in doubt until somebody looked."""

    expected: int
    arrived: int
    duplicates: int
    lost: int
    unknown: int
    changed: int
    waits: int = 0
    receipts: int = 0
    wrong: str = ""


def drawn(
    connection: Connection, told: Mapping[str, Any], receipts: Mapping[str, Any], tale: str, people: int, settled: int
) -> Account:
    """Set what arrived (`told`), and what was told of it (`receipts`), beside what the sequence promised."""
    arrived: dict[str, int] = told["arrived"]
    ended = connection.execute(_ENDED).fetchall()
    sent = {str(row["id"]) for row in ended if row["state"] == "sent"}
    promised = {(row["enrollment_id"], row["step"]) for row in ended if row["state"] == "sent"}
    timed_out = [row["enrollment_id"] for row in ended if (row["state"], row["reason"]) == ("skipped", "timed_out")]
    expected = people * len(tales.STEPS) - len(set(timed_out))
    found = Account(
        expected,
        sum(arrived.values()),
        sum(number - 1 for number in arrived.values()) + len(sent) - len(promised),
        len(sent - arrived.keys()) + max(expected - len(promised), 0),
        settled,
        told["changed"],
    )
    wrong = [f"{len(sent) - len(promised)} steps were sent twice"] if len(promised) != len(sent) else []
    left = {row["state"]: row["number"] for row in connection.execute(_LEFT).fetchall()}
    if left != {"completed": people}:
        wrong.append(f"enrollments: {left}")
    if told["changed"]:
        wrong.append(f"{told['changed']} messages changed under their key")
    if tale in (tales.WAITS, tales.DEADLINES):
        found.waits = people
        wrong += _waits(connection, tale, people, timed_out)
    if tale == tales.RECEIPTS:
        found.receipts = len(receipts["answered"])
        wrong += _receipts(connection, receipts, found)
    found.wrong = "; ".join(wrong)
    return found


def _waits(connection: Connection, tale: str, people: int, timed_out: list[Any]) -> list[str]:
    """Each wait ends once, by its event if that came in time."""
    missed = _number(connection, _MISSED)
    wrong = [f"{missed} waits missed their event"] if missed else []
    if len(timed_out) != len(set(timed_out)):
        wrong.append("a wait timed out twice")
    if tale == tales.DEADLINES and len(timed_out) != people:
        wrong.append(f"{people - len(timed_out)} waits did not time out")
    if tale == tales.WAITS and not 0 < len(timed_out) < people:
        wrong.append(f"{len(timed_out)} of {people} waits timed out")
    return wrong


def _receipts(connection: Connection, receipts: Mapping[str, Any], found: Account) -> list[str]:
    """Each receipt that was answered 2xx counts once: as an event, and a bounce as a suppression besides."""
    wanted = {each["event_id"] for each in receipts["answered"]}
    copies = {each["recipient"] for each in receipts["answered"] if each["event"] == "bounced"}
    known = Counter({row["id"]: row["number"] for row in connection.execute(_TOLD).fetchall()})
    suppressed = [row["address"] for row in connection.execute(_SUPPRESSED).fetchall()]
    missing = len(wanted - known.keys())
    found.lost += missing
    wrong = [f"{missing} receipts were lost"] if missing else []
    if twice := sum(known.values()) - len(known):
        wrong.append(f"{twice} receipts counted twice")
    if known.keys() - wanted:
        wrong.append(f"{len(known.keys() - wanted)} receipts nobody sent")
    if receipts["pending"]:
        wrong.append(f"{receipts['pending']} receipts were not taken")
    if sorted(suppressed) != sorted(copies):
        wrong.append(f"{len(copies)} addresses bounced, {len(suppressed)} are suppressed")
    if unread := _number(connection, _UNREAD):
        wrong.append(f"{unread} requests were not read")
    return wrong


def _number(connection: Connection, text: str) -> int:
    row = connection.execute(text.encode()).fetchone()
    assert row is not None
    return int(row["number"])
