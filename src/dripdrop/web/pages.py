"""What does a page look like, and what may a browser do with it?"""

from __future__ import annotations

from base64 import b64encode
from functools import cache
from hashlib import sha256
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from starlette.responses import HTMLResponse

from dripdrop.web.texts import Wording


@cache
def _environment() -> Environment:
    return Environment(
        loader=PackageLoader("dripdrop.web", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


@cache
def _css() -> tuple[str, str]:
    """The style sheet, and its hash as a Content-Security-Policy names it."""
    text, _, _ = PackageLoader("dripdrop.web", "templates").get_source(_environment(), "public.css")
    return text, f"'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'"


def page(name: str, wording: Wording, status: int = 200, **values: Any) -> HTMLResponse:
    """A page from its template: nothing is loaded from anywhere, nothing is kept, and the address is not passed on."""
    css, fingerprint = _css()
    text = _environment().get_template(f"{name}.html").render(css=Markup(css), wording=wording, **values)
    spoken = {"Content-Language": wording.language, "Vary": "Accept-Language"}
    return HTMLResponse(text, status, {**_headers(fingerprint), **spoken})


def _headers(style: str) -> dict[str, str]:
    policy = f"default-src 'none'; style-src {style}; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    return {
        "Content-Security-Policy": policy,
        "Referrer-Policy": "no-referrer",  # the address of the page is the key to it
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
        "X-Robots-Tag": "noindex",
        "Cache-Control": "no-store",
    }
