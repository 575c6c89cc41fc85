"""What may a provider post to us, and how much of it is read before we know who calls?"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias
from urllib.parse import urlsplit

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route


class Answer(Protocol):
    """What the service answers: an HTTP status, headers as pairs, a body."""

    @property
    def status(self) -> int: ...

    @property
    def headers(self) -> tuple[tuple[str, str], ...]: ...

    @property
    def body(self) -> bytes: ...


Receive: TypeAlias = Callable[..., Awaitable[Answer]]


@dataclass(frozen=True, slots=True)
class Webhooks:
    """The receiver. `largest` and `public_url` are asked at each request."""

    receive: Receive
    largest: Callable[[], int]
    public_url: Callable[[], str | None] = lambda: None

    def routes(self, prefix: str = "") -> list[Route]:
        """`{prefix}/{provider}/{adapter_id}`, and whatever a provider puts behind it."""
        paths = ("/{provider}/{adapter_id:uuid}", "/{provider}/{adapter_id:uuid}/{rest:path}")
        return [
            Route(f"{prefix}{path}", self.posted, methods=["GET", "POST"], include_in_schema=False) for path in paths
        ]

    async def posted(self, request: Request) -> Response:
        """Cut off what is too large before it is read, whether it says how large it is or not."""
        if request.method == "HEAD":
            return Response(status_code=405)
        body = await self._body(request)
        if body is None:
            return Response(status_code=413, headers={"Connection": "close"})
        answer = await self.receive(
            request.path_params["provider"],
            request.path_params["adapter_id"],
            method=request.method,
            url=seen_url(request.scope, self.public_url()),
            headers=[(name, value) for name, value in request.headers.items()],
            body=body,
            remote=request.client.host if request.client else None,
        )
        response = Response(answer.body, answer.status)
        for name, value in answer.headers:
            response.headers[name] = value
        return response

    async def _body(self, request: Request) -> bytes | None:
        largest = self.largest()
        announced = request.headers.get("content-length", "")
        if announced.isdigit() and int(announced) > largest:
            return None
        read = bytearray()
        try:
            async for chunk in request.stream():
                read += chunk
                if len(read) > largest:
                    return None
        except ClientDisconnect:
            return None
        return bytes(read)


def seen_url(scope: Mapping[str, Any], public_url: str | None) -> str:
    """The URL as the provider called it, which some of them sign.

    The path and query are those of the request. Scheme and host are those of `public_url`, where it is set (a path in
    it is put before the request's, unless it is there); else what a proxy forwards (`X-Forwarded-Proto` and `-Host`),
    else what the request itself says. Whoever forges a header only changes what the signature is compared with.
    """
    headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope.get("headers", ())}
    # Servers differ in whether the path includes what an application is mounted under.
    raw: str = (scope.get("raw_path") or b"").decode("latin-1").partition("?")[0] or str(scope.get("path", "/"))
    root = str(scope.get("app_root_path") or scope.get("root_path") or "").rstrip("/")
    path = raw if not root or raw.startswith(f"{root}/") else root + raw
    query = scope.get("query_string", b"").decode("latin-1")
    tail = f"{path}?{query}" if query else path
    if public_url:
        parts = urlsplit(public_url)
        before = parts.path.rstrip("/")
        return f"{parts.scheme}://{parts.netloc}{'' if not before or path.startswith(f'{before}/') else before}{tail}"
    scheme = headers.get("x-forwarded-proto", "").partition(",")[0].strip() or str(scope.get("scheme", "http"))
    host = headers.get("x-forwarded-host", "").partition(",")[0].strip() or headers.get("host", "")
    return f"{scheme}://{host}{tail}"
