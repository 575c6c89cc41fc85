"""What may somebody do who has nothing but a link from a message?"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeAlias

from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from dripdrop.errors import Unauthorized
from dripdrop.operations import linking, reporting, suppressing
from dripdrop.rules import links, visiting
from dripdrop.store.flow import Flow
from dripdrop.web.pages import page

Run: TypeAlias = Callable[[Callable[[datetime], Flow[Any]]], Awaitable[Any]]
"""Carries out an operation in a transaction of its own: `await run(lambda now: operation(now, ...))`."""

_LOG = logging.getLogger("dripdrop.web")


@dataclass(frozen=True, slots=True)
class Public:
    """The public pages. `secrets` is asked at each request: what links are signed with, newest first."""

    run: Run
    secrets: Callable[[], Sequence[bytes]]

    def routes(self) -> list[Route]:
        """`/u/{token}` and `/l/{code}` under whatever prefix they are mounted."""
        return [
            Route("/u/{token:path}", self.unsubscribe, methods=["GET", "POST"], name="unsubscribe"),
            Route("/l/{code}", self.follow, methods=["GET"], name="short_link"),
        ]

    async def unsubscribe(self, request: Request) -> Response:
        """RFC 8058: POST acts, whoever sends it; GET only asks, as mail software fetches links; HEAD does nothing."""
        try:
            token = links.read_unsubscribe(request.path_params["token"], self.secrets())
            if request.method != "POST":
                return page("unsubscribe", recipient=masked(token.recipient))
            await self.run(lambda now: suppressing.unsubscribe(now, token))
        except Unauthorized:
            return page("invalid", 400)
        except Exception as problem:
            # Neither the reader nor the log is told more: the address of the request is a key.
            _LOG.error("unsubscribing failed: %s", type(problem).__name__)
            return page("unavailable", 503)
        return page("unsubscribed", recipient=masked(token.recipient))

    async def follow(self, request: Request) -> Response:
        """Lead on to what a short link stands for; a person's click is noted, a look by HEAD or a robot is not."""
        code, agent = request.path_params["code"], visiting.agent(request.headers)
        counted = request.method == "GET" and agent in visiting.PEOPLE
        try:
            to = await self.run(lambda now: linking.follow(now, code, agent=agent, counted=counted))
        except Exception as problem:
            _LOG.error("a short link could not be followed: %s", type(problem).__name__)
            return page("unavailable", 503)
        if to is None:
            return page("nowhere", 404)
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


def masked(recipient: str) -> str:
    """Enough of an address for its owner to know it by: `a…@example.org`, `…0123`."""
    local, _, domain = recipient.rpartition("@")
    return f"{local[:1]}…@{domain}" if local else f"…{recipient[-4:]}" if len(recipient) > 4 else "…"
