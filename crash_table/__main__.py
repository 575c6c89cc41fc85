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
Job = Callable[[House], Result]


def main() -> int:
    """0 only where nothing was lost and nothing arrived twice that should not have."""
    asked = _arguments()
    begin, results = time.monotonic(), []
    with house.opened() as main_house:
        for result in _run(main_house, list(_quick(asked) if asked.quick else _all(asked)), asked.at_once):
            results.append(result)
            if not asked.json:
                print(report.line(result), flush=True)
        version = str(main_house.server.version)
        # Whoever kills the server kills it for everybody: these come last, one by one.
        for job in _outages(asked):
            results.append(job(main_house))
            if not asked.json:
                print(report.line(results[-1]), flush=True)
    if not asked.quick:
        for name in calamities.CALAMITIES:
            for kind in ("idempotent", "neither"):
                if asked.only in f"calamity {name} {kind}":
                    results.append(calamities.run(name, kind))
                    if not asked.json:
                        print(report.line(results[-1]), flush=True)
    found = report.summary(results, time.monotonic() - begin)
    if not asked.quick and not asked.only:
        report.write(found, version, SETTINGS["lease_seconds"])
    if asked.json:
        print(json.dumps(found))
    else:
        print(json.dumps({name: value for name, value in found.items() if name != "cells"}, indent=1))
    return 1 if found["bad_cells"] else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make crash-table", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a small part, in under two minutes")
    parser.add_argument("--json", action="store_true", help="one JSON object at the end, and nothing else")
    parser.add_argument("--kills", type=int, default=None, help="kills per cell (default 125; quick: 20)")
    parser.add_argument("--database-kills", type=int, default=200)
    parser.add_argument("--cuts", type=int, default=60)
    parser.add_argument("--at-once", type=int, default=3, help="cells at work at once")
    parser.add_argument("--only", default="", help="only cells whose name contains this text")
    asked = parser.parse_args()
    if asked.kills is None:
        asked.kills = 20 if asked.quick else 125
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


def _outages(asked: argparse.Namespace) -> Iterator[Job]:
    if asked.only and asked.only not in "database connection":
        return
    kinds = ["idempotent"] if asked.quick else list(CLASSES)
    share = -(-asked.database_kills // len(kinds))
    for kind in kinds:
        yield lambda where, kind=kind: outages.cut_lines(where, kind, "hold", asked.cuts // len(kinds))
    for kind in kinds:
        yield lambda where, kind=kind: outages.kill_databases(where, kind, "hold", share, seconds=900.0)


def _killing(cell: Cell, target: int) -> Job:
    return lambda where: cells.run(where, cell, target, seconds=max(60.0, target * 2.0))


def _failing(manner: str, kind: str, on_unknown: str) -> Job:
    return lambda where: manners.run(where, manner, kind, on_unknown)


if __name__ == "__main__":
    sys.exit(main())
