"""Who enters a sequence, and how do they pause, go on, change and leave?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from dripdrop.contracts import Scheduler
from dripdrop.errors import Conflict, DripDropError, Invalid, NotFound, Refused
from dripdrop.operations import awaiting, scheduling, telling
from dripdrop.operations.subscribers import Subscriber, checked_data, who
from dripdrop.rules import entering
from dripdrop.rules.definition import Step, Version
from dripdrop.rules.entering import Arrival
from dripdrop.rules.entrance import Entrance
from dripdrop.rules.lifecycle import ENROLLMENT
from dripdrop.store import enrollments, sequences
from dripdrop.store.enrollments import Enrollment, Leaving, Newcomer
from dripdrop.store.flow import Flow, Row
from dripdrop.store.scope import Scope


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one row of `enroll_many`: an enrollment's id, whether it is new, or an error."""

    row: int
    enrollment_id: UUID | None = None
    created: bool = False
    error: DripDropError | None = None

    @property
    def ok(self) -> bool:
        return self.error is None


def enroll(
    now: datetime,
    scope: Scope,
    sequence: str,
    *,
    subscriber: Subscriber,
    data: Mapping[str, Any] | None = None,
    metadata: Mapping[str, Any] | None = None,
    starting_step: str | None = None,
    default_zone: str = "Etc/UTC",
    scheduler: Scheduler | None = None,
) -> Flow[Enrollment]:
    """Enroll one person in the active version; who is in already gets their own row back (`created` false).

    Raises NotFound (no such sequence, no active version), Refused (`reenrollment_not_allowed`, `sequence_inactive`),
    Invalid (`missing_subscriber`, `bad_data`, `unknown_step`).
    """
    version = yield from entrance(scope, sequence)
    person = who(subscriber)
    newcomer = _newcomer(Entrance(version, now, default_zone), person, data, metadata, starting_step)
    made = yield from _insert(now, scope, version, [newcomer], scheduler)
    if person in made:
        row = yield from enrollments.get(scope, made[person])
        return enrollments.from_row(_there(row), created=True)
    standing = yield from enrollments.standing(scope, version.sequence_id, [person])
    return enrollments.from_row(_welcome(standing.get(person), version), version.sequence_key)


def enroll_many(
    now: datetime,
    scope: Scope,
    sequence: str,
    rows: Sequence[Mapping[str, Any]],
    *,
    default_zone: str = "Etc/UTC",
    scheduler: Scheduler | None = None,
) -> Flow[list[Result]]:
    """Enroll a list: rows `{subscriber, data, metadata, starting_step}`; one result per row, in order.

    Bad rows are reported, good ones enrolled; the number of statements does not depend on the number of rows.
    """
    version = yield from entrance(scope, sequence)
    entry = Entrance(version, now, default_zone)
    results: list[Result] = []
    newcomers: dict[tuple[str, str], Newcomer] = {}
    first_row: dict[tuple[str, str], int] = {}
    for number, row in enumerate(rows):
        results.append(Result(number))
        try:
            if not isinstance(row, Mapping):
                raise Invalid("A row is a mapping.", cure="Give {subscriber, data}.", code="bad_row")
            person = who(row.get("subscriber"))
            if person not in first_row:
                newcomers[person] = _newcomer(
                    entry, person, row.get("data"), row.get("metadata"), row.get("starting_step")
                )
                first_row[person] = number
            else:
                results[number] = Result(number, error=_twice(person, first_row[person]))
        except DripDropError as error:
            results[number] = Result(number, error=error)
    made = yield from _insert(now, scope, version, list(newcomers.values()), scheduler)
    others = [person for person in newcomers if person not in made]
    standing = (yield from enrollments.standing(scope, version.sequence_id, others)) if others else {}
    for person, number in first_row.items():
        results[number] = _result(number, made.get(person), standing.get(person), version)
    return results


def pause(
    now: datetime,
    scope: Scope,
    enrollment: UUID | Enrollment,
    *,
    reason: str | None = None,
    scheduler: Scheduler | None = None,
) -> Flow[Enrollment]:
    """Hold an active enrollment where it stands; the time that was left is kept."""
    row = yield from _locked(scope, enrollment)
    ENROLLMENT.after("pause", row["state"])
    moved = yield from enrollments.pause(
        now, scope, row["id"], sources=ENROLLMENT.sources("pause"), reasons=_because(reason)
    )
    yield from scheduling.cancel(scheduler, [row["id"]])
    return enrollments.from_row(_unchanged(moved))


