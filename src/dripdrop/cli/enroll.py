"""How do one person, or a million from a file, enter a sequence?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dripdrop.cli import output, values
from dripdrop.cli.options import Writing
from dripdrop.cli.session import Session, with_session
from dripdrop.cli.subject import suggesting
from dripdrop.errors import DripDropError, NotFound

if TYPE_CHECKING:
    from dripdrop.app import DripDrop
    from dripdrop.cli.rows import CsvFile, CsvRow, Judge
    from dripdrop.operations.enrolling import Result
    from dripdrop.rules.definition import Version

CHUNK = 5_000
_MOST_SHOWN = 50


@dataclass
class Tally:
    """What became of the rows of a file."""

    enrolled: int = 0
    already: int = 0
    rejected: list[dict[str, Any]] = field(default_factory=list)

    def take(self, row: CsvRow, result: Result) -> None:
        if result.error is not None:
            self.refuse(row, result.error)
        else:
            self.enrolled += result.created
            self.already += not result.created

    def refuse(self, row: CsvRow, error: DripDropError) -> None:
        self.rejected.append(refusal(row, error))


@click.command("enroll", cls=Writing)
@click.argument("sequence")
@click.option(
    "--csv", "file", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Everybody in this file."
)
@click.option("--id", "id_", metavar="ID", help="One person.")
@click.option("--type", "kind", metavar="TYPE", help="The subscriber's type; else the column `type`, else user.")
@click.option("--id-column", default="id", show_default=True, metavar="NAME", help="With --csv: the column of ids.")
@click.option("--data", multiple=True, metavar="K=V|JSON", help="With --id: key=text, key:=JSON, or JSON.")
@click.option("--start", "starting_step", metavar="STEP", help="Begin at this step.")
@with_session
def enroll(
    session: Session,
    sequence: str,
    file: Path | None,
    id_: str | None,
    kind: str | None,
    id_column: str,
    data: tuple[str, ...],
    starting_step: str | None,
) -> int:
    """Enroll one person (--id), or everybody in a CSV file (--csv), in the active version of a sequence.

    Of a file, rows that cannot be taken are reported with their line and a cure, and the others are enrolled; who is in
    already stays as they are. It fails only when no row could be taken.
    """
    if (file is None) == (id_ is None):
        raise click.UsageError("Name one of --csv FILE and --id ID.")
    if file is not None and data:
        raise click.UsageError("--data goes with --id; the data of a file are its columns.")
    if id_ is not None:
        _one(session, sequence, (kind or "user", id_), values.mapping(data, "--data"), starting_step)
        return 0
    assert file is not None
    from dripdrop.cli.rows import CsvFile, Judge

    people = CsvFile(file, id_column=id_column, kind=kind)
    with session.writing() as drip:
        version = _entrance(drip, sequence)
        tally = _many(session, drip, sequence, people, Judge(version, drip.status()["at"]), starting_step)
    _report(session, sequence, tally)
    return 1 if tally.rejected and not (tally.enrolled or tally.already) else 0


def _one(
    session: Session, sequence: str, person: tuple[str, str], data: dict[str, Any], starting_step: str | None
) -> None:
    with session.writing() as drip, suggesting(drip, sequence):
        made = drip.enroll(sequence, subscriber=person, data=data, starting_step=starting_step)
    who = f"{person[0]} {person[1]}"
    if made.created:
        text = f"{who} {'would be' if session.dry_run else 'is'} enrolled in {sequence}: {made.id}"
    else:
        text = f"{who} was in {sequence} already: {made.id} ({made.state})"
    session.done({"enrollment": made, "created": made.created, "dry_run": session.dry_run}, text)


def _entrance(drip: DripDrop, sequence: str) -> Version:
    with suggesting(drip, sequence):
        if drip.sequences.get(sequence) is None:
            raise NotFound(f"There is no sequence {sequence!r}.", cure="See: dripdrop sequences")
        version = drip.sequences.active_version(sequence)
    if version is None:
        raise NotFound(
            f"The sequence {sequence} has no active version.", cure="dripdrop apply FILE", code="no_active_version"
        )
    return version


def _many(
    session: Session, drip: DripDrop, sequence: str, people: CsvFile, judge: Judge, starting_step: str | None
) -> Tally:
    tally, seen = Tally(), 0
    with output.progress(f"Enrolling in {sequence}", people.count(), silent=session.json) as advance:
        for chunk in chunks(people.rows()):
            good = []
            for row in chunk:
                wrong = judge.verdict(row)
                if wrong is None:
                    good.append(row)
                else:
                    tally.refuse(row, wrong)
            rows = [{"subscriber": row.subscriber, "data": row.data, "starting_step": starting_step} for row in good]
            for row, result in zip(good, drip.enroll_many(sequence, rows) if rows else [], strict=True):
                tally.take(row, result)
            seen += len(chunk)
            advance(seen)
    tally.rejected.sort(key=lambda each: each["line"])
    return tally


def chunks(rows: Iterator[CsvRow]) -> Iterator[list[CsvRow]]:
    """The rows of a file, as many at a time as one transaction takes."""
    while chunk := list(islice(rows, CHUNK)):
        yield chunk


def _report(session: Session, sequence: str, tally: Tally) -> None:
    found = {
        "sequence": sequence,
        "enrolled": tally.enrolled,
        "already_enrolled": tally.already,
        "rejected": len(tally.rejected),
        "rejected_by_code": dict(Counter(each["code"] for each in tally.rejected)),
        "rows": tally.rejected,
        "dry_run": session.dry_run,
    }
    if session.json:
        output.write_json(found)
        return
    show_rejected(session, found, tally.rejected)
    would = "would be " if session.dry_run else ""
    parts = [f"{tally.enrolled} {would}enrolled in {sequence}"]
    parts += [f"{tally.already} in it already"] if tally.already else []
    parts += [f"{len(tally.rejected)} rejected"] if tally.rejected else []
    session.done(found, ", ".join(parts) + ".")


def show_rejected(session: Session, found: dict[str, Any], rejected: list[dict[str, Any]]) -> None:
    """A table of the rows that could not be taken, each with its line and a cure; nothing where there are none."""
    if not rejected:
        return
    rows = [(each["line"], each["id"], each["message"], each["cure"], each["code"]) for each in rejected]
    session.show(found, output.table(("line", "id", "what is wrong", "cure", "code"), rows[:_MOST_SHOWN]))
    if len(rows) > _MOST_SHOWN:
        session.note(f"... and {len(rows) - _MOST_SHOWN} more: --json lists them all.")


def refusal(row: CsvRow, error: DripDropError) -> dict[str, Any]:
    """A row that could not be taken, as it is reported."""
    told = {"code": error.code, "message": error.message, "cure": error.cure}
    return {"line": row.line, "id": row.subscriber[1], **told}
