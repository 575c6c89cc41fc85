"""Who hears what in this process, and what if nobody does?"""

from __future__ import annotations

import asyncio
import threading

from tests.channels.texts import NOW, chat, text

from dripdrop.channels.deliver import Speaker
from dripdrop.channels.http import Sender
from dripdrop.channels.pubsub.process import ProcessProvider
from dripdrop.rules.outcome import Accepted, Rejected, Unknown


def order(topic="orders", payload=None, **more):
    return chat("pubsub", "", to=topic, extra={"event": "order.paid", "payload": payload or {"total": 5}}, **more)


async def publish(provider, delivery=None, timeout=5.0):
    speaker = Speaker(Sender())
    try:
        return await speaker.send(provider, delivery or order(), {"now": NOW}, timeout=timeout)
    finally:
        await speaker.aclose()


async def test_everybody_who_listens_hears_it_awaited_or_in_a_thread():
    provider, heard = ProcessProvider(), []

    async def waits(message):
        await asyncio.sleep(0)
        heard.append(("awaited", message.event, message.payload, message.id))

    provider.subscribe("orders", waits)
    provider.subscribe("orders", lambda message: heard.append((threading.current_thread().name, message.step)))
    provider.subscribe("others", lambda message: heard.append("wrong"))
    outcome = await publish(provider)
    assert outcome == Accepted(str(order().id), {"listeners": 2})
    assert ("awaited", "order.paid", {"total": 5}, str(order().id)) in heard
    (thread,) = (each[0] for each in heard if each[0] != "awaited")
    assert (len(heard), thread != threading.main_thread().name) == (2, True)


async def test_what_nobody_listens_to_waits_for_somebody():
    provider = ProcessProvider()
    leave = provider.subscribe("orders", lambda message: None)
    leave()
    leave()
    found = await publish(provider)
    assert (found.kind, found.cause, found.detail) == ("temporary", "adapter", {"reason": "nobody_listens"})
    assert isinstance(found, Rejected)


async def test_a_listener_that_raises_is_a_doubt_and_keeps_it_from_nobody():
    provider, heard = ProcessProvider(), []

    def broken(message):
        raise ConnectionError("its own database is away")

    provider.subscribe("orders", broken)
    provider.subscribe("orders", heard.append)
    found = await publish(provider)
    assert found == Unknown({"reason": "listener_raised", "exception": "ConnectionError", "failed": 1})
    assert [message.payload for message in heard] == [{"total": 5}]


async def test_a_listener_that_hangs_is_a_doubt():
    provider = ProcessProvider()

    async def hangs(message):
        await asyncio.Event().wait()

    provider.subscribe("orders", hangs)
    assert isinstance(await publish(provider, timeout=0.05), Unknown)


async def test_what_is_no_publication_is_refused():
    for delivery, reason in (
        (chat("pubsub", ""), "missing_topic"),
        (order(payload={"when": {1}}), "payload"),
        (text(), "wrong_message"),
    ):
        found = await publish(ProcessProvider(), delivery)
        assert (found.kind, found.detail["reason"]) == ("permanent", reason)
