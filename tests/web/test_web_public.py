"""A link from a message lets its reader go, and lets nobody else do anything."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable
from datetime import datetime
from typing import Any

import httpx2
import psycopg
import pytest
from starlette.applications import Starlette
from starlette.routing import Mount
from tests.operations.desk import NOW, at_desk

from dripdrop.errors import Invalid, Unavailable
from dripdrop.rules import links
from dripdrop.store.flow import Flow
from dripdrop.store.runners import run_sync
from dripdrop.web.app import build
from dripdrop.web.public import masked

SECRET, OLD = b"the newest secret", b"the one before"
ANN = "ann@example.org"


class Host:
    """Runs operations on a database, counts them, and fails when told to."""

    def __init__(self, url: str) -> None:
        self.url, self.ran, self.failure = url, 0, None

    failure: Exception | None

    async def run(self, operation: Callable[[datetime], Flow[Any]]) -> Any:
        self.ran += 1
        if self.failure is not None:
            raise self.failure
        with psycopg.connect(self.url) as connection:
            return run_sync(connection, operation(NOW))


@pytest.fixture
def host(database_url: str) -> Host:
    return Host(database_url)


@pytest.fixture
async def client(host: Host) -> AsyncIterator[httpx2.AsyncClient]:
    web = Starlette(routes=[Mount("/some/where", app=build(host.run, lambda: [SECRET, OLD]))])
    transport = httpx2.ASGITransport(app=web)
    async with httpx2.AsyncClient(transport=transport, base_url="https://news.example.org/some/where") as client:
        yield client


def token(secret: bytes = SECRET, **more: Any) -> str:
    return links.unsubscribe_token(secret, tenant_key="acme", channel="email", recipient=ANN, **more)


def suppressed(host: Host) -> list[tuple[Any, ...]]:
    with psycopg.connect(host.url) as connection:
        return connection.execute(
            "select tenant_key, channel, recipient_normalized, reason::text, source from dripdrop.suppressions"
        ).fetchall()


async def test_a_mailbox_unsubscribes_with_one_post(client: httpx2.AsyncClient, host: Host) -> None:
    answer = await client.post(f"/u/{token()}", data={"List-Unsubscribe": "One-Click"})
    assert answer.status_code == 200
    assert suppressed(host) == [("acme", "email", ANN, "unsubscribe", "one_click")]


async def test_unsubscribing_again_changes_nothing_and_is_no_error(client: httpx2.AsyncClient, host: Host) -> None:
    answers = [await client.post(f"/u/{token()}") for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 200]
    assert len(suppressed(host)) == 1


async def test_the_enrollment_that_the_message_came_from_ends(client: httpx2.AsyncClient, host: Host) -> None:
    with at_desk(host.url) as desk:
        enrollment = desk.enroll(desk.sequence("onboarding", "welcome"), tenant="acme")
        sent = desk.ended(enrollment, "welcome")
        await client.post(f"/u/{token(execution=sent)}")
        assert desk.ask("select state::text, reason from dripdrop.enrollments") == [("cancelled", "unsubscribed")]


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_fetching_the_link_does_nothing(client: httpx2.AsyncClient, host: Host, method: str) -> None:
    answer = await client.request(method, f"/u/{token()}")
    assert answer.status_code == 200
    assert (host.ran, suppressed(host)) == (0, [])


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS"])
async def test_other_methods_are_refused(client: httpx2.AsyncClient, host: Host, method: str) -> None:
    assert (await client.request(method, f"/u/{token()}")).status_code == 405
    assert host.ran == 0


async def test_the_page_asks_with_a_form_that_posts_to_where_it_came_from(client: httpx2.AsyncClient) -> None:
    text = (await client.get(f"/u/{token()}")).text
    assert '<form method="post">' in text
    assert 'name="List-Unsubscribe" value="One-Click"' in text
    assert '<html lang="en" dir="ltr">' in text


async def test_a_page_shows_no_whole_address_and_loads_nothing(client: httpx2.AsyncClient) -> None:
    for answer in (await client.get(f"/u/{token()}"), await client.post(f"/u/{token()}")):
        assert ANN not in answer.text
        assert "a…@example.org" in answer.text
        assert not re.search(r"(src|href|url)\s*[=(]", answer.text)


async def test_a_browser_is_told_to_keep_and_pass_on_nothing(client: httpx2.AsyncClient) -> None:
    for answer in (await client.get(f"/u/{token()}"), await client.get("/u/nonsense")):
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
        assert "set-cookie" not in answer.headers


async def test_the_style_sheet_is_the_one_the_policy_names(client: httpx2.AsyncClient) -> None:
    from base64 import b64encode
    from hashlib import sha256

    answer = await client.get(f"/u/{token()}")
    style = answer.text.partition("<style>")[2].partition("</style>")[0]
    assert b64encode(sha256(style.encode()).digest()).decode() in answer.headers["content-security-policy"]


@pytest.mark.parametrize(
    "bad",
    [
        "nonsense",
        token() + "x",
        token()[:-4],
        token(b"somebody else's"),
        links.sign({"c": "email", "r": ANN}, SECRET, "another purpose"),
        links.sign({"c": "email"}, SECRET),
        "a" * 6000,
        "%3Cscript%3Ealert(1)%3C%2Fscript%3E",
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_link_that_is_not_ours_says_so_and_no_more(
    client: httpx2.AsyncClient, host: Host, method: str, bad: str
) -> None:
    answer = await client.request(method, f"/u/{bad}")
    assert answer.status_code == 400
    assert "This link is not valid" in answer.text
    assert "<script" not in answer.text
    assert "Traceback" not in answer.text
    assert host.ran == 0


async def test_a_link_outlives_a_rotation_of_the_secret(client: httpx2.AsyncClient, host: Host) -> None:
    assert (await client.post(f"/u/{token(OLD)}")).status_code == 200
    assert len(suppressed(host)) == 1


async def test_a_database_that_is_away_asks_for_patience_and_tells_nothing(
    client: httpx2.AsyncClient, host: Host
) -> None:
    host.failure = Unavailable("db-17.internal refused", cure="")
    answer = await client.post(f"/u/{token()}")
    assert answer.status_code == 503
    assert "Please try again" in answer.text
    assert "internal" not in answer.text


async def test_the_process_is_healthy_without_its_database_and_ready_only_with_it(
    client: httpx2.AsyncClient, host: Host
) -> None:
    assert (await client.get("/readyz")).json() == {"ready": True}
    host.failure = Unavailable("db-17.internal refused", cure="")
    assert (await client.get("/healthz")).status_code == 200
    answer = await client.get("/readyz")
    assert (answer.status_code, answer.json()) == (503, {"ready": False, "reason": "unavailable"})


async def test_it_is_not_ready_without_the_schema(empty_database_url: str) -> None:
    web = build(Host(empty_database_url).run, lambda: [SECRET])
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app=web), base_url="https://x.example") as client:
        assert (await client.get("/readyz")).status_code == 503


def test_a_part_nobody_knows_is_refused_by_name(host: Host) -> None:
    with pytest.raises(Invalid, match=r"dashbord.*public, dashboard"):
        build(host.run, lambda: [SECRET], ("public", "dashbord"), others={"dashboard": []})


@pytest.mark.parametrize(
    ("recipient", "shown"), [(ANN, "a…@example.org"), ("+12025550123", "…0123"), ("@annabel", "…abel"), ("U1", "…")]
)
def test_an_address_is_masked(recipient: str, shown: str) -> None:
    assert masked(recipient) == shown
