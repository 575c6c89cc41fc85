"""What becomes of people and their messages when the mail goes through a real server, Debian's exim4?"""

from __future__ import annotations

import asyncio
import email
import email.policy
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from datetime import timedelta
from email.message import EmailMessage
from typing import Any

import pytest
from tests.channels.exim import PATIENCE, Exim, exim
from tests.world import KEY, NOON, ann

from dripdrop import AsyncDripDrop
from dripdrop.testing import FrozenClock

pytestmark = pytest.mark.system("exim4-daemon-light")

BASE = "https://mail.example.org/drip"
WELCOME = {"channel": "email", "subject": "Grüße, {{ name }}", "text": ".\nHello {{ name }}\n", "html": "<p>Hello</p>"}
DOCUMENT = {"sequence": "onboarding", "name": "Onboarding", "steps": {"welcome": WELCOME}}
Connect = Callable[..., Awaitable[AsyncDripDrop]]


@pytest.fixture
def server() -> Iterator[Exim]:
    with exim(logins="PLAIN") as server:
        yield server


@pytest.fixture
def clock() -> FrozenClock:
    return FrozenClock(NOON)


@pytest.fixture
async def connect(server: Exim, clock: FrozenClock, database_url: str) -> AsyncIterator[Connect]:
    """A host whose only adapter leads to the server, with the credentials and the sender it is given."""
    settings = {"encryption_key": KEY, "public_url": BASE, "unsubscribe_mailto": "leave@example.com"}
    drip = AsyncDripDrop(database_url, clock=clock, config=settings)

    async def connect(sender: str = "Shop <shop@example.com>", **credentials: Any) -> AsyncDripDrop:
        await drip.adapters.create(
            "main",
            channel="email",
            provider="smtp",
            is_default=True,
            credentials={"relay": "127.0.0.1", "port": server.port, **credentials},
            config={"from": sender, "starttls": "never", "local_hostname": "client.example.test"},
        )
        await drip.sequences.apply(DOCUMENT)
        return drip

    yield connect
    await drip.close()


def letters(server: Exim) -> list[EmailMessage]:
    return [email.message_from_bytes(raw, policy=email.policy.default) for raw in server.delivered()]  # type: ignore[misc]


async def only(drip: AsyncDripDrop) -> Any:
    (execution,) = await drip.executions.list()
    return execution


async def test_a_message_of_a_sequence_lies_in_the_mailbox_with_a_way_to_unsubscribe(
    server: Exim, connect: Connect
) -> None:
    drip = await connect()
    await drip.enroll("onboarding", subscriber=("user", 42), data=ann())
    await drip.run_due()
    (letter,) = letters(server)
    assert letter["Envelope-to"] == "ann@example.org"
    assert letter["From"] == "Shop <shop@example.com>"
    assert letter["Subject"] == "Grüße, Ann"
    assert letter.get_body(("plain",)).get_content().replace("\r\n", "\n") == ".\nHello Ann\n"  # type: ignore[union-attr]
    page, mailto = (way.strip(" <>") for way in letter["List-Unsubscribe"].split(","))
    assert page.startswith(f"{BASE}/")
    assert mailto.startswith("mailto:leave@example.com")
    assert letter["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    execution = await only(drip)
    assert (execution.state, execution.retry_count) == ("sent", 0)
    assert letter["Message-ID"] == f"<{execution.provider_message_id}>"


async def test_an_address_that_does_not_exist_is_suppressed(server: Exim, connect: Connect) -> None:
    drip = await connect()
    await drip.enroll("onboarding", subscriber=("user", 42), data=ann(email="nobody@example.org"))
    await drip.run_due()
    assert (await only(drip)).state == "failed"
    found = await drip.suppressions.check("email", "nobody@example.org")
    assert found is not None
    assert found.reason == "bounce"
    assert letters(server) == []


async def test_a_greylisted_message_spends_a_retry_and_arrives_once_it_is_known(server: Exim, connect: Connect) -> None:
    drip = await connect()
    await drip.enroll("onboarding", subscriber=("user", 42), data=ann(email="greylisted@example.org"))
    await drip.run_due()
    execution = await only(drip)
    assert (execution.state, execution.retry_count) == ("scheduled", 1)
    (server.folder / "known").touch()
    await drip.drain(until=execution.scheduled_for)
    execution = await only(drip)
    assert (execution.state, execution.retry_count) == ("sent", 1)
    assert len(letters(server)) == 1


@pytest.mark.parametrize(
    "trouble", [{"username": "ann", "password": "wrong"}, {}], ids=["a wrong password", "no login at all"]
)
async def test_credentials_that_do_not_work_cost_nobody_anything(
    server: Exim, clock: FrozenClock, connect: Connect, trouble: dict[str, str]
) -> None:
    """The address is one that the server carries mail to for those it knows."""
    drip = await connect(**trouble)
    await drip.enroll("onboarding", subscriber=("user", 42), data=ann(email="ann@elsewhere.example"))
    await drip.drain(until=clock.now() + timedelta(hours=2))
    execution = await only(drip)
    assert (execution.state, execution.retry_count) == ("scheduled", 0)
    assert await drip.suppressions.check("email", "ann@elsewhere.example") is None
    await drip.adapters.update(
        "main", credentials={"relay": "127.0.0.1", "port": server.port, "username": "ann", "password": "secret"}
    )
    await drip.drain(until=execution.scheduled_for)
    assert (await only(drip)).state == "sent"
    assert len(letters(server)) == 1


async def test_a_server_that_is_down_is_tried_again(server: Exim, connect: Connect) -> None:
    drip = await connect()
    server.kill()
    await drip.enroll("onboarding", subscriber=("user", 42), data=ann())
    await drip.run_due()
    execution = await only(drip)
    assert (execution.state, execution.retry_count) == ("scheduled", 0)
    server.start()
    await drip.drain(until=execution.scheduled_for)
    assert (await only(drip)).state == "sent"
    assert len(letters(server)) == 1


async def test_a_server_that_dies_over_a_message_leaves_it_in_doubt_and_it_is_not_sent_again(
    server: Exim, clock: FrozenClock, connect: Connect
) -> None:
    drip = await connect("data@stops.example")
    await drip.enroll("onboarding", subscriber=("user", 42), data=ann())
    running = asyncio.create_task(drip.run_due())
    await asyncio.wait_for(asyncio.to_thread(server.wait_until_held), PATIENCE)
    server.kill()
    await running
    assert (await only(drip)).state == "unknown"
    server.start()
    await drip.drain(until=clock.now() + timedelta(days=30))
    assert (await only(drip)).state == "unknown"
    assert letters(server) == []
