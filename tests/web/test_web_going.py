"""From the header of a message to the end of what it was about, through the facades that hosts hold."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tests.web.posting import config

from dripdrop import AsyncDripDrop, DripDrop
from dripdrop.channels.local import list_messages
from dripdrop.engine import rescuer
from dripdrop.errors import Invalid, NotFound
from dripdrop.rules import links
from dripdrop.testing import FrozenClock

DAY = timedelta(days=1)
NOON = datetime(2030, 3, 1, 12, tzinfo=UTC)
NEWS = {
    "sequence": "news", "name": "News", "class": "marketing", "topic": "news", "timezone": "Etc/UTC",
    "steps": {"hello": {"channel": "email", "from": "a@acme.example", "subject": "Hi",
                        "text": "Leave: {{ unsubscribe_url }}"}},
}  # fmt: skip


def test_the_link_of_a_message_carries_its_topic(database_url: str, tmp_path: Path) -> None:
    with DripDrop(database_url, config=config(), clock=FrozenClock(NOON)) as drip:
        drip.adapters.create(
            "mailbox", channel="email", provider="local", config={"folder": str(tmp_path)}, is_default=True
        )
        drip.sequences.apply(NEWS)
        drip.enroll("news", subscriber=("user", "ann"), data={"email": "ann@example.org"})
        drip.run_due()
        (message,) = list_messages(tmp_path)
        (token,) = set(re.findall(r"https://shop\.example/u/([\w.-]+\w)", str(message)))
        said = links.read_unsubscribe(token, drip._core.config().secrets())
        assert (said.recipient, said.topic) == ("ann@example.org", "news")
        assert said.sequence
        assert said.execution
        (sent,) = drip.executions.list(state="sent")
        assert drip.unsubscribe_url(sent) == drip.unsubscribe_url(sent.id) == f"https://shop.example/u/{token}"
        ours = drip.unsubscribe_token(channel="email", recipient="Ann@example.org", sequence="news", topic="news")
        own = links.read_unsubscribe(ours, drip._core.config().secrets())
        assert (own.recipient, own.sequence, own.topic) == ("ann@example.org", "news", "news")


def test_what_is_not_on_its_way_yet_has_no_link(database_url: str) -> None:
    with DripDrop(database_url, config=config(), clock=FrozenClock(NOON)) as drip:
        drip.sequences.apply(NEWS)
        drip.enroll("news", subscriber=("user", "ann"), data={"email": "ann@example.org"})
        (waiting,) = drip.executions.list(state="scheduled")
        with pytest.raises(Invalid) as refused:
            drip.unsubscribe_url(waiting)
        assert refused.value.code == "missing_recipient"
        with pytest.raises(NotFound):
            drip.for_tenant("acme").unsubscribe_url(waiting)


def rows() -> list[dict[str, Any]]:
    """More than go into one transaction, with a bad one in the second."""
    made = [{"channel": "email", "recipient": f"p{number}@example.org"} for number in range(5_003)]
    made[5_001] = {"channel": "email", "recipient": "nobody"}
    return made


def test_a_long_import_answers_for_every_row_and_a_long_export_gives_each_once(database_url: str) -> None:
    with DripDrop(database_url, config=config()) as drip:
        results = drip.suppressions.import_(iter(rows()))
        assert [each.row for each in results] == list(range(5_003))
        assert [each.row for each in results if not each.ok] == [5_001]
        streamed = drip.suppressions.export()
        assert next(streamed)["channel"] == "email"
        assert len({row["recipient"] for row in streamed}) == 5_001


async def test_so_do_awaited_ones(database_url: str) -> None:
    async with AsyncDripDrop(database_url, config=config()) as drip:
        results = await drip.suppressions.import_(rows())
        assert [each.row for each in results if each.error] == [5_001]
        assert len({row["recipient"] async for row in drip.suppressions.export()}) == 5_002


async def test_a_worker_forgets_old_feedback_unless_it_is_to_keep_everything(database_url: str) -> None:
    clock = FrozenClock(NOON)
    for days, left in ((0, 2), (7, 0)):
        async with AsyncDripDrop(database_url, config={**config(), "keep_feedback_days": days}, clock=clock) as drip:
            if days == 0:
                await drip.suppress("email", "ann@example.org", "manual")
                await drip.suppressions.lift("email", "ann@example.org")
                clock.set(NOON + 8 * DAY)
            dispatcher: Any = SimpleNamespace(runtime=drip._worker.runtime())
            assert not await rescuer.prune(dispatcher)
            assert len(await drip.suppressions.history("email", "ann@example.org")) == left
