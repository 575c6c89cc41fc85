"""A short link leads where its message said, tells of a person's click, and leads nowhere else."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx2
import psycopg
import pytest
from starlette.applications import Starlette
from starlette.routing import Mount
from tests.operations.desk import NOW, at_desk
from tests.web.test_web_public import Host

from dripdrop.operations import linking
from dripdrop.store.links import Fresh
from dripdrop.store.runners import run_sync
from dripdrop.store.scope import Scope
from dripdrop.web.app import build

CODE, OTHER = "Abc123XYZ09", "Zyx987abc65"
SHOP = "https://shop.example/\u00fc?a=1&b=%20#top"
BROWSER = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"


@pytest.fixture
def host(database_url: str) -> Host:
    return Host(database_url)


@pytest.fixture
def execution(host: Host) -> UUID:
    """An execution of acme's with one short link, and a link of nobody's."""
    with at_desk(host.url) as desk:
        sequence = desk.sequence("onboarding", "welcome", tenant="acme")
        found: UUID = desk.ended(desk.enroll(sequence, tenant="acme"), "welcome", "sent")
    keep(host, CODE, SHOP, found, "acme")
    keep(host, OTHER, "https://shop.example/other", None, "")
    return found


def keep(host: Host, code: str, destination: str, execution: UUID | None, tenant: str, **more: Any) -> None:
    fresh = Fresh(f"key of {code}", destination, destination, f"https://m.example/l/{code}", code, {"channel": "sms"})
    with psycopg.connect(host.url) as connection:
        provider = more.get("provider", "builtin")
        run_sync(connection, linking.keep(NOW, Scope(tenant), execution, provider, [fresh]))


@pytest.fixture
async def client(host: Host) -> AsyncIterator[httpx2.AsyncClient]:
    web = Starlette(routes=[Mount("/drip", app=build(host.run, lambda: [b"a secret of the tests"]))])
    transport = httpx2.ASGITransport(app=web)
    headers = {"user-agent": BROWSER}
    async with httpx2.AsyncClient(transport=transport, base_url="https://m.example/drip", headers=headers) as client:
        yield client


def clicks(host: Host) -> list[tuple[Any, ...]]:
    with psycopg.connect(host.url) as connection:
        return connection.execute(
            "select tenant_key, step_execution_id, channel, provider, event_type::text, event_data, occurred_at"
            " from dripdrop.message_events order by id"
        ).fetchall()


async def test_a_click_leads_on_and_is_noted(client: httpx2.AsyncClient, host: Host, execution: UUID) -> None:
    answer = await client.get(f"/l/{CODE}")
    assert answer.status_code == 302
    assert answer.headers["location"] == "https://shop.example/%C3%BC?a=1&b=%20#top"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["referrer-policy"] == "no-referrer"
    told = {"url": SHOP, "code": CODE, "user_agent": "browser"}
    assert clicks(host) == [("acme", execution, "sms", "dripdrop", "clicked", told, NOW)]


async def test_clicks_within_a_minute_are_one(client: httpx2.AsyncClient, host: Host, execution: UUID) -> None:
    for _ in range(3):
        assert (await client.get(f"/l/{CODE}")).status_code == 302
    assert len(clicks(host)) == 1
    with psycopg.connect(host.url) as connection:
        later = linking.follow(NOW + timedelta(minutes=2), CODE, agent="browser", counted=True)
        assert run_sync(connection, later) == SHOP
    assert len(clicks(host)) == 2


@pytest.mark.parametrize(
    "headers",
    [
        {"user-agent": "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"},
        {"user-agent": "Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)"},
        {"user-agent": "facebookexternalhit/1.1"},
        {"user-agent": "WhatsApp/2.23.20.0"},
        {"user-agent": "curl/8.5.0"},
        {"user-agent": "python-requests/2.32"},
        {"user-agent": ""},
        {"user-agent": BROWSER, "sec-purpose": "prefetch;prerender"},
        {"user-agent": BROWSER, "purpose": "prefetch"},
        {"user-agent": BROWSER, "x-moz": "prefetch"},
    ],
)
async def test_a_robot_is_led_on_and_not_counted(
    client: httpx2.AsyncClient, host: Host, execution: UUID, headers: dict[str, str]
) -> None:
    assert (await client.get(f"/l/{CODE}", headers=headers)).status_code == 302
    assert clicks(host) == []


@pytest.mark.parametrize(
    "agent",
    [
        BROWSER,
        "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148",
        "Mozilla/5.0 (Linux; Android 14; CUBOT X90) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0 Safari/537.36",
    ],
)
async def test_a_persons_browser_is_counted(
    client: httpx2.AsyncClient, host: Host, execution: UUID, agent: str
) -> None:
    await client.get(f"/l/{CODE}", headers={"user-agent": agent})
    assert len(clicks(host)) == 1


async def test_a_look_by_head_leads_on_and_is_not_counted(
    client: httpx2.AsyncClient, host: Host, execution: UUID
) -> None:
    answer = await client.head(f"/l/{CODE}")
    assert (answer.status_code, answer.content) == (302, b"")
    assert clicks(host) == []


async def test_a_link_of_no_execution_leads_on_and_tells_nothing(
    client: httpx2.AsyncClient, host: Host, execution: UUID
) -> None:
    assert (await client.get(f"/l/{OTHER}")).headers["location"] == "https://shop.example/other"
    assert clicks(host) == []


@pytest.mark.parametrize(
    "code",
    [
        "nobodyhas1t",
        "a",
        "A" * 33,
        "Abc123XYZ0%39%00",
        "..%2F..%2Fu",
        "Abc123XYZ0-",
        "'%20or%201=1",
        "%F0%9F%98%80" * 8,
    ],
)
async def test_a_code_that_nobody_has_leads_nowhere(
    client: httpx2.AsyncClient, host: Host, execution: UUID, code: str
) -> None:
    answer = await client.get(f"/l/{code}")
    assert answer.status_code == 404
    assert "location" not in answer.headers


async def test_what_the_address_asks_for_besides_changes_nothing(
    client: httpx2.AsyncClient, host: Host, execution: UUID
) -> None:
    answer = await client.get(f"/l/{CODE}?url=https://evil.example&to=//evil.example")
    assert answer.headers["location"].startswith("https://shop.example/")


async def test_only_links_of_ours_and_only_web_addresses_are_followed(client: httpx2.AsyncClient, host: Host) -> None:
    keep(host, "foreign12345", "https://a.example", None, "", provider="webhook")
    keep(host, "script123456", "javascript:alert(1)", None, "")
    for code in ("foreign12345", "script123456"):
        assert (await client.get(f"/l/{code}")).status_code == 404


async def test_a_destination_cannot_add_a_header(client: httpx2.AsyncClient, host: Host) -> None:
    keep(host, "splitting123", "https://a.example/\r\nSet-Cookie: a=b", None, "")
    answer = await client.get("/l/splitting123")
    assert "set-cookie" not in answer.headers
    assert "\n" not in answer.headers["location"]


async def test_without_a_database_the_page_says_so(client: httpx2.AsyncClient, host: Host) -> None:
    host.failure = RuntimeError("no database")
    answer = await client.get(f"/l/{CODE}")
    assert answer.status_code == 503


async def test_nothing_but_looking_is_allowed(client: httpx2.AsyncClient, host: Host) -> None:
    assert (await client.post(f"/l/{CODE}")).status_code == 405
