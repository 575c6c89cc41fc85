"""Who is or was in a sequence, and what is known of them?"""

from __future__ import annotations

from typing import Any
from uuid import UUID

import click

from dripdrop.cli import output, values
from dripdrop.cli.options import Group, Writing
from dripdrop.cli.session import Session, with_session
from dripdrop.cli.values import SUBSCRIBER

_STATES = ("active", "paused", "completed", "cancelled")


@click.group("enrollments", cls=Group)
def enrollments() -> None:
    """List enrollments, show one, or change a person's data."""


@enrollments.command("list")
@click.option("--sequence", metavar="KEY", help="In this sequence.")
@click.option("--state", type=click.Choice(_STATES), help="In this state.")
@click.option("--subscriber", type=SUBSCRIBER, help="Of one person.")
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True)
@click.option("--after", type=click.UUID, help="The last id of the page before.")
@with_session
def list_(session: Session, **wanted: Any) -> None:
    """List enrollments, newest first."""
    found = session.drip.enrollments.list(**wanted)
    rows = [
        (each.id, f"{each.subscriber_type}:{each.subscriber_id}", each.sequence_key, each.state, each.started_at)
        for each in found
    ]
    columns = ("id", "subscriber", "sequence", "state", "since")
    session.show({"enrollments": found}, output.table(columns, rows, empty="Nobody."))


@enrollments.command("get")
@click.argument("enrollment", type=click.UUID)
@with_session
def get(session: Session, enrollment: UUID) -> None:
    """Show one enrollment with its data."""
    found = session.drip.enrollments.get(enrollment)
    facts = (
        ("id", found.id),
        ("subscriber", f"{found.subscriber_type}:{found.subscriber_id}"),
        ("sequence", found.sequence_key),
        ("state", found.state),
        ("because", found.reason),
        ("since", found.started_at),
        ("ended", found.completed_at or found.cancelled_at),
        *((f"  {key}", value) for key, value in found.data.items()),
    )
    session.show({"enrollment": found}, output.pairs(facts))


@enrollments.command("update-data", cls=Writing)
@click.argument("enrollment", type=click.UUID)
@click.option("--data", multiple=True, required=True, metavar="K=V|JSON", help="key=text, key:=JSON, or JSON.")
@click.option("--replace", is_flag=True, help="In place of what is there, instead of over it.")
@with_session
def update_data(session: Session, enrollment: UUID, data: tuple[str, ...], replace: bool) -> None:
    """Change a person's data from the next step on."""
    facts = values.mapping(data, "--data")
    with session.writing() as drip:
        changed = drip.enrollments.update_data(enrollment, facts, merge=not replace)
    text = f"The data of {changed.subscriber_type} {changed.subscriber_id} in {changed.sequence_key}: "
    session.done({"enrollment": changed, "dry_run": session.dry_run}, text + output.cell(changed.data))
