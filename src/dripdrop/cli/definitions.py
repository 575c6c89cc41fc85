"""Is a definition right, and what does it change?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from dripdrop.cli import output, trouble
from dripdrop.cli.options import Command, Writing
from dripdrop.cli.session import Session, with_session
from dripdrop.errors import Conflict, Finding, Invalid, NotFound, Refused

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dripdrop.app import DripDrop
    from dripdrop.operations.authoring import Applied
    from dripdrop.rules.document import SequenceDocument
    from dripdrop.services.sources import Loaded
    from dripdrop.store.enrollments import Enrollment


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
        warned = len(found) - len(wrong)
        beside = f", {warned} warning{'s' * (warned > 1)}" if warned else ""
        session.show(None, f"{len(wrong)} problem{'s' * (len(wrong) > 1)}{beside} in {', '.join(files)}.")
    else:
        session.done(None, f"{', '.join(keys)}: right.")
    return 1 if wrong else 0


@click.command("apply", cls=Writing)
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@click.option(
    "--inside",
    type=click.Choice(["pin", "move"]),
    default="pin",
    show_default=True,
    help="Who is inside stays in his version, or moves to the step of the same key, where his wait begins anew.",
)
@with_session
def apply(session: Session, files: tuple[str, ...], inside: str) -> None:
    """Make sequence files the active versions of their sequences; a file that changed nothing changes nothing.

    All files are judged before the first is applied, and either all are applied or none. People are moved afterwards,
    one by one; whose step is gone, or whose message is on its way, stays where he is and is told of.
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
    people = [_moved(session, each) if inside == "move" else None for each in done]
    rows: list[dict[str, Any]] = [
        {
            "sequence": each.sequence.key,
            "version": each.version.number,
            "created": each.created,
            "changed": each.changed,
            "differences": [str(one) for one in each.differences],
            "people": person,
        }
        for each, person in zip(done, people, strict=True)
    ]
    shown = [(row["sequence"], row["version"], _said(row)) for row in rows]
    session.show({"applied": rows, "dry_run": session.dry_run}, output.table(("sequence", "version", "what"), shown))


def _said(row: dict[str, Any]) -> str:
    lines = row["differences"] or ["nothing changed"]
    if row["people"] is not None:
        lines = [*lines, *(f"{number} {how}" for how, number in row["people"].items() if number)]
    return "\n".join(lines)


def _moved(session: Session, applied: Applied) -> dict[str, int]:
    """How many people of other versions were moved to this one, and how many were left and why; each by himself."""
    told = {"moved": 0, "left: their step is gone": 0, "left: a message is on its way": 0}
    drip = session.drip
    for each in _inside(drip, applied):
        if session.dry_run:
            told["moved"] += 1
            continue
        try:
            drip.enrollments.move(each.id, version=applied.version.id)
            told["moved"] += 1
        except Invalid:
            told["left: their step is gone"] += 1
        except Refused:
            told["left: a message is on its way"] += 1
        except (Conflict, NotFound):
            continue  # he came to an end meanwhile
    if session.dry_run:
        return {"in other versions": told["moved"]}
    return told


def _inside(drip: DripDrop, applied: Applied) -> Iterator[Enrollment]:
    """Everybody who is still on his way in another version of the sequence."""
    for state in ("active", "paused"):
        after = None
        while page := drip.enrollments.list(sequence=applied.sequence.key, state=state, limit=_PAGE, after=after):
            after = page[-1].id
            for each in page:
                if each.sequence_id == applied.sequence.id and each.version_id != applied.version.id:
                    yield each


_PAGE = 500


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
    # Together they read as their files do.
    files_in_order = list(dict.fromkeys(_file(each) for each in found))
    found.sort(key=lambda each: (files_in_order.index(_file(each)), each.line or 0, each.column or 0))
    return list(dict.fromkeys(found)), keys


def _file(finding: Finding) -> str:
    return finding.path.partition(": ")[0]


def _documents(files: list[str]) -> list[SequenceDocument]:
    from dripdrop.services import sources

    loaded: list[Loaded] = sources.load_paths(files)
    return sources.documents(loaded)
