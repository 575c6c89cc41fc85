"""What does a person read at the end, and what a program?"""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Iterable
from statistics import median
from typing import Any

from benchmarks import figures
from benchmarks.contest import Book
from benchmarks.sides import Sample
from benchmarks.targets import FIGURES, RATIOS, Limit, Row

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
    cost = {name: each for group in book.samples.values() for name, each in _costs(group).items()}
    missed = [row.key for row in RATIOS if _verdict(row, ratios[row.key]) in ("below target", "LOSES", "tie")]
    missed += [each.key for each in FIGURES if _kept(each, book) is False]
    behind = {
        "rounds": {
            key: [round(one, 4) for one in each.rounds] for key, each in ratios.items() if not isinstance(each, str)
        },
        "ties": [key for key, each in ratios.items() if not isinstance(each, str) and each.tie],
        "cpu_us_per_step": cost,
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
    return {key: reason for key, reason in found.items() if key in owed}


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
            cost = _costs(sides)[name]
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
        yield f"  {row.label:<48}{found.median:>8.2f}{target:>8}  {_verdict(row, found):<14}{each}"


def _figures(book: Book, owed: Collection[str]) -> Iterable[str]:
    yield f"{'Figures':<66}{'':>10}{'bound':>8}"
    for each in FIGURES:
        if each.key not in owed:
            continue
        value = book.single.get(each.key)
        wanted = _bound(each, book)
        bound = "" if wanted is None else f"{wanted:.3g}"
        if value is None:
            yield f"  {each.label:<64}{'null':>10}{bound:>8}  {book.absent.get(each.key, 'not measured')}"
            continue
        mark = {True: "ok", False: "LOSES" if each.beside else "MISSED", None: ""}[_kept(each, book)]
        yield f"  {each.label:<64}{value:>10,.2f}{bound:>8}  {mark}"


def _verdict(row: Row, found: figures.Ratio | str) -> str:
    if isinstance(found, str):
        return "missing"
    if row.target is not None and found.median >= row.target:
        return "ok"
    if found.median < 1 and not row.theirs.startswith(("floor", "noop")):
        return "tie" if found.tie else "LOSES"
    return "" if row.target is None else "below target"


def _kept(limit: Limit, book: Book) -> bool | None:
    value, bound = book.single.get(limit.key), _bound(limit, book)
    if bound is None or value is None:
        return None
    return value <= bound if limit.at_most else value >= bound


def _bound(limit: Limit, book: Book) -> float | None:
    return limit.bound if limit.beside is None else book.single.get(limit.beside)


def _costs(sides: dict[str, list[Sample]]) -> dict[str, dict[str, float]]:
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


def machine() -> dict[str, Any]:
    """The cores of this run, and how many processes wanted them when it began."""
    return {"cores": cores(), "load": round(os.getloadavg()[0], 2)}


def cores() -> int:
    """How many this run may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
