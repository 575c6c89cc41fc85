"""Does PostgreSQL hand on what we publish, and what if it goes away in the middle?"""

from __future__ import annotations

import json

import psycopg
import pytest
from tests.channels.pubsub.test_process import order
from tests.channels.texts import NOW, chat

from dripdrop.brokers import postgres as module
from dripdrop.brokers.postgres import PostgresProvider
from dripdrop.channels.deliver import Speaker
from dripdrop.channels.http import Sender
from dripdrop.rules.outcome import Accepted, Rejected, Unknown

POSTGRES = PostgresProvider()


@pytest.fixture
async def speaker():
    made = Speaker(Sender())
    yield made
    await made.aclose()


def config(url, **more):
    return {"url": url, "now": NOW, **more}


async def test_a_listener_hears_it(database_url, speaker):
    async with await psycopg.AsyncConnection.connect(database_url, autocommit=True) as listener:
        await listener.execute('listen "acme:orders"')
        outcome = await speaker.send(POSTGRES, order(), config(database_url, prefix="acme:"), timeout=5)
        (heard,) = [each async for each in listener.notifies(timeout=10, stop_after=1)]
    assert outcome == Accepted(str(order().id), {})
    said = json.loads(heard.payload)
    assert (heard.channel, said["id"], said["event"], said["payload"]) == (
        "acme:orders",
        str(order().id),
        "order.paid",
        {"total": 5},
    )
    assert await speaker.check(POSTGRES, config(database_url), timeout=5) is None


async def test_a_connection_that_was_cut_in_a_silence_is_made_anew(database_url, speaker, monkeypatch):
    monkeypatch.setattr(module, "_IDLE_SECONDS", 0.0)
    assert isinstance(await speaker.send(POSTGRES, order(), config(database_url), timeout=5), Accepted)
    async with await psycopg.AsyncConnection.connect(database_url, autocommit=True) as other:
        cut = await other.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'dripdrop pubsub'"
            " and datname = current_database()"
        )
        assert len(await cut.fetchall()) == 1
    assert isinstance(await speaker.send(POSTGRES, order(number=2), config(database_url), timeout=5), Accepted)


async def test_one_that_is_cut_while_it_publishes_is_a_doubt(database_url, speaker):
    await speaker.send(POSTGRES, order(), config(database_url), timeout=5)
    async with await psycopg.AsyncConnection.connect(database_url, autocommit=True) as other:
        await other.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'dripdrop pubsub'"
            " and datname = current_database()"
        )
    found = await speaker.send(POSTGRES, order(number=2), config(database_url), timeout=5)
    assert isinstance(found, Unknown)


async def test_what_the_server_refuses_is_the_adapters_to_mend(database_url, speaker, monkeypatch):
    from dripdrop.store.flow import Query

    monkeypatch.setattr(module.publishing, "notify", lambda topic, body: Query("select 1/0", {}))
    found = await speaker.send(POSTGRES, order(), config(database_url), timeout=5)
    assert isinstance(found, Rejected)
    assert (found.kind, found.cause, found.detail["code"]) == ("temporary", "adapter", "22012")


@pytest.mark.parametrize(
    ("delivery", "reason", "part"),
    [
        (order("x" * 64), "unsupported", "topic"),
        (order(payload={"text": "ü" * 4000}), "unsupported", "payload"),
        (order("a\0b"), "unsupported", "topic"),
        (chat("pubsub", ""), "missing_topic", None),
    ],
)
async def test_what_a_notification_cannot_carry_is_refused_by_name(database_url, speaker, delivery, reason, part):
    found = await speaker.send(POSTGRES, delivery, config(database_url), timeout=5)
    assert (found.kind, found.detail["reason"], found.detail.get("unsupported")) == ("permanent", reason, part)


async def test_the_longest_topic_and_payload_are_carried(database_url, speaker):
    empty = len(module.publication(order("x" * 63, {"text": ""})).body())
    full = order("x" * 63, {"text": "y" * (7999 - empty)})
    assert isinstance(await speaker.send(POSTGRES, full, config(database_url), timeout=5), Accepted)


async def test_where_nothing_listens_nothing_was_sent(speaker):
    away = config("postgresql://nobody@127.0.0.1:1/none")
    found = await speaker.send(POSTGRES, order(), away, timeout=5)
    assert (found.kind, found.cause, found.detail["reason"]) == ("temporary", "adapter", "connect")
    assert "cannot be reached" in await speaker.check(POSTGRES, away, timeout=5)


@pytest.mark.parametrize(("url", "good"), [("postgresql://x/y", True), ("", False), ("redis://x", False)])
def test_a_database_has_an_address(url, good):
    assert (POSTGRES.validate_credentials({"url": url}) == []) is good
