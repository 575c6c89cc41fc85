"""How does a blocking host (Flask, Django, any WSGI server) serve our pages and take in webhooks?"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass
from http.client import responses
from typing import Any, TypeAlias
from urllib.parse import quote

Wait: TypeAlias = Callable[[Coroutine[Any, Any, Any]], Any]
_CHUNK = 65_536


@dataclass(frozen=True, slots=True)
class Answered:
    """An answer as a whole: these pages are small."""

    status: int
    headers: Sequence[tuple[str, str]]
    body: bytes


@dataclass(frozen=True, slots=True)
class Wsgi:
    """A WSGI application around our ASGI one; `wait` carries a coroutine out, `largest` bounds a body that is read."""

    app: Any
    wait: Wait
    largest: Callable[[], int]

    def __call__(self, environ: Mapping[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        headers = [
            (name.removeprefix("HTTP_").replace("_", "-").lower(), str(value))
            for name, value in environ.items()
            if name.startswith("HTTP_") or name in ("CONTENT_TYPE", "CONTENT_LENGTH")
        ]
        # PEP 3333: the path is bytes dressed up as Latin-1, and unquoted.
        answer = self.handle(
            environ["REQUEST_METHOD"],
            str(environ.get("PATH_INFO") or "/").encode("latin-1"),
            root=str(environ.get("SCRIPT_NAME", "")).encode("latin-1"),
            query=str(environ.get("QUERY_STRING", "")),
            headers=[(name, value) for name, value in headers if value],
            read=environ["wsgi.input"].read,
            scheme=str(environ.get("wsgi.url_scheme", "http")),
            remote=environ.get("REMOTE_ADDR"),
        )
        start_response(f"{answer.status} {responses.get(answer.status, 'Unknown')}", list(answer.headers))
        return [answer.body]

    def handle(
        self,
        method: str,
        path: bytes,
        *,
        root: bytes,
        query: str,
        headers: Sequence[tuple[str, str]],
        read: Callable[[int], bytes],
        scheme: str,
        remote: str | None,
    ) -> Answered:
        """Answer one request; a body that says it is too large is not read at all."""
        body = self._body(dict(headers).get("content-length", ""), read)
        whole = root + path
        scope = {
            "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": method.upper(),
            "scheme": scheme, "path": whole.decode("utf-8", "replace"), "raw_path": quote(whole).encode(),
            "root_path": root.decode("utf-8", "replace"), "query_string": query.encode("latin-1", "replace"),
            "headers": [(name.lower().encode(), value.encode("latin-1", "replace")) for name, value in headers],
            "client": (remote, 0) if remote else None, "server": None,
        }  # fmt: skip
        answered: Answered = self.wait(_ask(self.app, scope, body))
        return answered

    def _body(self, announced: str, read: Callable[[int], bytes]) -> bytes:
        length = int(announced) if announced.isdigit() else 0
        if length > self.largest():
            return b""
        parts: list[bytes] = []
        while length > 0 and (part := read(min(length, _CHUNK))):
            parts.append(part)
            length -= len(part)
        return b"".join(parts)


async def _ask(app: Any, scope: Mapping[str, Any], body: bytes) -> Answered:
    told: list[dict[str, Any]] = []
    asked = iter([{"type": "http.request", "body": body, "more_body": False}])

    async def receive() -> dict[str, Any]:
        return next(asked, {"type": "http.disconnect"})

    async def send(message: dict[str, Any]) -> None:
        told.append(message)

    await app(scope, receive, send)
    begun = next(each for each in told if each["type"] == "http.response.start")
    whole = b"".join(each.get("body", b"") for each in told if each["type"] == "http.response.body")
    headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in begun.get("headers", [])]
    return Answered(begun["status"], headers, whole)
