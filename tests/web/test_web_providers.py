"""Each provider's published event, really signed, does what it means, wherever a host has mounted us."""

from __future__ import annotations

import base64
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from tests.web.posting import KEY, PUBLIC, Shop, config
from tests.web.signing import amazon, authorities

from dripdrop import AsyncDripDrop, DripDrop

ROOT = Path(__file__).parents[2]
ENV = {**os.environ, "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}"}
PATIENCE = 60.0


@pytest.fixture
def shop(database_url: str) -> Iterator[Shop]:
    made = Shop(database_url)
    yield made
    made.drip.close()


async def test_served_whole(shop: Shop, database_url: str) -> None:
    drip = AsyncDripDrop(database_url, config=config(), http=amazon(certificate()))
    transport = httpx2.ASGITransport(app=drip.asgi(parts=("webhooks", "public")))
    async with httpx2.AsyncClient(transport=transport, base_url=PUBLIC) as client:
        for path, body, headers, status in shop.calls("/webhooks"):
            assert (path, (await client.post(path, content=body, headers=headers)).status_code) == (path, status)
    await drip.close()
    shop.check()


async def test_mounted_in_fastapi(shop: Shop, database_url: str) -> None:
    from fastapi import FastAPI

    drip, host = AsyncDripDrop(database_url, config=config(), http=amazon(certificate())), FastAPI()
    host.mount("/webhooks/dripdrop", drip.asgi(parts=("webhooks",)))
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app=host), base_url="http://inner:8000") as client:
        for path, body, headers, status in shop.calls("/webhooks/dripdrop"):
            assert (path, (await client.post(path, content=body, headers=headers)).status_code) == (path, status)
    await drip.close()
    shop.check()


def test_mounted_in_flask(shop: Shop, database_url: str) -> None:
    from flask import Flask
    from werkzeug.middleware.dispatcher import DispatcherMiddleware

    with DripDrop(database_url, config=config(), http=amazon(certificate())) as drip:
        host = Flask("shop")
        host.wsgi_app = DispatcherMiddleware(host.wsgi_app, {"/webhooks/dripdrop": drip.wsgi(parts=("webhooks",))})
        client = host.test_client()
        for path, body, headers, status in shop.calls("/webhooks/dripdrop"):
            assert (path, client.post(path, data=body, headers=headers).status_code) == (path, status)
    shop.check()


DJANGO = """
import base64, json, sys
import django
from django.conf import settings
from django.urls import include, path

url, certificate, calls = json.load(sys.stdin)
settings.configure(SECRET_KEY="x", ROOT_URLCONF=__name__, ALLOWED_HOSTS=["*"], DRIPDROP="__main__.drip",
                   MIDDLEWARE=["django.middleware.csrf.CsrfViewMiddleware"])
django.setup()
from django.test import Client
from dripdrop import DripDrop
from tests.web.posting import config
from tests.web.signing import amazon

drip = DripDrop(url, config=config(), http=amazon(certificate))
urlpatterns = [path("webhooks/dripdrop/", include("dripdrop.integrations.django.urls"))]
client = Client(enforce_csrf_checks=True)

def post(where, body, headers):
    kind = headers.pop("content-type")
    return client.post(where, base64.b64decode(body), content_type=kind, headers=headers).status_code

print(json.dumps([post(*call) for call in calls]))
drip.close()
"""


def test_included_in_django(shop: Shop, database_url: str) -> None:
    calls = shop.calls("/webhooks/dripdrop/webhooks")
    given = [(path, base64.b64encode(body).decode(), headers) for path, body, headers, _ in calls]
    told = json.dumps([database_url, certificate(), given])
    ran = subprocess.run(
        [sys.executable, "-c", DJANGO], input=told, capture_output=True, text=True, timeout=PATIENCE * 2, env=ENV,
        cwd=ROOT,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout) == [status for *_, status in calls]
    shop.check()


HOSTED = """
from pathlib import Path
from dripdrop import DripDrop
from tests.web.posting import config
from tests.web.signing import amazon

drip = DripDrop(config=config(), http=amazon(Path("certificate.pem").read_text()))
"""


def test_served_on_its_own(shop: Shop, database_url: str, tmp_path: Path) -> None:
    """By the command; the host's object only says who signs for Amazon today."""
    (tmp_path / "certificate.pem").write_text(certificate())
    (tmp_path / "hosted.py").write_text(HOSTED)
    with serving(database_url, tmp_path, "--app", "hosted:drip") as address:
        for path, body, headers, status in shop.calls("/webhooks"):
            assert (path, posted(f"{address}{path}", body, headers)) == (path, status)
    shop.check()


ACME_POST = """
import json
from pathlib import Path
from typing import Any

from dripdrop.contracts import Feedback, Verified
from dripdrop.errors import Unauthorized
from dripdrop.rules.outcome import Accepted


class AcmePost:
    channel, name = "email", "acme_post"

    def validate_credentials(self, credentials):
        return [] if credentials.get("token") else [("token", "It is missing.")]

    def deliver(self, delivery, config):
        with Path(config["folder"], "sent").open("a") as sent:
            sent.write(f"{delivery.id} {delivery.recipient}\\n")
        return Accepted(f"acme-{delivery.id}")

    def webhook_routes(self, adapter):
        return [("POST", "")]

    def verify_webhook(self, raw_body, headers, config):
        if headers.get("x-token") != config["token"]:
            raise Unauthorized("The token is not ours.", cure="Send it.")

    def parse_events(self, raw_body, headers):
        return json.loads(raw_body)

    def provider_event_id(self, payload):
        return payload["id"]

    def resolve_delivery(self, payload):
        return {"provider_message_id": payload["message"]}

    def normalize_feedback(self, payload):
        return Feedback(payload["what"], payload["to"], severity="permanent")
"""


