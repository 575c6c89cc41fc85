"""Which accounts do messages go through, and does one of them work?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from dripdrop.cli import output, values
from dripdrop.cli.options import Command, Group, Writing
from dripdrop.cli.session import Session, with_session
from dripdrop.errors import DripDropError, Unavailable

if TYPE_CHECKING:
    from collections.abc import Callable

    from dripdrop.store.adapters import Adapter

_LIMITS = ("daily_cap", "ramp_increment", "ramp_floor", "min_gap_seconds")


@click.group("adapters", cls=Group)
def adapters() -> None:
    """The accounts that messages go through.

    Credentials are only ever read from standard input, as JSON or as key=value lines:

    \b
    dripdrop adapters create main --channel email --provider smtp < smtp.json
    """


def _limits(function: Callable[..., Any]) -> Callable[..., Any]:
    for name in reversed(_LIMITS):
        function = click.option(f"--{name.replace('_', '-')}", type=click.IntRange(0), metavar="NUMBER")(function)
    return function


@adapters.command("list")
@click.option("--channel", metavar="CHANNEL", help="Of this channel.")
@with_session
def list_(session: Session, channel: str | None) -> None:
    """List adapters; credentials are never shown."""
    found = session.drip.adapters.list(channel=channel)
    rows = [
        (
            each.name,
            each.channel,
            each.provider,
            each.is_default,
            each.active,
            each.health_state or "healthy",
            each.tenant_key or "everybody",
        )
        for each in found
    ]
    columns = ("name", "channel", "provider", "default", "active", "health", "for")
    empty = "No adapters yet: dripdrop adapters create NAME --channel email --provider smtp"
    session.show({"adapters": found}, output.table(columns, rows, empty=empty))


@adapters.command("create", cls=Writing)
@click.argument("name")
@click.option("--channel", required=True, metavar="CHANNEL", help="email, sms, webhook, ...")
@click.option("--provider", required=True, metavar="NAME", help="smtp, webhook, local, ...: see dripdrop plugins.")
@click.option("--config", multiple=True, metavar="K=V|JSON", help="What is no secret: key=text, key:=JSON, or JSON.")
@click.option(
    "--default/--no-default", "is_default", default=False, help="The channel's default, for all who name none."
)
@click.option("--active/--inactive", default=True)
@_limits
@with_session
def create(session: Session, name: str, config: tuple[str, ...], **settings: Any) -> None:
    """Create an adapter; its credentials come from standard input."""
    plain, secrets = values.mapping(config, "--config"), values.piped() or {}
    with session.writing() as drip:
        made = drip.adapters.create(name, credentials=secrets, config=plain, **settings)
    _told(session, made, "created")


@adapters.command("update", cls=Writing)
@click.argument("adapter")
@click.option("--name", metavar="NAME", help="Another name.")
@click.option(
    "--config", multiple=True, metavar="K=V|JSON", help="Changed in what is there: key=text, key:=JSON, JSON."
)
@click.option("--default/--no-default", "is_default", default=None)
@click.option("--active/--inactive", default=None)
@_limits
@with_session
def update(session: Session, adapter: str, config: tuple[str, ...], **settings: Any) -> None:
    """Change what is named.

    Credentials from standard input replace the ones there were, as a whole.
    """
    changes = {key: value for key, value in settings.items() if value is not None}
    secrets = values.piped()
    if not (changes or config or secrets):
        raise click.UsageError("Nothing was named to change.")
    with session.writing() as drip:
        if config:
            changes["config"] = {**drip.adapters.get(adapter).config, **values.mapping(config, "--config")}
        done = drip.adapters.update(adapter, credentials=secrets, **changes)
    _told(session, done, "updated")


@adapters.command("test", cls=Command)
@click.argument("adapter")
@with_session
def test(session: Session, adapter: str) -> None:
    """Ask the provider whether the adapter would work; nothing is sent."""
    wrong = session.drip.adapters.test(adapter)
    if wrong is not None:
        raise refusal(adapter, wrong)
    session.done({"adapter": adapter, "works": True}, f"{adapter} works.")


def refusal(adapter: str, wrong: str) -> DripDropError:
    """What the provider had against an adapter."""
    text = wrong.strip().rstrip(".")
    return Unavailable(
        f"{adapter} does not work: {text}.",
        cure=f"Correct it with: dripdrop adapters update {adapter}",
        code="adapter_check",
    )


def _told(session: Session, adapter: Adapter, what: str) -> None:
    verb = "would be" if session.dry_run else "is"
    default = f", the default for {adapter.channel}" if adapter.is_default else ""
    text = f"The adapter {adapter.name} ({adapter.channel} through {adapter.provider}{default}) {verb} {what}."
    session.done({"adapter": adapter, "dry_run": session.dry_run}, text)
