"""Who may enter, how often, with what; and how one pauses, goes on, changes, moves and leaves."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.operations.desk import ACME, NOW
from tests.operations.scenes import DOCUMENT, DUE, Stage

from dripdrop.errors import Conflict, DripDropError, IllegalMove, Invalid, NotFound, Refused
from dripdrop.operations import authoring, cataloguing, delivering, enrolling, reporting, subscribers
from dripdrop.operations.delivering import Closing
from dripdrop.operations.enrolling import Result
from dripdrop.rules.outcome import Accepted, Rejected, Unknown
from dripdrop.store.enrollments import Enrollment, dumps
from dripdrop.store.flow import Flow
from dripdrop.store.runners import run_sync
from dripdrop.store.scope import GLOBAL, Scope
from dripdrop.testing import count_queries

BETA = Scope("beta")


@pytest.fixture
def stage(database_url: str) -> Iterator[Stage]:
    with psycopg.connect(database_url, autocommit=True) as connection:
        yield Stage(connection)


def enroll(
    who: Any = 1, scope: Scope = GLOBAL, sequence: str = "onboarding", at: datetime = NOW, **more: Any
) -> Flow[Enrollment]:
    given = {"data": {"email": "ann@example.org"}, **more}
    return enrolling.enroll(at, scope, sequence, subscriber=("user", who), **given)


def rows(stage: Stage, text: str) -> list[tuple[Any, ...]]:
    return stage.connection.execute(text.encode()).fetchall()


def refused(kind: type[DripDropError], code: str, stage: Stage, flow: Flow[Any]) -> DripDropError:
    with pytest.raises(kind) as caught:
        stage.do(flow)
    assert caught.value.code == code
    return caught.value


def journal(stage: Stage, enrollment: Enrollment) -> list[str]:
    return [line.event for line in stage.do(reporting.journal(NOW, GLOBAL, enrollment=enrollment))]


def live(stage: Stage, enrollment: Enrollment) -> list[tuple[Any, ...]]:
    """(step, held, due) of what is pending."""
    return stage.connection.execute(
        "select s.key, q.due_at = 'infinity', case when isfinite(q.due_at) then q.due_at end"
        " from dripdrop.execution_queue q join dripdrop.steps s on s.id = q.step_id"
        ""
        " where q.enrollment_id = %s order by q.visit",
        [enrollment.id],
    ).fetchall()


# Entering


def test_whoever_is_enrolled_has_data_a_first_step_and_a_first_line_in_the_journal(stage: Stage) -> None:
    made = stage.do(enroll(metadata={"source": "import"}))
    assert (made.created, made.state, made.sequence_key, made.tenant_key) == (True, "active", "onboarding", None)
    assert (made.subscriber_type, made.subscriber_id, made.revision) == ("user", "1", 1)
    assert (made.data, made.metadata) == ({"email": "ann@example.org"}, {"source": "import"})
    assert [step for step, _, _ in live(stage, made)] == ["welcome"]
    assert journal(stage, made) == ["enrolled"]


def test_whoever_is_in_already_gets_their_own_row_unchanged(stage: Stage) -> None:
    first = stage.do(enroll())
    again = stage.do(enroll(data={"email": "other@example.org"}))
    assert (again.id, again.created, again.data) == (first.id, False, first.data)
    stage.do(enrolling.pause(NOW, GLOBAL, first))
    assert stage.do(enroll()).state == "paused"
    assert rows(stage, "select count(*) from dripdrop.execution_queue") == [(1,)]


@contextmanager
def held_back(url: str, flow: Flow[Any]) -> Iterator[psycopg.Connection[Any]]:
    """A transaction of its own in which this has happened and is not committed."""
    with psycopg.connect(url) as other:
        run_sync(other, flow)
        yield other


def in_a_thread(url: str, flow: Flow[Any]) -> tuple[threading.Thread, list[Any], list[int]]:
    done: list[Any] = []
    backend: list[int] = []

    def work() -> None:
        with psycopg.connect(url) as connection:
            backend.append(connection.info.backend_pid)
            done.append(run_sync(connection, flow))

    thread = threading.Thread(target=work)
    thread.start()
    return thread, done, backend


def until_it_waits(stage: Stage, backend: list[int], thread: threading.Thread) -> None:
    deadline = threading.Event()
    for _ in range(1000):
        if backend and rows(stage, f"select 1 from pg_locks where pid = {backend[0]} and not granted"):
            return
        assert thread.is_alive()
        deadline.wait(0.01)
    raise AssertionError("it waits for nobody")


def test_of_two_that_race_the_loser_gets_the_winners_row(stage: Stage, database_url: str) -> None:
    with held_back(database_url, enroll(data={"email": "winner@example.org"})) as winner:
        thread, done, backend = in_a_thread(database_url, enroll(data={"email": "loser@example.org"}))
        until_it_waits(stage, backend, thread)
        winner.commit()
    thread.join(60)
    (lost,) = done
    assert (lost.created, lost.data) == (False, {"email": "winner@example.org"})
    assert rows(stage, "select id from dripdrop.enrollments") == [(lost.id,)]
    assert rows(stage, "select count(*) from dripdrop.execution_queue") == [(1,)]


def test_where_the_winner_rolls_back_the_loser_has_won(stage: Stage, database_url: str) -> None:
    with held_back(database_url, enroll()) as winner:
        thread, done, backend = in_a_thread(database_url, enroll())
        until_it_waits(stage, backend, thread)
        winner.rollback()
    thread.join(60)
    assert done[0].created


def test_a_list_that_races_with_one_person_gets_that_persons_row(stage: Stage, database_url: str) -> None:
    everybody = [{"subscriber": ("user", each), "data": {}} for each in range(5)]
    with held_back(database_url, enroll(3)) as winner:
        thread, done, backend = in_a_thread(database_url, enrolling.enroll_many(NOW, GLOBAL, "onboarding", everybody))
        until_it_waits(stage, backend, thread)
        winner.commit()
    thread.join(60)
    (results,) = done
    assert [each.created for each in results] == [True, True, True, False, True]
    assert all(each.ok for each in results)


@pytest.mark.parametrize("ended", ["completed", "cancelled"])
def test_whoever_has_been_through_may_enter_again_only_where_the_sequence_says_so(stage: Stage, ended: str) -> None:
    first = stage.do(enroll())
    end(stage, first, ended)
    error = refused(Refused, "reenrollment_not_allowed", stage, enroll())
    assert "reentry" in error.cure
    stage.do(authoring.apply(NOW, GLOBAL, {**DOCUMENT, "reentry": "always"}))
    second = stage.do(enroll())
    assert (second.created, second.id == first.id) == (True, False)
    again = stage.do(enroll())
    assert (again.id, again.created) == (second.id, False), "the live one comes before the ended one"


def test_whoever_has_been_through_may_enter_again_after_the_time_the_sequence_says(stage: Stage) -> None:
    stage.do(authoring.apply(NOW, GLOBAL, {**DOCUMENT, "reentry": {"after": "in 30 days"}}))
    first = stage.do(enroll())
    end(stage, first, "cancelled")
    month = timedelta(days=30)
    error = refused(Refused, "reenrollment_not_allowed", stage, enroll(at=NOW + month - timedelta(seconds=1)))
    assert f"Wait until {NOW + month:%Y-%m-%d %H:%M} UTC" in error.cure
    assert stage.do(enroll(at=NOW + month)).created


def end(stage: Stage, enrollment: Enrollment, state: str) -> None:
    if state == "cancelled":
        stage.do(enrolling.unenroll(NOW, GLOBAL, enrollment))
    else:
        stage.connection.execute("update dripdrop.enrollments set state = 'completed' where id = %s", [enrollment.id])


def test_tenants_enroll_the_same_person_independently_in_a_global_sequence(stage: Stage) -> None:
    made = [stage.do(enroll(scope=scope)) for scope in (GLOBAL, ACME, BETA)]
    assert all(each.created for each in made)
    assert [each.tenant_key for each in made] == [None, "acme", "beta"]
    assert not stage.do(enroll(scope=ACME)).created


def test_a_tenants_own_sequence_comes_first_and_is_nobody_elses(stage: Stage) -> None:
    own = stage.do(authoring.apply(NOW, ACME, {**DOCUMENT, "name": "Ours"})).sequence
    assert stage.do(enroll(scope=ACME)).sequence_id == own.id
    assert stage.do(enroll(scope=BETA)).sequence_id != own.id
    stage.do(authoring.apply(NOW, ACME, {**DOCUMENT, "sequence": "secret"}))
    refused(NotFound, "not_found", stage, enroll(scope=BETA, sequence="secret"))
    refused(NotFound, "not_found", stage, enroll(sequence="secret"))


def test_nobody_enters_what_is_missing_switched_off_or_not_in_force(stage: Stage) -> None:
    refused(NotFound, "not_found", stage, enroll(sequence="nothing"))
    stage.do(authoring.archive(NOW, GLOBAL, stage.applied.version))
    refused(NotFound, "no_active_version", stage, enroll())
    stage.do(cataloguing.update_sequence(NOW, GLOBAL, "onboarding", active=False))
    refused(Refused, "sequence_inactive", stage, enroll())


@pytest.mark.parametrize(
    "subscriber",
    [None, (), ("user",), ("user", None), ("", 1), ("user", "  "), ("user", 1, 2), "user 1", 42, {"type": "user"},
     ("user", "x" * 256), ("us\x00er", 1), ("user", "\ud800")],
)  # fmt: skip
def test_a_subscriber_is_a_type_and_an_id(stage: Stage, subscriber: Any) -> None:
    refused(Invalid, "missing_subscriber", stage, enrolling.enroll(NOW, GLOBAL, "onboarding", subscriber=subscriber))


@pytest.mark.parametrize("subscriber", [("user", 7), ["user", "7"], {"type": "user", "id": 7}, (" user ", " 7 ")])
def test_a_subscriber_may_be_written_as_a_pair_or_a_mapping(stage: Stage, subscriber: Any) -> None:
    made = stage.do(enrolling.enroll(NOW, GLOBAL, "onboarding", subscriber=subscriber))
    assert (made.subscriber_type, made.subscriber_id) == ("user", "7")


BAD_DATA = [["a", "list"], "text", 7, {"name": "a\x00b"}, {"deep": [{"er": "\x00"}]}, {"name": "\ud800"}, {"n": 2**70}]


@pytest.mark.parametrize("data", BAD_DATA, ids=repr)
def test_data_that_cannot_be_kept_is_refused_wherever_it_is_given(stage: Stage, data: Any) -> None:
    refused(Invalid, "bad_data", stage, enroll(data=data))
    refused(Invalid, "bad_data", stage, enroll(metadata=data))
    enrollment = stage.do(enroll())
    refused(Invalid, "bad_data", stage, enrolling.update_data(NOW, GLOBAL, enrollment, data))
    results = stage.do(
        enrolling.enroll_many(
            NOW, GLOBAL, "onboarding", [{"subscriber": ("user", 2), "data": data}, {"subscriber": ("user", 3)}]
        )
    )
    assert [getattr(each.error, "code", None) for each in results] == ["bad_data", None]


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(-1e15, 1e15)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=10,
)  # fmt: skip


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.dictionaries(st.text(st.characters(exclude_categories=["Cs"]), max_size=8), ANYTHING, max_size=4))
def test_data_come_back_as_they_were_given_or_are_refused(stage: Stage, data: dict[str, Any]) -> None:
    try:
        subscribers.checked_data(data)
    except Invalid as error:
        assert error.code == "bad_data"
        assert any("\x00" in text for text in texts(data))
    else:
        assert stage.connection.execute("select %s::jsonb", [dumps(data)]).fetchall() == [(data,)]


def texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for pair in value.items():
            yield from texts(list(pair))
    elif isinstance(value, list):
        for each in value:
            yield from texts(each)


def test_text_that_only_looks_like_a_null_character_is_kept(stage: Stage) -> None:
    assert stage.do(enroll(data={"name": "\\u0000"})).data == {"name": "\\u0000"}


def test_one_may_begin_at_a_step_of_ones_choice(stage: Stage) -> None:
    made = stage.do(enroll(starting_step="nudge"))
    ((step, _, due),) = live(stage, made)
    assert (step, due) == ("nudge", NOW + timedelta(days=3))
    refused(Invalid, "unknown_step", stage, enroll(2, starting_step="nowhere"))


# Many at once


def queries_of(stage: Stage, people: list[Any]) -> tuple[int, list[Result]]:
    results: list[Any] = []

    def flow() -> Flow[None]:
        results.extend((yield from enrolling.enroll_many(NOW, GLOBAL, "onboarding", people)))

    with stage.connection.transaction():
        from dripdrop.store.runners import _Psycopg

        runner = _Psycopg(stage.connection)
        asked = count_queries(lambda query: runner.fetch(query.text, query.params), flow())
    return asked, results


def test_three_thousand_rows_take_as_many_statements_as_three(stage: Stage) -> None:
    def people(first: int, count: int) -> list[Any]:
        return [{"subscriber": ("user", each), "data": {"n": each}} for each in range(first, first + count)]

    few, _ = queries_of(stage, people(0, 3))
    many, results = queries_of(stage, people(3, 3000))
    assert few == many
    assert [each.row for each in results] == list(range(3000))
    assert all(each.ok and each.created and isinstance(each.enrollment_id, UUID) for each in results)
    assert len({each.enrollment_id for each in results}) == 3000
    assert rows(stage, "select count(*) from dripdrop.enrollment_data d where d.data ? 'n'") == [(3003,)]
    kept = rows(
        stage,
        "select count(*) from dripdrop.enrollments e join dripdrop.enrollment_data d on d.enrollment_id = e.id"
        " where e.subscriber_id = d.data ->> 'n'",
    )
    assert kept == [(3003,)], "each has their own data"


def test_each_bad_row_is_reported_and_the_good_ones_are_enrolled(stage: Stage) -> None:
    stage.do(enroll("in"))
    out = stage.do(enroll("out"))
    stage.do(enrolling.unenroll(NOW, GLOBAL, out))
    people: list[Any] = [
        {"subscriber": ("user", "a"), "data": {"email": "a@example.org"}},
        {"data": {"email": "nobody@example.org"}},
        {"subscriber": ("user", "in")},
        {"subscriber": ("user", "out")},
        {"subscriber": ("user", "b"), "data": "text"},
        {"subscriber": ("user", "b")},
        {"subscriber": {"type": "user", "id": "a"}},
        {"subscriber": ("user", "c"), "starting_step": "nowhere"},
        {"subscriber": ("user", "d"), "starting_step": "nudge", "metadata": {"from": "csv"}},
        None,
        "text",
        {"subscriber": ("user", "\ud800")},
        {"subscriber": ("user", "e"), "metadata": {"name": "\x00"}},
        {"subscriber": ("user", "f"), "starting_step": 7},
    ]
    _, results = queries_of(stage, people)
    assert [(each.created, getattr(each.error, "code", None)) for each in results] == [
        (True, None),
        (False, "missing_subscriber"),
        (False, None),
        (False, "reenrollment_not_allowed"),
        (False, "bad_data"),
        (True, None),
        (False, "duplicate_row"),
        (False, "unknown_step"),
        (True, None),
        (False, "bad_row"),
        (False, "bad_row"),
        (False, "missing_subscriber"),
        (False, "bad_data"),
        (False, "unknown_step"),
    ]
    assert all((each.error is None) == each.ok for each in results)
    assert results[2].enrollment_id == stage.do(enroll("in")).id
    assert "row 1" in str(results[6].error)
    assert stage.do(enrolling.enroll_many(NOW, GLOBAL, "onboarding", [])) == []
    people_now = rows(stage, "select subscriber_id from dripdrop.enrollments where state = 'active' order by 1")
    assert people_now == [("a",), ("b",), ("d",), ("in",)]


def test_a_list_in_which_everybody_is_in_already_says_so(stage: Stage) -> None:
    people = [{"subscriber": ("user", each)} for each in range(50)]
    stage.do(enrolling.enroll_many(NOW, GLOBAL, "onboarding", people))
    again = stage.do(enrolling.enroll_many(NOW, GLOBAL, "onboarding", people))
    assert all(each.ok and not each.created and each.enrollment_id for each in again)
    assert rows(stage, "select count(*) from dripdrop.enrollments") == [(50,)]


def test_a_list_for_a_missing_sequence_is_refused_as_a_whole(stage: Stage) -> None:
    refused(NotFound, "not_found", stage, enrolling.enroll_many(NOW, GLOBAL, "nothing", [{"subscriber": ("u", 1)}]))


# Pausing and going on


def test_pausing_keeps_the_time_that_was_left(stage: Stage) -> None:
    enrollment = stage.do(enroll(starting_step="nudge"))
    stage.do(enrolling.pause(NOW + timedelta(days=1), GLOBAL, enrollment, reason="asked"))
    assert [(step, held) for step, held, _ in live(stage, enrollment)] == [("nudge", True)]
    resumed = stage.do(enrolling.resume(NOW + timedelta(days=30), GLOBAL, enrollment))
    assert resumed.state == "active"
    assert live(stage, enrollment)[0][2] == NOW + timedelta(days=32)
    assert journal(stage, enrollment) == ["enrolled", "paused", "resumed"]


def test_what_was_overdue_when_paused_is_due_at_once_when_resumed(stage: Stage) -> None:
    enrollment = stage.do(enroll())
    stage.do(enrolling.pause(DUE, GLOBAL, enrollment))
    later = NOW + timedelta(days=5)
    stage.do(enrolling.resume(later, GLOBAL, enrollment))
    assert live(stage, enrollment)[0][2] == later


def test_resuming_with_nothing_left_completes(stage: Stage) -> None:
    worker, (claim,) = stage.sending(1)
    stage.connection.execute("update dripdrop.enrollments set data_revision = 1")
    stage.do(enrolling.pause(DUE, GLOBAL, claim.enrollment_id))
    stage.connection.execute("delete from dripdrop.execution_queue")
    done = stage.do(enrolling.resume(DUE, GLOBAL, claim.enrollment_id))
    assert (done.state, done.completed_at) == ("completed", DUE)
    del worker


@pytest.mark.parametrize(
    ("came", "states"),
    [
        (Accepted("m"), [("welcome", "sent"), ("nudge", "scheduled")]),
        (Rejected("temporary"), [("welcome", "scheduled")]),
        (Unknown(), [("welcome", "unknown")]),
    ],
    ids=["accepted", "refused", "unknown"],
)
def test_what_is_on_its_way_while_paused_is_recorded_and_goes_no_further(
    stage: Stage, came: Any, states: list[Any]
) -> None:
    worker, (claim,) = stage.sending(1)
    stage.do(enrolling.pause(DUE, GLOBAL, claim.enrollment_id))
    stage.do(delivering.close(DUE, worker, [Closing(claim, came)]))
    found = stage.do(reporting.executions(DUE, GLOBAL, enrollment=claim.enrollment_id))
    assert [(each.step, each.state) for each in sorted(found, key=lambda each: each.visit)] == states
    assert all(each.scheduled_for is None for each in found if each.state == "scheduled"), "held while it is paused"


MOVES: list[tuple[str, Callable[[Any], Flow[Any]], set[str]]] = [
    ("pause", lambda e: enrolling.pause(NOW, GLOBAL, e), {"active"}),
    ("resume", lambda e: enrolling.resume(NOW, GLOBAL, e), {"paused"}),
    ("unenroll", lambda e: enrolling.unenroll(NOW, GLOBAL, e), {"active", "paused"}),
    ("move", lambda e: enrolling.move(NOW, GLOBAL, e, step="nudge"), {"active", "paused"}),
]


@pytest.mark.parametrize("state", ["active", "paused", "cancelled", "completed"])
@pytest.mark.parametrize(("name", "move", "sources"), MOVES, ids=[each[0] for each in MOVES])
def test_every_move_is_possible_from_its_states_and_from_no_other(
    stage: Stage, name: str, move: Callable[[Any], Flow[Any]], sources: set[str], state: str
) -> None:
    enrollment = stage.do(enroll())
    if state == "paused":
        stage.do(enrolling.pause(NOW, GLOBAL, enrollment))
    elif state != "active":
        end(stage, enrollment, state)
    if state in sources:
        assert stage.do(move(enrollment.id)).id == enrollment.id
    else:
        error = refused(IllegalMove, "illegal_move", stage, move(enrollment.id))
        assert error.cure


@pytest.mark.parametrize(
    "ask",
    [
        lambda scope, e: enrolling.pause(NOW, scope, e),
        lambda scope, e: enrolling.resume(NOW, scope, e),
        lambda scope, e: enrolling.unenroll(NOW, scope, e),
        lambda scope, e: enrolling.update_data(NOW, scope, e, {"a": 1}),
        lambda scope, e: enrolling.move(NOW, scope, e),
    ],
    ids=["pause", "resume", "unenroll", "update_data", "move"],
)
def test_somebody_elses_enrollment_looks_exactly_like_a_missing_one(stage: Stage, ask: Any) -> None:
    theirs = stage.do(enroll(scope=ACME))
    said = []
    for scope in (GLOBAL, BETA):
        for wanted in (theirs.id, theirs, uuid4()):
            error = refused(NotFound, "not_found", stage, ask(scope, wanted))
            said.append(str(error).replace(str(getattr(wanted, "id", wanted)), "ID"))
    assert len(set(said)) == 1
    assert stage.do(reporting.enrollment(NOW, ACME, theirs.id)).state == "active"


# Leaving, changing, moving


def test_unenrolling_cancels_what_is_pending_and_leaves_what_is_on_its_way(stage: Stage) -> None:
    pending = stage.do(enroll(1, starting_step="nudge"))
    gone = stage.do(enrolling.unenroll(NOW, GLOBAL, pending, reason="asked"))
    assert (gone.state, gone.reason, gone.cancelled_at) == ("cancelled", "asked", NOW)
    assert rows(stage, "select state::text, reason from dripdrop.execution_history") == [("cancelled", "asked")]

    worker, (claim,) = stage.sending(2)
    stage.do(enrolling.unenroll(DUE, GLOBAL, claim.enrollment_id))
    assert rows(stage, "select state::text from dripdrop.execution_queue") == [("sending",)]
    stage.do(delivering.close(DUE, worker, [Closing(claim, Accepted("m"))]))
    found = stage.do(reporting.executions(DUE, GLOBAL, enrollment=claim.enrollment_id))
    assert [(each.step, each.state) for each in found] == [("welcome", "sent")], "it was sent, and nothing follows"


def test_data_are_merged_or_replaced_and_every_revision_is_kept(stage: Stage) -> None:
    enrollment = stage.do(enroll(data={"a": 1, "b": {"deep": 1}}))
    merged = stage.do(enrolling.update_data(NOW, GLOBAL, enrollment, {"b": 2, "c": None}))
    assert (merged.data, merged.revision) == ({"a": 1, "b": 2, "c": None}, 2)
    replaced = stage.do(enrolling.update_data(NOW, GLOBAL, enrollment, {"z": 1}, merge=False))
    assert (replaced.data, replaced.revision) == ({"z": 1}, 3)
    kept = rows(stage, "select revision, data from dripdrop.enrollment_data order by revision")
    assert [revision for revision, _ in kept] == [1, 2, 3]
    assert kept[0][1] == {"a": 1, "b": {"deep": 1}}
    assert journal(stage, enrollment) == ["enrolled", "data_updated", "data_updated"]


def test_whoever_moves_goes_on_at_the_same_step_of_the_active_version(stage: Stage) -> None:
    enrollment = stage.do(enroll(starting_step="nudge"))
    newer = stage.do(authoring.apply(NOW, GLOBAL, {**DOCUMENT, "exit_on": ["left"]})).version
    moved = stage.do(enrolling.move(NOW + timedelta(days=2), GLOBAL, enrollment))
    assert moved.version_id == newer.id
    ((step, _, due),) = live(stage, enrollment)
    assert (step, due) == ("nudge", NOW + timedelta(days=5)), "the wait begins anew"
    assert rows(stage, "select state::text, reason from dripdrop.execution_history") == [("cancelled", "moved")]
    assert journal(stage, enrollment)[-1] == "moved"


def test_one_may_move_to_a_step_and_a_version_by_name(stage: Stage) -> None:
    enrollment = stage.do(enroll())
    older = stage.applied.version
    stage.do(authoring.apply(NOW, GLOBAL, {**DOCUMENT, "exit_on": []}))
    stage.do(enrolling.move(NOW, GLOBAL, enrollment))
    back = stage.do(enrolling.move(NOW, GLOBAL, enrollment, version=older.id, step="nudge"))
    assert back.version_id == older.id
    assert [step for step, _, _ in live(stage, enrollment)] == ["nudge"]


def test_a_paused_one_moves_and_stays_paused(stage: Stage) -> None:
    enrollment = stage.do(enroll())
    stage.do(enrolling.pause(NOW, GLOBAL, enrollment))
    moved = stage.do(enrolling.move(NOW, GLOBAL, enrollment, step="nudge"))
    assert moved.state == "paused"
    assert [(step, held) for step, held, _ in live(stage, enrollment)] == [("nudge", True)]
    stage.do(enrolling.resume(NOW + timedelta(days=9), GLOBAL, enrollment))
    assert live(stage, enrollment)[0][2] == NOW + timedelta(days=12)


def test_nobody_moves_while_a_message_is_on_its_way(stage: Stage) -> None:
    worker, (claim,) = stage.sending(1)
    refused(Refused, "move_on_the_way", stage, enrolling.move(DUE, GLOBAL, claim.enrollment_id, step="nudge"))
    stage.do(delivering.close(DUE, worker, [Closing(claim, Unknown())]))
    refused(Refused, "move_on_the_way", stage, enrolling.move(DUE, GLOBAL, claim.enrollment_id, step="nudge"))


def test_whose_message_failed_and_waits_for_a_person_may_move(stage: Stage) -> None:
    worker, (claim,) = stage.sending(1)
    stage.do(delivering.close(DUE, worker, [Closing(claim, Rejected("permanent"))]))
    moved = stage.do(enrolling.move(DUE, GLOBAL, claim.enrollment_id, step="nudge"))
    assert moved.state == "active"
    assert rows(stage, "select from_state::text, state::text from dripdrop.execution_history") == [
        ("failed", "cancelled")
    ]


def test_a_move_to_what_is_not_there_is_refused(stage: Stage) -> None:
    enrollment = stage.do(enroll())
    other = stage.do(authoring.apply(NOW, GLOBAL, {**DOCUMENT, "sequence": "another"})).version
    draft = stage.draft()
    refused(Invalid, "unknown_step", stage, enrolling.move(NOW, GLOBAL, enrollment, step="nowhere"))
    refused(Invalid, "other_sequence", stage, enrolling.move(NOW, GLOBAL, enrollment, version=other.id))
    refused(NotFound, "not_found", stage, enrolling.move(NOW, GLOBAL, enrollment, version=uuid4()))
    refused(Refused, "version_is_draft", stage, enrolling.move(NOW, GLOBAL, enrollment, version=draft.id))
    stage.do(authoring.archive(NOW, GLOBAL, stage.applied.version))
    refused(NotFound, "no_active_version", stage, enrolling.move(NOW, GLOBAL, enrollment))


def test_an_enrollment_that_changed_while_one_looked_is_a_conflict(stage: Stage) -> None:
    """Played by hand: the lock finds it, the update does not."""
    enrollment = stage.do(enroll())
    flow = enrolling.update_data(NOW, GLOBAL, enrollment, {"a": 1})
    query = next(flow)
    with stage.connection.transaction():
        from dripdrop.store.runners import _Psycopg

        found = _Psycopg(stage.connection).fetch(query.text, query.params)
    flow.send(found)
    with pytest.raises(Conflict):
        flow.send([])
