"""What does it cause that somebody follows a link from a message to hear no more?"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from dripdrop.errors import Invalid
from dripdrop.operations import reporting, suppressing
from dripdrop.rules import links
from dripdrop.rules.lifecycle import ENROLLMENT
from dripdrop.rules.recipients import needle, normalize, spoken_of
from dripdrop.store import enrollments, feedback, sequences, suppressions
from dripdrop.store.enrollments import Leaving
from dripdrop.store.flow import Flow, Row
from dripdrop.store.scope import Scope
from dripdrop.store.suppressions import Suppression

ONE_CLICK = "one_click"
_BECAUSE = ({"code": "unsubscribed", "source": ONE_CLICK},)


def unsubscribe(
    now: datetime, token: links.Unsubscribe, *, everything: bool = False, ends: bool = True
) -> Flow[Suppression]:
    """What a valid unsubscribe link causes: the suppression, a message event, and the end of marketing enrollments.

    The suppression is of the link's topic (its own, else its sequence's) or of every topic: where there is none, and
    with `everything`. What ends, unless `ends` is false: the enrollment that the message came from; for a link that
    names a sequence alone, every enrollment of the recipient in it; of those who want nothing at all any more, also
    their others that have only this channel. The scope is the token's own; doing it again changes nothing.
    """
    scope = Scope(token.tenant_key)
    row = yield from _of_execution(scope, token)
    sequence = (yield from _of_sequence(scope, token)) if row is None else None
    topic = "" if everything else token.topic or _topic(row) or _topic(sequence)
    if row is not None:
        told = {"source": ONE_CLICK, **({"topic": topic} if topic else {})}
        yield from suppressions.note_unsubscribe(now, scope, row["id"], row["adapter_id"], token.channel, told)
    if ends:
        yield from _leave(now, scope, (yield from _concerned(scope, token, row, sequence, of_all=not topic)))
    # Enrollments before addresses: whoever closes an execution has them in this order.
    return (
        yield from suppressing.suppress(
            now, scope, token.channel, token.recipient, "unsubscribe", source=ONE_CLICK, topic=topic or None
        )
    )


def named(now: datetime, scope: Scope, execution: UUID) -> Flow[links.Unsubscribe]:
    """What the link of an execution's message names: its recipient, its sequence, and the sequence's topic.

    Raises NotFound, and Invalid (`missing_recipient`) while nobody knows whom it goes to.
    """
    found = yield from reporting.execution(now, scope, execution)
    row = yield from suppressions.execution(scope, execution)
    if not found.recipient or not found.channel or row is None:
        raise Invalid("Nobody knows yet whom it goes to.", cure="Ask once it is on its way.", code="missing_recipient")
    recipient, sequence = normalize(found.channel, found.recipient), str(row["sequence_id"])
    return links.Unsubscribe(scope.tenant, found.channel, recipient, sequence, str(execution), _topic(row) or None)


def _of_execution(scope: Scope, token: links.Unsubscribe) -> Flow[Row | None]:
    execution = _uuid(token.execution)
    return (yield from suppressions.execution(scope, execution)) if execution is not None else None


def _of_sequence(scope: Scope, token: links.Unsubscribe) -> Flow[Row | None]:
    if not token.sequence:
        return None
    found = yield from sequences.find(scope, token.sequence)
    return (yield from suppressions.sequence(found.id)) if found is not None else None


def _topic(row: Row | None) -> str:
    return row["topic"] if row is not None else ""


def _concerned(
    scope: Scope, token: links.Unsubscribe, row: Row | None, sequence: Row | None, *, of_all: bool
) -> Flow[set[UUID]]:
    """The enrollments that end. Who asks for no more news still gets the receipt that was asked for."""
    found: set[UUID] = set()
    people: set[tuple[str, str, str, str]] = set()
    if row is not None:
        if not row["transactional"] and row["enrollment_state"] in ("active", "paused"):
            found.add(row["enrollment_id"])
        people.add((scope.tenant, row["subscriber_type"], row["subscriber_id"], token.channel))
    elif sequence is not None:
        piece, digits = needle(token.channel, token.recipient)
        for each in (yield from suppressions.enrolled_as(scope, sequence["id"], piece, digits=digits)):
            if spoken_of(token.channel, token.recipient, [each["subscriber_id"], each["data"]]):
                found.add(each["id"])
                people.add((scope.tenant, each["subscriber_type"], each["subscriber_id"], token.channel))
    if of_all and people:
        found |= {each["id"] for each in (yield from feedback.others_of(sorted(people)))}
    return found


def _leave(now: datetime, scope: Scope, ending: set[UUID]) -> Flow[None]:
    leaving: Sequence[Leaving] = [Leaving(each, "cancelled", "unsubscribed", _BECAUSE) for each in sorted(ending)]
    if leaving:
        yield from enrollments.leave_many(now, scope, leaving, sources=ENROLLMENT.sources("unenroll"))


def _uuid(text: str | None) -> UUID | None:
    try:
        return UUID(text) if text else None
    except ValueError:
        return None
