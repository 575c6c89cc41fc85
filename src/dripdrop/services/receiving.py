"""What is a provider answered that posts to us?"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, TypeAlias
from urllib.parse import parse_qsl, urlencode, urlsplit
from uuid import UUID

from dripdrop.channels.http import Sender
from dripdrop.channels.listening import listens
from dripdrop.config import Config
from dripdrop.contracts import (
    DELIVERY_KEY,
    QUERY,
    HttpRequest,
    HttpResponse,
    MaybeSent,
    NotSent,
    Verified,
    WebhookRequest,
)
from dripdrop.errors import Invalid, NotFound, Unauthorized
from dripdrop.operations import receiving
from dripdrop.plugins import slug
from dripdrop.store.adapters import Adapter, credentials
from dripdrop.store.flow import Flow
from dripdrop.store.scope import Scope
from dripdrop.telemetry import Telemetry
from dripdrop.vault import Vault

Run: TypeAlias = Callable[[Callable[[datetime], Flow[Any]]], Awaitable[Any]]
Pairs: TypeAlias = Iterable[tuple[str, str]] | Mapping[str, str]

_LOG = logging.getLogger("dripdrop.webhooks")
FETCH_SECONDS = 5.0
MOST_DOCUMENTS = 4
_KEPT_FOR = timedelta(hours=1)
_MOST_KEPT = 64


@dataclass(frozen=True, slots=True)
class Received:
    """What to answer: an HTTP status, headers as pairs, a body."""

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""


class Refusal(Exception):
    """An answer other than 2xx."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status, self.why = status, why