def test_a_provider_from_an_installed_package_sends_in_a_worker_and_tells_what_became_of_it(
    database_url: str, tmp_path: Path
) -> None:
    """Its package is found by its entry point alone: nobody imports or registers it."""
    (tmp_path / "acme_post.py").write_text(ACME_POST)
    about = tmp_path / "acme_post-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-post\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[dripdrop.providers]\nemail.acme_post = acme_post:AcmePost\n")
    (tmp_path / "welcome.yaml").write_text(
        "sequence: welcome\nname: Welcome\nclass: transactional\n"
        "steps:\n  hello: { channel: email, from: a@acme.example, subject: Hello, text: Hello. }\n"
    )
    listed = [each for each in told(tmp_path, database_url, "plugins")["plugins"] if each["name"] == "acme_post"]
    assert [(each["kind"], each["channel"]) for each in listed] == [("provider", "email")]
    made = told(
        tmp_path, database_url, "adapters", "create", "acme", "--channel", "email", "--provider", "acme_post",
        "--default", "--config", f"folder={tmp_path}", piped='{"token": "t-1"}',
    )  # fmt: skip
    told(tmp_path, database_url, "apply", "welcome.yaml")
    told(tmp_path, database_url, "enroll", "welcome", "--id", "ann", "--data", "email=ann@example.org")
    with command(database_url, tmp_path, "worker"):
        execution, recipient = until(lambda: words(tmp_path / "sent"))
        assert recipient == "ann@example.org"
        event = {"id": "1", "message": f"acme-{execution}", "what": "complained", "to": "ann@example.org"}
        with serving(database_url, tmp_path) as address:
            url = f"{address}/webhooks/acme_post/{made['adapter']['id']}"
            assert posted(url, json.dumps([event]).encode(), {"x-token": "t-2"}) == 401
            assert posted(url, json.dumps([event]).encode(), {"x-token": "t-1"}) == 200
        with DripDrop(database_url, config={"encryption_key": KEY}) as drip:
            found = until(lambda: drip.suppressions.check("email", "ann@example.org"))
            assert (found.reason, found.source) == ("complaint", "acme_post")
            assert drip.executions.list()[0].delivery_status == "complained"


class command:
    """A command in a process of its own, with the package beside it; stopped at the end."""

    def __init__(self, database_url: str, folder: Path, *words: str) -> None:
        env = {**ENV, "PYTHONPATH": f"{ENV['PYTHONPATH']}{os.pathsep}{folder}", "DRIPDROP_DATABASE_URL": database_url,
               "DRIPDROP_ENCRYPTION_KEY": KEY, "DRIPDROP_PUBLIC_URL": PUBLIC}  # fmt: skip
        self.given = {"env": env, "cwd": folder, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        self.words = [sys.executable, "-c", "import sys; from dripdrop.cli import main; sys.exit(main())", *words]

    def __enter__(self) -> None:
        self.process = subprocess.Popen(self.words, stdin=subprocess.DEVNULL, **self.given)  # type: ignore[call-overload]

    def __exit__(self, *error: object) -> None:
        self.process.send_signal(signal.SIGINT)
        try:
            _, said = self.process.communicate(timeout=PATIENCE)
        finally:
            self.process.kill()
        assert "Traceback" not in said


class serving(command):
    """`dripdrop serve` on a free port; gives its address once it answers."""

    def __init__(self, database_url: str, folder: Path, *more: str) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        super().__init__(database_url, folder, *more, "serve", "--port", str(port))
        self.address = f"http://127.0.0.1:{port}"

    def __enter__(self) -> str:  # type: ignore[override]
        super().__enter__()
        until(lambda: healthy(f"{self.address}/healthz"))
        return self.address


def certificate() -> str:
    return str(authorities()[1].pem().decode())


def told(folder: Path, database_url: str, *words: str, piped: str = "") -> Any:
    asked = command(database_url, folder, *words, "--json")
    ran = subprocess.run(asked.words, input=piped, timeout=PATIENCE, check=False, **asked.given)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return json.loads(ran.stdout)


def posted(url: str, body: bytes, headers: dict[str, str]) -> int:
    try:
        with urllib.request.urlopen(urllib.request.Request(url, body, headers), timeout=PATIENCE) as answer:
            return answer.status
    except urllib.error.HTTPError as refused:
        return refused.code


def healthy(url: str) -> bool:
    try:
        return urllib.request.urlopen(url, timeout=5).status == 200
    except OSError:
        return False


def words(path: Path) -> list[str]:
    return path.read_text().split() if path.exists() else []


def until(question: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if answer := question():
            return answer
        time.sleep(0.05)
    raise AssertionError("it did not happen in time")
