"""Runs the benchmarks: `python -m benchmarks [--quick] [--json]`, which is what `make bench ARGS=...` calls."""

from __future__ import annotations

import argparse
import signal
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks import contest, document, keep, profiles, report, targets
from benchmarks.contest import Book
from benchmarks.environments import ROOT
from benchmarks.plan import Cast
from benchmarks.server import arena
from benchmarks.sides import Pace, Ring
from benchmarks.singles import Singles

QUICK = Pace(warmup=0.7, seconds=2.0, rounds=3)
FULL = Pace(warmup=1.5, seconds=4.0, rounds=5)
GROUPS = ("one process", "two processes", "letter", "singles", "profiles")
DOCS = ROOT / "docs"


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status 0 when every figure of this kind of run is there (or may be missing), else 1."""
    asked = _arguments(arguments)
    if asked.again:
        _publish(*keep.load(asked.again), asked.docs or DOCS)
        return 0
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    pace = QUICK if asked.quick else FULL
    pace = Pace(pace.warmup, asked.seconds or pace.seconds, asked.rounds or pace.rounds)
    say = _teller(asked.quiet)
    book = Book()
    cast = Cast(book, say)
    with arena() as place:
        facts = {
            **place.facts(),
            **report.machine(),
            "pace": [pace.warmup, pace.seconds, pace.rounds],
            "quick": asked.quick,
        }
        _measure(asked, Ring(place, pace), cast, book, say, lambda: keep.save(keep.RESULTS, book, facts))
    if "profiles" in (asked.only or (() if asked.quick else GROUPS)):
        profiles.take(cast, book, say)
    facts["sides"] = cast.packages
    keep.save(keep.RESULTS, book, facts)
    if asked.docs or not (asked.quick or asked.only):
        _publish(book, facts, asked.docs or DOCS)
    owed = targets.owed(quick=asked.quick, only=asked.only or ())
    print(report.table(book, facts, owed))
    missing = report.missing(book, owed)
    if missing and not asked.allow_missing:
        print(f"\nNot everything was measured ({', '.join(missing)}); --allow-missing accepts that.")
    if asked.json:
        print(report.as_json(book, facts, owed))
    return 1 if missing and not asked.allow_missing else 0


def _measure(
    asked: argparse.Namespace,
    ring: Ring,
    cast: Cast,
    book: Book,
    say: Callable[[str], None],
    keep_so_far: Callable[[], None],
) -> None:
    groups = cast.groups(quick=asked.quick)
    wanted = asked.only or GROUPS
    for name, sides in groups.items():
        if name in wanted:
            contest.hold(name, sides, ring.pace.rounds, ring, book, say)
            keep_so_far()
    contest.compare_letters(book, groups["letter"])
    contest.count_journeys(book)
    if "singles" in wanted:
        Singles(ring.arena, ring, cast, book, say, quick=asked.quick).take()


def _publish(book: Book, facts: dict[str, Any], folder: Path) -> None:
    for path in document.write(folder, book, facts):
        print(f"wrote {path}", file=sys.stderr)


def _arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer and shorter rounds, without the slow peers")
    parser.add_argument("--json", action="store_true", help="end with one JSON object on the last line")
    parser.add_argument("--allow-missing", action="store_true", help="succeed although something could not be measured")
    parser.add_argument("--rounds", type=int, help="rounds of each group")
    parser.add_argument("--seconds", type=float, help="length of each run's window")
    parser.add_argument("--only", action="append", choices=GROUPS, help="this part alone; may be repeated")
    parser.add_argument("--docs", type=Path, metavar="FOLDER", help="where the page and its chart go (default: docs)")
    parser.add_argument("--again", type=Path, metavar="FILE", help="write them again from a run that was kept")
    parser.add_argument("--quiet", action="store_true", help="no line for each run as it ends")
    return parser.parse_args(arguments)


def _teller(quiet: bool) -> Callable[[str], None]:
    begin = time.monotonic()

    def say(text: Any) -> None:
        if not quiet:
            print(f"[{time.monotonic() - begin:5.0f} s] {text}", file=sys.stderr, flush=True)

    return say


if __name__ == "__main__":
    sys.exit(main())
