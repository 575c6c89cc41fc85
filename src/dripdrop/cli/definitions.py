"""Is a definition right, what would it change, and which sequences are there?"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from dripdrop.cli import output, trouble
from dripdrop.cli.options import Command, Group, Writing
from dripdrop.cli.session import Session, with_session
from dripdrop.cli.subject import suggesting
from dripdrop.errors import Finding, Invalid, NotFound

if TYPE_CHECKING:
    from dripdrop.app import DripDrop
    from dripdrop.rules.document import SequenceDocument
    from dripdrop.services.sources import Loaded


@click.command("validate", cls=Command)
@click.argument("files", nargs=-1, metavar="FILE...")
@click.option("--schema", is_flag=True, help="Print the JSON Schema of sequence files instead.")
@with_session
def validate(session: Session, files: tuple[str, ...], schema: bool) -> int:
    """Say everything that is wrong with sequence files or folders of them; no database is asked."""
    if schema:
        from dripdrop.cli.json_schema import json_schema

        output.write_json(json_schema())
        return 0
    if not files:
        raise click.UsageError("Name a FILE or a folder.")
    found, keys = _judged(list(files), session, session.app and session.scoped(session.app))
    wrong = [each for each in found if each.severity == "error"]
    if session.json:
        output.write_json({"ok": not wrong, "sequences": keys, "findings": found})
        return 1 if wrong else 0
    trouble.print_findings(found)
    if wrong:
        session.show(None, f"{len(wrong)} problem{'s' * (len(wrong) > 1)} in {', '.join(files)}.")
    else:
        session.done(None, f"{', '.join(keys)}: right.")
    return 1 if wrong else 0


@click.command("apply", cls=Writing)
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@with_session
def apply(session: Session, files: tuple[str, ...]) -> None:
    """Make sequence files the active versions of their sequences; a file that changed nothing changes nothing.

    All files are judged before the first is applied, and either all are applied or none.
    """
    found, _ = _judged(list(files), session, session.drip)
    wrong = [each for each in found if each.severity == "error"]
    if wrong:
        raise Invalid(
            f"{len(wrong)} problem{'s' * (len(wrong) > 1)}, so nothing was applied.",
            cure="Mend the files; dripdrop validate says the same without a database.",
            code="cannot_apply",
            findings=wrong,
        )
    trouble.print_findings(found, stderr=True)
    with session.writing(together=True) as drip:
        done = [drip.sequences.apply(document) for document in _documents(list(files))]
    rows = [
        {
            "sequence": each.sequence.key,
            "version": each.version.number,
            "created": each.created,
            "changed": each.changed,
        }
        for each in done
    ]
    shown = [(row["sequence"], row["version"], _what(row)) for row in rows]
    session.show({"applied": rows, "dry_run": session.dry_run}, output.table(("sequence", "version", "changed"), shown))


@click.group("sequences", cls=Group)
def sequences() -> None:
    """List sequences, or show one."""


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


@sequences.command("get")
@click.argument("sequence")
@with_session
def get(session: Session, sequence: str) -> None:
    """Show the active version of a sequence, as it would be written in a file."""
    from dripdrop.rules.document import canonical, document_of

    drip = session.drip
    with suggesting(drip, sequence):
        found = drip.sequences.get(sequence)
        if found is None:
            raise NotFound(f"There is no sequence {sequence!r}.", cure="See: dripdrop sequences")
    version = drip.sequences.active_version(found)
    definition = None if version is None else canonical(document_of(version, active=found.active))
    if session.json:
        output.write_json({"sequence": found, "version": version and version.number, "definition": definition})
    elif definition is None:
        session.show(None, f"{found.key} has no active version: dripdrop apply FILE.")
    else:
        _write_yaml(definition)


def _judged(files: list[str], session: Session, drip: DripDrop | None) -> tuple[list[Finding], list[str]]:
    """Every finding of files or folders, and the keys of the sequences in them; an app brings its channels."""
    from dripdrop.rules import validation
    from dripdrop.services import judging, sources

    trusted = session.options.tenant is None
    checks = drip._given(("checks",))["checks"] if drip is not None else judging.checks(trusted=trusted)
    found: list[Finding] = []
    keys: list[str] = []
    for each in sources.load_paths(files):
        found += each.findings
        if each.document is not None:
            keys.append(each.document.key)
            more = validation.findings(each.document, checks=checks)
            found += [sources.in_file(one, each.file) for one in more]
    return list(dict.fromkeys(found)), keys


def _documents(files: list[str]) -> list[SequenceDocument]:
    from dripdrop.services import sources

    loaded: list[Loaded] = sources.load_paths(files)
    return sources.documents(loaded)


def _what(row: dict[str, Any]) -> str:
    if row["created"]:
        return "new"
    return ", ".join(row["changed"]) if row["changed"] else "nothing"


def _write_yaml(value: Any) -> None:
    from ruamel.yaml import YAML

    writer = YAML(typ="safe", pure=True)
    writer.default_flow_style = False
    writer.sort_base_mapping_type_on_output = False  # type: ignore[assignment]
    writer.dump(output.plain(value), sys.stdout)
