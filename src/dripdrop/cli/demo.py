"""How does somebody see the whole product at work?"""

from __future__ import annotations

import click

from dripdrop.cli.options import Command
from dripdrop.cli.session import Session, with_session


@click.command("demo", cls=Command)
@click.option("--keep", is_flag=True, help="Leave the folder with its database and logs.")
@with_session
def demo(session: Session, keep: bool) -> int:
    """Enroll 500 people, send them real SMTP mail over several virtual days, kill a worker meanwhile, and count.

    Nothing has to be set up; with --json it ends with one object.
    """
    from dripdrop import demo as story

    return int(story.run(as_json=session.json, keep=keep, database=session.options.database))
