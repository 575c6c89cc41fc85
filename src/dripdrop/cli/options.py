"""Which options does every command take, before or after its name, and what was meant by a typo?"""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import Any

import click

_KEY = "dripdrop.options"


@dataclass
class Options:
    """What was said on the command line for all commands alike."""

    json: bool = False
    database: str | None = None
    tenant: str | None = None
    app: str | None = None
    debug: bool = False
    dry_run: bool = False


def options_of(ctx: click.Context) -> Options:
    """The options given so far, at whatever place of the command line."""
    found = ctx.meta.setdefault(_KEY, Options())
    assert isinstance(found, Options)
    return found


class Command(click.Command):
    """A command that takes the options of all commands."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.params += _everywhere()

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        try:
            return super().parse_args(ctx, args)
        except click.UsageError as problem:
            # An option without its argument is reported without the command that it belongs to.
            problem.ctx = problem.ctx or ctx
            raise

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        _format_options(self, ctx, formatter)


class Writing(Command):
    """A command that changes something, and can say what it would do instead."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.params.append(_option("--dry-run", "dry_run", "Say what would happen, and change nothing.", flag=True))


class Group(click.Group):
    """Commands under one noun; the noun alone lists."""

    command_class = Command
    listing = "list"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.params += _everywhere()

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        known = self.list_commands(ctx)
        bare = not args or args[0].startswith("-")
        if self.listing in known and bare and not {"--help", *known}.intersection(args):
            args = [self.listing, *args]
        return super().parse_args(ctx, args)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and not args[0].startswith("-") and self.get_command(ctx, args[0]) is None:
            close = suggestion(args[0], self.list_commands(ctx))
            raise click.UsageError(f"There is no command {args[0]!r}.{close}", ctx)
        return super().resolve_command(ctx, args)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        _format_options(self, ctx, formatter)
        self.format_commands(ctx, formatter)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Each command with its whole first sentence, over as many lines as that takes."""
        found = {name: self.get_command(ctx, name) for name in self.list_commands(ctx)}
        with formatter.section("Commands"):
            formatter.write_dl([(name, each.get_short_help_str(1_000)) for name, each in found.items() if each])


def suggestion(word: str, known: Any) -> str:
    """` Did you mean x?`, or nothing where nothing comes near."""
    close = difflib.get_close_matches(word.lower(), list(known), 3, 0.55)
    return f" Did you mean {' or '.join(close)}?" if close else ""


def _everywhere() -> list[click.Parameter]:
    return [
        _option("--json", "json", "Answer in JSON, for programs.", flag=True),
        _option("--database", "database", "The database; else DRIPDROP_DATABASE_URL, else .dripdrop/.", metavar="URL"),
        _option("--tenant", "tenant", "Act for this tenant; without it, globally.", metavar="KEY"),
        _option("--app", "app", "Where the host's DripDrop object lives.", metavar="MODULE:ATTRIBUTE"),
        _option("--debug", "debug", "Show the whole trace of an unexpected error.", flag=True),
    ]


def _option(flag_name: str, name: str, text: str, *, flag: bool = False, metavar: str | None = None) -> click.Option:
    return click.Option(
        [flag_name, name],
        is_flag=flag,
        default=False if flag else None,
        help=text,
        metavar=metavar,
        expose_value=False,
        is_eager=True,
        callback=_remember,
    )


def _remember(ctx: click.Context, param: click.Parameter, value: Any) -> Any:
    if value is not None and value is not False and param.name:
        setattr(options_of(ctx), param.name, value)
    return value


def _format_options(command: click.Command, ctx: click.Context, formatter: click.HelpFormatter) -> None:
    own: list[tuple[str, str]] = []
    shared: list[tuple[str, str]] = []
    for param in command.get_params(ctx):
        record = None if isinstance(param, click.Argument) else param.get_help_record(ctx)
        if record is not None:
            (own if param.expose_value or param.name in ("help", "version", "dry_run") else shared).append(record)
    if own:
        with formatter.section("Options"):
            formatter.write_dl(own)
    if shared:
        with formatter.section("Options of every command"):
            formatter.write_dl(shared)
