"""Which commands are there, and what does a failed one say?"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib import import_module

import click

from dripdrop.cli.options import Group, Options, options_of

# Section -> command -> (module, what it is for). Modules are imported when their command is.
SECTIONS: dict[str, dict[str, tuple[str, str]]] = {
    "Begin": {
        "demo": ("demo", "The whole product at work, with nothing set up."),
        "dev": ("dev", "A database, a worker and a mailbox to read in the browser."),
    },
    "Sequences": {
        "validate": ("definitions", "Say everything that is wrong with sequence files."),
        "apply": ("definitions", "Publish sequence files."),
        "sequences": ("sequences", "List sequences, look at one, and change its versions."),
        "preview": ("previewing", "Show a step's message as a person would get it."),
        "send-test": ("sending", "Send one step's message to an address of yours."),
    },
    "People": {
        "enroll": ("enroll", "Enroll one person, or everybody in a CSV file."),
        "track": ("people", "Record that something happened."),
        "pause": ("people", "Hold an enrollment where it stands."),
        "resume": ("people", "Let a paused enrollment go on."),
        "unenroll": ("people", "End an enrollment."),
        "move": ("people", "Move an enrollment to another version or step."),
        "enrollments": ("enrollments", "List enrollments, show one, change its data."),
        "events": ("people", "List what was tracked."),
        "suppressions": ("suppressions", "Who must not be written to any more."),
    },
    "Questions": {
        "status": ("status", "How it stands: people, queue, workers."),
        "explain": ("status", "Why was this sent, or not, and when will it be?"),
        "executions": ("executions", "List messages, show one, settle a doubt, send again."),
        "webhooks": ("webhooks", "What providers told: list, show, replay."),
    },
    "Installation": {
        "setup": ("schema", "Apply the schema, or write it down for others to apply."),
        "check-schema": ("schema", "Is the installed schema what this code needs?"),
        "doctor": ("health", "Say everything that is wrong with this installation."),
        "plugins": ("health", "List providers and other plug-ins."),
        "adapters": ("adapters", "The accounts that messages go through."),
        "hooks": ("hooks", "The HTTP endpoints that sequences ask."),
    },
    "Operation": {
        "worker": ("work", "Send what is due, until told to stop."),
        "serve": ("work", "Serve unsubscribe and short links, and take in webhooks."),
        "stop": ("stopping", "Hold back all sending, or a part of it, at once."),
        "go": ("stopping", "Let it go again."),
        "restored": ("restored", "Go on in a copy of the database: hold back what may have gone out."),
    },
}
_PLACES = {name: place for section in SECTIONS.values() for name, place in section.items()}


class Root(Group):
    """All commands, each imported when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_PLACES)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in _PLACES:
            return None
        module = import_module(f"dripdrop.cli.{_PLACES[name][0]}")
        command = getattr(module, name.replace("-", "_"))
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for section, commands in SECTIONS.items():
            with formatter.section(section):
                formatter.write_dl([(name.ljust(13), text) for name, (_, text) in commands.items()])


@click.command("dripdrop", cls=Root, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(None, "--version", package_name="dripdrop-engine", prog_name="dripdrop")
def root() -> None:
    """Messaging sequences in your own PostgreSQL: never twice, never lost, always explained.

    Begin with `dripdrop demo`; then `dripdrop dev` while you write your own sequences.
    """


def run(args: Sequence[str]) -> int:
    """Carry out a command line; answers the exit status. A user's mistake never shows a trace."""
    said = Options(
        json="--json" in args, debug="--debug" in args or os.environ.get("DRIPDROP_DEBUG", "") not in ("", "0")
    )
    context: list[click.Context] = []
    args = list(args) or ["--help"]
    try:
        with root.make_context("dripdrop", args) as ctx:
            context.append(ctx)
            result = root.invoke(ctx)
            return result if isinstance(result, int) and not isinstance(result, bool) else 0
    except click.exceptions.Exit as done:
        return done.exit_code
    except (KeyboardInterrupt, click.Abort):
        sys.stderr.write("Stopped.\n")
        return 130
    except BrokenPipeError:
        # Whoever read our output has had enough; Python would complain once more at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as problem:
        given = options_of(context[0]) if context else said
        return _tell(problem, as_json=given.json or said.json, debug=given.debug or said.debug)


def _tell(problem: Exception, *, as_json: bool, debug: bool) -> int:
    from dripdrop.cli import trouble

    return trouble.tell(problem, as_json=as_json, debug=debug)
