"""How does an operator hold back all sending, and let it go again?"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from dripdrop.cli.options import Writing, options_of
from dripdrop.cli.session import Session, with_session
from dripdrop.cli.subject import suggesting


def _target(function: Callable[..., Any]) -> Callable[..., Any]:
    function = click.option("--adapter", metavar="NAME", help="What goes through this adapter.")(function)
    function = click.option("--sequence", metavar="KEY", help="This sequence.")(function)
    return click.option(
        "--all", "everything", is_flag=True, help="Everything; with --tenant, everything of the tenant."
    )(function)


@click.command("stop", cls=Writing)
@_target
@click.option("--reason", metavar="TEXT", help="Why, for everybody who asks.")
@with_session
def stop(session: Session, everything: bool, sequence: str | None, adapter: str | None, reason: str | None) -> None:
    """Hold back sending from the next message on: --all, --tenant KEY, --sequence KEY or --adapter NAME."""
    target, said = _what(everything, sequence, adapter)
    with session.writing() as drip, suggesting(drip, sequence):
        made = drip.stop(**target, reason=reason)
    verb = "would be" if session.dry_run else "is"
    session.done(
        {"stop": made, "dry_run": session.dry_run},
        f"Sending {verb} stopped for {said}. To lift it: dripdrop go with the same options.",
    )


@click.command("go", cls=Writing)
@_target
@with_session
def go(session: Session, everything: bool, sequence: str | None, adapter: str | None) -> None:
    """Lift what `stop` with the same options did; what was held back goes when due."""
    target, said = _what(everything, sequence, adapter)
    with session.writing() as drip, suggesting(drip, sequence):
        lifted = drip.go(**target)
    verb = "would go" if session.dry_run else "goes"
    session.done({"lifted": lifted, "dry_run": session.dry_run}, f"Sending {verb} on for {said}.")


def _what(everything: bool, sequence: str | None, adapter: str | None) -> tuple[dict[str, Any], str]:
    """The facade's arguments, and how to say it. A tenant alone is the operator's own switch for that tenant."""
    options = options_of(click.get_current_context())
    if everything + (sequence is not None) + (adapter is not None) > 1:
        raise click.UsageError("Name one of --all, --tenant KEY, --sequence KEY, --adapter NAME.")
    of = f" of tenant {options.tenant}" if options.tenant else ""
    if sequence is not None:
        return {"sequence": sequence}, f"the sequence {sequence}{of}"
    if adapter is not None:
        return {"adapter": adapter}, f"the adapter {adapter}{of}"
    if everything:
        return {"everything": True}, f"everything{of}"
    if options.tenant:
        tenant, options.tenant = options.tenant, None
        return {"tenant": tenant}, f"the tenant {tenant}"
    raise click.UsageError("Name one of --all, --tenant KEY, --sequence KEY, --adapter NAME.")