@dataclass(slots=True)
class Receiver:
    """Verifies, stores, answers; nothing is parsed here, so what a provider sends is kept whatever it is."""

    run: Run
    known: Callable[[str, str], Any]
    vault: Callable[[], Vault]
    sender: Sender
    config: Callable[[], Config]
    telemetry: Telemetry
    _documents: dict[str, tuple[datetime, bytes]] = field(default_factory=dict)

    async def receive(
        self,
        scope: Scope,
        provider: str,
        adapter_id: Any,
        *,
        method: str,
        url: str,
        headers: Pairs,
        body: bytes,
        remote: str | None = None,
    ) -> Received:
        """The answer to one request; raises nothing. `url` is whole and as the provider called it."""
        request = WebhookRequest(method.upper(), url, folded(headers), body, remote)
        try:
            return await self._receive(scope, provider, adapter_id, request)
        except Refusal as refusal:
            return self._refused(refusal, provider)
        except Unauthorized as problem:
            self.telemetry.emit("ingest.signature_failure", metadata={"provider": provider, "reason": problem.code})
            return self._refused(Refusal(401, problem.code), provider)
        except Exception as problem:
            # Ours to mend. The provider tries again later, so nothing is lost; the text may quote the request.
            _LOG.exception("a webhook of %s could not be taken in: %s", slug(provider)[:50], type(problem).__name__)
            return Received(503, (("retry-after", "30"),))

    async def _receive(self, scope: Scope, provider: str, adapter_id: Any, request: WebhookRequest) -> Received:
        config = self.config()
        if len(request.body) > config.webhook_max_body_bytes:
            self.telemetry.emit("webhook.body_too_large", metadata={"provider": provider, "size": len(request.body)})
            raise Refusal(413, "too_large")
        now, adapter = await self._destination(scope, provider, adapter_id)
        plugin = self._plugin(adapter)
        self._routed(plugin, adapter, request)
        asked = {
            **adapter.config, **credentials(adapter, self.vault()), "now": now, "url": request.url,
            "method": request.method, "remote": request.remote,
            "webhook_replay_skew_seconds": config.webhook_replay_skew_seconds,
            "documents": await self._fetched(plugin, request, now),
        }  # fmt: skip
        verified = None
        if request.method != "GET":
            verified = plugin.verify_webhook(request.body, request.headers, asked)
        if (answer := await self._handshake(plugin, request, asked)) is not None:
            return answer
        if request.method == "GET":
            raise Refusal(405, "no_handshake")
        once = verified.once if isinstance(verified, Verified) else ()
        named = [pair for pair in parse_qsl(urlsplit(request.url).query) if pair[0] == DELIVERY_KEY]
        headers = {**request.headers, QUERY: urlencode(named)} if named else request.headers
        await self.run(lambda at: receiving.accept(at, adapter, headers, request.body, once=once))
        acknowledge = getattr(plugin, "acknowledge", None)
        return _answer(acknowledge(request)) if acknowledge is not None else Received(200)

    async def _destination(self, scope: Scope, provider: str, adapter_id: Any) -> tuple[datetime, Adapter]:
        """Whatever does not fit looks the same: nobody learns whose adapter an id is."""
        try:
            wanted = adapter_id if isinstance(adapter_id, UUID) else UUID(str(adapter_id))
        except ValueError:
            raise Refusal(404, "unknown_adapter") from None
        now, adapter = await self.run(lambda at: receiving.destination(at, scope, wanted))
        if adapter is None or _plain(adapter.provider) != _plain(provider):
            raise Refusal(404, "unknown_adapter")
        return now, adapter

    def _plugin(self, adapter: Adapter) -> Any:
        try:
            found = self.known(adapter.channel, adapter.provider)
        except NotFound as problem:
            raise Refusal(503, problem.code) from problem  # it was there when the adapter was made
        if not listens(found):
            raise Refusal(404, "no_webhooks")
        return found

    def _routed(self, plugin: Any, adapter: Adapter, request: WebhookRequest) -> None:
        path = urlsplit(request.url).path
        _, found, suffix = path.rpartition(str(adapter.id))
        suffix = suffix.rstrip("/") if found else ""
        methods = {method.upper() for method, each in plugin.webhook_routes(adapter) if each.rstrip("/") == suffix}
        if not methods:
            raise Refusal(404, "unknown_path")
        if request.method not in methods:
            raise Refusal(405, "method")

    async def _fetched(self, plugin: Any, request: WebhookRequest, now: datetime) -> Mapping[str, bytes]:
        needs = getattr(plugin, "needs", None)
        if needs is None:
            return {}
        urls: Sequence[str] = list(needs(request.body, request.headers))[:MOST_DOCUMENTS]
        return {url: await self._document(url, now) for url in urls}

    async def _document(self, url: str, now: datetime) -> bytes:
        known = self._documents.get(url)
        if known is not None and abs(now - known[0]) < _KEPT_FOR:
            return known[1]
        try:
            response = await self.sender.send(HttpRequest("GET", url), timeout=FETCH_SECONDS, max_bytes=100_000)
        except Invalid as problem:
            raise Unauthorized("It names a place we do not go to.", cure="", code=problem.code) from problem
        except (NotSent, MaybeSent) as problem:
            raise Refusal(503, "document_unavailable") from problem
        if response.status != 200:
            raise Refusal(503, "document_unavailable")
        if len(self._documents) >= _MOST_KEPT:
            self._documents.clear()
        self._documents[url] = (now, response.body)
        return response.body

    async def _handshake(self, plugin: Any, request: WebhookRequest, asked: Mapping[str, Any]) -> Received | None:
        handshake = getattr(plugin, "handshake", None)
        answer = handshake(request, asked) if handshake is not None else None
        if isinstance(answer, HttpRequest):
            response = await self.sender.send(answer, timeout=FETCH_SECONDS * 2, max_bytes=100_000)
            if not 200 <= response.status < 300:
                raise Refusal(503, "handshake")
            return Received(200)
        return _answer(answer) if isinstance(answer, HttpResponse) else None

    def _refused(self, refusal: Refusal, provider: str) -> Received:
        _LOG.info("a webhook of %r was answered %d: %s", slug(provider)[:50], refusal.status, refusal.why)
        headers = (("retry-after", "30"),) if refusal.status == 503 else ()
        return Received(refusal.status, headers)


def folded(headers: Pairs) -> dict[str, str]:
    """Headers by lower-case name, a repeated one joined by `, `."""
    found: dict[str, str] = {}
    for name, value in headers.items() if isinstance(headers, Mapping) else headers:
        key = name.strip().lower()
        found[key] = f"{found[key]}, {value}" if key in found else value
    return found


def _plain(name: str) -> str:
    return name.strip().lower().replace("_", "").replace("-", "")


def _answer(response: HttpResponse) -> Received:
    return Received(response.status, tuple(response.headers.items()), response.body)
