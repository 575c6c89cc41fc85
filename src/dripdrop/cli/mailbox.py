"""What did the people get, seen in a browser?"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from dripdrop.channels import local

# A message's own HTML runs nothing, and is shown in a frame that knows nothing of this page.
_MESSAGE = "sandbox; default-src 'none'; img-src https: data:; style-src 'unsafe-inline'; font-src https: data:"
_PAGE = "default-src 'none'; style-src 'unsafe-inline'; frame-src 'self'; base-uri 'none'; form-action 'none'"


class Mailbox:
    """Pages over a mailbox folder; nothing in it is changed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def routes(self) -> Sequence[Route]:
        """`/` lists, `/messages/{id}` shows one with its parts beneath, `/messages` is the list as JSON."""
        return [
            Route("/", self.inbox, name="inbox"),
            Route("/messages", self.listed),
            Route("/messages/{id}", self.message, name="message"),
            Route("/messages/{id}/html", self.html, name="html"),
            Route("/messages/{id}/eml", self.eml, name="eml"),
        ]

    def inbox(self, request: Request) -> Response:
        """The newest messages first."""
        return _page("inbox", messages=[_row(each) for each in local.list_messages(self.folder)])

    def listed(self, request: Request) -> Response:
        """The same for programs."""
        return JSONResponse({"messages": local.list_messages(self.folder)})

    def message(self, request: Request) -> Response:
        """One message: its head, its text, and its HTML in a frame."""
        found = local.read_message(self.folder, request.path_params["id"])
        if found is None:
            return _page("gone", 404)
        return _page("message", kept=found, row=_row(found), parts=found.get("message") or {})

    def html(self, request: Request) -> Response:
        """The HTML part of an e-mail, as it is."""
        found = local.read_message(self.folder, request.path_params["id"]) or {}
        text = (found.get("message") or {}).get("html")
        if not text:
            return _page("gone", 404)
        return HTMLResponse(text, headers={"Content-Security-Policy": _MESSAGE, "Referrer-Policy": "no-referrer"})

    def eml(self, request: Request) -> Response:
        """The octets as SMTP would have carried them."""
        raw = local.read_eml(self.folder, request.path_params["id"])
        return _page("gone", 404) if raw is None else Response(raw, media_type="message/rfc822")


def _row(kept: dict[str, Any]) -> dict[str, Any]:
    """What a list shows of a message of any channel."""
    message = kept.get("message") or {}
    shown = message.get("subject") or message.get("body") or message.get("text") or ""
    return {
        **kept,
        "shown": str(shown)[:120] or f"({kept.get('channel')})",
        "day": str(kept.get("at"))[:16].replace("T", " "),
    }


@cache
def _environment() -> Environment:
    loader = PackageLoader("dripdrop.cli", "templates")
    return Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)


def _page(name: str, status: int = 200, **values: Any) -> HTMLResponse:
    text = _environment().get_template(f"{name}.html").render(**values)
    return HTMLResponse(text, status, {"Content-Security-Policy": _PAGE, "Cache-Control": "no-store"})
