"""Can a run of the crash table that was broken off go on, and does it say that it was?"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from crash_table import report
from crash_table.cells import Cell, Result, told
from crash_table.kept import Kept, name_of


def row(place: str, *, problem: str = "") -> dict[str, Any]:
    result = Result(Cell(place, "neither", "hold"), kills=30, problem=problem)
    return told(result) | {"good": not problem}


def test_what_ended_well_is_kept_and_what_did_not_is_tried_again(tmp_path: Path) -> None:
    file = tmp_path / "build" / "kept.jsonl"
    first = Kept(file)
    first.add(row("open.begun"))
    first.add(row("close.begun", problem="the server went away"))
    again = Kept(file, go_on=True)
    assert [name_of(each) for each in again.rows] == ["kill open.begun neither hold"]
    assert again.has("kill open.begun neither hold")
    assert not again.has("kill close.begun neither hold")
    again.add(row("close.begun"))
    last = Kept(file, go_on=True)
    assert (len(last.rows), last.parts) == (2, 2)


def test_a_new_run_forgets_the_one_before(tmp_path: Path) -> None:
    file = tmp_path / "kept.jsonl"
    Kept(file).add(row("open.begun"))
    assert Kept(file).rows == []
    assert Kept(file, go_on=True).rows == []


def test_the_page_says_that_a_run_was_broken_off() -> None:
    said = [report._found(report.summary([row("open.begun")], 3600.0, parts), "18") for parts in (1, 3)]
    assert "60 minutes.\n" in said[0]
    assert "60 minutes, in 3 parts: it was broken off" in said[1]
