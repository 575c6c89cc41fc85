"""The crash table notices: a sound build comes out clean, and each of three broken ones is caught."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from crash_table import cells, house
from crash_table.cells import Cell
from crash_table.fate import PLACES
from crash_table.house import House

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
    assert trouble, found.account


@pytest.mark.parametrize("build", CAUGHT)
def test_the_same_deeds_do_a_sound_build_no_harm(opened: House, build: str) -> None:
    cell = CAUGHT[build]
    found = cells.run(opened, Cell(cell.place, cell.kind, cell.on_unknown, cell.deed), FEW)
    assert found.kills >= FEW / 2, found
    assert found.good, found


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
