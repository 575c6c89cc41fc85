"""Right before the wire it is asked once more whether this may still leave; where not, not a byte of it does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiosmtpd.smtp import SMTP
from tests.channels.deliveries import NOW, delivery_of

from dripdrop.channels.deliver import Speaker
from dripdrop.channels.http import Sender
from dripdrop.channels.smtp import SmtpProvider
from dripdrop.contracts import HttpRequest
from dripdrop.rules.outcome import Accepted, Outcome, Rejected

LOST = Rejected("temporary", "adapter", detail={"reason": "lease_lost"})


class Guard:
    """The lease holds for the first looks, and for none after them."""

    def __init__(self, looks: int) -> None:
        self.looks = looks

    def __call__(self) -> bool:
        self.looks -= 1
        return self.looks >= 0


class Server:
    """Takes HTTP requests, and counts the bytes that reached it."""

    def __init__(self) -> None:
        self.arrived = b""
        self.port = 0

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while piece := await reader.read(65536):
            self.arrived += piece
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
        writer.close()

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Server]:
        server = await asyncio.start_server(self._talk, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()


class ByHttp:
    channel, name = "sms", "by-http"

    def __init__(self, port: int) -> None:
        self.port = port

    def request(self, delivery: Any, config: Any) -> HttpRequest:
        return HttpRequest("POST", f"http://127.0.0.1:{self.port}/", body=b"hello")

    def outcome(self, response: Any) -> Outcome:
        return Accepted("1")

    def validate_credentials(self, credentials: Any) -> list[tuple[str, str]]:
        return []


async def send(provider: Any, guard: Callable[[], bool], allow: list[str], config: dict[str, Any]) -> Outcome:
    sender = Sender(allow=lambda: allow)
    speaker = Speaker(sender)
    try:
        return await speaker.send(provider, delivery_of(), {"now": NOW, **config}, timeout=5.0, guard=guard)
    finally:
        await speaker.aclose()
        await sender.aclose()


async def test_not_a_byte_of_a_request_leaves_once_the_lease_is_lost() -> None:
    async with Server().open() as server:
        allow = [f"127.0.0.1:{server.port}"]
        assert await send(ByHttp(server.port), Guard(0), allow, {}) == LOST
        assert server.arrived == b""
        assert isinstance(await send(ByHttp(server.port), Guard(9), allow, {}), Accepted)
        assert server.arrived.endswith(b"hello")


class Kept:
    def __init__(self) -> None:
        self.messages: list[bytes] = []

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        self.messages.append(envelope.content)
        return "250 2.0.0 Ok"


@pytest.mark.parametrize("looks", [0, 1])
async def test_a_mail_server_gets_no_message_without_its_final_dot(looks: int) -> None:
    # The first look is before the session is used, the second between DATA and the dot that makes it a message.
    kept = Kept()
    # aiosmtpd's factory makes a new one for each connection.
    server = await asyncio.get_running_loop().create_server(lambda: SMTP(kept, hostname="mx.example"), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    config = {"relay": "127.0.0.1", "port": port, "tls": False, "from": "a@example.com"}
    try:
        assert await send(SmtpProvider(), Guard(looks), [f"127.0.0.1:{port}"], config) == LOST
        assert kept.messages == []
        assert isinstance(await send(SmtpProvider(), Guard(9), [f"127.0.0.1:{port}"], config), Accepted)
        assert len(kept.messages) == 1
    finally:
        server.close()


class Plain:
    """What a stranger writes: one function, blocking or not."""

    channel, name = "sms", "plain"

    def __init__(self, deliver: Any) -> None:
        self.deliver = deliver

    def validate_credentials(self, credentials: Any) -> list[tuple[str, str]]:
        return []


@pytest.mark.parametrize("blocking", [True, False])
async def test_a_plain_provider_is_not_called(blocking: bool) -> None:
    called: list[Any] = []

    def deliver(delivery: Any, config: Any) -> Outcome:
        called.append(delivery)
        return Accepted("1")

    async def awaited(delivery: Any, config: Any) -> Outcome:
        return deliver(delivery, config)

    plain = Plain(deliver if blocking else awaited)
    assert await send(plain, Guard(0), [], {}) == LOST
    assert called == []
    assert isinstance(await send(plain, Guard(9), [], {}), Accepted)
    assert len(called) == 1
