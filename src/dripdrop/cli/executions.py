"""What was, is and will be sent, and what can be done about one of them?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import UUID

import click

from dripdrop.cli import output
from dripdrop.cli.options import Group, Writing
from dripdrop.cli.session import Session, with_session

if TYPE_CHECKING:
    from dripdrop.store.reports import Execution

_WORDS = {"sent": "taken as sent", "scheduled": "sent again when it is due", "cancelled": "dropped"}


@click.group("executions", cls=Group)
def executions() -> None:
    """List messages and what became of them, settle a doubt, send again."""


@executions.command("list")
@click.option("--state", metavar="STATE", help="scheduled, executing, sent, failed, unknown, ...")
@click.option("--sequence", metavar="KEY", help="Of this sequence.")
@click.option("--enrollment", type=click.UUID, help="Of one enrollment.")
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True)
@click.option("--after", type=click.UUID, help="The last id of the page before.")
@with_session
def list_(session: Session, **wanted: Any) -> None:
    """List executions, newest first."""
    found = session.drip.executions.list(**wanted)
    rows = [
        (each.id, f"{each.subscriber_type}:{each.subscriber_id}", each.sequence, each.step, each.state, _at(each))
        for each in found
    ]
    columns = ("id", "subscriber", "sequence", "step", "state", "when")
    session.show({"executions": found}, output.table(columns, rows, empty="No executions."))


@executions.command("get")
@click.argument("execution", type=click.UUID)
@with_session
def get(session: Session, execution: UUID) -> None:
    """Show one execution with its attempts and events."""
    found = session.drip.executions.get(execution)
    facts = (
        ("id", found.id),
        ("subscriber", f"{found.subscriber_type}:{found.subscriber_id}"),
        ("sequence", found.sequence),
        ("step", f"{found.step} (visit {found.visit}, {found.channel})"),
        ("state", found.state),
        ("because", found.reason),
        ("delivery", found.delivery_status),
        ("to", found.recipient),
        ("due", found.scheduled_for),
        ("ended", found.ended_at),
        ("message id", found.out_message_id or found.provider_message_id),
    )
    rows = [
        (each.number, each.business_at, each.adapter, each.outcome or "under way", each.error_class, _told(each))
        for each in found.attempts
    ]
    columns = ("attempt", "when", "adapter", "outcome", "error", "the provider said")
    session.show({"execution": found}, output.pairs(facts), "", output.table(columns, rows, empty="No attempts yet."))


@executions.command("resolve", cls=Writing)
@click.argument("execution", type=click.UUID)
@click.option("--as", "as_", type=click.Choice(["sent", "resend", "drop"]), required=True, help="How it is settled.")
@with_session
def resolve(session: Session, execution: UUID, as_: str) -> None:
    """Settle an execution that is unknown, or failed and kept.

    sent: it arrived. resend: try again under the same key. drop: it will not be sent. The path goes on in each case.
    """
    with session.writing() as drip:
        state = drip.executions.resolve(execution, as_=as_)
    session.done(
        {"execution": execution, "state": state, "dry_run": session.dry_run},
        f"Execution {execution} {'would be' if session.dry_run else 'is'} {_WORDS.get(state, state)}.",
    )


@executions.command("replay", cls=Writing)
@click.argument("execution", type=click.UUID)
@with_session
def replay(session: Session, execution: UUID) -> None:
    """Send an ended execution's step once more; the path does not move by it."""
    with session.writing() as drip:
        made = drip.executions.replay(execution)
    verb = "would be sent" if session.dry_run else "is sent"
    session.done({"execution": made, "dry_run": session.dry_run}, f"It {verb} again as execution {made}.")


@executions.command("dispatch", cls=Writing)
@click.argument("execution", type=click.UUID)
@with_session
def dispatch(session: Session, execution: UUID) -> None:
    """Process one execution if it is due and free; what a scheduler's job calls."""
    if session.dry_run:
        found = session.drip.executions.get(execution)
        text = f"Execution {execution} is {found.state}; it would be processed if it is due and free."
        session.done({"execution": execution, "state": found.state, "dry_run": True}, text)
        return
    run = session.drip.executions.dispatch(execution)
    session.done({"run": run}, "Processed." if run.claimed else "It is not due, or somebody has it.")


def _at(execution: Execution) -> str:
    if execution.ended_at is not None:
        return output.when(execution.ended_at)
    return f"due {output.when(execution.scheduled_for)}" if execution.scheduled_for else "–"


def _told(attempt: Any) -> str:
    said = attempt.provider_response
    return output.cell(said) if said else attempt.provider_message_id or ""
