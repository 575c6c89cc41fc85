"""A link out of a message takes its reader out of what the message was about, and of nothing that they did not mean."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest
from tests.operations.desk import NOW, Desk, at_desk

from dripdrop.operations import suppressing, unsubscribing
from dripdrop.rules.links import Unsubscribe
from dripdrop.store.scope import GLOBAL

ANN = "ann@example.org"
DAY = timedelta(days=1)


@pytest.fixture
def desk(database_url: str) -> Iterator[Desk]:
    with at_desk(database_url) as desk:
        yield desk


def test_unsubscribing_suppresses_ends_the_enrollment_and_notes_it_once(desk: Desk) -> None:
    enrollment = desk.enroll(desk.sequence("onboarding", "welcome", "nudge"), tenant="acme")
    sent = desk.ended(enrollment, "welcome")
    desk.queue(enrollment, "nudge", due=NOW + DAY, visit=2)
    token = Unsubscribe("acme", "email", ANN, execution=str(sent))
    for _ in range(2):
        row = desk.do(unsubscribing.unsubscribe(NOW, token))
    assert (row.tenant_key, row.reason, row.source) == ("acme", "unsubscribe", "one_click")
    assert desk.ask("select state::text, reason from dripdrop.enrollments") == [("cancelled", "unsubscribed")]
    assert desk.one("select count(*) from dripdrop.execution_queue") == 0
    told = desk.ask("select event_type::text, step_execution_id from dripdrop.message_events")
    assert told == [("unsubscribed", sent)]


def test_unsubscribing_leaves_a_transactional_enrollment_alone(desk: Desk) -> None:
    sequence = desk.sequence("receipts", "receipt", config={"class": "transactional"})
    sent = desk.ended(desk.enroll(sequence), "receipt")
    desk.do(unsubscribing.unsubscribe(NOW, Unsubscribe("", "email", ANN, execution=str(sent))))
    assert desk.one("select state::text from dripdrop.enrollments") == "active"


@pytest.mark.parametrize("execution", [None, "nonsense", "0197f1a0-0000-7000-8000-000000000000"])
def test_unsubscribing_works_though_its_message_is_long_gone(desk: Desk, execution: str | None) -> None:
    row = desk.do(unsubscribing.unsubscribe(NOW, Unsubscribe("", "email", ANN, execution=execution)))
    assert row.reason == "unsubscribe"


def test_a_link_of_one_tenant_does_not_end_an_enrollment_of_another(desk: Desk) -> None:
    sent = desk.ended(desk.enroll(desk.sequence("onboarding", "welcome"), tenant="acme"), "welcome")
    desk.do(unsubscribing.unsubscribe(NOW, Unsubscribe("beta", "email", ANN, execution=str(sent))))
    assert desk.one("select state::text from dripdrop.enrollments") == "active"


def states(desk: Desk) -> dict[str, str]:
    return dict(desk.ask("select subscriber_id, state::text from dripdrop.enrollments order by 1"))


def test_a_link_with_a_topic_ends_its_enrollment_and_leaves_other_topics_open(desk: Desk) -> None:
    """The link carries the topic, or, where it is older than the topic, its sequence says it."""
    news = desk.sequence("news", "hello", config={"topic": "news"})
    for link in (Unsubscribe("", "email", ANN, topic="news"), Unsubscribe("", "email", "bob@example.org")):
        enrollment = desk.enroll(news, name=link.recipient)
        sent = desk.ended(enrollment, "hello")
        link = Unsubscribe("", "email", link.recipient, str(news), str(sent), link.topic)
        assert desk.do(unsubscribing.unsubscribe(NOW, link)).topic == "news"
        assert desk.do(suppressing.check(NOW, GLOBAL, "email", link.recipient, "offers")) is None
        assert desk.do(suppressing.check(NOW, GLOBAL, "email", link.recipient, "news")) is not None
    assert set(states(desk).values()) == {"cancelled"}


def test_who_wants_nothing_at_all_leaves_their_other_marketing_too(desk: Desk) -> None:
    sent = desk.ended(desk.enroll(desk.sequence("news", "hello", config={"topic": "news"})), "hello")
    desk.enroll(desk.sequence("offers", "offer", config={"topic": "offers"}))
    desk.enroll(desk.sequence("receipts", "receipt", config={"class": "transactional"}))
    link = Unsubscribe("", "email", ANN, execution=str(sent), topic="news")
    desk.do(unsubscribing.unsubscribe(NOW, link))
    by_key = "select s.key, e.state::text from dripdrop.enrollments e join dripdrop.sequences s on s.id = e.sequence_id"
    assert dict(desk.ask(by_key)) == {"news": "cancelled", "offers": "active", "receipts": "active"}
    assert desk.do(unsubscribing.unsubscribe(NOW, link, everything=True)).topic == ""
    assert dict(desk.ask(by_key)) == {"news": "cancelled", "offers": "cancelled", "receipts": "active"}


@pytest.mark.parametrize("by_key", [True, False])
def test_a_link_to_a_sequence_ends_every_enrollment_of_the_recipient_in_it(desk: Desk, by_key: bool) -> None:
    sequence = desk.sequence("onboarding", "welcome")
    other = desk.sequence("another", "hello")
    desk.enroll(sequence, name="1", data={"email": "Ann <ANN@example.org>"})
    desk.enroll(sequence, name="2", data={"people": [{"contact": " ann@EXAMPLE.org "}]})
    desk.enroll(sequence, name=ANN, data={})
    desk.enroll(sequence, name="3", data={"email": "joann@example.org"})
    desk.enroll(sequence, name="4", data={"email": "ann@example.com", "note": "as ann@ said"})
    desk.enroll(other, name="5", data={"email": ANN})
    desk.do(unsubscribing.unsubscribe(NOW, Unsubscribe("", "email", ANN, "onboarding" if by_key else str(sequence))))
    assert {name for name, state in states(desk).items() if state == "cancelled"} == {"1", "2", ANN}


def test_a_number_is_found_however_it_is_written(desk: Desk) -> None:
    sequence = desk.sequence("texts")
    desk.enroll(sequence, name="1", data={"phone": "(202) 555-0123"})
    desk.enroll(sequence, name="2", data={"phone": "+1 202 555 0199"})
    desk.enroll(sequence, name="3", data={"phone": 12025550123})
    desk.do(unsubscribing.unsubscribe(NOW, Unsubscribe("", "sms", "+12025550123", str(sequence))))
    assert states(desk) == {"1": "cancelled", "2": "active", "3": "cancelled"}


def test_where_the_settings_end_nothing_the_address_alone_is_closed(desk: Desk) -> None:
    sent = desk.ended(desk.enroll(desk.sequence("onboarding", "welcome")), "welcome")
    desk.do(unsubscribing.unsubscribe(NOW, Unsubscribe("", "email", ANN, execution=str(sent)), ends=False))
    assert desk.one("select state::text from dripdrop.enrollments") == "active"
    assert desk.do(suppressing.check(NOW, GLOBAL, "email", ANN)) is not None
