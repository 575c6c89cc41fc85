"""Does the guard hold on the wire: between the check and the connection, over redirects, against endless answers?"""

from __future__ import annotations

import asyncio
import gzip
import zlib

import pytest

from dripdrop.channels.http import Sender
from dripdrop.contracts import HttpRequest, MaybeSent, NotSent
from dripdrop.errors import Invalid
from dripdrop.rules.urls import why_blocked

PUBLIC = "93.184.216.34"
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


class Trap:
    """A real server on this machine that nobody ought to reach; `answer` is written whole, or piece by piece."""

    def __init__(self):
        self.seen = []
        self.answer = OK
        self.pieces = None

    async def __aenter__(self):
        self.server = await asyncio.start_server(self.serve, "127.0.0.1", 0)
        self.port = self.server.sockets[0].getsockname()[1]
        self.writers = []
        return self

    async def __aexit__(self, *_):
        self.server.close()
        for writer in self.writers:
            writer.transport.abort()

    async def serve(self, reader, writer):
        self.writers.append(writer)
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                self.seen.append(head)
                writer.write(self.answer)
                if self.pieces is not None:
                    await self.pieces(writer)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass

    @property
    def url(self):
        return f"http://localhost:{self.port}/"


@pytest.fixture
async def trap():
    async with Trap() as trap:
        yield trap


@pytest.fixture
async def open_sender(trap):
    sender = Sender(allow=lambda: [f"localhost:{trap.port}"])
    yield sender
    await sender.aclose()


