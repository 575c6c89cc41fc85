"""Who must not be written to any more?"""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

import click

from dripdrop.cli import output
from dripdrop.cli.options import Group, Writing
from dripdrop.cli.session import Session, with_session
from dripdrop.errors import Finding, Invalid

_COLUMNS = ("channel", "recipient", "reason", "source", "topic", "expires_at")
_CHUNK = 5_000
_TOPIC = click.option("--topic", metavar="TOPIC", help="Of this topic only; without it, of all.")


@click.group("suppressions", cls=Group)
def suppressions() -> None:
    """Who must not be written to any more: list, check, add, lift, history, import, export."""


@suppressions.command("list")
@click.option("--channel", metavar="CHANNEL", help="Of this channel.")
@click.option("--recipient", metavar="ADDRESS", help="With --channel: of this recipient.")
@click.option("--reason", metavar="REASON", help="complaint, bounce, unsubscribe, provider_block or manual.")
@click.option("--expired", is_flag=True, help="Those that have ended, too.")
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True)
@click.option("--after", type=click.UUID, help="The last id of the page before.")
@with_session
def list_(session: Session, **wanted: Any) -> None:
    """List suppressions, newest first."""
    found = session.drip.suppressions.list(**wanted)
    rows = [
        (each.channel, each.recipient, each.reason, each.topic or "all", each.expires_at, each.source) for each in found
    ]
    columns = ("channel", "recipient", "reason", "topic", "until", "source")
    session.show({"suppressions": found}, output.table(columns, rows, empty="Nobody is suppressed."))


@suppressions.command("check")
@click.argument("channel")
@click.argument("recipient")
@_TOPIC
@with_session
def check(session: Session, channel: str, recipient: str, topic: str | None) -> None:
    """Say what keeps a recipient from being written to, if anything does."""
    found = session.drip.suppressions.check(channel, recipient, topic)
    if found is None:
        session.done({"suppressed": False}, f"{recipient} may be written to by {channel}.")
    else:
        text = f"{recipient} is not written to by {channel}: {found.reason}."
        session.show({"suppressed": True, "suppression": found}, text)


@suppressions.command("add", cls=Writing)
@click.argument("channel")
@click.argument("recipient")
@click.option("--reason", default="manual", show_default=True, metavar="REASON")
@_TOPIC
@click.option("--until", type=click.DateTime(), help="Not for good, but until then (UTC).")
@with_session
def add(session: Session, channel: str, recipient: str, reason: str, topic: str | None, until: datetime | None) -> None:
    """Write no more to a recipient."""
    end = None if until is None else until.replace(tzinfo=UTC)
    with session.writing() as drip:
        made = drip.suppress(channel, recipient, reason, source="command line", topic=topic, expires_at=end)
    verb = "would be" if session.dry_run else "is"
    text = f"{made.recipient} {verb} suppressed for {made.channel} ({made.reason})."
    session.done({"suppression": made, "dry_run": session.dry_run}, text)


@suppressions.command("lift", cls=Writing)
@click.argument("channel")
@click.argument("recipient")
@_TOPIC
@with_session
def lift(session: Session, channel: str, recipient: str, topic: str | None) -> None:
    """Allow a recipient to be written to again."""
    with session.writing() as drip:
        lifted = drip.suppressions.lift(channel, recipient, topic, source="command line")
    verb = "could" if session.dry_run else "can"
    text = f"{lifted.recipient} {verb} be written to by {lifted.channel} again."
    session.done({"suppression": lifted, "dry_run": session.dry_run}, text)


@suppressions.command("history")
@click.argument("channel")
@click.argument("recipient")
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True)
@with_session
def history(session: Session, channel: str, recipient: str, limit: int) -> None:
    """How a recipient's suppressions came and went, newest first."""
    found = session.drip.suppressions.history(channel, recipient, limit=limit)
    rows = [(each.occurred_at, each.action, each.reason, each.topic or "all", each.source) for each in found]
    columns = ("when", "what", "reason", "topic", "source")
    session.show({"history": found}, output.table(columns, rows, empty="Nothing ever happened."))


@suppressions.command("export")
@click.option("--to", "path", type=click.Path(dir_okay=False, path_type=Path), help="The file; else standard output.")
@with_session
def export(session: Session, path: Path | None) -> None:
    """Write your own suppressions as CSV, as `import` takes them."""
    rows = session.drip.suppressions.export()
    if path is None:
        _write(sys.stdout, rows)
        return
    with path.open("w", encoding="utf-8", newline="") as file:
        written = _write(file, rows)
    session.done({"exported": written, "file": str(path)}, f"{written} suppressions are in {path}.")


@suppressions.command("import", cls=Writing)
@click.argument("path", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--channel", metavar="CHANNEL", help="Of rows that name none.")
@with_session
def import_(session: Session, path: Path, channel: str | None) -> None:
    """Suppress everybody in a CSV file: channel, recipient, reason, source, topic, expires_at.

    Rows that cannot be taken are named by their line; the others are taken. A second time changes nothing.
    """
    bad: list[Finding] = []
    done = lines = 0
    with session.writing() as drip:
        for chunk in _chunks(_read(path, channel)):
            lines += len(chunk)
            for result in drip.suppressions.import_([row for _, row in chunk]):
                if result.error is None:
                    done += 1
                else:
                    error, line = result.error, chunk[result.row][0]
                    bad.append(Finding(error.code, f"line {line}", error.message, error.cure))
    verb = "would be" if session.dry_run else "are"
    said = [f"{done} of {lines} {verb} suppressed.", *map(str, bad)]
    session.done({"imported": done, "refused": bad, "dry_run": session.dry_run}, "\n".join(said))


def _chunks(rows: Iterator[tuple[int, dict[str, Any]]]) -> Iterator[list[tuple[int, dict[str, Any]]]]:
    while chunk := list(islice(rows, _CHUNK)):
        yield chunk


def _write(file: Any, rows: Iterable[dict[str, Any]]) -> int:
    written = 0
    writer = csv.DictWriter(file, _COLUMNS, extrasaction="ignore")
    writer.writeheader()
    for row in rows:
        ends = row["expires_at"]
        writer.writerow({**row, "expires_at": ends.isoformat() if ends else ""})
        written += 1
    return written


def _read(path: Path, channel: str | None) -> Iterator[tuple[int, dict[str, Any]]]:
    """(line, row) of a file; empty cells are left out, a time without a zone is UTC."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            if not reader.fieldnames:
                raise Invalid(f"{path} is empty.", cure="Its first line names the columns.", code="empty_file")
            for cells in reader:
                row: dict[str, Any] = {str(name).strip(): cell for name, cell in cells.items() if cell}
                if channel and "channel" not in row:
                    row["channel"] = channel
                if "expires_at" in row:
                    row["expires_at"] = _moment(row["expires_at"])
                yield reader.line_num, row
    except UnicodeDecodeError as trouble:
        raise Invalid(f"{path} is not UTF-8.", cure="Save it as CSV in UTF-8.", code="not_utf8") from trouble


def _moment(text: str) -> Any:
    try:
        at = datetime.fromisoformat(text.strip())
    except ValueError:
        return text
    return at if at.tzinfo else at.replace(tzinfo=UTC)
