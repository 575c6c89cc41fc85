"""What did providers post to us, and what became of it?"""

from __future__ import annotations

from typing import Any
from uuid import UUID

import click

from dripdrop.cli import output
from dripdrop.cli.options import Group, Writing
from dripdrop.cli.session import Session, with_session

_STATES = ("stored", "processed", "ignored", "failed")


@click.group("webhooks", cls=Group)
def webhooks() -> None:
    """What providers post to us: list, show, replay, and where they are to post it."""


@webhooks.command("list")
@click.option("--state", type=click.Choice(_STATES), help="Only these; failed ones say why, and can be replayed.")
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True)
@click.option("--after", type=click.UUID, help="The last id of the page before.")
@with_session
def list_(session: Session, **wanted: Any) -> None:
    """List requests, newest first."""
    found = session.drip.webhooks.list(**wanted)
    rows = [
        (each.id, each.provider, each.state, each.reason, each.retries, each.size, each.received_at) for each in found
    ]
    columns = ("id", "provider", "state", "reason", "taken up", "bytes", "received")
    session.show({"webhooks": found}, output.table(columns, rows, empty="Nothing has come in."))


@webhooks.command("show")
@click.argument("request", type=click.UUID)
@with_session
def show(session: Session, request: UUID) -> None:
    """Show a request with its body, as it came."""
    found = session.drip.webhooks.get(request)
    text = found.body.decode("utf-8", "replace")
    about = [
        (name, getattr(found, name)) for name in ("id", "provider", "adapter_id", "state", "reason", "received_at")
    ]
    value = {**output.plain(found), "headers": dict(found.headers), "body": text}
    session.show({"webhook": value}, output.pairs([*about, *found.headers.items()]), text)


@webhooks.command("replay", cls=Writing)
@click.argument("request", type=click.UUID)
@with_session
def replay(session: Session, request: UUID) -> None:
    """Process a request once more; events that were taken in stay as they are."""
    with session.writing() as drip:
        drip.webhooks.replay(request)
    verb = "would be" if session.dry_run else "is"
    session.done({"webhook": request, "dry_run": session.dry_run}, f"{request} {verb} processed once more.")


@webhooks.command("routes")
@click.option("--base", default="/webhooks", show_default=True, metavar="PATH", help="Where the receiver is mounted.")
@with_session
def routes(session: Session, base: str) -> None:
    """Say where each provider is to post; whole URLs where DRIPDROP_PUBLIC_URL is set."""
    found = session.drip.webhooks.routes(base=base)
    rows = [(each.adapter, each.provider, each.method, each.url or each.path) for each in found]
    session.show({"routes": found}, output.table(("adapter", "provider", "method", "where"), rows, empty="None."))
