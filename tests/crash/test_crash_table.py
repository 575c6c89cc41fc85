"""The crash table notices: a sound build comes out clean, and each of three broken ones is caught."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from crash_table import cells, house, tales
from crash_table.cells import Cell
from crash_table.fate import PLACES
from crash_table.house import House
from crash_table.scene import Scene

FEW = 8


@pytest.fixture(scope="module")
def opened() -> Iterator[House]:
    with house.opened() as found:
        yield found


# Where a worker dies, or stands still beyond its lease, in a build that is broken in just that way.
CAUGHT = {
    "fence": Cell("open.begun", "neither", "hold", "stop", "fence"),
    "split": Cell("close.committed", "idempotent", "hold", "kill", "split"),
    "late_open": Cell("wire.answered", "neither", "hold", "kill", "late_open"),
}


@pytest.mark.parametrize("build", CAUGHT)
def test_a_broken_build_is_caught(opened: House, build: str) -> None:
    found = cells.run(opened, CAUGHT[build], FEW)
    assert found.kills >= FEW / 2, found
    assert not found.good, found
    assert found.account is not None, found.problem
    trouble = found.account.lost if build == "split" else found.account.duplicates
    # It is caught by what the deaths did; a build that does not work at all would prove nothing.
    assert 0 < trouble < found.account.expected / 2, found.account


@pytest.mark.parametrize("build", CAUGHT)
def test_the_same_deeds_do_a_sound_build_no_harm(opened: House, build: str) -> None:
    cell = CAUGHT[build]
    found = cells.run(opened, Cell(cell.place, cell.kind, cell.on_unknown, cell.deed), FEW)
    assert found.kills >= FEW / 2, found
    assert found.good, found


def test_where_nobody_dies_nothing_is_shown(opened: House) -> None:
    found = cells.run(opened, Cell("claim.committed", "idempotent", "hold"), 3, seconds=0.0)
    assert found.account is not None
    assert (found.kills, found.account.lost, found.account.duplicates) == (0, 0, 0)
    assert not found.good
    assert found.problem == "only 0 of 3 deaths count"


STORED = """
insert into dripdrop.webhook_requests (tenant_key, adapter_id, provider, body, due_at, received_at)
select tenant_key, id, provider, '', clock_timestamp(), clock_timestamp() from dripdrop.channel_adapters
"""


def test_a_receipt_that_comes_in_between_two_looks_is_waited_for(
    opened: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene, looks = Scene(opened, "late receipt", "idempotent", "hold", tale=tales.RECEIPTS), []

    def posted() -> dict[str, object]:
        if not looks:
            scene.connection.execute(STORED)
        looks.append(scene.live()["unread"])
        return {"answered": [], "pending": 0}

    monkeypatch.setattr(scene, "_receipts", posted)
    try:
        scene.finish(0.3)
        assert len(looks) > 1
        assert set(looks) == {1}
    finally:
        scene.close()


# Everything that is no message's own way, each in a sequence in which workers come there.
BESIDES = (
    Cell("advance.committed", "neither", "hold"),
    Cell("time_out.uncommitted", "idempotent", "hold"),
    Cell("track.uncommitted", "idempotent", "hold"),
    Cell("receive.committed", "neither", "hold"),
)


@pytest.mark.parametrize("cell", BESIDES, ids=lambda cell: cell.place)
def test_who_dies_beside_a_message_loses_and_doubles_nothing(opened: House, cell: Cell) -> None:
    found = cells.run(opened, cell, 3)
    assert found.kills, found
    assert found.good, found


def test_every_place_is_somebodys_end() -> None:
    told = {cell.place for cell in cells.every(("kill",))}
    assert told == set(PLACES)
    assert len(PLACES) == len(told)


# What somebody does to the tables behind the engine's back, and what the account must say of it.
TAMPERED = {
    "a receipt is gone": (
        tales.RECEIPTS,
        "delete from dripdrop.message_events where provider_event_id in"
        " (select min(provider_event_id) from dripdrop.message_events)",
        "1 receipts were lost",
    ),
    "a receipt counts twice": (
        tales.RECEIPTS,
        "update dripdrop.message_events set provider_event_id = (select min(provider_event_id) from"
        " dripdrop.message_events) where provider_event_id ="
        " (select max(provider_event_id) from dripdrop.message_events)",
        "1 receipts counted twice",
    ),
    "nobody is suppressed": (tales.RECEIPTS, "delete from dripdrop.suppressions", "0 are suppressed"),
    "an event is not heard": (
        tales.WAITS,
        "insert into dripdrop.events (tenant_key, subscriber_type, subscriber_id, event_key, occurred_at, inserted_at)"
        " select tenant_key, subscriber_type, subscriber_id, 'read', started_at, started_at from dripdrop.enrollments"
        " where subscriber_id = '2'",
        "1 waits missed their event",
    ),
}


@pytest.mark.parametrize("deed", TAMPERED)
def test_the_account_notices_what_was_lost_beside_messages(opened: House, deed: str) -> None:
    tale, statement, said = TAMPERED[deed]
    scene = Scene(opened, deed, "idempotent", "hold", tale=tale)
    try:
        scene.enroll(6)
        worker = opened.nursery.bear(scene.spec())
        settled = scene.finish()
        worker.kill()
        worker.ended.wait(10.0)
        sound = scene.account(settled)
        assert (sound.wrong, sound.lost, sound.duplicates) == ("", 0, 0)
        scene.connection.execute(statement.encode())
        assert said in scene.account(settled).wrong
    finally:
        scene.close()
