"""Does a call go where it may, only there, and do we know whether it left?"""

from __future__ import annotations

import asyncio
import gzip
import ssl

import httpcore2
import httpx2
import pytest

from dripdrop.channels.http import Sender
from dripdrop.contracts import HttpRequest, MaybeSent, NotSent
from dripdrop.errors import Invalid
from dripdrop.rules.urls import why_blocked


class HttpServer:
    """Answers every request with `answer`; keeps what it was sent, and over how many connections."""

    def __init__(self, tls=None):
        self.tls = tls
        self.answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
        self.requests = []
        self.connections = 0
        self.names = []
        self.hold = None
        self.arrived = asyncio.Event()
        self.writers = []

    async def __aenter__(self):
        self.server = await asyncio.start_server(self.serve, "127.0.0.1", 0, ssl=self.tls)
        self.port = self.server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_):
        self.server.close()
        for writer in self.writers:
            writer.transport.abort()

    async def serve(self, reader, writer):
        self.connections += 1
        self.writers.append(writer)
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                headers = dict(line.split(": ", 1) for line in head.split("\r\n")[1:] if line)
                body = await reader.readexactly(int(headers.get("content-length", 0)))
                self.requests.append((head.split("\r\n")[0], headers, body))
                self.arrived.set()
                if self.hold is not None:
                    await self.hold.wait()
                if self.answer is None:
                    writer.transport.abort()
                    return
                writer.write(self.answer)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass


class Names:
    """A resolver of our own, which counts."""

    def __init__(self, **answers):
        self.answers = {name.replace("_", "."): list(each) for name, each in answers.items()}
        self.asked = []

    async def __call__(self, host, port):
        self.asked.append(host)
        found = self.answers[host]
        if isinstance(found[0], Exception):
            raise found[0]
        return found


HERE = ["127.0.0.1"]


@pytest.fixture
async def server():
    async with HttpServer() as server:
        yield server


@pytest.fixture
async def sender_for():
    made = []

    def make(*allow, **options):
        made.append(Sender(allow=lambda: allow, **options))
        return made[-1]

    yield make
    for sender in made:
        await sender.aclose()


def post(url, **changes):
    return HttpRequest(**{"method": "POST", "url": url, "body": b"{}", **changes})


async def test_a_request_arrives_and_its_answer_comes_back(server, sender_for):
    sender = sender_for(f"127.0.0.1:{server.port}")
    answer = await sender.send(post(f"http://127.0.0.1:{server.port}/a?b=c", headers=(("X-One", "1"),)), timeout=5)
    assert (answer.status, answer.body, answer.headers["content-length"]) == (200, b"ok", "2")
    [(line, headers, body)] = server.requests
    assert line == "POST /a?b=c HTTP/1.1"
    assert (headers["host"], headers["X-One"], body) == (f"127.0.0.1:{server.port}", "1", b"{}")
    assert headers["accept-encoding"] == "identity"


async def test_a_connection_is_kept_and_its_name_resolved_once(server, sender_for):
    names = Names(hooks_example_test=HERE)
    sender = sender_for(f"hooks.example.test:{server.port}", resolve=names)
    for _ in range(5):
        await sender.send(post(f"http://hooks.example.test:{server.port}/"), timeout=5)
    assert server.connections == 1
    assert names.asked == ["hooks.example.test"]


async def test_a_certificate_is_checked_against_the_name_although_the_address_is_pinned(
    server_tls, certificate, sender_for
):
    names = Names(mail_example_test=HERE, other_example_test=HERE)
    seen = []
    server_tls.sni_callback = lambda sock, name, context: seen.append(name)
    async with HttpServer(server_tls) as server:
        right, wrong = f"mail.example.test:{server.port}", f"other.example.test:{server.port}"
        trusting = ssl.create_default_context(cafile=certificate[0])
        sender = sender_for(right, wrong, resolve=names, tls=trusting)
        assert (await sender.send(post(f"https://{right}/"), timeout=5)).status == 200
        assert server.requests[0][1]["host"] == right
        with pytest.raises(NotSent):
            await sender.send(post(f"https://{wrong}/"), timeout=5)
        with pytest.raises(NotSent):
            await sender_for(right, resolve=names).send(post(f"https://{right}/"), timeout=5)
        assert seen[:2] == ["mail.example.test", "other.example.test"]
        assert len(server.requests) == 1


