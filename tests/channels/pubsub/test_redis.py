"""Does Redis hand on what we publish, and what if it goes away in the middle?"""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager

import pytest
from fakeredis import TcpFakeServer
from redis.asyncio import Redis
from tests.channels.pubsub.redis_server import Server, running
from tests.channels.pubsub.test_process import order
from tests.channels.texts import NOW, chat

from dripdrop.channels.deliver import Speaker
from dripdrop.channels.http import Sender
from dripdrop.channels.pubsub import redis as module
from dripdrop.channels.pubsub.redis import RedisProvider
from dripdrop.rules.outcome import Accepted, Rejected, Unknown

REDIS = RedisProvider()


def config(port, **more):
    return {"url": f"redis://127.0.0.1:{port}/0", "now": NOW, **more}


@contextmanager
def fake_redis():
    server = TcpFakeServer(("127.0.0.1", 0), server_type="redis")
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


async def test_a_subscriber_of_redis_own_client_hears_it():
    with fake_redis() as port:
        listener, speaker = Redis(port=port), Speaker(Sender())
        subscription = listener.pubsub()
        await subscription.subscribe("acme:orders")
        assert (await subscription.get_message(timeout=5))["type"] == "subscribe"
        outcome = await speaker.send(REDIS, order(), config(port, prefix="acme:"), timeout=5)
        message = await subscription.get_message(timeout=5)
        assert await speaker.check(REDIS, config(port), timeout=5) is None
        await speaker.aclose()
        await subscription.aclose()
        await listener.aclose()
    assert outcome == Accepted(str(order().id), {"listeners": 1})
    assert (message["channel"], json.loads(message["data"])) == (
        b"acme:orders",
        {
            "topic": "orders",
            "id": str(order().id),
            "event": "order.paid",
            "payload": {"total": 5},
            "sequence": "onboarding",
            "step": "welcome",
        },
    )


async def told(server, *deliveries, timeout=30.0, **more):
    speaker = Speaker(Sender())
    async with running(server) as port:
        found = [
            await speaker.send(REDIS, each, config(port, **more), timeout=timeout) for each in deliveries or (order(),)
        ]
        await speaker.aclose()
    return found


async def test_a_connection_serves_many_messages():
    server = Server()
    found = await told(server, *(order(number=n) for n in range(1, 6)))
    assert all(isinstance(each, Accepted) for each in found)
    assert (server.connections, sum(words[0] == "PUBLISH" for words in server.heard)) == (1, 5)


@pytest.mark.parametrize("trouble", ["lost", "hangs"])
async def test_an_answer_that_does_not_come_is_a_doubt_and_nothing_is_published_twice(trouble):
    server = Server(trouble)
    (found,) = await told(server, timeout=1.0 if trouble == "hangs" else 30.0)
    assert isinstance(found, Unknown)
    assert sum(words[0] == "PUBLISH" for words in server.heard) == 1


async def test_after_a_silence_a_connection_that_died_is_made_anew(monkeypatch):
    monkeypatch.setattr(module, "_IDLE_SECONDS", 0.0)
    server, speaker = Server(), Speaker(Sender())
    async with running(server) as port:
        assert isinstance(await speaker.send(REDIS, order(), config(port), timeout=30), Accepted)
        session = next(iter(next(iter(speaker._sessions._loops.values())).values())).idle[0].session
        await session.client.connection.disconnect()
        session.client.connection.connect = _refuse
        assert isinstance(await speaker.send(REDIS, order(number=2), config(port), timeout=30), Accepted)
        await speaker.aclose()
    assert server.connections == 2


async def _refuse(*_, **__):
    raise ConnectionError("gone")


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"-NOPERM this user has no permissions\r\n", "NoPermissionError"),
        (b"-READONLY You can't write against a read only replica\r\n", "ReadOnlyError"),
        (b"-ERR something\r\n", "ResponseError"),
    ],
)
async def test_what_the_server_refuses_is_the_adapters_to_mend(answer, reason):
    (found,) = await told(Server(answer))
    assert found == Rejected("temporary", "adapter", None, {"reason": reason})


async def test_where_nothing_listens_nothing_was_sent():
    async with running(Server()) as port:
        pass
    speaker = Speaker(Sender())
    found = await speaker.send(REDIS, order(), config(port), timeout=30)
    assert (found.kind, found.cause, found.detail["reason"]) == ("temporary", "adapter", "connect")
    assert "cannot be reached" in await speaker.check(REDIS, config(port), timeout=30)
    await speaker.aclose()


async def test_what_is_no_publication_never_leaves():
    server = Server()
    (found,) = await told(server, chat("pubsub", ""))
    assert (found.kind, found.detail["reason"]) == ("permanent", "missing_topic")
    assert not [words for words in server.heard if words[0] == "PUBLISH"]


@pytest.mark.parametrize(
    ("url", "good"), [("redis://x", True), ("rediss://x:1/0", True), ("", False), ("http://x", False)]
)
def test_a_server_has_an_address(url, good):
    assert (REDIS.validate_credentials({"url": url}) == []) is good
