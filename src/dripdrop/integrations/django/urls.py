"""Where does a Django project serve our pages and take in webhooks?

# urls.py
urlpatterns = [path("webhooks/dripdrop/", include("dripdrop.integrations.django.urls")), ...]

Everything is served below the prefix: webhooks at `{prefix}webhooks/{provider}/{adapter_id}`, unsubscribe pages at
`{prefix}u/{token}`.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.urls import re_path
from django.views.decorators.csrf import csrf_exempt

from dripdrop.integrations.django import drip


@cache
def _served() -> Any:
    return drip().wsgi()


@csrf_exempt  # type: ignore[untyped-decorator, unused-ignore]
def serve(request: HttpRequest, rest: str) -> HttpResponse:
    """One request below the prefix. Providers and mail programs have no token of ours: signatures are what counts."""
    path = request.path.encode()
    below = f"/{rest}".encode()
    answer = _served().handle(
        request.method or "GET",
        below,
        root=path[: -len(below)] if path.endswith(below) else b"",
        query=request.META.get("QUERY_STRING", ""),
        headers=[(name.lower(), value) for name, value in request.headers.items()],
        read=request.read,
        scheme=request.scheme or "http",
        remote=request.META.get("REMOTE_ADDR"),
    )
    response = HttpResponse(answer.body, status=answer.status)
    for name, value in answer.headers:
        response[name] = value
    return response


app_name = "dripdrop"
urlpatterns = [re_path(r"^(?P<rest>.*)$", serve, name="serve")]
