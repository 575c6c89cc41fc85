"""What is left when workers, databases and lines die?  `python -m crash_table [--quick] [--json]`."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed

from crash_table import calamities, cells, house, manners, outages, report
from crash_table.cells import Cell, Result
from crash_table.house import House
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
Job = Callable[[House], Result]


def main() -> int:
    """0 only where nothing was lost and nothing arrived twice that should not have."""
    asked = _arguments()
    begin = time.monotonic()
    results: list[Result] = []

    def have(result: Result) -> None:
        results.append(result)
        if not asked.json:
            print(report.line(result), flush=True)

    # Whoever kills the server kills it for everybody: that is done to another one, beside.
    with ThreadPoolExecutor(1) as beside, house.opened() as main_house:
        version = str(main_house.server.version)
        struck = beside.submit(_outages, asked)
        for result in _run(main_house, list(_quick(asked) if asked.quick else _all(asked)), asked.at_once):
            have(result)
        for result in struck.result():
            have(result)
    if not asked.quick:
        for name in calamities.CALAMITIES:
            for kind in ("idempotent", "neither"):
                if asked.only in f"calamity {name} {kind}":
                    have(calamities.run(name, kind))
    found = report.summary(results, time.monotonic() - begin)
    if not asked.quick and not asked.only:
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


def _quick(asked: argparse.Namespace) -> Iterator[Job]:
    for cell in QUICK:
        if asked.only in cell.name:
            yield _killing(cell, asked.kills if cell.deed == "kill" else 4)
    for cell in QUICK_BESIDES:
        if asked.only in cell.name:
            yield _killing(cell, min(asked.kills, QUICK_KILLS_BESIDES))
    if not asked.only:
        yield _failing("reset_after", "idempotent", "hold")
        yield _failing("hang_after", "askable", "hold")


def _all(asked: argparse.Namespace) -> Iterator[Job]:
    for cell in cells.every():
        if asked.only in cell.name:
            yield _killing(cell, asked.kills if cell.deed == "kill" else 20)
    for manner in MANNERS:
        for kind in CLASSES:
            for on_unknown in cells.POLICIES:
                if asked.only in f"fail {manner} {kind} {on_unknown}":
                    yield _failing(manner, kind, on_unknown)


def _outages(asked: argparse.Namespace) -> list[Result]:
    if asked.only and asked.only not in "database connection":
        return []
    kinds = ["idempotent"] if asked.quick else list(CLASSES)
    kills, cuts = -(-asked.database_kills // len(kinds)), -(-asked.cuts // len(kinds))
    with house.opened() as other:
        return [
            *(outages.cut_lines(other, kind, "hold", cuts) for kind in kinds),
            *(outages.kill_databases(other, kind, "hold", kills, seconds=900.0) for kind in kinds),
        ]


def _killing(cell: Cell, target: int) -> Job:
    return lambda where: cells.run(where, cell, target, seconds=max(60.0, target * 4.0))


def _failing(manner: str, kind: str, on_unknown: str) -> Job:
    return lambda where: manners.run(where, manner, kind, on_unknown)


if __name__ == "__main__":
    sys.exit(main())
