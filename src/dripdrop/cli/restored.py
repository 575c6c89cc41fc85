"""How does a copy of the database go on, without sending again what the original has sent?"""

from __future__ import annotations

from datetime import UTC, datetime

import click

from dripdrop.cli.options import Writing
from dripdrop.cli.session import Session, with_session
from dripdrop.errors import NotFound


@click.command("restored", cls=Writing)
@click.option(
    "--until",
    type=click.DateTime(),
    help="When the original was stopped (UTC). What was due by then may be out.",
)
@click.option("--send", is_flag=True, help="Nothing has gone out since the copy was made: hold nothing back.")
@with_session
def restored(session: Session, until: datetime | None, send: bool) -> None:
    """Go on in a database that was restored from a backup, or copied.

    A worker that finds itself in a copy stops everything. This pauses everybody whose next message was due by --until
    (default: now), since it may have gone out already, and lifts that stop: all others go on. Who is paused goes on
    with `dripdrop resume`, or not at all: look at your provider's log first.
    """
    if send and until is not None:
        raise click.UsageError("--send holds nothing back; leave --until out.")
    until = until.replace(tzinfo=UTC) if until else None
    held = 0
    with session.writing() as drip:
        while not send and (some := drip.hold_back(until=until)):
            held += some
        lifted = True
        try:
            drip.go(everything=True)
        except NotFound:
            lifted = False
    verb = "would be" if session.dry_run else "were"
    told = f"{held} enrollments {verb} paused."
    if not lifted:
        told += " Nothing was stopped."
    session.done({"held": held, "lifted": lifted, "dry_run": session.dry_run}, told)
