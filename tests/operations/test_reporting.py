"""Lists show a scope's own rows, page by page; counts add up."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import orjson
import pytest
from tests.operations.desk import ACME, GLOBAL, NOW, Desk, at_desk

from dripdrop.errors import Invalid, NotFound
from dripdrop.operations import reporting, stopping, tracking
from dripdrop.store.scope import Scope

DAY, HOUR = timedelta(days=1), timedelta(hours=1)


@pytest.fixture
def desk(database_url: str) -> Iterator[Desk]:
    with at_desk(database_url) as desk:
        yield desk


@pytest.fixture
def onboarding(desk: Desk) -> UUID:
    return desk.sequence("onboarding", "welcome", "nudge")


def heartbeat(desk: Desk, *, ago: str, lease: str = "60 seconds", stopping: bool = False) -> None:
    desk.ask(
        "insert into dripdrop.workers (name, lease, heartbeat_at, stopping)"
        " values ('w', %(lease)s::interval, clock_timestamp() - %(ago)s::interval, %(stopping)s)",
        lease=lease, ago=ago, stopping=stopping,
    )  # fmt: skip


def test_an_execution_comes_with_its_attempts_and_events(desk: Desk, onboarding: UUID) -> None:
    enrollment = desk.enroll(onboarding)
    sent = desk.ended(enrollment, "welcome", attempts=2)
    for kind, hours in (("delivered", 1), ("opened", 2)):
        desk.ask(
            "insert into dripdrop.message_events (tenant_key, step_execution_id, channel, provider, event_type,"
            " occurred_at, inserted_at) values ('', %(id)s, 'email', 'postbox', %(kind)s::dripdrop.message_event_type,"
            " %(at)s, %(at)s)",
            id=sent, kind=kind, at=NOW + hours * HOUR,
        )  # fmt: skip
    found = desk.do(reporting.execution(NOW, GLOBAL, sent))
    assert (found.step, found.sequence, found.channel, found.state) == ("welcome", "onboarding", "email", "sent")
    assert [(each.number, each.outcome) for each in found.attempts] == [(1, "failed"), (2, "succeeded")]
    assert [each.event_type for each in found.events] == ["delivered", "opened"]
    assert (found.delivery_status, found.recipient) == ("delivered", "ann@example.org")
    assert found.idempotency_key == f"{sent}:0"


def test_what_was_accepted_and_not_heard_of_again_stands_as_accepted(desk: Desk, onboarding: UUID) -> None:
    sent = desk.ended(desk.enroll(onboarding), "welcome")
    assert desk.do(reporting.execution(NOW, GLOBAL, sent)).delivery_status == "accepted"


def test_live_and_ended_executions_are_one_list(desk: Desk, onboarding: UUID) -> None:
    enrollment = desk.enroll(onboarding)
    sent = desk.ended(enrollment, "welcome")
    live = desk.queue(enrollment, "nudge", due=None, visit=2)
    other = desk.ended(desk.enroll(desk.sequence("other", "hello"), "7"), "hello", "skipped")
    assert {each.id for each in desk.do(reporting.executions(NOW, GLOBAL))} == {sent, live, other}
    assert {each.id for each in desk.do(reporting.executions(NOW, GLOBAL, enrollment=enrollment))} == {sent, live}
    assert [each.id for each in desk.do(reporting.executions(NOW, GLOBAL, sequence="other"))] == [other]
    (scheduled,) = desk.do(reporting.executions(NOW, GLOBAL, state="scheduled"))
    assert (scheduled.id, scheduled.scheduled_for, scheduled.attempts) == (live, None, ())


def test_a_page_goes_on_where_the_one_before_ended(desk: Desk, onboarding: UUID) -> None:
    ids = {desk.ended(desk.enroll(onboarding, str(number)), "welcome") for number in range(5)}
    seen: list[UUID] = []
    after = None
    while page := desk.do(reporting.executions(NOW, GLOBAL, limit=2, after=after)):
        seen += [each.id for each in page]
        after = page[-1].id
    assert (set(seen), len(seen)) == (ids, 5)


def test_a_path_that_is_being_chosen_is_no_execution_yet(desk: Desk, onboarding: UUID) -> None:
    desk.queue(desk.enroll(onboarding), "welcome", due=NOW, kind="advance")
    assert desk.do(reporting.executions(NOW, GLOBAL)) == []


def test_no_list_shows_another_tenants_rows(desk: Desk, onboarding: UUID) -> None:
    enrollment = desk.enroll(onboarding, tenant="acme")
    sent = desk.ended(enrollment, "welcome")
    for read in (reporting.executions, reporting.enrollments, reporting.journal, reporting.message_events):
        assert desk.do(read(NOW, Scope("beta"))) == []  # type: ignore[operator]
        assert desk.do(read(NOW, GLOBAL)) == []  # type: ignore[operator]
    assert [each.id for each in desk.do(reporting.executions(NOW, ACME))] == [sent]
    for missing in (reporting.execution(NOW, GLOBAL, sent), reporting.enrollment(NOW, Scope("beta"), enrollment)):
        with pytest.raises(NotFound):
            desk.do(missing)


def test_enrollments_are_found_by_state_sequence_and_person(desk: Desk, onboarding: UUID) -> None:
    ann, bob = desk.enroll(onboarding, "ann", data={"plan": "pro"}), desk.enroll(onboarding, "bob")
    desk.state(bob, "completed")
    assert [each.id for each in desk.do(reporting.enrollments(NOW, GLOBAL, state="active"))] == [ann]
    assert [each.id for each in desk.do(reporting.enrollments(NOW, GLOBAL, subscriber=("user", "bob")))] == [bob]
    assert len(desk.do(reporting.enrollments(NOW, GLOBAL, sequence="onboarding"))) == 2
    assert desk.do(reporting.enrollments(NOW, GLOBAL, sequence="other")) == []
    found = desk.do(reporting.enrollment(NOW, GLOBAL, ann))
    assert (found.sequence_key, found.data) == ("onboarding", {"plan": "pro"})


def test_the_journal_is_read_by_enrollment_by_execution_and_as_a_whole(desk: Desk, onboarding: UUID) -> None:
    ann, bob = desk.enroll(onboarding, "ann"), desk.enroll(onboarding, "bob")
    sent = desk.ended(ann, "welcome", reasons=[{"code": "next", "step": "nudge"}])
    desk.tell(ann, "paused")
    lines = desk.do(reporting.journal(NOW, GLOBAL, enrollment=ann))
    assert [(line.seq, line.event) for line in lines] == [(1, "enrolled"), (2, "sent"), (3, "paused")]
    assert [line.event for line in desk.do(reporting.journal(NOW, GLOBAL, enrollment=ann, limit=2))] == [
        "sent",
        "paused",
    ]
    (line,) = desk.do(reporting.journal(NOW, GLOBAL, execution=sent))
    assert (line.step, line.reasons) == ("welcome", ({"code": "next", "step": "nudge"},))
    assert {line.enrollment_id for line in desk.do(reporting.journal(NOW, GLOBAL))} == {ann, bob}
    with pytest.raises(NotFound):
        desk.do(reporting.journal(NOW, GLOBAL, execution=uuid4()))


def test_what_the_host_tracked_is_listed(desk: Desk) -> None:
    desk.do(tracking.track(NOW, ACME, "signed_up", subscriber=("user", 42), data={"plan": "pro"}))
    desk.do(tracking.track(NOW, ACME, "paid", subscriber=("user", 7)))
    (event,) = desk.do(reporting.events(NOW, ACME, subscriber=("user", 42)))
    assert (event.event_key, event.event_data) == ("signed_up", {"plan": "pro"})
    assert [each.subscriber_id for each in desk.do(reporting.events(NOW, ACME, event="paid"))] == ["7"]
    assert desk.do(reporting.events(NOW, GLOBAL)) == []


@pytest.mark.parametrize(
    "asked", [{"state": "running"}, {"limit": 0}, {"limit": 1001}, {"limit": True}, {"limit": "many"}]
)
def test_a_question_that_makes_no_sense_is_refused(desk: Desk, asked: dict[str, Any]) -> None:
    for read in (reporting.executions, reporting.enrollments):
        with pytest.raises(Invalid):
            desk.do(read(NOW, GLOBAL, **asked))  # type: ignore[operator]


def test_the_status_counts_people_queue_workers_and_stops(desk: Desk, onboarding: UUID) -> None:
    people = [desk.enroll(onboarding, str(number)) for number in range(5)]
    desk.queue(people[0], "welcome", due=NOW - HOUR)
    desk.queue(people[1], "welcome", due=NOW + HOUR)
    desk.queue(people[2], "welcome", due=None, state="failed")
    desk.queue(people[3], "welcome", due=NOW + HOUR, state="unknown")
    desk.ended(people[4], "welcome", at=NOW - HOUR)
    desk.ended(people[4], "nudge", at=NOW - 2 * DAY, visit=2)
    desk.state(people[4], "completed")
    heartbeat(desk, ago="5 seconds")
    heartbeat(desk, ago="5 seconds", stopping=True)
    heartbeat(desk, ago="2 minutes")
    desk.do(stopping.stop(NOW, GLOBAL, tenant="acme", reason="late payment"))
    found = desk.do(reporting.status(NOW, GLOBAL))
    assert found["queue"] == {"scheduled": 2, "failed": 1, "unknown": 1}
    assert (found["due_now"], found["oldest_due"], found["needs_attention"]) == (1, NOW - HOUR, 1)
    assert (found["sent_last_day"], found["workers"]) == (1, {"alive": 2, "stopping": 1})
    (sequence,) = found["sequences"]
    assert sequence["enrollments"] == {"active": 4, "paused": 0, "completed": 1, "cancelled": 0}
    assert (sequence["key"], sequence["version"]) == ("onboarding", 1)
    assert [(each["kind"], each["tenant"]) for each in found["stops"]] == [("tenant", "acme")]
    assert orjson.loads(orjson.dumps(found))["at"].startswith("2030-03-01T09:00")


def test_the_status_of_a_tenant_is_its_own_and_the_operators_is_all(desk: Desk, onboarding: UUID) -> None:
    desk.queue(desk.enroll(onboarding, tenant="acme"), "welcome", due=NOW)
    desk.queue(desk.enroll(onboarding, tenant="beta"), "welcome", due=NOW)
    desk.sequence("private", "hello", tenant="beta")
    acme, everyone = desk.do(reporting.status(NOW, ACME)), desk.do(reporting.status(NOW, GLOBAL))
    assert (acme["due_now"], everyone["due_now"]) == (1, 2)
    assert [each["key"] for each in acme["sequences"]] == ["onboarding"]
    assert acme["sequences"][0]["enrollments"]["active"] == 1
    assert [each["tenant"] for each in everyone["sequences"]] == [None, "beta"]


def test_an_empty_installation_has_a_status_too(desk: Desk) -> None:
    found = desk.do(reporting.status(NOW, GLOBAL))
    assert (found["sequences"], found["queue"], found["oldest_due"], found["workers"]["alive"]) == ([], {}, None, 0)


def test_readiness_asks_the_database(desk: Desk) -> None:
    assert desk.do(reporting.ready(NOW)) is None
    assert len(list(reporting.ready(NOW))) == 1
