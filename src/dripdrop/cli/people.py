"""What can be done with one person in a sequence?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import UUID

import click

from dripdrop.cli import output, values
from dripdrop.cli.options import Command, Writing
from dripdrop.cli.session import Session, with_session
from dripdrop.cli.subject import enrollment_id, which_enrollment
from dripdrop.cli.values import SUBSCRIBER

if TYPE_CHECKING:
    from dripdrop.store.enrollments import Enrollment

_REASON = click.option("--reason", metavar="TEXT", help="Why, for the journal.")


@click.command("track", cls=Writing)
@click.argument("event")
@click.option("--subscriber", type=SUBSCRIBER, help="To whom it happened, such as user:42.")
@click.option("--enrollment", type=click.UUID, help="To one enrollment only.")
@click.option("--data", multiple=True, metavar="K=V|JSON", help="What there is to know: key=text, key:=JSON, or JSON.")
@with_session
def track(
    session: Session, event: str, subscriber: tuple[str, str] | None, enrollment: UUID | None, data: tuple[str, ...]
) -> None:
    """Record that something happened to somebody, and end the enrollments that it ends.

    \b
    dripdrop track subscription_cancelled --subscriber user:42
    """
    if subscriber is None and enrollment is None:
        raise click.UsageError("Say to whom: --subscriber type:id, or --enrollment ID.")
    facts = values.mapping(data, "--data")
    with session.writing() as drip:
        done = drip.track(event, subscriber=subscriber, enrollment=enrollment, data=facts)
    ended = f"; it ended {len(done.ended)} enrollment{'s' * (len(done.ended) != 1)}" if done.ended else ""
    session.done(
        {"tracked": done, "dry_run": session.dry_run},
        f"{done.event} of {done.subscriber_type} {done.subscriber_id} {_would(session, 'is recorded')}{ended}.",
    )


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
