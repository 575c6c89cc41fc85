"""How does a call leave the house? The only code that sends HTTP: guarded, pinned, bounded."""

from __future__ import annotations

import asyncio
import re
import socket
import zlib
from collections.abc import AsyncIterable, Awaitable, Callable, Iterable, Sequence
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any, TypeAlias
from weakref import WeakKeyDictionary

from dripdrop.channels.leaving import LeaseLost, about_to_leave
from dripdrop.contracts import HttpRequest, HttpResponse, MaybeSent, NotSent
from dripdrop.errors import Invalid
from dripdrop.rules.urls import Url, check_url, vetted

if TYPE_CHECKING:
    import httpcore2
    import httpx2

Resolve: TypeAlias = Callable[[str, int], Awaitable[Sequence[str]]]
Headers: TypeAlias = list[tuple[bytes, bytes]]

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")
# The connection's own business: a second one of these is how requests are smuggled.
_OURS = frozenset(("host", "content-length", "transfer-encoding", "connection", "upgrade", "te", "trailer", "expect"))
_BEFORE = frozenset(("ConnectError", "ConnectTimeout", "PoolTimeout", "ProxyError", "UnsupportedProtocol"))
_CONNECTIONS = 200
_KEEP_ALIVE = 50
_IDLE_SECONDS = 30.0
_SECONDS_PER_ADDRESS = 5.0


async def resolve(host: str, port: int) -> list[str]:
    """Every address of a name, in the system's order."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(each[4][0]) for each in found))


class Sender:
    """Sends one request at a time or hundreds; connections are kept per event loop.

    `transport` (an `httpx2.AsyncBaseTransport`) replaces the network for every call: the URL's shape is still
    checked, but no name is resolved, so whoever hands one in answers for where it goes. `allow` is asked at each call.
    """

    def __init__(
        self,
        *,
        transport: httpx2.AsyncBaseTransport | None = None,
        allow: Callable[[], Sequence[str]] = tuple,
        resolve: Resolve = resolve,
        tls: Any = None,
    ) -> None:
        self._transport = transport
        self._allow = allow
        self._resolve = resolve
        self._tls = tls
        self._pools: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[bool, httpcore2.AsyncConnectionPool]] = (
            WeakKeyDictionary()
        )

    async def send(self, request: HttpRequest, *, timeout: float, max_bytes: int = 1_000_000) -> HttpResponse:
        """The answer, whatever its status; redirects are not followed, and a body is cut at `max_bytes`.

        `timeout` in seconds bounds the whole call. Raises `NotSent`, `MaybeSent`, or `Invalid`: `url_blocked` (see
        `rules.urls`), `request_invalid` (a method or header that is none), both before anything left.
        """
        url = check_url(request.url, allow=self._allow())
        headers = _headers(request, url)
        trail = _Trail(injected=self._transport is not None)
        try:
            async with asyncio.timeout(timeout if request.timeout is None else min(timeout, request.timeout)):
                if self._transport is not None:
                    return await _through(self._transport, request, url, headers, max_bytes)
                return await self._direct(request, url, headers, trail, max_bytes)
        except (NotSent, Invalid, LeaseLost):
            raise
        except TimeoutError:
            raise (MaybeSent if trail.left else NotSent)("timeout") from None
        except Exception as error:
            raise trail.verdict(error) from error

    async def aclose(self) -> None:
        """Close the connections of the running loop, and the transport that was handed in."""
        for pool in self._pools.pop(asyncio.get_running_loop(), {}).values():
            await pool.aclose()
        if self._transport is not None:
            await self._transport.aclose()

    async def _direct(
        self, request: HttpRequest, url: Url, headers: Headers, trail: _Trail, max_bytes: int
    ) -> HttpResponse:
        import httpcore2

        target = httpcore2.URL(
            scheme=url.scheme.encode(), host=url.host.encode(), port=url.port, target=url.target.encode()
        )
        async with self._pool(guarded=not url.exempt).stream(
            request.method, target, headers=headers, content=request.body, extensions={"trace": trail}
        ) as response:
            body = await _bounded(response.aiter_stream(), max_bytes)
            return _response(response.status, response.headers, body, max_bytes)

    def _pool(self, *, guarded: bool) -> httpcore2.AsyncConnectionPool:
        """Exempt calls have connections of their own: a guarded call never rides on one that was not vetted."""
        pools = self._pools.setdefault(asyncio.get_running_loop(), {})
        if guarded not in pools:
            import httpcore2

            pools[guarded] = httpcore2.AsyncConnectionPool(
                ssl_context=self._tls or httpcore2.default_ssl_context(),
                max_connections=_CONNECTIONS,
                max_keepalive_connections=_KEEP_ALIVE,
                keepalive_expiry=_IDLE_SECONDS,
                network_backend=_pinned(self._resolve, guarded=guarded),
            )
        return pools[guarded]


class _Trail:
    """Knows whether a request began to be written. It is the connection's trace callback."""

    def __init__(self, *, injected: bool) -> None:
        self.left = injected
        self._injected = injected

    async def __call__(self, event: str, info: Any) -> None:
        if event.endswith("send_request_headers.started"):
            about_to_leave()
            self.left = True

    def verdict(self, error: Exception) -> NotSent | MaybeSent:
        # A transport that was handed in has no trail: what it raises tells, by the names that httpx gives its errors.
        name = type(error).__name__
        if not self.left or (self._injected and name in _BEFORE):
            return NotSent(name)
        return MaybeSent(name)


