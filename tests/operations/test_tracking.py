"""Something happened in the host: it is written down, and ends what it should end."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from tests.operations.desk import ACME, NOW
from tests.operations.scenes import DOCUMENT, DUE, Stage

from dripdrop.errors import DripDropError, Invalid, NotFound
from dripdrop.operations import authoring, delivering, enrolling, reporting, tracking
from dripdrop.operations.delivering import Closing
from dripdrop.operations.tracking import Tracked
from dripdrop.rules.outcome import Accepted
from dripdrop.store.flow import Flow
from dripdrop.store.scope import GLOBAL, Scope


@pytest.fixture
def stage(database_url: str) -> Iterator[Stage]:
    with psycopg.connect(database_url, autocommit=True) as connection:
        yield Stage(connection)


def track(event: str = "bought", who: Any = 1, scope: Scope = GLOBAL, **more: Any) -> Flow[Tracked]:
    return tracking.track(NOW, scope, event, subscriber=("user", who), **more)


def refused(kind: type[DripDropError], code: str, stage: Stage, flow: Flow[Any]) -> None:
    with pytest.raises(kind) as caught:
        stage.do(flow)
    assert caught.value.code == code
    assert stage.connection.execute("select count(*) from dripdrop.events").fetchall() == [(0,)]


def test_an_event_is_written_down_even_when_it_ends_nothing(stage: Stage) -> None:
    told = stage.do(track("looked", 99, data={"page": "/prices"}))
    assert (told.event, told.subscriber_type, told.subscriber_id, told.ended) == ("looked", "user", "99", ())
    assert told.occurred_at == NOW
    (kept,) = stage.do(reporting.events(NOW, GLOBAL, subscriber=("user", 99)))
    assert (kept.id, kept.event_key, kept.event_data) == (told.id, "looked", {"page": "/prices"})


def test_an_event_ends_the_enrollments_whose_sequence_names_it_and_no_others(stage: Stage) -> None:
    ends, stays = stage.enroll(1), stage.enroll(2)
    stage.do(authoring.apply(NOW, GLOBAL, {**DOCUMENT, "sequence": "patient", "exit_on": ["left"]}))
    other = stage.do(enrolling.enroll(NOW, GLOBAL, "patient", subscriber=("user", 1)))
    assert stage.do(track(" bought ")).ended == (ends.id,)
    ended = stage.do(reporting.enrollment(NOW, GLOBAL, ends.id))
    assert (ended.state, ended.reason) == ("cancelled", "event:bought")
    assert {stage.do(reporting.enrollment(NOW, GLOBAL, each.id)).state for each in (stays, other)} == {"active"}
    line = stage.do(reporting.journal(NOW, GLOBAL, enrollment=ends))[-1]
    assert line.event == "cancelled"
    assert [reason["code"] for reason in line.reasons] == ["exit_on"]
    (execution,) = stage.do(reporting.executions(NOW, GLOBAL, enrollment=ends))
    assert execution.state == "cancelled"


def test_an_event_of_one_enrollment_ends_no_other_of_the_same_person(stage: Stage) -> None:
    ends = stage.enroll(1)
    stage.do(authoring.apply(NOW, GLOBAL, {**DOCUMENT, "sequence": "another"}))
    other = stage.do(enrolling.enroll(NOW, GLOBAL, "another", subscriber=("user", 1)))
    told = stage.do(tracking.track(NOW, GLOBAL, "bought", enrollment=ends.id))
    assert (told.ended, told.subscriber_id) == ((ends.id,), "1")
    assert stage.do(reporting.enrollment(NOW, GLOBAL, other.id)).state == "active"


def test_a_paused_enrollment_ends_too_and_an_ended_one_only_once(stage: Stage) -> None:
    enrollment = stage.enroll(1)
    stage.do(enrolling.pause(NOW, GLOBAL, enrollment))
    assert stage.do(track()).ended == (enrollment.id,)
    assert stage.do(track()).ended == ()
    assert stage.connection.execute("select count(*) from dripdrop.events").fetchall() == [(2,)]


def test_what_is_on_the_wire_is_recorded_when_it_comes_back(stage: Stage) -> None:
    worker, (claim,) = stage.sending(1)
    assert stage.do(track()).ended == (claim.enrollment_id,)
    stage.do(delivering.close(DUE, worker, [Closing(claim, Accepted("m"))]))
    (execution,) = stage.do(reporting.executions(DUE, GLOBAL, enrollment=claim.enrollment_id))
    assert execution.state == "sent"


def test_tenants_end_only_their_own(stage: Stage) -> None:
    theirs = stage.do(enrolling.enroll(NOW, ACME, "onboarding", subscriber=("user", 1)))
    assert stage.do(track()).ended == ()
    assert stage.do(track(scope=Scope("beta"))).ended == ()
    assert stage.do(track(scope=ACME)).ended == (theirs.id,)
    assert len(stage.do(reporting.events(NOW, ACME))) == 1


@pytest.mark.parametrize("event", ["", "   ", None, 7])
def test_an_event_needs_a_key(stage: Stage, event: Any) -> None:
    refused(Invalid, "missing_event", stage, track(event))


@pytest.mark.parametrize("event", ["a\x00b", "\ud800"])
def test_a_key_that_cannot_be_kept_is_refused(stage: Stage, event: str) -> None:
    refused(Invalid, "missing_event", stage, track(event))


def test_an_event_needs_somebody_it_happened_to(stage: Stage) -> None:
    refused(Invalid, "missing_subscriber", stage, tracking.track(NOW, GLOBAL, "bought"))
    refused(Invalid, "missing_subscriber", stage, track(who=""))
    refused(NotFound, "not_found", stage, tracking.track(NOW, GLOBAL, "bought", enrollment=uuid4()))
    theirs = stage.do(enrolling.enroll(NOW, ACME, "onboarding", subscriber=("user", 1)))
    refused(NotFound, "not_found", stage, tracking.track(NOW, GLOBAL, "bought", enrollment=theirs.id))


@pytest.mark.parametrize("data", ["text", ["list"], {"name": "\x00"}])
def test_an_events_data_are_checked_as_a_persons_are(stage: Stage, data: Any) -> None:
    refused(Invalid, "bad_data", stage, track(data=data))


def test_two_events_at_once_end_an_enrollment_once(stage: Stage, database_url: str) -> None:
    """The second waits for the first, and then finds nothing to end."""
    import threading

    from dripdrop.store.runners import run_sync

    enrollment = stage.enroll(1)
    done: list[Tracked] = []
    backend: list[int] = []

    def work() -> None:
        with psycopg.connect(database_url) as connection:
            backend.append(connection.info.backend_pid)
            done.append(run_sync(connection, track()))

    with psycopg.connect(database_url) as first:
        assert run_sync(first, track()).ended == (enrollment.id,)
        thread = threading.Thread(target=work)
        thread.start()
        pause = threading.Event()
        for _ in range(1000):
            if (
                backend
                and stage.connection.execute(
                    "select 1 from pg_locks where pid = %s and not granted", [backend[0]]
                ).fetchall()
            ):
                break
            pause.wait(0.01)
        else:
            raise AssertionError("it waits for nobody")
        first.commit()
    thread.join(60)
    assert done[0].ended == ()
    assert [line.event for line in stage.do(reporting.journal(NOW, GLOBAL, enrollment=enrollment))] == [
        "enrolled", "cancelled",
    ]  # fmt: skip