def resume(
    now: datetime,
    scope: Scope,
    enrollment: UUID | Enrollment,
    *,
    reason: str | None = None,
    scheduler: Scheduler | None = None,
) -> Flow[Enrollment]:
    """Go on from the pending step with the time that was left; without one left, the enrollment completes.

    A step that waits for an event goes at once where that came meanwhile.
    """
    row = yield from _locked(scope, enrollment)
    ENROLLMENT.after("resume", row["state"])
    moved = _unchanged(
        (
            yield from enrollments.resume(
                now, scope, row["id"], sources=ENROLLMENT.sources("resume"), reasons=_because(reason)
            )
        )
    )
    yield from scheduling.schedule(scheduler, [row["id"]], due_now=bool(moved["due_now"]))
    if moved["waits"]:
        yield from awaiting.began(now, [row["id"]], scheduler=scheduler)
    if not moved["going"]:
        ended = yield from enrollments.complete_if_idle(now, scope, row["id"], [{"code": "nothing_left"}])
        if ended is not None:
            return enrollments.from_row(ended, moved["sequence_key"])
    return enrollments.from_row(moved)


def unenroll(
    now: datetime,
    scope: Scope,
    enrollment: UUID | Enrollment,
    *,
    reason: str | None = None,
    scheduler: Scheduler | None = None,
) -> Flow[Enrollment]:
    """End an enrollment: what is pending is cancelled, what is on its way is recorded when it comes back."""
    row = yield from _locked(scope, enrollment)
    ENROLLMENT.after("unenroll", row["state"])
    why = reason or "unenrolled"
    leaving = Leaving(row["id"], "cancelled", why, _because(why))
    ended = yield from enrollments.leave_many(now, scope, [leaving], sources=ENROLLMENT.sources("unenroll"))
    yield from scheduling.cancel(scheduler, [row["id"]])
    return enrollments.from_row(_unchanged(ended[0] if ended else None))


def update_data(
    now: datetime, scope: Scope, enrollment: UUID | Enrollment, data: Mapping[str, Any], *, merge: bool = True
) -> Flow[Enrollment]:
    """Change a person's data from the next step on: merged over what is there, or in its place."""
    row = yield from _locked(scope, enrollment)
    changed = {**(row["data"] or {}), **checked_data(data)} if merge else checked_data(data)
    moved = yield from enrollments.update_data(
        now, scope, row["id"], changed, [{"code": "data_updated", "fields": sorted(map(str, data))[:20]}]
    )
    return enrollments.from_row(_unchanged(moved))


def move(
    now: datetime,
    scope: Scope,
    enrollment: UUID | Enrollment,
    *,
    version: UUID | None = None,
    step: str | None = None,
    default_zone: str = "Etc/UTC",
    scheduler: Scheduler | None = None,
) -> Flow[Enrollment]:
    """Move a live enrollment to another version of its sequence (default: the active one) and to a step of it.

    Without `step`, to the step of the same key; its wait begins anew. Raises Refused (`move_on_the_way`) while a
    message is on its way, Invalid (`unknown_step`).
    """
    row = yield from _locked(scope, enrollment)
    ENROLLMENT.after("unenroll", row["state"])
    target = yield from _version(scope, row, version)
    here = (yield from sequences.load_version(row["sequence_version_id"])).step_by_id(row["current_step_id"])
    goal = _step_of(target, step or (here.key if here else None))
    arrival = entering.arrive(target, goal, row["data"] or {}, now, default_zone)
    told = [{"code": "moved", "version": target.number}, *arrival.told]
    moved = yield from enrollments.move(
        now, scope, row["id"], version_id=target.id, arrival=arrival, anywhere=step is not None, reasons=told
    )
    if moved is None:
        raise Refused(
            f"A message of enrollment {row['id']} is on its way, or its way on is being chosen.",
            cure="Try again when it has ended; where a way is being chosen, name a step.",
            code="move_on_the_way",
        )
    yield from scheduling.cancel(scheduler, [row["id"]])
    if moved["state"] == "active":
        yield from _arrived(now, [(row["id"], arrival)], scheduler)
    return enrollments.from_row(moved)


def entrance(scope: Scope, sequence: str) -> Flow[Version]:
    """The active version of an active sequence, own tenant's first; raises NotFound or Refused."""
    found = yield from sequences.find(scope, sequence)
    if found is None:
        raise NotFound(f"There is no sequence {sequence!r}.", cure="See: dripdrop sequences")
    if not found.active:
        raise Refused(
            f"The sequence {sequence} is inactive.", cure="Activate it, or choose another.", code="sequence_inactive"
        )
    version = yield from sequences.active_version(found.id)
    if version is None:
        raise NotFound(
            f"The sequence {sequence} has no active version.",
            cure="Activate one: dripdrop apply FILE, or drip.sequences.activate(version).",
            code="no_active_version",
        )
    return version


