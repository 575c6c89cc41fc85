"""What can be done with one person in a sequence?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

import click

from dripdrop.cli import output, values
from dripdrop.cli.enroll import chunks, refusal, show_rejected
from dripdrop.cli.options import Command, Writing
from dripdrop.cli.session import Session, with_session
from dripdrop.cli.subject import enrollment_id, which_enrollment
from dripdrop.cli.values import SUBSCRIBER

if TYPE_CHECKING:
    from dripdrop.cli.rows import CsvFile
    from dripdrop.store.enrollments import Enrollment

_REASON = click.option("--reason", metavar="TEXT", help="Why, for the journal.")


@click.command("track", cls=Writing)
@click.argument("event")
@click.option("--subscriber", type=SUBSCRIBER, help="To whom it happened, such as user:42.")
@click.option("--enrollment", type=click.UUID, help="To one enrollment only.")
@click.option(
    "--csv", "file", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="To everybody in this file."
)
@click.option("--type", "kind", metavar="TYPE", help="With --csv: their type; else the column `type`, else user.")
@click.option("--id-column", default="id", show_default=True, metavar="NAME", help="With --csv: the column of ids.")
@click.option("--data", multiple=True, metavar="K=V|JSON", help="What there is to know: key=text, key:=JSON, or JSON.")
@with_session
def track(
    session: Session,
    event: str,
    subscriber: tuple[str, str] | None,
    enrollment: UUID | None,
    file: Path | None,
    kind: str | None,
    id_column: str,
    data: tuple[str, ...],
) -> int:
    """Record that something happened: it wakes who waits for it, and ends the enrollments that it ends.

    Of a file, the other columns are the event's data, over what --data says. Rows that cannot be taken are reported
    with their line, and the others are recorded; it fails only when no row could be taken.

    \b
    dripdrop track subscription_cancelled --subscriber user:42
    """
    facts = values.mapping(data, "--data")
    if file is not None and subscriber is None and enrollment is None:
        from dripdrop.cli.rows import CsvFile

        return _track_file(session, event, CsvFile(file, id_column=id_column, kind=kind), facts)
    if file is not None or (subscriber is None and enrollment is None):
        raise click.UsageError("Say to whom: --subscriber type:id, --enrollment ID, or --csv FILE.")
    with session.writing() as drip:
        done = drip.track(event, subscriber=subscriber, enrollment=enrollment, data=facts)
    session.done(
        {"tracked": done, "dry_run": session.dry_run},
        f"{done.event} of {done.subscriber_type} {done.subscriber_id} {_would(session, 'is recorded')}"
        f"{_ended(len(done.ended))}.",
    )
    return 0


def _track_file(session: Session, event: str, people: CsvFile, facts: dict[str, Any]) -> int:
    tracked: list[Any] = []
    rejected: list[dict[str, Any]] = []
    seen = 0
    with session.writing() as drip, output.progress(f"Tracking {event}", people.count(), silent=session.json) as told:
        for chunk in chunks(people.rows()):
            rejected += [refusal(row, row.error) for row in chunk if row.error]
            good = [row for row in chunk if row.error is None]
            rows = [{"event": event, "subscriber": row.subscriber, "data": {**facts, **row.data}} for row in good]
            for row, result in zip(good, drip.track_many(rows) if rows else [], strict=True):
                tracked += [result.tracked] if result.tracked else []
                rejected += [refusal(row, result.error)] if result.error else []
            seen += len(chunk)
            told(seen)
    rejected.sort(key=lambda each: each["line"])
    ended = sum(len(each.ended) for each in tracked)
    counts = {"tracked": len(tracked), "ended": ended, "rejected": len(rejected)}
    found = {"event": event, **counts, "rows": rejected, "dry_run": session.dry_run}
    if not session.json:
        show_rejected(session, found, rejected)
    rows_said = f"{len(tracked)} row{'s' * (len(tracked) != 1)}"
    refused = f"; {len(rejected)} rejected" if rejected else ""
    session.done(found, f"{event} of {rows_said} {_would(session, 'is recorded')}{_ended(ended)}{refused}.")
    return 1 if rejected and not tracked else 0


def _ended(number: int) -> str:
    return f"; it ended {number} enrollment{'s' * (number != 1)}" if number else ""


@click.command("pause", cls=Writing)
@which_enrollment
@_REASON
@with_session
def pause(session: Session, reason: str | None, **which: Any) -> None:
    """Hold an enrollment where it stands; the time that was left is kept."""
    with session.writing() as drip:
        moved = drip.pause(enrollment_id(drip, **which), reason=reason)
    _told(session, moved, "paused")


@click.command("resume", cls=Writing)
@which_enrollment
@_REASON
@with_session
def resume(session: Session, reason: str | None, **which: Any) -> None:
    """Let a paused enrollment go on from where it stood."""
    with session.writing() as drip:
        moved = drip.resume(enrollment_id(drip, **which), reason=reason)
    _told(session, moved, "resumed")


@click.command("unenroll", cls=Writing)
@which_enrollment
@_REASON
@with_session
def unenroll(session: Session, reason: str | None, **which: Any) -> None:
    """End an enrollment: what is pending is cancelled."""
    with session.writing() as drip:
        moved = drip.unenroll(enrollment_id(drip, **which), reason=reason)
    _told(session, moved, "unenrolled")


@click.command("move", cls=Writing)
@which_enrollment
@click.option("--version", type=int, metavar="NUMBER", help="The version to move to; by default the active one.")
@click.option("--step", metavar="KEY", help="The step to move to; by default the one of the same key.")
@with_session
def move(session: Session, version: int | None, step: str | None, **which: Any) -> None:
    """Move an enrollment to another version of its sequence, or to another step."""
    from dripdrop.errors import NotFound

    with session.writing() as drip:
        wanted = drip.enrollments.get(enrollment_id(drip, **which))
        target = None
        if version is not None:
            editions = {each.number: each.id for each in drip.sequences.versions(wanted.sequence_key)}
            target = editions.get(version)
            if target is None:
                there = ", ".join(map(str, editions))
                raise NotFound(f"{wanted.sequence_key} has no version {version}.", cure=f"It has: {there}.")
        moved = drip.enrollments.move(wanted.id, version=target, step=step)
    _told(session, moved, "moved")


@click.command("events", cls=Command)
@click.option("--subscriber", type=SUBSCRIBER, help="Of one person.")
@click.option("--enrollment", type=click.UUID, help="Of one enrollment.")
@click.option("--event", metavar="KEY", help="Only this event.")
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True)
@with_session
def events(session: Session, **wanted: Any) -> None:
    """List what was tracked, newest first."""
    found = session.drip.events.list(**wanted)
    rows = [
        (each.occurred_at, each.event_key, f"{each.subscriber_type}:{each.subscriber_id}", each.event_data)
        for each in found
    ]
    columns = ("when", "event", "subscriber", "data")
    session.show({"events": found}, output.table(columns, rows, empty="Nothing was tracked."))


def _told(session: Session, moved: Enrollment, what: str) -> None:
    who = f"{moved.subscriber_type} {moved.subscriber_id}"
    text = f"{who} {_would(session, f'is {what}')} in {moved.sequence_key}; the enrollment is {moved.state}."
    session.done({"enrollment": moved, "dry_run": session.dry_run}, text)


def _would(session: Session, said: str) -> str:
    return f"would be {said.removeprefix('is ')}" if session.dry_run else said
