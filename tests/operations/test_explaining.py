"""One sentence says how somebody stands; the entries say how it came to that, in order."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from tests.operations.desk import ACME, GLOBAL, NOW, Desk, at_desk

from dripdrop.errors import Invalid, NotFound
from dripdrop.operations import explaining, stopping, suppressing
from dripdrop.operations.explaining import Explanation

DAY, HOUR, MINUTE = timedelta(days=1), timedelta(hours=1), timedelta(minutes=1)
ANN = {"first_name": "Ann", "email": "ann@example.org"}


@pytest.fixture
def desk(database_url: str) -> Iterator[Desk]:
    with at_desk(database_url) as desk:
        yield desk


@pytest.fixture
def ann(desk: Desk) -> UUID:
    return desk.enroll(desk.sequence("trial_onboarding", "welcome", "nudge"), data=ANN)


def told(desk: Desk, *, after: timedelta = MINUTE, **subject: Any) -> Explanation:
    return desk.do(explaining.explain(NOW + after, GLOBAL, **subject))


def test_what_was_sent_and_what_is_next(desk: Desk, ann: UUID) -> None:
    desk.ended(ann, "welcome", reasons=[{"code": "next", "step": "nudge"}])
    desk.queue(ann, "nudge", due=NOW + 3 * DAY, visit=2)
    found = told(desk, enrollment=ann)
    assert found.sentence == (
        "Ann (user 42) is active in trial_onboarding: welcome was sent on 2030-03-01 09:00 UTC; "
        "next is nudge, due 2030-03-04 09:00 UTC."
    )
    assert (found.state, found.next_at, found.release) == ("active", NOW + 3 * DAY, None)
    assert [entry.event for entry in found.entries] == ["enrolled", "attempt", "sent"]


@pytest.mark.parametrize(
    ("looked_at", "said"),
    [
        ([{"predicate": "seats > 5", "holds": True}], "nudge follows, since seats > 5"),
        (
            [
                {"enrollment_data": "vip", "is": "==", "value": True, "holds": True},
                {"event": "opened", "is": "==", "value": None, "holds": False},
                {"enrollment_data": "plan", "is": "==", "value": "pro", "holds": True},
                {"event": "opened", "is": "==", "value": None, "holds": True},
            ],
            "nudge follows, since plan == pro and opened happened",
        ),
        ([{"predicate": "seats > 5", "holds": False}], "nudge follows, since no condition of another way held"),
        ([{"predicate": "seats > 5", "holds": True}] * 10, None),
        ([], None),
    ],
)
def test_the_way_on_is_told_by_the_conditions_that_chose_it(
    desk: Desk, ann: UUID, looked_at: list[Any], said: str | None
) -> None:
    way = {"code": "way", "why": "transition", "conditions": looked_at}
    desk.ended(ann, "welcome", reasons=[{"code": "next", "step": "nudge"}, way])
    assert told(desk, enrollment=ann).entries[-1].reason == said


def test_a_subscriber_is_explained_by_the_live_enrollment(desk: Desk, ann: UUID) -> None:
    desk.queue(ann, "welcome", due=NOW)
    desk.state(desk.enroll(desk.sequence("older", "welcome"), at=NOW + DAY), "completed", at=NOW + DAY)
    assert "active in trial_onboarding" in told(desk, subscriber=("user", 42)).sentence
    assert "completed older" in told(desk, subscriber={"type": "user", "id": 42}, sequence="older").sentence


def test_somebody_who_was_never_enrolled_gets_an_answer(desk: Desk, ann: UUID) -> None:
    found = told(desk, subscriber=("user", 7), sequence="trial_onboarding")
    assert found.sentence == "user 7 was never enrolled in trial_onboarding, so nothing is or was sent."
    assert (found.state, found.entries) == ("not_enrolled", ())
    assert "dripdrop enroll trial_onboarding" in (found.release or "")


def test_somebody_of_another_tenant_looks_never_enrolled_and_missing(desk: Desk, ann: UUID) -> None:
    execution = desk.queue(ann, "welcome", due=NOW)
    assert desk.do(explaining.explain(NOW, ACME, subscriber=("user", 42))).state == "not_enrolled"
    for subject in ({"enrollment": ann}, {"execution": execution}, {"enrollment": uuid4()}):
        with pytest.raises(NotFound):
            desk.do(explaining.explain(NOW, ACME, **subject))


def test_a_deferral_says_why_and_how_often(desk: Desk, ann: UUID) -> None:
    execution = desk.queue(ann, "welcome", due=NOW + HOUR)
    desk.tell(ann, "deferred", execution=execution, step="welcome", reasons=[{"code": "quiet_hours"}], times=3)
    found = told(desk, enrollment=ann)
    assert "put off 3 times because it was outside the hours in which this person may be written to" in found.sentence
    assert found.entries[-1].detail["times"] == 3


def test_what_is_late_says_since_when(desk: Desk, ann: UUID) -> None:
    desk.queue(ann, "welcome", due=NOW)
    assert "next is welcome, due since 2030-03-01 09:00 UTC" in told(desk, after=HOUR, enrollment=ann).sentence


def test_a_skip_says_why(desk: Desk, ann: UUID) -> None:
    execution = desk.ended(ann, "welcome", "skipped", reason="condition", reasons=[{"code": "condition"}])
    found = told(desk, execution=execution)
    assert found.sentence == (
        "welcome for Ann (user 42) in trial_onboarding was skipped on 2030-03-01 09:00 UTC"
        " because its condition did not hold."
    )
    assert f"dripdrop executions replay {execution}" in (found.release or "")


def test_a_sent_execution_tells_its_attempts_and_what_the_provider_reports(desk: Desk, ann: UUID) -> None:
    execution = desk.ended(ann, "welcome", attempts=3)
    desk.ask(
        "insert into dripdrop.message_events"
        " (tenant_key, step_execution_id, channel, provider, event_type, occurred_at, inserted_at)"
        " values ('', %(id)s, 'email', 'postbox', 'delivered', %(now)s, %(now)s)",
        id=execution, now=NOW,
    )  # fmt: skip
    found = told(desk, execution=execution)
    assert found.sentence.endswith(
        "was sent on 2030-03-01 09:00 UTC after 3 attempts. The provider reports: delivered."
    )
    assert [entry.detail["number"] for entry in found.entries if entry.event == "attempt"] == [1, 2, 3]
    assert found.entries[-1].event == "sent"
    assert (found.state, found.release) == ("sent", None)


def test_a_doubt_that_is_held_says_how_to_settle_it(desk: Desk, ann: UUID) -> None:
    execution = desk.queue(ann, "welcome", due=None, state="unknown")
    desk.attempt(execution, 1, "unknown")
    desk.tell(ann, "unknown", execution=execution, step="welcome", reasons=[{"code": "unknown"}])
    found = told(desk, enrollment=ann)
    assert "welcome may have been sent at 2030-03-01 09:00 UTC" in found.sentence
    assert found.next_at is None
    assert f"dripdrop executions resolve {execution} --as sent|resend|drop" in (found.release or "")


def test_a_doubt_that_is_asked_about_says_when(desk: Desk, ann: UUID) -> None:
    desk.queue(ann, "welcome", due=NOW + HOUR, state="unknown")
    found = told(desk, enrollment=ann)
    assert "is asked again at 2030-03-01 10:00 UTC" in found.sentence
    assert found.next_at == NOW + HOUR


def test_a_failure_that_waits_for_a_person_says_why_and_what_to_do(desk: Desk, ann: UUID) -> None:
    execution = desk.queue(ann, "welcome", due=None, state="failed")
    reasons = [{"code": "rejected", "class": "permanent", "status": 422}, {"code": "message", "policy": "pause"}]
    desk.tell(ann, "failed", execution=execution, step="welcome", reasons=reasons, to="failed")
    found = told(desk, enrollment=ann)
    assert "welcome failed because the provider refused it (status 422) and waits for a person" in found.sentence
    assert str(execution) in (found.release or "")


def test_a_refusal_that_names_its_own_reason_is_told_by_it(desk: Desk, ann: UUID) -> None:
    execution = desk.queue(ann, "welcome", due=NOW + HOUR)
    reasons = [{"code": "failed", "cause": "adapter", "reason": "no_adapter"}, {"code": "adapter", "again_at": "x"}]
    desk.tell(ann, "retry", execution=execution, step="welcome", reasons=reasons, to="scheduled")
    assert told(desk, enrollment=ann).sentence.endswith(
        "(to be tried again because there was no adapter to send it through)."
    )


def test_a_pause_says_since_when_why_and_what_is_held(desk: Desk, ann: UUID) -> None:
    desk.queue(ann, "nudge", due=None)
    desk.tell(ann, "paused", at=NOW, reasons=[{"code": "holiday"}])
    desk.ask("update dripdrop.enrollments set state = 'paused', remaining = '2 days 3 hours 4 minutes'")
    found = told(desk, enrollment=ann)
    assert found.sentence == (
        "Ann (user 42) is paused in trial_onboarding since 2030-03-01 09:00 UTC because holiday:"
        " nudge is held with 2 days 3 hours left."
    )
    assert (found.next_at, found.release) == (None, f"Resume it: dripdrop resume {ann}")


@pytest.mark.parametrize(
    ("reason", "said"),
    [("unsubscribed", " because the person unsubscribed"), ("event:churned", " because churned happened"), (None, "")],
)
def test_somebody_who_left_is_told_with_the_reason(desk: Desk, ann: UUID, reason: str | None, said: str) -> None:
    desk.state(ann, "cancelled", at=NOW + DAY, reason=reason)
    found = told(desk, after=2 * DAY, enrollment=ann)
    assert found.sentence == f"Ann (user 42) left trial_onboarding on 2030-03-02 09:00 UTC{said}."
    assert "enroll anew" in (found.release or "")


def test_a_stop_is_named_with_how_to_lift_it(desk: Desk, ann: UUID) -> None:
    desk.queue(ann, "welcome", due=NOW + HOUR)
    desk.do(stopping.stop(NOW, GLOBAL, sequence="trial_onboarding", reason="wrong price"))
    found = told(desk, enrollment=ann)
    assert "but the sequence is stopped (wrong price)" in found.sentence
    assert (found.next_at, "dripdrop go --sequence" in (found.release or "")) == (None, True)


def test_a_stop_of_the_default_adapter_is_seen_before_the_first_attempt(desk: Desk, ann: UUID) -> None:
    desk.ask(
        "insert into dripdrop.channel_adapters"
        " (tenant_key, name, channel, provider, is_default, inserted_at, updated_at)"
        " values ('', 'main', 'email', 'local', true, %(now)s, %(now)s)",
        now=NOW,
    )
    desk.queue(ann, "welcome", due=NOW + HOUR)
    desk.do(stopping.stop(NOW, GLOBAL, adapter="main"))
    assert "but its adapter is stopped" in told(desk, enrollment=ann).sentence


def test_a_suppressed_recipient_is_foretold(desk: Desk, ann: UUID) -> None:
    desk.queue(ann, "welcome", due=NOW + HOUR)
    desk.do(suppressing.suppress(NOW, GLOBAL, "email", "Ann@example.org", "bounce"))
    found = told(desk, enrollment=ann)
    assert "will be skipped: the recipient is suppressed (bounce)" in found.sentence
    assert "ann@example.org" not in f"{found}"


def test_waiting_for_an_event_names_it(desk: Desk) -> None:
    sequence = desk.sequence("demo", "call")
    desk.ask("alter table dripdrop.steps disable trigger steps_published")
    desk.ask('update dripdrop.steps set timing = \'{"type": "event", "trigger_event": "demo_booked"}\'')
    enrollment = desk.enroll(sequence)
    desk.queue(enrollment, "call", due=None, state="waiting")
    found = told(desk, enrollment=enrollment)
    assert found.sentence == "user 42 is active in demo: call waits for the event demo_booked."
    assert found.release == "Track the event demo_booked for this person"


def test_somebody_with_nothing_pending_is_found_out(desk: Desk, ann: UUID) -> None:
    found = told(desk, enrollment=ann)
    assert "nothing is pending" in found.sentence
    assert (found.next_at, str(ann) in (found.release or "")) == (None, True)


def test_a_live_execution_is_explained_by_itself(desk: Desk, ann: UUID) -> None:
    execution = desk.queue(ann, "welcome", due=NOW, state="sending")
    found = told(desk, execution=execution)
    assert found.sentence == "For Ann (user 42) in trial_onboarding, welcome is on its way now."
    assert found.state == "sending"


def test_a_replay_is_explained_though_the_path_has_ended(desk: Desk, ann: UUID) -> None:
    first = desk.ended(ann, "welcome")
    replay = desk.queue(ann, "welcome", due=NOW + HOUR, visit=2, kind="replay", of_id=first)
    desk.state(ann, "completed")
    assert "next is welcome, due 2030-03-01 10:00 UTC" in told(desk, execution=replay).sentence


def test_entries_stand_in_the_journals_order_whatever_their_ids(desk: Desk, ann: UUID) -> None:
    for number in (5, 3, 4):
        desk.seq[ann] = number - 1
        desk.tell(ann, f"event_{number}")
    assert [entry.event for entry in told(desk, enrollment=ann).entries] == [
        "enrolled",
        "event_3",
        "event_4",
        "event_5",
    ]


def test_a_journal_with_odd_lines_is_told_all_the_same(desk: Desk, ann: UUID) -> None:
    for reasons in ([{"evidence": 1}], ["plain"], [{"code": "suppressed"}], [{"code": "brand_new", "status": "x"}]):
        desk.tell(ann, "something_new", reasons=reasons)  # type: ignore[arg-type]
    said = [entry.reason for entry in told(desk, enrollment=ann).entries[1:]]
    assert said == ["no reason given", "plain", "the recipient is suppressed", "brand new"]


def test_entries_hold_no_address_and_no_answer_of_a_provider(desk: Desk, ann: UUID) -> None:
    desk.ended(ann, "welcome")
    text = str(told(desk, enrollment=ann).entries)
    assert "ann@example.org" not in text
    assert "200" not in text


@pytest.mark.parametrize("subject", [{}, {"enrollment": uuid4(), "execution": uuid4()}, {"sequence": "x"}])
def test_exactly_one_thing_is_explained(desk: Desk, subject: dict[str, Any]) -> None:
    with pytest.raises(Invalid) as refused:
        told(desk, **subject)
    assert refused.value.code == "subject"