def _newcomer(
    entry: Entrance, person: tuple[str, str], data: Any, metadata: Any, starting_step: str | None
) -> Newcomer:
    facts = checked_data(data)
    arrival, reasons = entry.arrival(facts, starting_step)
    return Newcomer(person[0], person[1], facts, arrival, checked_data(metadata), reasons)


def _insert(
    now: datetime, scope: Scope, version: Version, newcomers: list[Newcomer], scheduler: Scheduler | None
) -> Flow[dict[tuple[str, str], UUID]]:
    if not newcomers:
        return {}
    made = yield from enrollments.insert_many(
        now, scope, version.sequence_id, version.id, newcomers, reentry=entering.reentry(version)
    )
    people = [(each.subscriber_type, each.subscriber_id) for each in newcomers]
    arrived = [(made[who], each.arrival) for who, each in zip(people, newcomers, strict=True) if who in made]
    if arrived:
        yield from _arrived(now, arrived, scheduler)
    return made


def _arrived(now: datetime, arrived: Sequence[tuple[UUID, Arrival]], scheduler: Scheduler | None) -> Flow[None]:
    """Wake whoever sends what is due, and look back for those who began to wait."""
    due_now = any(each.due_at is not None and each.due_at <= now for _, each in arrived)
    yield from scheduling.schedule(scheduler, [enrollment for enrollment, _ in arrived], due_now=due_now)
    waiting = [enrollment for enrollment, each in arrived if each.as_ == "waiting"]
    if waiting:
        yield from awaiting.began(now, waiting, scheduler=scheduler)


def _result(number: int, made: UUID | None, standing: Row | None, version: Version) -> Result:
    if made is not None:
        return Result(number, made, created=True)
    try:
        return Result(number, _welcome(standing, version)["id"])
    except DripDropError as error:
        return Result(number, error=error)


def _welcome(row: Row | None, version: Version) -> Row:
    """The live row of somebody who is in already; somebody who has been through may not enter again."""
    if row is None:
        raise Conflict("Somebody enrolled and left at the same moment.", cure="Enroll again.", code="enroll_race")
    if row["state"] in ("active", "paused"):
        return row
    again, ended = entering.reentry(version), row["completed_at"] or row["cancelled_at"] or row["updated_at"]
    wait = f"Wait until {telling.moment(ended + again)}, or set" if isinstance(again, timedelta) else "Set"
    raise Refused(
        f"{row['subscriber_type']} {row['subscriber_id']} has been through {version.sequence_key} already.",
        cure=f"{wait} `reentry: always` to let people in again.",
        code="reenrollment_not_allowed",
    )


def _twice(person: tuple[str, str], first: int) -> DripDropError:
    return Conflict(
        f"{person[0]} {person[1]} stands in row {first + 1} already.",
        cure="Remove one of the two.",
        code="duplicate_row",
    )


def _locked(scope: Scope, enrollment: UUID | Enrollment) -> Flow[Row]:
    wanted = enrollment.id if isinstance(enrollment, Enrollment) else enrollment
    rows = yield from enrollments.lock(scope, [wanted])
    if not rows:
        raise NotFound(f"There is no enrollment {wanted}.", cure="See: dripdrop enrollments")
    return rows[0]


def _version(scope: Scope, row: Row, version_id: UUID | None) -> Flow[Version]:
    if version_id is None:
        return (yield from entrance(replace(scope), row["sequence_key"]))
    version = yield from sequences.load_version(version_id)
    if version.sequence_id != row["sequence_id"]:
        raise Invalid(
            f"Version {version_id} belongs to another sequence.",
            cure="Choose one of this sequence.",
            code="other_sequence",
        )
    if version.state == "draft":
        raise Refused(
            f"Version {version.number} of {version.sequence_key} is a draft.",
            cure="Activate it first.",
            code="version_is_draft",
        )
    return version


def _step_of(version: Version, key: str | None) -> Step:
    step = version.step(key) if key is not None else None
    if step is None or not step.active:
        raise Invalid(
            f"Version {version.number} has no active step {key!r}.",
            cure=f"Name one of: {', '.join(each.key for each in version.steps if each.active)}.",
            code="unknown_step",
        )
    return step


def _because(reason: str | None) -> list[Mapping[str, Any]]:
    return [{"code": reason}] if reason else []


def _there(row: Row | None) -> Row:
    if row is None:
        raise Conflict("The enrollment changed meanwhile.", cure="Read it again and retry.")
    return row


def _unchanged(row: Row | None) -> Row:
    return _there(row)
