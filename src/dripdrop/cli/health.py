"""What is wrong with this installation, and what is plugged into it?"""

from __future__ import annotations

import asyncio

import click

from dripdrop.cli import output, trouble
from dripdrop.cli.options import Command
from dripdrop.cli.session import Session, with_session
from dripdrop.errors import DripDropError


@click.command("doctor", cls=Command)
@with_session
def doctor(session: Session) -> int:
    """Say everything that is wrong, or not yet right, with this installation; exit 1 if something keeps it from work."""
    from dripdrop.services import doctor as services

    plugins = None
    try:
        plugins = _registry(session)
    except DripDropError:
        pass  # the settings or the app cannot be read: that is the first finding below
    found = asyncio.run(services.findings(session.config, lambda: session.url, plugins=plugins))
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


def _registry(session: Session):  # type: ignore[no-untyped-def]
    """The plug-ins of the app, else those that are built in or installed; no database is asked."""
    if session.app is not None:
        return session.app.plugins
    from dripdrop.app import DripDrop

    return DripDrop("postgresql://").plugins
