"""A provider posts to us, wherever the host has mounted us; what it says is kept before it is answered."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID, uuid4

import httpx2
import psycopg
import pytest
from tests.engine.telling import Telling, posted, signed

from dripdrop import AsyncDripDrop, DripDrop
from dripdrop.web.receiver import seen_url

CONFIG = {"encryption_key": base64.b64encode(b"k" * 32).decode(), "webhook_max_body_bytes": 1000}


class Mounted:
    """A receiver behind a client; `path` is where its adapter listens."""

    def __init__(self, client: httpx2.AsyncClient, path: str, url: str, provider: Telling) -> None:
        self.client, self.path, self.url, self.provider = client, path, url, provider

    async def post(self, request: dict[str, Any], path: str | None = None) -> int:
        answer = await self.client.post(path or self.path, content=request["body"], headers=request["headers"])
        return answer.status_code

    def kept(self) -> int:
        with psycopg.connect(self.url) as connection:
            (number,) = connection.execute("select count(*) from dripdrop.webhook_requests").fetchone() or (0,)
        return number


async def adapter(drip: AsyncDripDrop) -> UUID:
    return (await drip.adapters.create("main", channel="email", provider="telling")).id  # type: ignore[no-any-return]


@pytest.fixture
async def mounted(database_url: str) -> AsyncIterator[Mounted]:
    """The part alone, mounted in a FastAPI application."""
    from fastapi import FastAPI

    provider = Telling()
    drip = AsyncDripDrop(database_url, plugins=[provider], config=CONFIG)
    host = FastAPI()
    host.mount("/webhooks/dripdrop", drip.asgi(parts=("webhooks",)))
    transport = httpx2.ASGITransport(app=host)
    async with httpx2.AsyncClient(transport=transport, base_url="https://shop.example") as client:
        yield Mounted(client, f"/webhooks/dripdrop/telling/{await adapter(drip)}", database_url, provider)
    await drip.close()


EVENT = {"id": "1", "type": "opened"}


async def test_a_signed_request_is_kept_and_answered(mounted: Mounted) -> None:
    assert await mounted.post(signed(EVENT)) == 200
    assert mounted.kept() == 1
    assert mounted.provider.handshakes[-1].url == f"https://shop.example{mounted.path}"


async def test_an_unsigned_one_is_not_kept(mounted: Mounted) -> None:
    assert await mounted.post(signed(EVENT, secret="wrong")) == 401
    request = signed(EVENT)
    assert await mounted.post({**request, "body": request["body"] + b" "}) == 401
    assert mounted.kept() == 0


async def test_whatever_does_not_fit_looks_the_same(mounted: Mounted) -> None:
    own = mounted.path
    for path in (own.rpartition("/")[0] + f"/{uuid4()}", own.replace("telling/", "postmark/"), own + "/else"):
        assert await mounted.post(signed(EVENT), path) == 404
    assert await mounted.post(signed(EVENT), own[:-4]) == 404, "no id at all"
    assert mounted.kept() == 0


async def test_what_is_too_large_is_not_read(mounted: Mounted) -> None:
    assert await mounted.post(posted(b"[" + b" " * 2000 + b"]")) == 413
    read = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal read
        while True:
            read += 100
            yield b" " * 100

    answer = await mounted.client.post(mounted.path, content=endless())
    assert answer.status_code == 413
    assert read <= 1200
    assert mounted.kept() == 0


async def test_our_own_fault_is_told_so_that_it_comes_again(mounted: Mounted) -> None:
    mounted.provider.crashes = 1
    assert await mounted.post(signed(EVENT)) == 503
    assert await mounted.post(signed(EVENT)) == 200
    assert mounted.kept() == 1


async def test_a_verified_body_is_kept_whatever_it_says(mounted: Mounted) -> None:
    assert await mounted.post(posted(b"\xff\xfe nonsense")) == 200
    assert mounted.kept() == 1


async def test_a_handshake_answers_for_itself(mounted: Mounted) -> None:
    assert (await mounted.client.get(f"{mounted.path}?token=right")).text == "hello"
    assert (await mounted.client.get(f"{mounted.path}?token=wrong")).status_code == 401
    assert (await mounted.client.head(mounted.path)).status_code == 405
    assert (await mounted.client.put(mounted.path)).status_code == 405
    assert mounted.kept() == 0


async def test_a_token_that_signs_one_request_signs_one(mounted: Mounted) -> None:
    assert await mounted.post(signed(EVENT, x_once="t")) == 200
    assert await mounted.post(signed(EVENT, x_once="t")) == 200, "the answer was lost, and it came again"
    assert await mounted.post(signed({"id": "2", "type": "opened"}, x_once="t")) == 401
    assert mounted.kept() == 1


async def test_the_whole_application_has_webhooks_under_their_name(database_url: str) -> None:
    drip = AsyncDripDrop(database_url, plugins=[Telling()], config=CONFIG)
    client = httpx2.AsyncClient(transport=httpx2.ASGITransport(app=drip.asgi()), base_url="https://shop.example")
    request = signed(EVENT)
    path = f"/webhooks/telling/{await adapter(drip)}"
    answer = await client.post(path, content=request["body"], headers=request["headers"])
    assert answer.status_code == 200
    (route,) = [each for each in await drip.webhooks.routes() if each.method == "POST"]
    assert route.path == path
    await client.aclose()
    await drip.close()


def test_flask_mounts_it_too(database_url: str) -> None:
    from flask import Flask
    from werkzeug.middleware.dispatcher import DispatcherMiddleware

    with DripDrop(database_url, plugins=[Telling()], config=CONFIG) as drip:
        made = drip.adapters.create("main", channel="email", provider="telling")
        host = Flask("shop")
        host.wsgi_app = DispatcherMiddleware(host.wsgi_app, {"/webhooks/dripdrop": drip.wsgi(parts=("webhooks",))})
        client, path, request = host.test_client(), f"/webhooks/dripdrop/telling/{made.id}", signed(EVENT)
        assert client.post(path, data=request["body"], headers=request["headers"]).status_code == 200
        assert client.post(path, data=b"[]", headers=request["headers"]).status_code == 401
        assert client.post(path, data=b" " * 2000, headers=request["headers"]).status_code == 413
        assert client.get(f"{path}?token=right").text == "hello"
        assert [each.provider for each in drip.webhooks.list()] == ["telling"]


DJANGO = """
import sys
import django
from django.conf import settings
from django.urls import include, path

