"""What is left when workers, databases and lines die?  `python -m crash_table [--quick] [--json]`."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from itertools import product
from typing import TypeAlias

from crash_table import calamities, cells, house, manners, outages, report
from crash_table.cells import Cell, Result, told
from crash_table.house import House
from crash_table.kept import FILE, Kept
from crash_table.receiver import MANNERS
from crash_table.victim import SETTINGS
from crash_table.wire import CLASSES

QUICK = (
    Cell("claim.committed", "neither", "hold"),
    Cell("open.committed", "idempotent", "hold"),
    Cell("wire.answered", "idempotent", "resend"),
    Cell("wire.during", "neither", "hold"),
    Cell("close.uncommitted", "askable", "hold"),
    Cell("close.committed", "neither", "resend"),
    Cell("open.begun", "neither", "hold", "stop"),
)
# The same for everything that is not a message's own way; each has people in a sequence of its own.
QUICK_BESIDES = (
    Cell("advance.uncommitted", "neither", "hold"),
    Cell("ask_hook.answered", "askable", "hold"),
    Cell("time_out.committed", "idempotent", "hold"),
    Cell("sweep.uncommitted", "neither", "hold"),
    Cell("track.committed", "idempotent", "hold"),
    Cell("receive.committed", "neither", "hold"),
    Cell("take_in.uncommitted", "idempotent", "resend"),
)
KILLS, QUICK_KILLS, QUICK_KILLS_BESIDES = 30, 12, 5
Job: TypeAlias = Callable[[House], Result]
Named: TypeAlias = tuple[str, Job]


def main() -> int:
    """0 only where nothing was lost and nothing arrived twice that should not have."""
    asked = _arguments()
    whole = not asked.quick and not asked.only
    kept = Kept(FILE if whole else None, go_on=asked.go_on)

    def have(result: Result) -> None:
        row = told(result)
        kept.add(row)
        if not asked.json:
            print(report.line(row), flush=True)

    # Whoever kills the server kills it for everybody: that is done to another one, beside.
    with ThreadPoolExecutor(1) as beside, house.opened() as main_house:
        version = str(main_house.server.version)
        struck = beside.submit(_outages, asked, kept, have)
        jobs = [job for name, job in (_quick(asked) if asked.quick else _all(asked)) if not kept.has(name)]
        for result in _run(main_house, jobs, asked.at_once):
            have(result)
        struck.result()
    if not asked.quick:
        for name in calamities.CALAMITIES:
            for kind in ("idempotent", "neither"):
                cell = f"calamity {name} {kind} hold"
                if asked.only in cell and not kept.has(cell):
                    have(calamities.run(name, kind))
    found = report.summary(kept.rows, kept.seconds, kept.parts)
    if whole:
        report.write(found, version, SETTINGS)
    if asked.json:
        print(json.dumps(found))
    else:
        print(json.dumps({name: value for name, value in found.items() if name != "cells"}, indent=1))
    return 1 if found["bad_cells"] else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make crash-table", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a small part, in under two minutes")
    parser.add_argument("--json", action="store_true", help="one JSON object at the end, and nothing else")
    parser.add_argument("--kills", type=int, default=None, help=f"kills per cell (default {KILLS})")
    parser.add_argument("--database-kills", type=int, default=200)
    parser.add_argument("--cuts", type=int, default=60)
    parser.add_argument("--at-once", type=int, default=4, help="cells at work at once")
    parser.add_argument("--go-on", action="store_true", help="go on with a whole run that was broken off")
    parser.add_argument("--only", default="", help="only cells whose name contains this text")
    asked = parser.parse_args()
    if asked.kills is None:
        asked.kills = QUICK_KILLS if asked.quick else KILLS
    if asked.quick:
        asked.database_kills, asked.cuts = 4, 6
    return asked


def _run(where: House, jobs: list[Job], at_once: int) -> Iterator[Result]:
    with ThreadPoolExecutor(at_once) as pool:
        for each in as_completed([pool.submit(job, where) for job in jobs]):
            yield each.result()


def _quick(asked: argparse.Namespace) -> Iterator[Named]:
    for cell in QUICK:
        if asked.only in cell.name:
            yield cell.name, _killing(cell, asked.kills if cell.deed == "kill" else 4)
    for cell in QUICK_BESIDES:
        if asked.only in cell.name:
            yield cell.name, _killing(cell, min(asked.kills, QUICK_KILLS_BESIDES))
    for cell in (Cell("reset_after", "idempotent", "hold", "fail"), Cell("hang_after", "askable", "hold", "fail")):
        if asked.only in cell.name:
            yield cell.name, _failing(cell)


def _all(asked: argparse.Namespace) -> Iterator[Named]:
    for cell in cells.every():
        if asked.only in cell.name:
            yield cell.name, _killing(cell, asked.kills if cell.deed == "kill" else 20)
    for manner, kind, on_unknown in product(MANNERS, CLASSES, cells.POLICIES):
        cell = Cell(manner, kind, on_unknown, "fail")
        if asked.only in cell.name:
            yield cell.name, _failing(cell)


def _outages(asked: argparse.Namespace, kept: Kept, have: Callable[[Result], None]) -> None:
    if asked.only and asked.only not in "database connection":
        return
    kinds = ["idempotent"] if asked.quick else list(CLASSES)
    kills, cuts = -(-asked.database_kills // len(kinds)), -(-asked.cuts // len(kinds))
    with house.opened() as other:
        for kind in kinds:
            if not kept.has(f"cut connection {kind} hold"):
                have(outages.cut_lines(other, kind, "hold", cuts))
        for kind in kinds:
            if not kept.has(f"kill database {kind} hold"):
                have(outages.kill_databases(other, kind, "hold", kills, seconds=900.0))


def _killing(cell: Cell, target: int) -> Job:
    return lambda where: cells.run(where, cell, target, seconds=max(180.0, target * 6.0))


def _failing(cell: Cell) -> Job:
    return lambda where: manners.run(where, cell.place, cell.kind, cell.on_unknown)


if __name__ == "__main__":
    sys.exit(main())