@pytest.mark.parametrize(
    "answers",
    [
        ["127.0.0.1"],
        ["93.184.216.34", "10.0.0.1"],
        ["::1"],
        ["::ffff:127.0.0.1"],
        ["64:ff9b::a00:1"],
        ["2002:7f00:1::"],
        ["fe80::1%eth0"],
        ["169.254.169.254"],
        ["0.0.0.0"],
    ],
)
async def test_a_name_with_a_private_address_is_never_connected_to(answers, sender_for, monkeypatch):
    tried = record_connects(monkeypatch)
    sender = sender_for(resolve=Names(evil_example_test=answers))
    with pytest.raises(Invalid) as caught:
        await sender.send(post("https://evil.example.test/"), timeout=5)
    assert (caught.value.code, why_blocked(caught.value)) == ("url_blocked", "private_address")
    assert tried == []


def record_connects(monkeypatch, *, refuse=()):
    """Connections go nowhere; the addresses tried are kept."""
    tried = []

    async def connect_tcp(self, host, port, timeout=None, local_address=None, socket_options=None):
        tried.append((host, port))
        raise httpcore2.ConnectError("refused")

    monkeypatch.setattr(httpcore2.AnyIOBackend, "connect_tcp", connect_tcp)
    return tried


async def test_only_the_vetted_addresses_are_tried_in_their_order(sender_for, monkeypatch):
    tried = record_connects(monkeypatch)
    names = Names(hooks_example_test=["2606:4700::1111", "93.184.216.34"])
    with pytest.raises(NotSent):
        await sender_for(resolve=names).send(post("https://hooks.example.test/"), timeout=5)
    assert tried == [("2606:4700::1111", 443), ("93.184.216.34", 443)]
    assert names.asked == ["hooks.example.test"]  # a second answer, for the connection, would be another answer


async def test_an_exempt_connection_is_never_used_for_a_guarded_call(server, sender_for):
    allowed = [f"hooks.example.test:{server.port}"]
    sender = Sender(allow=lambda: allowed, resolve=Names(hooks_example_test=HERE))
    url = f"http://hooks.example.test:{server.port}/"
    assert (await sender.send(post(url), timeout=5)).status == 200
    allowed.clear()
    with pytest.raises(Invalid):
        await sender.send(post(url), timeout=5)
    with pytest.raises(Invalid) as caught:
        await sender.send(post(url.replace("http:", "https:")), timeout=5)
    assert why_blocked(caught.value) == "private_address"
    await sender.aclose()


async def test_redirects_are_not_followed(server, sender_for):
    server.answer = b"HTTP/1.1 302 Found\r\nlocation: http://169.254.169.254/\r\ncontent-length: 0\r\n\r\n"
    answer = await sender_for(f"127.0.0.1:{server.port}").send(post(f"http://127.0.0.1:{server.port}/"), timeout=5)
    assert answer.status == 302
    assert len(server.requests) == 1


async def test_proxies_of_the_environment_are_ignored_and_cookies_forgotten(server, sender_for, monkeypatch):
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    server.answer = b"HTTP/1.1 200 OK\r\nset-cookie: a=b\r\ncontent-length: 0\r\n\r\n"
    sender = sender_for(f"127.0.0.1:{server.port}")
    for _ in range(2):
        await sender.send(post(f"http://127.0.0.1:{server.port}/"), timeout=5)
    assert "cookie" not in server.requests[1][1]


async def test_a_body_is_cut_where_it_is_enough(server, sender_for):
    server.answer = b"HTTP/1.1 200 OK\r\ncontent-length: 3000000\r\n\r\n" + b"x" * 3_000_000
    sender = sender_for(f"127.0.0.1:{server.port}")
    answer = await sender.send(post(f"http://127.0.0.1:{server.port}/"), timeout=5, max_bytes=1000)
    assert answer.body == b"x" * 1000
    server.answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
    assert (await sender.send(post(f"http://127.0.0.1:{server.port}/"), timeout=5)).body == b"ok"


async def test_a_compressed_answer_nobody_asked_for_is_read_and_bounded(server, sender_for):
    packed = gzip.compress(b"x" * 10_000_000)
    head = f"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: {len(packed)}\r\n\r\n"
    server.answer = head.encode() + packed
    sender = sender_for(f"127.0.0.1:{server.port}")
    answer = await sender.send(post(f"http://127.0.0.1:{server.port}/"), timeout=5, max_bytes=50_000)
    assert answer.body == b"x" * 50_000


async def test_a_name_that_does_not_resolve_sent_nothing(sender_for):
    for answers in ([OSError("no such host")], [UnicodeError("label too long")]):
        sender = sender_for(resolve=Names(gone_example_test=answers))
        with pytest.raises(NotSent, match="host_unresolvable"):
            await sender.send(post("https://gone.example.test/"), timeout=5)


async def test_a_refused_connection_sent_nothing(sender_for):
    async with HttpServer() as server:
        port = server.port
    with pytest.raises(NotSent):
        await sender_for(f"127.0.0.1:{port}").send(post(f"http://127.0.0.1:{port}/"), timeout=5)


