"""What somebody wrote back finds what it answers, and does what it asks for."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import psycopg
import pytest
from tests.operations.scenes import DUE, Stage

from dripdrop.errors import Invalid, NotFound, Unauthorized
from dripdrop.operations import ingesting, receiving, suppressing
from dripdrop.rules.outcome import Accepted
from dripdrop.store.scope import GLOBAL, Scope

LATER = DUE + timedelta(hours=1)


@pytest.fixture
def stage(database_url: str) -> Any:
    with psycopg.connect(database_url, autocommit=True) as connection:
        yield Stage(connection)


def message(**more: Any) -> dict[str, Any]:
    fields = {"from": "person-1@example.org", "to": "us@example.com", "received_at": LATER}
    return {**fields, "message_id": "<one@example.org>", **more}


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ("hello", "invalid_message"),
        ({"from": "a@example.org"}, "missing_keys"),
        (message(mood="good"), "unknown_keys"),
        (message(received_at=LATER.replace(tzinfo=None)), "invalid_received_at"),
        (message(message_id=" "), "no_message_id"),
        (message(intent="gossip"), "invalid_intent"),
    ],
)
def test_what_is_no_message_is_refused_by_name(stage: Stage, given: Any, code: str) -> None:
    with pytest.raises(Invalid) as refused:
        stage.do(ingesting.ingest_inbound_message(LATER, GLOBAL, "main", given))
    assert refused.value.code == code


@pytest.mark.parametrize("raw", [b"", b"  \r\n", "text"])
def test_a_raw_message_is_bytes(stage: Stage, raw: Any) -> None:
    with pytest.raises(Invalid) as refused:
        stage.do(ingesting.ingest_raw_email(LATER, GLOBAL, "main", raw))
    assert refused.value.code == "invalid_message"
    with pytest.raises(NotFound):
        stage.do(ingesting.ingest_raw_email(LATER, Scope("acme"), "nowhere", b"Subject: hi"))


def test_a_signature_that_holds_once_holds_once(stage: Stage) -> None:
    first = stage.do(receiving.accept(DUE, stage.adapter, {}, b"[1]", once=["token"]))
    assert first is not None
    assert stage.do(receiving.accept(LATER, stage.adapter, {}, b"[1]", once=["token"])) is None, "told again, as told"
    with pytest.raises(Unauthorized) as refused:
        stage.do(receiving.accept(LATER, stage.adapter, {}, b"[2]", once=["token"]))
    assert refused.value.code == "replayed"
    assert [each.id for each in stage.do(receiving.list_(LATER, GLOBAL))] == [first]


def test_secrets_do_not_stay_in_the_inbox(stage: Stage) -> None:
    headers = {"content-type": "text/plain", "authorization": "Basic c2VjcmV0", "x-webhook-secret": "s", "cookie": "c"}
    kept = stage.do(receiving.accept(DUE, stage.adapter, headers, b"[]"))
    assert kept is not None
    assert stage.do(receiving.get(LATER, GLOBAL, kept)).headers == {"content-type": "text/plain"}
    with pytest.raises(NotFound):
        stage.do(receiving.get(LATER, Scope("acme"), kept))
    with pytest.raises(NotFound):
        stage.do(receiving.replay(LATER, Scope("acme"), kept))


def test_a_reply_is_found_by_what_it_answers_first_then_by_its_thread(stage: Stage) -> None:
    first, second = stage.closed(Accepted("m-1")), stage.closed_of(2, Accepted("m-2"))
    direct = message(in_reply_to=f"<{first}.0@example.com>", references=[f"<{second}.0@example.com>"])
    assert stage.do(ingesting.ingest_inbound_message(LATER, GLOBAL, "main", direct)).execution_id == first
    by_thread = message(
        message_id="<two@example.org>", in_reply_to="<forwarded@elsewhere>",
        references=f"<{first}.0@example.com> <{second}.0@example.com> <x@y>",
    )  # fmt: skip
    found = stage.do(ingesting.ingest_inbound_message(LATER, GLOBAL, "main", by_thread))
    assert found.execution_id == second, "the newest of the thread"
    by_id = message(message_id="<three@example.org>", headers={"X-Provider-Message-ID": "<m-1>"})
    assert stage.do(ingesting.ingest_inbound_message(LATER, GLOBAL, "main", by_id)).execution_id == first


def test_a_message_is_taken_in_once(stage: Stage) -> None:
    execution = stage.closed(Accepted("m"))
    answer = message(in_reply_to=f"{execution}.0@example.com", body_text="Please remove me from your list")
    first = stage.do(ingesting.ingest_inbound_message(LATER, GLOBAL, "main", answer))
    again = stage.do(ingesting.ingest_inbound_message(LATER, GLOBAL, "main", answer))
    assert (first.intent, first.duplicate, again.duplicate) == ("unsubscribe", False, True)
    assert again.execution_id == execution
    found = stage.do(suppressing.check(LATER, GLOBAL, "email", "person@example.org"))
    assert found is not None
    assert found.reason == "unsubscribe"


def test_who_answers_a_forwarded_message_speaks_for_whom_it_was_sent_to(stage: Stage) -> None:
    execution = stage.closed(Accepted("m"))
    answer = message(**{"from": "boss@example.org"}, in_reply_to=f"{execution}.0@example.com", body_text="Unsubscribe")
    stage.do(ingesting.ingest_inbound_message(LATER, GLOBAL, "main", answer))
    assert stage.do(suppressing.check(LATER, GLOBAL, "email", "person@example.org")) is not None
    assert stage.do(suppressing.check(LATER, GLOBAL, "email", "boss@example.org")) is None


def test_another_tenants_messages_cannot_be_answered(stage: Stage) -> None:
    execution = stage.closed(Accepted("m"))
    answer = message(in_reply_to=f"{execution}.0@example.com")
    assert stage.do(ingesting.ingest_inbound_message(LATER, Scope("acme"), "main", answer)).execution_id is None