def _pinned(resolve: Resolve, *, guarded: bool) -> httpcore2.AsyncNetworkBackend:
    """A network that resolves a name once, vets every answer, and connects to just these addresses.

    The name stays the name for TLS and for the pool, so certificates are verified against it and two names on one
    address never share a connection.
    """
    import httpcore2

    class Pinned(httpcore2.AnyIOBackend):
        async def connect_tcp(
            self,
            host: str,
            port: int,
            timeout: float | None = None,
            local_address: str | None = None,
            socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
        ) -> httpcore2.AsyncNetworkStream:
            try:
                addresses = [host] if _is_address(host) else list(await resolve(host, port))
            except (OSError, UnicodeError) as error:
                raise NotSent("host_unresolvable") from error
            if not addresses:
                raise NotSent("host_unresolvable")
            if guarded:
                vetted(addresses)
            for address in addresses[:-1]:
                try:
                    return await super().connect_tcp(address, port, _SECONDS_PER_ADDRESS, None, socket_options)
                except (httpcore2.ConnectError, httpcore2.ConnectTimeout):
                    continue
            return await super().connect_tcp(addresses[-1], port, timeout, None, socket_options)

    return Pinned()


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


async def _through(
    transport: httpx2.AsyncBaseTransport, request: HttpRequest, url: Url, headers: Headers, max_bytes: int
) -> HttpResponse:
    import httpx2

    asked = httpx2.Request(request.method, str(url), headers=headers, content=request.body)
    response = await transport.handle_async_request(asked)
    try:
        stream = response.stream
        assert isinstance(stream, AsyncIterable)  # what an asynchronous transport returns
        body = await _bounded(stream, max_bytes)
    finally:
        await response.aclose()
    return _response(response.status_code, response.headers.raw, body, max_bytes)


def _headers(request: HttpRequest, url: Url) -> Headers:
    if not _TOKEN.fullmatch(request.method):
        raise Invalid("The HTTP method is none.", cure="Use a word such as POST.", code="request_invalid")
    out = [(b"host", url.authority.encode("ascii"))]
    if request.body or request.method not in ("GET", "HEAD"):
        out.append((b"content-length", str(len(request.body)).encode("ascii")))
    named = {name.lower() for name, _ in request.headers}
    if "accept-encoding" not in named:
        out.append((b"accept-encoding", b"identity"))
    if "user-agent" not in named:
        out.append((b"user-agent", b"dripdrop"))
    for name, value in request.headers:
        if not _TOKEN.fullmatch(name) or not _VALUE.fullmatch(value) or name.lower() in _OURS:
            raise Invalid(
                "A request header is malformed or is written by us.",
                cure="Use one line of latin text under a header name of your own.",
                code="request_invalid",
            )
        out.append((name.encode("ascii"), value.strip().encode("latin-1")))
    return out


async def _bounded(chunks: AsyncIterable[bytes], most: int) -> bytes:
    body = bytearray()
    async for chunk in chunks:
        body += chunk
        if len(body) >= most:
            break
    return bytes(body[:most])


def _response(status: int, headers: Iterable[tuple[bytes, bytes]], body: bytes, most: int) -> HttpResponse:
    read: dict[str, str] = {}
    for name, value in headers:
        key, text = name.decode("latin-1").lower(), value.decode("latin-1")
        read[key] = f"{read[key]}, {text}" if key in read else text
    encoding = read.get("content-encoding", "identity").lower()
    if encoding in ("gzip", "deflate") and body:
        body = _inflated(body, most)
    return HttpResponse(status, read, body)


def _inflated(body: bytes, most: int) -> bytes:
    """Some answer compressed although asked not to; the result is bounded, so a small body cannot fill the memory."""
    try:
        return zlib.decompressobj(47).decompress(body, most)
    except zlib.error:
        return body
