"""A copy of the database, restored from a backup or made for staging, sends nothing that the original may have sent."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest
from psycopg import sql

from dripdrop import DripDrop
from dripdrop.errors import Refused
from dripdrop.testing import FakeProvider, FrozenClock

SETTINGS = {"encryption_key": "a2tra2tra2tra2tra2tra2tra2tra2tra2tra2tra2s=", "quiet_hours_default": False}
DOCUMENT = {
    "sequence": "onboarding",
    "name": "Onboarding",
    "steps": {
        "welcome": {"channel": "email", "subject": "Welcome", "text": "Hello"},
        "tips": {"channel": "email", "timing": "in 3 days", "subject": "Tips", "text": "Hello again"},
    },
}


def opened(url: str, clock: FrozenClock, provider: FakeProvider) -> DripDrop:
    return DripDrop(url, plugins=[provider], config=SETTINGS, clock=clock)


@pytest.fixture
def clock() -> FrozenClock:
    return FrozenClock("2030-03-01 09:00")


@pytest.fixture
def original(database_url: str, clock: FrozenClock) -> Iterator[DripDrop]:
    drip = opened(database_url, clock, FakeProvider())
    drip.adapters.create("main", channel="email", provider="fake", is_default=True, config={"from": "a@example.com"})
    drip.sequences.apply(DOCUMENT)
    for name in ("ann", "bob"):
        drip.enroll("onboarding", subscriber=("user", name), data={"email": f"{name}@example.org"})
        drip.run_due()
        clock.advance(days=2)
    # Ann's tips have been due for a day, and Bob's are tomorrow.
    yield drip
    drip.close()


def copied(url: str) -> str:
    name = url.rpartition("?")[0].rpartition("/")[2] if "?" in url else url.rpartition("/")[2]
    copy = f"{name}_copy"
    with psycopg.connect(url.replace(f"/{name}", "/postgres", 1), autocommit=True) as connection:
        connection.execute(sql.SQL("drop database if exists {}").format(sql.Identifier(copy)))
        connection.execute(sql.SQL("create database {} template {}").format(sql.Identifier(copy), sql.Identifier(name)))
    return url.replace(f"/{name}", f"/{copy}", 1)


def test_a_copy_holds_back_what_may_have_gone_out_and_sends_the_rest(
    original: DripDrop, database_url: str, clock: FrozenClock
) -> None:
    original.close()
    url = copied(database_url)
    assert original.run_due().sent == 1, "the original goes on, and sends Ann her tips"

    provider = FakeProvider()
    copy = opened(url, clock, provider)
    assert copy.run_due().claimed == 0
    assert provider.outbox.subjects() == []
    assert "copy" in (copy.stops()[0].reason or "")

    with pytest.raises(Refused) as refused:
        copy.for_tenant("acme").hold_back()
    assert refused.value.code == "global_only"
    assert copy.hold_back() == 1
    assert copy.hold_back() == 0
    copy.go(everything=True)
    copy.run_due()
    assert provider.outbox.subjects() == [], "Ann waits for somebody to ask"
    clock.advance(days=2)
    copy.run_due()
    assert provider.outbox.subjects() == ["Tips"]
    assert provider.outbox.subjects("bob@example.org") == ["Tips"]
    (ann,) = [each for each in copy.enrollments.list() if each.subscriber_id == "ann"]
    assert ann.state == "paused"
    copy.resume(ann.id)
    copy.run_due()
    assert provider.outbox.subjects("ann@example.org") == ["Tips"], "asked for, it goes"
    copy.close()


def test_the_same_database_goes_on_after_any_pause(original: DripDrop, clock: FrozenClock) -> None:
    clock.advance(days=30)
    assert original.run_due().sent == 2
    assert original.stops() == []


@pytest.mark.parametrize(("silent", "stopped"), [("30 seconds", False), ("2 hours", True)])
def test_a_promoted_standby_goes_on_and_a_point_in_time_does_not(
    original: DripDrop, database_url: str, silent: str, stopped: bool
) -> None:
    with psycopg.connect(database_url) as connection:
        connection.execute(
            "update dripdrop.installation set timeline = timeline - 1, noted_at = clock_timestamp() - %s::interval",
            [silent],
        )
    original.run_due()
    assert bool(original.stops()) is stopped
