"""What is wrong with this installation, and what is plugged into it?"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

import click

from dripdrop.cli import output, trouble
from dripdrop.cli.options import Command
from dripdrop.cli.session import Session, with_session
from dripdrop.errors import DripDropError

if TYPE_CHECKING:
    from dripdrop.plugins import Plugins


@click.command("doctor", cls=Command)
@with_session
def doctor(session: Session) -> int:
    """Say everything that is wrong, or not yet right; exit 1 if something keeps this installation from working."""
    from dripdrop.services import doctor as services

    registry = None
    with suppress(DripDropError):  # settings or an app that cannot be read are findings themselves
        registry = _registry(session)
    with suppress(Exception):  # the embedded database brings its key along; what is wrong with another is found below
        _ = session.url
    found = asyncio.run(services.findings(session.config, lambda: session.url, plugins=registry))
    wrong = [each for each in found if each.severity == "error"]
    if session.json:
        output.write_json({"ok": not wrong, "findings": found})
    else:
        trouble.print_findings(found)
        if not found:
            session.done(None, "Nothing is wrong.")
        elif not wrong:
            session.done(None, "Nothing keeps it from working.")
    return 1 if wrong else 0


@click.command("plugins", cls=Command)
@click.option("--kind", metavar="KIND", help="provider, scheduler, ...")
@with_session
def plugins(session: Session, kind: str | None) -> None:
    """List providers, schedulers and other plug-ins, and where they come from."""
    found = _registry(session).list(kind)
    rows = [(each.kind, each.name, each.channel, each.origin) for each in found]
    columns = ("kind", "name", "channel", "comes from")
    session.show({"plugins": found}, output.table(columns, rows, empty="None."))


def _registry(session: Session) -> Plugins:
    """The plug-ins of the app, else those that are built in or installed; no database is asked."""
    if session.app is not None:
        registry: Plugins = session.app.plugins
        return registry
    from dripdrop.app import DripDrop

    return DripDrop("postgresql://").plugins
