"""What does a person read at the end, and what a program?"""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Collection, Iterable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks import figures
from benchmarks.contest import Book
from benchmarks.sides import Sample
from benchmarks.targets import FIGURES, PEERS, RATIOS, Limit, Row

WRITTEN = ("wal_bytes", "rows_written")
BUSY = 0.4  # of its cores, before this run added its own work


def table(book: Book, facts: dict[str, Any], owed: Collection[str]) -> str:
    """Facts, every round, ratios beside their targets, single figures, and what is missing."""
    lines = [*_facts(facts), "", *_rounds(book), "", *_ratios(book, owed), "", *_figures(book, owed)]
    if book.absent:
        lines += ["", "Missing", *(f"  {name}: {reason}" for name, reason in sorted(book.absent.items()))]
    return "\n".join(lines)


def as_json(book: Book, facts: dict[str, Any], owed: Collection[str]) -> str:
    """One object: each ratio's median and each figure by its key (null where missing), then everything behind them."""
    ratios = book.ratios()
    flat = {key: None if isinstance(found, str) else round(found.median, 4) for key, found in ratios.items()}
    flat |= {each.key: _rounded(book.single.get(each.key)) for each in FIGURES}
    flat = {key: value for key, value in flat.items() if key in owed}
    cost = {name: each for group in book.samples.values() for name, each in costs(group).items()}
    missed = [row.key for row in RATIOS if verdict(row, ratios[row.key]) in ("below target", "LOSES", "tie")]
    missed += [each.key for each in FIGURES if kept(each, book) is False]
    behind = {
        "rounds": {
            key: [round(one, 4) for one in each.rounds] for key, each in ratios.items() if not isinstance(each, str)
        },
        "ties": [key for key, each in ratios.items() if not isinstance(each, str) and each.tie],
        "cpu_us_per_step": cost,
        "written_per_step": written(book),
        "missed": missed,
        "missing": missing(book, owed),
        "details": book.details,
        "facts": facts,
    }
    return json.dumps({**flat, **behind})


def missing(book: Book, owed: Collection[str]) -> dict[str, str]:
    """The figures that this run owes and has not, each with its reason."""
    found = {key: each for key, each in book.ratios().items() if isinstance(each, str)}
    for each in FIGURES:
        if each.key not in book.single:
            found[each.key] = book.absent.get(each.key, "not measured")
    profiles = {key: reason for key, reason in book.absent.items() if key.startswith("profile_")}
    return {**{key: reason for key, reason in found.items() if key in owed}, **profiles}


def _facts(facts: dict[str, Any]) -> Iterable[str]:
    yield f"PostgreSQL {facts['postgresql']}, {facts['cores']} cores, fdatasync of 8 KB {facts['fdatasync_us']:.0f} us"
    yield "  " + ", ".join(f"{name}={value}" for name, value in facts["settings"].items())
    if facts["load"] > BUSY * facts["cores"]:
        yield f"  The machine was busy when this began (load {facts['load']}): even ratios of one run are doubtful."
    for side, packages in facts["sides"].items():
        yield f"  {side}: {packages}"


def _rounds(book: Book) -> Iterable[str]:
    for group, sides in book.samples.items():
        yield f"Rounds: {group} (steps/s; then CPU us a step of Python and PostgreSQL, and what they predict)"
        for name, samples in sides.items():
            cost = costs(sides)[name]
            rates = " ".join(f"{each.rate:>8,.0f}" for each in samples)
            if cost["python"]:
                rates += f"   {cost['python']:>6.0f} + {cost['postgres']:>5.0f} us"
                rates += f"   predicted {cost['predicted_rate']:>8,.0f}"
            else:
                rates += f"   {'':>6}   {cost['postgres']:>5.0f} us"
            yield f"  {name:<16}{rates}"


def _ratios(book: Book, owed: Collection[str]) -> Iterable[str]:
    yield f"{'Ratios':<50}{'median':>8}{'target':>8}  {'':<14}each round"
    for row in RATIOS:
        if row.key not in owed:
            continue
        found = book.ratio(row)
        target = f"{row.target:g}" if row.target is not None else ""
        if isinstance(found, str):
            yield f"  {row.label:<48}{'null':>8}{target:>8}  {found}"
            continue
        each = " ".join(f"{one:.2f}" for one in found.rounds)
        yield f"  {row.label:<48}{found.median:>8.2f}{target:>8}  {verdict(row, found):<14}{each}"


def _figures(book: Book, owed: Collection[str]) -> Iterable[str]:
    yield f"{'Figures':<66}{'':>10}{'bound':>8}"
    for each in FIGURES:
        if each.key not in owed:
            continue
        value = book.single.get(each.key)
        wanted = bound(each, book)
        shown = "" if wanted is None else f"{wanted:.3g}"
        if value is None:
            yield f"  {each.label:<64}{'null':>10}{shown:>8}  {book.absent.get(each.key, 'not measured')}"
            continue
        mark = {True: "ok", False: "LOSES" if each.beside else "MISSED", None: ""}[kept(each, book)]
        yield f"  {each.label:<64}{value:>10,.2f}{shown:>8}  {mark}"


def verdict(row: Row, found: figures.Ratio | str) -> str:
    """`ok`, `below target`, `tie` or `LOSES` against a peer, `missing`; nothing where nothing is asked of it."""
    if isinstance(found, str):
        return "missing"
    if row.target is not None and found.median >= row.target:
        return "ok"
    if found.median < 1 and row.theirs.removesuffix("_2p") in PEERS:
        return "tie" if found.tie else "LOSES"
    return "" if row.target is None else "below target"


def kept(limit: Limit, book: Book) -> bool | None:
    """Whether a figure keeps its bound; None where there is no bound, or no figure."""
    value, wanted = book.single.get(limit.key), bound(limit, book)
    if wanted is None or value is None:
        return None
    return value <= wanted if limit.at_most else value >= wanted


def bound(limit: Limit, book: Book) -> float | None:
    """The figure's bound: its own, or what another side reached in the same run."""
    return limit.bound if limit.beside is None else book.single.get(limit.beside)


def costs(sides: dict[str, list[Sample]]) -> dict[str, dict[str, float]]:
    """By side: CPU microseconds a step of Python and PostgreSQL, the rate, and the one that they predict."""
    found = {}
    for name, samples in sides.items():
        python, postgres = (median(getattr(each, part) for each in samples) for part in ("python_us", "postgres_us"))
        processes = 2 if name.endswith("_2p") else 1
        found[name] = {
            "python": round(python, 1),
            "postgres": round(postgres, 1),
            "rate": round(median(each.rate for each in samples), 1),
            "predicted_rate": round(figures.predicted_rate(cores(), python, postgres, processes), 1),
        }
    return found


def written(book: Book) -> dict[str, dict[str, float]]:
    """By side: bytes of WAL and rows written for each step, medians of its rounds."""
    return {
        name: {part: round(median(each.detail[part] for each in runs), 2) for part in WRITTEN}
        for sides in book.samples.values()
        for name, runs in sides.items()
        if all(part in each.detail for each in runs for part in WRITTEN)
    }


def machine() -> dict[str, Any]:
    """What this run has, how many processes wanted it when it began, and the day."""
    more = {"Processor": _processor(), "Kernel": platform.release(), "Memory": f"{_memory_gib():.1f} GiB"}
    day = datetime.now(UTC).date().isoformat()
    return {"cores": cores(), "load": round(os.getloadavg()[0], 2), "day": day, "machine": more}


def _processor() -> str:
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _memory_gib() -> float:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30


def cores() -> int:
    """How many this run may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
