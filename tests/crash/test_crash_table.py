"""The crash table notices: a sound build comes out clean, and each of three broken ones is caught."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from crash_table import cells, house
from crash_table.cells import Cell
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