URL, BODY, SIGNATURE, KEY = sys.argv[1:]
settings.configure(SECRET_KEY="x", ROOT_URLCONF=__name__, ALLOWED_HOSTS=["*"], DRIPDROP="__main__.drip",
                   MIDDLEWARE=["django.middleware.csrf.CsrfViewMiddleware"])
django.setup()
from django.test import Client
from dripdrop import DripDrop
from tests.engine.telling import Telling

drip = DripDrop(URL, plugins=[Telling()], config={"encryption_key": KEY, "webhook_max_body_bytes": 1000})
urlpatterns = [path("webhooks/dripdrop/", include("dripdrop.integrations.django.urls"))]
adapter = drip.adapters.create("main", channel="email", provider="telling")
client = Client(enforce_csrf_checks=True)

def post(body, signature=SIGNATURE):
    where = f"/webhooks/dripdrop/webhooks/telling/{adapter.id}"
    return client.post(where, body, content_type="application/json", HTTP_X_SIGNATURE=signature).status_code

token = drip.unsubscribe_token(channel="email", recipient="ann@example.org")
answers = [post(BODY), post(BODY, "wrong"), post(" " * 2000),
           client.get(f"/webhooks/dripdrop/u/{token}").status_code,
           client.post(f"/webhooks/dripdrop/u/{token}").status_code]
found = drip.suppressions.check("email", "ann@example.org")
print(answers, len(drip.webhooks.list()), found.reason)
drip.close()
"""


def test_django_includes_it_too(database_url: str) -> None:
    import os
    import subprocess
    import sys
    from pathlib import Path

    root = Path(__file__).parents[2]
    request = signed(EVENT)
    words = [sys.executable, "-c", DJANGO, database_url, request["body"].decode(), request["headers"]["x-signature"],
             CONFIG["encryption_key"]]  # fmt: skip
    env = {**os.environ, "PYTHONPATH": f"{root / 'src'}{os.pathsep}{root}"}
    ran = subprocess.run(words, capture_output=True, text=True, timeout=120, env=env, cwd=root)
    assert ran.stdout.strip() == "[200, 401, 413, 200, 200] 1 unsubscribe", ran.stderr


@pytest.mark.parametrize(
    ("scope", "public", "seen"),
    [
        ({}, None, "http://inner:8000/hook/p/1?a=%20b"),
        ({"x-forwarded-proto": "https", "x-forwarded-host": "shop.example"}, None, "https://shop.example/hook/p/1?a=%20b"),
        ({}, "https://shop.example", "https://shop.example/hook/p/1?a=%20b"),
        ({"x-forwarded-host": "evil.example"}, "https://shop.example", "https://shop.example/hook/p/1?a=%20b"),
        ({}, "https://shop.example/app", "https://shop.example/app/hook/p/1?a=%20b"),
        ({}, "https://shop.example/hook", "https://shop.example/hook/p/1?a=%20b"),
    ],
)  # fmt: skip
def test_the_url_as_the_provider_saw_it(scope: dict[str, str], public: str | None, seen: str) -> None:
    headers = {"host": "inner:8000", **scope}
    asked = {
        "scheme": "http", "path": "/hook/p/1", "raw_path": b"/hook/p/1", "root_path": "/hook",
        "query_string": b"a=%20b",
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
    }  # fmt: skip
    assert seen_url(asked, public) == seen
