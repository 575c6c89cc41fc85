"""Who must not be written to any more?"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import click

from dripdrop.cli import output
from dripdrop.cli.options import Group, Writing
from dripdrop.cli.session import Session, with_session

_TOPIC = click.option("--topic", metavar="TOPIC", help="Of this topic only; without it, of all.")


@click.group("suppressions", cls=Group)
def suppressions() -> None:
    """Who must not be written to any more: list, check, add, lift."""


@suppressions.command("list")
@click.option("--channel", metavar="CHANNEL", help="Of this channel.")
@click.option("--recipient", metavar="ADDRESS", help="With --channel: of this recipient.")
@click.option("--reason", metavar="REASON", help="complaint, bounce, unsubscribe, provider_block or manual.")
@click.option("--expired", is_flag=True, help="Those that have ended, too.")
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True)
@click.option("--after", type=click.UUID, help="The last id of the page before.")
@with_session
def list_(session: Session, **wanted: Any) -> None:
    """List suppressions, newest first."""
    found = session.drip.suppressions.list(**wanted)
    rows = [
        (each.channel, each.recipient, each.reason, each.topic or "all", each.expires_at, each.source) for each in found
    ]
    columns = ("channel", "recipient", "reason", "topic", "until", "source")
    session.show({"suppressions": found}, output.table(columns, rows, empty="Nobody is suppressed."))


@suppressions.command("check")
@click.argument("channel")
@click.argument("recipient")
@_TOPIC
@with_session
def check(session: Session, channel: str, recipient: str, topic: str | None) -> None:
    """Say what keeps a recipient from being written to, if anything does."""
    found = session.drip.suppressions.check(channel, recipient, topic)
    if found is None:
        session.done({"suppressed": False}, f"{recipient} may be written to by {channel}.")
    else:
        text = f"{recipient} is not written to by {channel}: {found.reason}."
        session.show({"suppressed": True, "suppression": found}, text)


@suppressions.command("add", cls=Writing)
@click.argument("channel")
@click.argument("recipient")
@click.option("--reason", default="manual", show_default=True, metavar="REASON")
@_TOPIC
@click.option("--until", type=click.DateTime(), help="Not for good, but until then (UTC).")
@with_session
def add(session: Session, channel: str, recipient: str, reason: str, topic: str | None, until: datetime | None) -> None:
    """Write no more to a recipient."""
    end = None if until is None else until.replace(tzinfo=UTC)
    with session.writing() as drip:
        made = drip.suppress(channel, recipient, reason, source="command line", topic=topic, expires_at=end)
    verb = "would be" if session.dry_run else "is"
    text = f"{made.recipient} {verb} suppressed for {made.channel} ({made.reason})."
    session.done({"suppression": made, "dry_run": session.dry_run}, text)


@suppressions.command("lift", cls=Writing)
@click.argument("channel")
@click.argument("recipient")
@_TOPIC
@with_session
def lift(session: Session, channel: str, recipient: str, topic: str | None) -> None:
    """Allow a recipient to be written to again."""
    with session.writing() as drip:
        lifted = drip.suppressions.lift(channel, recipient, topic)
    verb = "could" if session.dry_run else "can"
    text = f"{lifted.recipient} {verb} be written to by {lifted.channel} again."
    session.done({"suppression": lifted, "dry_run": session.dry_run}, text)
