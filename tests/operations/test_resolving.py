"""A person settles a doubt, or sends something once more."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from tests.operations.desk import ACME, NOW
from tests.operations.scenes import DUE, Stage

from dripdrop.errors import Conflict, DripDropError, IllegalMove, Invalid, NotFound, Refused
from dripdrop.operations import delivering, dispatching, enrolling, reporting, resolving
from dripdrop.operations.delivering import Closing
from dripdrop.rules.endings import Setting
from dripdrop.rules.outcome import Accepted, Askable, Rejected, Unknown
from dripdrop.store.flow import Flow
from dripdrop.store.reports import Execution
from dripdrop.store.scope import GLOBAL, Scope

LATER = DUE + timedelta(hours=1)


@pytest.fixture
def stage(database_url: str) -> Iterator[Stage]:
    with psycopg.connect(database_url, autocommit=True) as connection:
        yield Stage(connection)


def resolve(execution: UUID, as_: str, scope: Scope = GLOBAL) -> Flow[str]:
    return resolving.resolve(LATER, scope, execution, as_=as_)


def found(stage: Stage, execution: UUID) -> Execution:
    return stage.do(reporting.execution(LATER, GLOBAL, execution))


def steps(stage: Stage, execution: UUID) -> list[tuple[str, str]]:
    """(step, state) along the path of the person whose execution it is."""
    (row,) = stage.connection.execute(
        "select enrollment_id from dripdrop.step_executions where id = %s", [execution]
    ).fetchall()
    path = stage.do(reporting.executions(LATER, GLOBAL, enrollment=row[0]))
    return [(each.step, each.state) for each in sorted(path, key=lambda each: each.visit)]


def last_line(stage: Stage, execution: UUID) -> Any:
    return stage.do(reporting.journal(LATER, GLOBAL, execution=execution))[-1]


def refused(kind: type[DripDropError], code: str, stage: Stage, flow: Flow[Any]) -> None:
    before = stage.connection.execute("select t::text from dripdrop.step_executions t order by 1").fetchall()
    with pytest.raises(kind) as caught:
        stage.do(flow)
    assert caught.value.code == code
    assert stage.connection.execute("select t::text from dripdrop.step_executions t order by 1").fetchall() == before


def test_what_arrived_is_sent_and_the_path_goes_on(stage: Stage) -> None:
    execution = stage.closed(Unknown())
    assert stage.do(resolve(execution, "sent")) == "sent"
    assert steps(stage, execution) == [("welcome", "sent"), ("nudge", "scheduled")]
    assert found(stage, execution).attempts[0].outcome == "unknown", "an attempt is never rewritten"
    assert next(iter(last_line(stage, execution).reasons))["code"] == "resolved_sent"


def test_what_did_not_arrive_is_sent_again_under_the_same_key(stage: Stage) -> None:
    execution = stage.closed(Unknown())
    assert stage.do(resolve(execution, "resend")) == "scheduled"
    assert found(stage, execution).scheduled_for == LATER
    (judged,) = stage.claim(stage.worker(), LATER)
    assert judged.claim.key == f"{execution}:0"
    assert judged.claim.in_doubt
    assert judged.claim.recipe is not None
    assert judged.claim.recipe.asked_for


def test_what_is_dropped_is_cancelled_and_the_path_goes_on(stage: Stage) -> None:
    execution = stage.closed(Unknown())
    assert stage.do(resolve(execution, "drop")) == "cancelled"
    assert steps(stage, execution) == [("welcome", "cancelled"), ("nudge", "scheduled")]


def test_what_was_refused_and_kept_can_be_sent_again_under_a_new_key_or_dropped(stage: Stage) -> None:
    execution = stage.closed(Rejected("permanent"))
    assert found(stage, execution).state == "failed"
    refused(IllegalMove, "illegal_move", stage, resolve(execution, "sent"))
    stage.do(resolve(execution, "resend"))
    (judged,) = stage.claim(stage.worker(), LATER)
    assert (judged.claim.key, judged.claim.in_doubt) == (f"{execution}:1", False)


def test_a_failed_one_is_dropped(stage: Stage) -> None:
    execution = stage.closed(Rejected("permanent"))
    stage.do(resolve(execution, "drop"))
    assert steps(stage, execution) == [("welcome", "cancelled"), ("nudge", "scheduled")]


@pytest.mark.parametrize("as_", ["", "SENT", "again", None])
def test_there_are_three_ways_to_resolve(stage: Stage, as_: Any) -> None:
    refused(Invalid, "resolve_as", stage, resolve(stage.closed(Unknown()), as_))


def test_only_what_is_in_doubt_or_kept_can_be_resolved(stage: Stage) -> None:
    enrollment = stage.enroll(1)
    (scheduled,) = stage.do(reporting.executions(NOW, GLOBAL, enrollment=enrollment))
    refused(IllegalMove, "illegal_move", stage, resolve(scheduled.id, "sent"))
    refused(NotFound, "not_found", stage, resolve(uuid4(), "sent"))


def test_what_has_ended_is_not_resolved_but_replayed(stage: Stage) -> None:
    refused(IllegalMove, "illegal_move", stage, resolve(stage.closed(Accepted("m")), "sent"))


def test_what_a_worker_holds_is_left_alone(stage: Stage) -> None:
    worker, (claim,) = stage.sending(1)
    refused(Conflict, "execution_held", stage, resolve(claim.id, "sent"))
    asked_at = timedelta(seconds=30)
    setting = Setting(on_doubt=Askable(asked_at))
    stage.do(delivering.close(DUE, worker, [Closing(claim, Unknown(), setting)]))
    stage.claim(worker, LATER)
    refused(Conflict, "execution_held", stage, resolve(claim.id, "sent"))


def test_a_tenants_doubt_is_nobody_elses(stage: Stage) -> None:
    stage.do(enrolling.enroll(NOW, ACME, "onboarding", subscriber=("user", 1), data={"email": "ann@example.org"}))
    worker = stage.worker()
    (claim,) = stage.open(worker, stage.claim(worker))
    stage.do(delivering.close(DUE, worker, [Closing(claim, Unknown())]))
    for scope in (GLOBAL, Scope("beta")):
        refused(NotFound, "not_found", stage, resolve(claim.id, "sent", scope))
        refused(NotFound, "not_found", stage, resolving.replay(LATER, scope, claim.id))
    assert stage.do(resolve(claim.id, "sent", ACME)) == "sent"
    refused(NotFound, "not_found", stage, resolving.replay(LATER, GLOBAL, claim.id))
    assert isinstance(stage.do(resolving.replay(LATER, ACME, claim.id)), UUID)


@pytest.mark.parametrize("state", ["paused", "cancelled"])
def test_nothing_is_sent_again_for_an_enrollment_that_does_not_go_on(stage: Stage, state: str) -> None:
    execution = stage.closed(Unknown())
    enrollment = found(stage, execution).enrollment_id
    stage.do({"paused": enrolling.pause, "cancelled": enrolling.unenroll}[state](LATER, GLOBAL, enrollment))
    refused(Refused, "enrollment_not_active", stage, resolve(execution, "resend"))
    assert stage.do(resolve(execution, "drop")) == "cancelled"


def test_what_arrived_while_paused_goes_on_after_resuming(stage: Stage) -> None:
    execution = stage.closed(Unknown())
    enrollment = found(stage, execution).enrollment_id
    stage.do(enrolling.pause(DUE, GLOBAL, enrollment))
    stage.do(resolve(execution, "sent"))
    assert steps(stage, execution) == [("welcome", "sent"), ("nudge", "scheduled")]
    assert stage.do(dispatching.claim(LATER + timedelta(days=30), stage.worker(), stage.policy())) == []
    stage.do(enrolling.resume(LATER, GLOBAL, enrollment))
    assert len(stage.claim(stage.worker(), LATER + timedelta(days=3, minutes=1))) == 1


def test_a_message_of_an_ended_enrollment_that_arrived_after_all_is_recorded_and_leads_nowhere(stage: Stage) -> None:
    execution = stage.closed(Unknown())
    enrollment = found(stage, execution).enrollment_id
    stage.do(enrolling.unenroll(DUE, GLOBAL, enrollment))
    assert stage.do(resolve(execution, "sent")) == "sent"
    assert steps(stage, execution) == [("welcome", "sent")]


def test_a_replay_is_an_execution_of_its_own_that_leads_nowhere(stage: Stage) -> None:
    execution = stage.closed(Accepted("m"))
    again = stage.do(resolving.replay(LATER, GLOBAL, execution))
    assert again != execution
    assert steps(stage, execution) == [("welcome", "sent"), ("nudge", "scheduled"), ("welcome", "scheduled")]
    worker = stage.worker()
    (claim,) = stage.open(worker, stage.claim(worker, LATER))
    assert (claim.id, claim.kind, claim.key) == (again, "replay", f"{again}:0")
    stage.do(delivering.close(LATER, worker, [Closing(claim, Accepted("n"))]))
    assert steps(stage, execution) == [("welcome", "sent"), ("nudge", "scheduled"), ("welcome", "sent")]


def test_what_has_not_ended_is_not_replayed(stage: Stage) -> None:
    execution = stage.closed(Unknown())
    refused(IllegalMove, "illegal_move", stage, resolving.replay(LATER, GLOBAL, execution))
    refused(NotFound, "not_found", stage, resolving.replay(LATER, GLOBAL, uuid4()))


def test_a_doubt_is_settled_once(stage: Stage) -> None:
    execution = stage.closed(Unknown())
    stage.do(resolve(execution, "sent"))
    refused(IllegalMove, "illegal_move", stage, resolve(execution, "drop"))