class Turncoat:
    """A resolver that says one thing to the check and another to whoever asks again."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.asked = 0

    async def __call__(self, host, port):
        self.asked += 1
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


def get(url):
    return HttpRequest("GET", url)


@pytest.fixture
def dialled(monkeypatch):
    """The addresses that are dialled; a public one is not there in a test, so it refuses."""
    import httpcore2

    tried = []
    real = httpcore2.AnyIOBackend.connect_tcp

    async def connect_tcp(self, host, port, timeout=None, local_address=None, socket_options=None):
        tried.append(host)
        if host == PUBLIC:
            raise httpcore2.ConnectError("refused")
        return await real(self, host, port, timeout, local_address, socket_options)

    monkeypatch.setattr(httpcore2.AnyIOBackend, "connect_tcp", connect_tcp)
    return tried


async def test_a_name_that_is_rebound_after_the_check_is_dialled_where_it_was_checked(trap, dialled):
    """The second answer is this machine, where the trap listens: a client that resolves again would walk into it."""
    turncoat = Turncoat([PUBLIC], ["127.0.0.1"])
    sender = Sender(resolve=turncoat)
    with pytest.raises(NotSent):
        await sender.send(get(f"https://rebind.example.test:{trap.port}/"), timeout=5)
    assert (dialled, turncoat.asked, trap.seen) == ([PUBLIC], 1, [])
    with pytest.raises(Invalid) as caught:
        await sender.send(get(f"https://rebind.example.test:{trap.port}/"), timeout=5)
    assert why_blocked(caught.value) == "private_address"
    assert (dialled, trap.seen) == ([PUBLIC], [])
    await sender.aclose()


@pytest.mark.parametrize(
    "answers",
    [[PUBLIC, "127.0.0.1"], ["127.0.0.1", PUBLIC], [PUBLIC] * 20 + ["::1"], [PUBLIC, "::ffff:127.0.0.1"]],
    ids=["last", "first", "hidden", "mapped"],
)
async def test_one_private_answer_among_public_ones_and_nobody_is_dialled(trap, dialled, answers):
    sender = Sender(resolve=Turncoat(answers))
    with pytest.raises(Invalid):
        await sender.send(get(f"https://many.example.test:{trap.port}/"), timeout=5)
    assert (dialled, trap.seen) == ([], [])
    await sender.aclose()


@pytest.mark.parametrize(
    ("name", "address"),
    [
        ("metadata.google.internal", "169.254.169.254"),
        ("instance-data.ec2.internal", "fd00:ec2::254"),
        ("localtest.me", "127.0.0.1"),
        ("127.0.0.1.nip.io", "127.0.0.1"),
        ("kubernetes.default.svc.cluster.local", "10.96.0.1"),
        ("host.docker.internal", "192.168.65.2"),
    ],
)
async def test_a_name_for_an_inner_place_is_refused_by_where_it_leads(dialled, name, address):
    sender = Sender(resolve=Turncoat([address]))
    with pytest.raises(Invalid) as caught:
        await sender.send(get(f"https://{name}/"), timeout=5)
    assert (why_blocked(caught.value), dialled) == ("private_address", [])
    await sender.aclose()


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize(
    "target", ["http://169.254.169.254/", "https://127.0.0.1/", "//10.0.0.1/", "/other", "file:///etc"]
)
async def test_no_redirect_is_followed(trap, open_sender, dialled, status, target):
    trap.answer = f"HTTP/1.1 {status} X\r\nlocation: {target}\r\ncontent-length: 0\r\n\r\n".encode()
    answer = await open_sender.send(get(trap.url), timeout=5)
    assert answer.status == status
    assert (len(trap.seen), set(dialled) <= {"127.0.0.1", "::1"}) == (1, True)


async def test_an_alternative_service_is_not_taken_up(trap, open_sender):
    elsewhere = b'alt-svc: h2="169.254.169.254:80"\r\nrefresh: 0;url=http://10.0.0.1/\r\n'
    trap.answer = b"HTTP/1.1 200 OK\r\n" + elsewhere + b"content-length: 0\r\n\r\n"
    for _ in range(2):
        assert (await open_sender.send(get(trap.url), timeout=5)).status == 200
    assert len(trap.seen) == 2


@pytest.mark.parametrize("name", ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "ALL_PROXY", "all_proxy"])
async def test_a_proxy_of_the_environment_is_never_used(trap, open_sender, monkeypatch, name):
    async with Trap() as proxy:
        monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        assert (await open_sender.send(get(trap.url), timeout=5)).body == b"ok"
        assert proxy.seen == []


async def test_an_endless_body_is_left_where_it_is_enough(trap, open_sender):
    async def endless(writer):
        while True:
            writer.write(b"10000\r\n" + b"x" * 0x10000 + b"\r\n")
            await writer.drain()

    trap.answer, trap.pieces = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", endless
    answer = await open_sender.send(get(trap.url), timeout=30, max_bytes=100_000)
    assert len(answer.body) == 100_000


async def test_a_body_that_trickles_ends_with_the_time_for_the_whole_call(trap, open_sender):
    """A byte now and then keeps a timeout between bytes from ever coming."""

    async def trickle(writer):
        while True:
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(0.02)

    trap.answer, trap.pieces = b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n", trickle
    with pytest.raises(MaybeSent) as caught:
        # The trickle would take more than half an hour.
        await asyncio.wait_for(open_sender.send(get(trap.url), timeout=0.5), 60)
    assert caught.value.reason == "timeout"


async def test_endless_headers_are_no_answer(trap, open_sender):
    async def endless(writer):
        for number in range(100_000):
            writer.write(f"x-{number}: {'y' * 1000}\r\n".encode())
            await writer.drain()

    trap.answer, trap.pieces = b"HTTP/1.1 200 OK\r\n", endless
    with pytest.raises(MaybeSent):
        await open_sender.send(get(trap.url), timeout=10)


@pytest.mark.parametrize("kind", ["gzip", "deflate"])
async def test_a_bomb_is_defused(trap, open_sender, kind):
    zeros = b"0" * 50_000_000
    packed = gzip.compress(zeros) if kind == "gzip" else zlib.compress(zeros)
    head = f"HTTP/1.1 200 OK\r\ncontent-encoding: {kind}\r\ncontent-length: {len(packed)}\r\n\r\n"
    trap.answer = head.encode() + packed
    answer = await open_sender.send(get(trap.url), timeout=10, max_bytes=100_000)
    assert len(answer.body) == 100_000


async def test_a_bomb_within_a_bomb_stays_packed(trap, open_sender):
    packed = gzip.compress(gzip.compress(b"0" * 10_000_000))
    head = f"HTTP/1.1 200 OK\r\ncontent-encoding: gzip, gzip\r\ncontent-length: {len(packed)}\r\n\r\n"
    trap.answer = head.encode() + packed
    assert (await open_sender.send(get(trap.url), timeout=10, max_bytes=100_000)).body == packed[:100_000]


async def test_a_length_that_lies_is_not_believed(trap, open_sender):
    trap.answer = b"HTTP/1.1 200 OK\r\ncontent-length: 99999999999\r\n\r\nok"
    with pytest.raises(MaybeSent):
        await open_sender.send(get(trap.url), timeout=0.3)
