"""How does it stand, and why?"""

from __future__ import annotations

from typing import Any
from uuid import UUID

import click

from dripdrop.cli import output
from dripdrop.cli.options import Command
from dripdrop.cli.session import Session, with_session
from dripdrop.cli.values import SUBSCRIBER
from dripdrop.errors import NotFound


@click.command("status", cls=Command)
@with_session
def status(session: Session) -> None:
    """People by sequence and state, the queue, what is late or needs attention, workers, stops."""
    found = session.drip.status()
    people = [
        (
            each["key"],
            each["version"] or "no version",
            each["active"],
            *(each["enrollments"].get(state, 0) for state in ("active", "paused", "completed", "cancelled")),
        )
        for each in found["sequences"]
    ]
    columns = ("sequence", "version", "on", "active", "paused", "completed", "cancelled")
    oldest = found["oldest_due"]
    workers = found["workers"]
    facts = (
        ("now", found["at"]),
        ("due now", str(found["due_now"])),
        ("oldest due", f"{output.when(oldest)} ({output.distance(oldest, found['at'])})" if oldest else None),
        ("queue", found["queue"]),
        ("needs attention", _attention(found["needs_attention"])),
        ("sent in the last day", str(found["sent_last_day"])),
        ("workers", _workers(workers)),
        *(("stopped", _stop(each)) for each in found["stops"]),
    )
    empty = "No sequences yet: dripdrop apply FILE."
    session.show(found, output.table(columns, people, empty=empty), "", output.pairs(facts))


@click.command("explain", cls=Command)
@click.argument("id", type=click.UUID, required=False)
@click.option("--sequence", metavar="KEY", help="With --subscriber: in which sequence.")
@click.option("--subscriber", type=SUBSCRIBER, help="Whose standing, such as user:42.")
@with_session
def explain(session: Session, id: UUID | None, sequence: str | None, subscriber: tuple[str, str] | None) -> None:
    """What happened to an enrollment or an execution, why, what is next, and when.

    ID is that of an enrollment or an execution; or name a person with --subscriber, and --sequence.
    """
    if (id is None) == (subscriber is None):
        raise click.UsageError("Name the ID of an enrollment or execution, or a --subscriber.")
    found = _explained(session, id) if id else session.drip.explain(subscriber=subscriber, sequence=sequence)
    facts = (("state", found.state), ("next", found.next_at), ("to change that", found.release))
    rows = [(entry.at, entry.detail.get("said") or _said(entry), entry.reason or "") for entry in found.entries]
    history = ("", output.table(("when", "what", "why"), rows)) if rows else ()
    session.show(found, found.sentence, output.pairs(facts), *history)


def _explained(session: Session, id: UUID) -> Any:
    try:
        return session.drip.explain(enrollment=id)
    except NotFound:
        try:
            return session.drip.explain(execution=id)
        except NotFound:
            raise NotFound(
                f"There is no enrollment or execution {id}.", cure="See: dripdrop enrollments, dripdrop executions"
            ) from None


def _said(entry: Any) -> str:
    if entry.event != "attempt":
        return str(entry.event)
    outcome = entry.detail.get("outcome") or "under way"
    return f"attempt {entry.detail.get('number')} through {entry.detail.get('adapter') or 'an adapter'}: {outcome}"


def _attention(number: int) -> str | None:
    return f"{number}: see dripdrop executions --state unknown, or --state failed" if number else None


def _workers(workers: dict[str, int]) -> str:
    if not workers["alive"]:
        return "none: nothing is sent until one runs (dripdrop worker)"
    return f"{workers['alive']}" + (f", {workers['stopping']} of them stopping" if workers["stopping"] else "")


def _stop(stop: dict[str, Any]) -> str:
    what = {"all": "everything", "tenant": f"tenant {stop['tenant']}"}.get(
        stop["kind"], f"{stop['kind']} {stop['target']}"
    )
    why = f" ({stop['reason']})" if stop["reason"] else ""
    return f"{what} since {output.when(stop['since'])}{why}"