async def test_a_resolver_that_takes_too_long_sent_nothing(sender_for):
    async def forever(host, port):
        await asyncio.Event().wait()

    with pytest.raises(NotSent, match="timeout"):
        await sender_for(resolve=forever).send(post("https://slow.example.test/"), timeout=0.1)


async def test_a_connection_lost_after_the_request_is_a_doubt(server, sender_for):
    server.answer = None
    with pytest.raises(MaybeSent):
        await sender_for(f"127.0.0.1:{server.port}").send(post(f"http://127.0.0.1:{server.port}/"), timeout=5)
    assert len(server.requests) == 1


async def test_an_answer_that_takes_too_long_is_a_doubt(server, sender_for):
    server.hold = asyncio.Event()
    with pytest.raises(MaybeSent, match="timeout"):
        await sender_for(f"127.0.0.1:{server.port}").send(post(f"http://127.0.0.1:{server.port}/"), timeout=0.2)
    server.hold.set()


async def test_a_requests_own_timeout_is_kept_where_it_is_shorter(server, sender_for):
    server.hold = asyncio.Event()
    sender = sender_for(f"127.0.0.1:{server.port}")
    with pytest.raises(MaybeSent, match="timeout"):
        await sender.send(post(f"http://127.0.0.1:{server.port}/", timeout=1.0), timeout=60)
    server.hold.set()


async def test_nonsense_instead_of_an_answer_is_a_doubt(server, sender_for):
    server.answer = b"what?\r\n\r\n"
    with pytest.raises(MaybeSent):
        await sender_for(f"127.0.0.1:{server.port}").send(post(f"http://127.0.0.1:{server.port}/"), timeout=5)


@pytest.mark.parametrize(
    "changes",
    [
        {"method": "PO ST"},
        {"method": "GET /x HTTP/1.1\r\nX: "},
        {"headers": (("X-A", "b\r\nX-Evil: 1"),)},
        {"headers": (("X-A\r\nX-Evil", "1"),)},
        {"headers": (("X-A", "漢"),)},
        {"headers": (("Host", "evil.example"),)},
        {"headers": (("content-length", "1"),)},
        {"headers": (("Transfer-Encoding", "chunked"),)},
        {"headers": (("", "1"),)},
    ],
)
async def test_a_malformed_request_is_refused_before_anything_leaves(server, sender_for, changes):
    with pytest.raises(Invalid) as caught:
        await sender_for(f"127.0.0.1:{server.port}").send(
            post(f"http://127.0.0.1:{server.port}/", **changes), timeout=5
        )
    assert caught.value.code == "request_invalid"
    assert server.requests == []


async def test_a_transport_that_was_handed_in_is_used_for_every_call():
    seen = []

    def answer(request):
        seen.append(request)
        return httpx2.Response(202, headers={"X-Message-Id": "m1"}, content=b"taken")

    async def nobody(host, port):
        raise AssertionError("no name is resolved")

    sender = Sender(transport=httpx2.MockTransport(answer), resolve=nobody)
    got = await sender.send(post("https://api.example.com/send?x=1", headers=(("X-A", "1"),)), timeout=5)
    assert (got.status, got.headers["x-message-id"], got.body) == (202, "m1", b"taken")
    assert (str(seen[0].url), seen[0].content, seen[0].headers["host"]) == (
        "https://api.example.com/send?x=1",
        b"{}",
        "api.example.com",
    )
    assert seen[0].headers.get_list("host") == ["api.example.com"]
    with pytest.raises(Invalid):
        await sender.send(post("http://api.example.com/"), timeout=5)


@pytest.mark.parametrize(
    ("error", "wanted"),
    [
        (httpx2.ConnectError("refused"), NotSent),
        (httpx2.ConnectTimeout("slow"), NotSent),
        (httpx2.PoolTimeout("full"), NotSent),
        (httpx2.ReadTimeout("slow"), MaybeSent),
        (httpx2.ReadError("reset"), MaybeSent),
        (httpx2.WriteError("reset"), MaybeSent),
        (httpx2.RemoteProtocolError("nonsense"), MaybeSent),
        (ValueError("a bug"), MaybeSent),
    ],
)
async def test_what_a_transport_raises_says_whether_it_left(error, wanted):
    def answer(request):
        raise error

    with pytest.raises(wanted):
        await Sender(transport=httpx2.MockTransport(answer)).send(post("https://api.example.com/"), timeout=5)


async def test_cancelling_the_caller_cancels_the_call(server, sender_for):
    server.hold = asyncio.Event()
    sender = sender_for(f"127.0.0.1:{server.port}")
    task = asyncio.create_task(sender.send(post(f"http://127.0.0.1:{server.port}/"), timeout=60))
    await asyncio.wait_for(server.arrived.wait(), 5)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    server.hold.set()
