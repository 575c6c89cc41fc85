"""Which HTTP endpoints do sequences ask, and what does one of them answer?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from dripdrop.cli import output, values
from dripdrop.cli.options import Command, Group, Writing
from dripdrop.cli.session import Session, with_session
from dripdrop.errors import DripDropError, Unavailable

if TYPE_CHECKING:
    from collections.abc import Callable

    from dripdrop.services.hook_tests import Tried
    from dripdrop.store.hooks import Hook

_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
_TYPES = ("json", "text", "number", "boolean")


@click.group("hooks", cls=Group)
def hooks() -> None:
    """The HTTP endpoints that sequences ask.

    A hook is named as SEQUENCE/KEY. Credentials are only ever read from standard input, as JSON or as a key=value line:

    \b
    echo "bearer=$CRM_TOKEN" | dripdrop hooks create onboarding/score --url https://crm.example.com/score
    echo '{"basic": {"username": "me", "password": "..."}}' | dripdrop hooks update onboarding/score
    """


def _settings(function: Callable[..., Any]) -> Callable[..., Any]:
    options = [
        click.option("--name", metavar="NAME"),
        click.option("--description", metavar="TEXT"),
        click.option("--method", type=click.Choice(_METHODS, case_sensitive=False), help="POST unless said."),
        click.option("--timeout-ms", type=click.IntRange(1, 30_000), metavar="MS", help="Of each call: 5000."),
        click.option("--retry-count", type=click.IntRange(0, 5), metavar="NUMBER", help="How often again: 2."),
        click.option("--header", "headers", multiple=True, metavar="K=V", help="Sent as it is; may be repeated."),
        click.option("--body-template", metavar="LIQUID", help="JSON, unless a Content-Type says otherwise."),
        click.option("--response-path", metavar="PATH", help="Where the value stands, such as data.scores[0]."),
        click.option("--response-type", type=click.Choice(_TYPES), help="json unless said."),
    ]
    for each in reversed(options):
        function = each(function)
    return function


@hooks.command("list")
@click.argument("sequence", required=False)
@with_session
def list_(session: Session, sequence: str | None) -> None:
    """List hooks, of one sequence or of all; credentials are never shown."""
    found = session.drip.hooks.list(sequence)
    rows = [
        (
            f"{each.sequence_key}/{each.key}",
            each.method,
            each.url,
            each.auth_type,
            each.response_type,
            each.active,
            (each.last_test_result or {}).get("outcome", "never") if each.last_test_at else "never",
            each.tenant_key or "everybody",
        )
        for each in found
    ]
    columns = ("hook", "method", "url", "auth", "answers", "active", "last test", "for")
    empty = "No HTTP hooks yet: write `http_hooks:` in a definition, or dripdrop hooks create SEQUENCE/KEY --url URL"
    session.show({"hooks": found}, output.table(columns, rows, empty=empty))


@hooks.command("create", cls=Writing)
@click.argument("hook", metavar="SEQUENCE/KEY")
@click.option(
    "--url", required=True, metavar="URL", help="https://host/path?query, with {{ variables }} after the host."
)
@click.option("--active/--inactive", default=True)
@_settings
@with_session
def create(session: Session, hook: str, headers: tuple[str, ...], **settings: Any) -> None:
    """Create a hook; its credentials come from standard input."""
    sequence, slash, key = hook.partition("/")
    if not slash or not key.strip():
        raise click.UsageError(f"{hook!r} does not say whose hook it is: write SEQUENCE/KEY.")
    said = {name: value for name, value in settings.items() if value is not None}
    if headers:
        said["headers"] = values.mapping(headers, "--header")
    with session.writing() as drip:
        made = drip.hooks.create(sequence, key=key, auth=values.piped(), **said)
    _told(session, made, "created")


@hooks.command("update", cls=Writing)
@click.argument("hook", metavar="SEQUENCE/KEY")
@click.option("--url", metavar="URL", help="To another host only together with its credentials.")
@click.option("--active/--inactive", default=None)
@_settings
@with_session
def update(session: Session, hook: str, headers: tuple[str, ...], **settings: Any) -> None:
    """Change what is named, for everybody in the sequence.

    Credentials from standard input replace the ones there were, as a whole; so do headers.
    """
    changes = {name: value for name, value in settings.items() if value is not None}
    if headers:
        changes["headers"] = values.mapping(headers, "--header")
    secrets = values.piped()
    if secrets is not None:
        changes["auth"] = secrets
    if not changes:
        raise click.UsageError("Nothing was named to change.")
    with session.writing() as drip:
        done = drip.hooks.update(hook, **changes)
    _told(session, done, "updated")


@hooks.command("test", cls=Command)
@click.argument("hook", metavar="SEQUENCE/KEY")
@click.option("--data", multiple=True, metavar="K=V|JSON", help="Its variables: key=text, key:=JSON, or JSON.")
@with_session
def test(session: Session, hook: str, data: tuple[str, ...]) -> None:
    """Call a hook now, with its retries, and show its value."""
    tried = session.drip.hooks.test(hook, values.mapping(data, "--data"))
    if not tried.answered:
        raise refusal(hook, tried)
    text = f"{hook} answered {output.plain(tried.value)!r} in {tried.seconds:.2f} s."
    session.done({"hook": hook, "outcome": tried.outcome, "value": tried.value, "seconds": tried.seconds}, text)


def refusal(hook: str, tried: Tried) -> DripDropError:
    """What came instead of a value."""
    if tried.outcome == "unavailable":
        after = f" It asks to come back in {tried.retry_after:.0f} s." if tried.retry_after else ""
        cure = "Messages that need it wait; see whether the endpoint is up."
        return Unavailable(f"{hook} cannot answer now: {tried.reason}.{after}", cure=cure, code="hook_unavailable")
    cure = f"Correct it with: dripdrop hooks update {hook}, or in its definition."
    return Unavailable(f"{hook} does not work: {tried.reason}.", cure=cure, code="hook_broken")


def _told(session: Session, hook: Hook, what: str) -> None:
    verb = "would be" if session.dry_run else "is"
    text = f"The hook {hook.sequence_key}/{hook.key} ({hook.method} {hook.url}) {verb} {what}."
    session.done({"hook": hook, "dry_run": session.dry_run}, text)
