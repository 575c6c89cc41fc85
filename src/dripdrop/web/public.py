"""What may somebody do who has nothing but a link from a message?"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeAlias
from urllib.parse import parse_qs

from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from dripdrop.errors import Unauthorized
from dripdrop.operations import linking, reporting, unsubscribing
from dripdrop.rules import links, visiting
from dripdrop.store.flow import Flow
from dripdrop.web import texts
from dripdrop.web.pages import page
from dripdrop.web.texts import Texts, Wording

Run: TypeAlias = Callable[[Callable[[datetime], Flow[Any]]], Awaitable[Any]]
"""Carries out an operation in a transaction of its own: `await run(lambda now: operation(now, ...))`."""

_LARGEST_FORM = 1024
_LOG = logging.getLogger("dripdrop.web")


@dataclass(frozen=True, slots=True)
class Public:
    """The public pages. Asked at each request: `secrets`, what links are signed with, newest first; `ends`, whether who
    unsubscribes also leaves enrollments; `own`, the host's own texts by language.
    """

    run: Run
    secrets: Callable[[], Sequence[bytes]]
    ends: Callable[[], bool] = lambda: True
    own: Callable[[], Texts] = dict

    def routes(self) -> list[Route]:
        """`/u/{token}` and `/l/{code}` under whatever prefix they are mounted."""
        return [
            Route("/u/{token:path}", self.unsubscribe, methods=["GET", "POST"], name="unsubscribe"),
            Route("/l/{code}", self.follow, methods=["GET"], name="short_link"),
        ]

    async def unsubscribe(self, request: Request) -> Response:
        """RFC 8058: POST acts, whoever sends it; GET only asks, as mail software fetches links; HEAD does nothing.

        The one click is of the link's topic, where it has one; the pages also offer everything.
        """
        wording = self._wording(request)
        try:
            token = links.read_unsubscribe(request.path_params["token"], self.secrets())
            recipient = masked(token.recipient)
            if request.method != "POST":
                return page("unsubscribe", wording, recipient=recipient, topic=token.topic)
            everything, ends = await _wants_everything(request), self.ends()
            done = await self.run(lambda now: unsubscribing.unsubscribe(now, token, everything=everything, ends=ends))
        except Unauthorized:
            return page("invalid", wording, 400)
        except Exception as problem:
            # Neither the reader nor the log is told more: the address of the request is a key.
            _LOG.error("unsubscribing failed: %s", type(problem).__name__)
            return page("unavailable", wording, 503)
        return page("unsubscribed", wording, recipient=recipient, topic=done.topic)

    def _wording(self, request: Request) -> Wording:
        return texts.wording(request.headers.get("accept-language"), self.own())

    async def follow(self, request: Request) -> Response:
        """Lead on to what a short link stands for; a person's click is noted, a look by HEAD or a robot is not."""
        code, agent = request.path_params["code"], visiting.agent(request.headers)
        counted = request.method == "GET" and agent in visiting.PEOPLE
        try:
            to = await self.run(lambda now: linking.follow(now, code, agent=agent, counted=counted))
        except Exception as problem:
            _LOG.error("a short link could not be followed: %s", type(problem).__name__)
            return page("unavailable", self._wording(request), 503)
        if to is None:
            return page("nowhere", self._wording(request), 404)
        return RedirectResponse(to, 302, _ON_THE_WAY)


_ON_THE_WAY = {"Cache-Control": "no-store", "Referrer-Policy": "no-referrer", "X-Robots-Tag": "noindex"}


@dataclass(frozen=True, slots=True)
class Health:
    """Is the process up, and can it serve?"""

    run: Run

    def routes(self) -> list[Route]:
        """`/healthz` says that the process answers, `/readyz` that the database and its schema do."""
        return [Route("/healthz", self.healthz), Route("/readyz", self.readyz)]

    async def healthz(self, request: Request) -> Response:
        return JSONResponse({"ok": True}, headers={"Cache-Control": "no-store"})

    async def readyz(self, request: Request) -> Response:
        try:
            await self.run(reporting.ready)
        except Exception as problem:
            code = getattr(problem, "code", "error")
            _LOG.warning("not ready: %s", code)
            return JSONResponse({"ready": False, "reason": code}, 503, {"Cache-Control": "no-store"})
        return JSONResponse({"ready": True}, headers={"Cache-Control": "no-store"})


async def _wants_everything(request: Request) -> bool:
    """Whether the form of our own page asks for it; what mail software posts (RFC 8058) never does."""
    if not request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
        return False
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > _LARGEST_FORM:
            return False
    return "everything" in parse_qs(body.decode("latin-1"))


def masked(recipient: str) -> str:
    """Enough of an address for its owner to know it by: `a…@example.org`, `…0123`."""
    local, _, domain = recipient.rpartition("@")
    return f"{local[:1]}…@{domain}" if local else f"…{recipient[-4:]}" if len(recipient) > 4 else "…"
