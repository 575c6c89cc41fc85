"""Which sequences are there, what is in them, and which version is in force?"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from dripdrop.cli import output
from dripdrop.cli.options import Group, Writing
from dripdrop.cli.session import Session, with_session
from dripdrop.cli.subject import suggesting
from dripdrop.errors import NotFound

if TYPE_CHECKING:
    from dripdrop.app import DripDrop
    from dripdrop.rules.definition import Step, Version
    from dripdrop.store.sequences import Edition, Sequence

_NUMBER = click.argument("version", type=click.IntRange(min=1), required=False)


@click.group("sequences", cls=Group)
def sequences() -> None:
    """List sequences, look at one, and put its versions in and out of force."""


@sequences.command("list")
@with_session
def list_(session: Session) -> None:
    """List sequences with how many people stand where."""
    found = session.drip.sequences.counts()
    states = ("active", "paused", "completed", "cancelled")
    rows = [
        (
            each.key,
            each.name,
            each.version or "no version",
            each.active,
            *(each.enrollments.get(state, 0) for state in states),
        )
        for each in found
    ]
    columns = ("key", "name", "version", "on", *states)
    empty = "No sequences yet: dripdrop apply FILE."
    session.show({"sequences": found}, output.table(columns, rows, empty=empty))


@sequences.command("show")
@click.argument("sequence")
@_NUMBER
@with_session
def show(session: Session, sequence: str, version: int | None) -> None:
    """Show the steps of a sequence: of its active version, or of the one with that number."""
    found, whole = _whole(session.drip, sequence, version)
    facts = output.pairs([
        ("key", found.key),
        ("name", found.name),
        ("description", found.description),
        ("active", found.active),
        ("version", f"{whole.number}, {whole.state}" if whole else "none: dripdrop apply FILE"),
        ("hooks", found.hook_module),
    ])  # fmt: skip
    rows = [
        (step.key, step.channel, _timing(step), step.active, ", ".join(_ahead(edition, step)))
        for edition in ([whole] if whole else [])
        for step in edition.steps
    ]
    columns = ("step", "channel", "timing", "on", "next")
    session.show({"sequence": found, "version": whole}, facts, output.table(columns, rows, empty="No steps."))


@sequences.command("export")
@click.argument("sequence")
@_NUMBER
@with_session
def export(session: Session, sequence: str, version: int | None) -> None:
    """Write a sequence as it would stand in a file: its active version, or the one with that number."""
    from dripdrop.rules.document import canonical, document_of

    found, whole = _whole(session.drip, sequence, version)
    definition = (
        None if whole is None else canonical(document_of(whole, description=found.description, active=found.active))
    )
    if session.json:
        output.write_json({"sequence": found, "version": whole and whole.number, "definition": definition})
    elif definition is None:
        session.show(None, f"{found.key} has no active version: dripdrop apply FILE.")
    else:
        _write_yaml(definition)


@sequences.command("versions")
@click.argument("sequence")
@with_session
def versions(session: Session, sequence: str) -> None:
    """List the versions of a sequence."""
    found = _editions(session.drip, sequence)
    rows = [(each.number, each.state, each.mode, each.published_at) for each in found]
    shown = output.table(("version", "state", "mode", "published"), rows, empty="No versions: dripdrop apply FILE.")
    session.show({"versions": found}, shown)


@sequences.command("activate", cls=Writing)
@click.argument("sequence")
@click.argument("version", type=click.IntRange(min=1))
@with_session
def activate(session: Session, sequence: str, version: int) -> None:
    """Put a version in force: people enter it from now on, and who is inside stays where he is."""
    wanted = _edition(session.drip, sequence, version)
    with session.writing() as drip:
        done = drip.sequences.activate(wanted)
    session.done({"version": done, "dry_run": session.dry_run}, f"Version {done.number} of {sequence} is in force.")


@sequences.command("archive", cls=Writing)
@click.argument("sequence")
@_NUMBER
@with_session
def archive(session: Session, sequence: str, version: int | None) -> None:
    """Take the active version out of force: nobody can enter until another is activated."""
    wanted = _edition(session.drip, sequence, version, state="active")
    with session.writing() as drip:
        done = drip.sequences.archive(wanted)
    session.done({"version": done, "dry_run": session.dry_run}, f"Version {done.number} of {sequence} is archived.")


@sequences.command("clone", cls=Writing)
@click.argument("sequence")
@_NUMBER
@with_session
def clone(session: Session, sequence: str, version: int | None) -> None:
    """Make a draft with all the parts of a version: of the active one, or of the one with that number."""
    wanted = _edition(session.drip, sequence, version, state="active")
    with session.writing() as drip:
        done = drip.sequences.clone_version(wanted)
    text = f"Version {done.number} of {sequence} is a draft like version {wanted.number}."
    session.done({"version": done, "dry_run": session.dry_run}, text)


@sequences.command("delete", cls=Writing)
@click.argument("sequence")
@with_session
def delete(session: Session, sequence: str) -> None:
    """Delete a sequence and its versions; one that somebody is or was enrolled in stays."""
    with session.writing() as drip, suggesting(drip, sequence):
        drip.sequences.delete(sequence)
    session.done({"deleted": sequence, "dry_run": session.dry_run}, f"{sequence} is deleted.")


def _found(drip: DripDrop, sequence: str) -> Sequence:
    with suggesting(drip, sequence):
        found = drip.sequences.get(sequence)
        if found is None:
            raise NotFound(f"There is no sequence {sequence!r}.", cure="See: dripdrop sequences")
        return found


def _whole(drip: DripDrop, sequence: str, number: int | None) -> tuple[Sequence, Version | None]:
    found = _found(drip, sequence)
    return found, drip.sequences.version(found, number) if number else drip.sequences.active_version(found)


def _editions(drip: DripDrop, sequence: str) -> list[Edition]:
    return drip.sequences.versions(_found(drip, sequence))


def _edition(drip: DripDrop, sequence: str, number: int | None, *, state: str | None = None) -> Edition:
    """The version of that number, or without one the version in that state."""
    several = _editions(drip, sequence)
    found = [each for each in several if (each.number == number if number else each.state == state)]
    if not found:
        what = f"version {number}" if number else f"{state} version"
        known = ", ".join(f"{each.number} ({each.state})" for each in several) or "none"
        raise NotFound(f"{sequence} has no {what}.", cure=f"There are: {known}.")
    return found[0]


def _timing(step: Any) -> str:
    from dripdrop.rules.document import timing_form

    said = timing_form(step.timing)
    times = "" if not step.repeat else ", for ever" if step.repeat is True else f", {step.repeat} times"
    if isinstance(said, str):
        return said + times
    if "event" not in said:
        return output.cell(said) + times
    kind = f" ({output.cell(said['match'])})" if said.get("match") else ""
    return f"when {said['event']}{kind} happens" + (f", or {said['timeout']}" if said.get("timeout") else "")


def _ahead(version: Version, step: Step) -> list[str]:
    """Where a step leads, each once: by its ways in their order, or without any to the next one in line."""
    from dripdrop.rules import path

    ways = [way.target or "end" for way in version.transitions if way.origin == step.key]
    if not ways:
        following = path.onward(version, step)
        ways = [following.step.key if isinstance(following, path.Goto) else "end"]
    late = getattr(step.timing, "timeout_goto", None)
    return list(dict.fromkeys([*ways, late] if late else ways))


def _write_yaml(value: Any) -> None:
    from ruamel.yaml import YAML

    writer = YAML(typ="safe", pure=True)
    writer.default_flow_style = False
    writer.sort_base_mapping_type_on_output = False  # type: ignore[assignment]
    writer.dump(output.plain(value), sys.stdout)
