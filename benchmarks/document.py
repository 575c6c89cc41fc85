"""What does the page `docs/benchmarks.md` say?  Every figure and round, what is missed and why, and the machine."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks import chart, report
from benchmarks.chart import Bar
from benchmarks.contest import Book
from benchmarks.sides import Sample
from benchmarks.targets import FIGURES, RATIOS, Limit
from benchmarks.why import kind_of, largest, spent

TITLE = "DripDrop against its targets"
STATES = {"ok": "reached", "": "reached", "below target": "below target", "tie": "below target", "LOSES": "loses"}


def write(folder: Path, book: Book, facts: dict[str, Any]) -> tuple[Path, Path]:
    """The page and its picture; the same figures make the same files."""
    folder.mkdir(parents=True, exist_ok=True)
    page, picture = folder / "benchmarks.md", folder / "benchmarks.svg"
    chart.write(picture, TITLE, note(facts), bars(book))
    page.write_text(text(book, facts), "utf-8")
    return page, picture


def note(facts: dict[str, Any]) -> str:
    day = facts.get("day", "")
    return (
        f"{day + ': m' if day else 'M'}edians of {facts['pace'][2]} paired rounds in one run, as multiples of the "
        f"target; PostgreSQL {facts['postgresql']}, {facts['cores']} cores"
    )


def bars(book: Book) -> list[Bar]:
    """A bar for each figure with a target."""
    made = []
    for row in RATIOS:
        if row.target is None:
            continue
        found, target = book.ratio(row), row.target
        if isinstance(found, str):
            made.append(Bar(row.label, f"null (target {target:g})", None, state="missing"))
            continue
        scores = tuple(each / target for each in found.rounds)
        shown = f"{found.median:.2f} (target {target:g})"
        state = STATES[report.verdict(row, found)]
        made.append(Bar(row.label, shown, found.median / target, scores, state))
    return made + [bar for each in FIGURES if (bar := _bar(each, book)) is not None]


def text(book: Book, facts: dict[str, Any]) -> str:
    """The page."""
    parts = [_head(facts), _ratios(book), _figures(book), _missed(book), _rates(book), _messages(book)]
    parts += [_endurance(book), _profiles(book), _machine(facts), _absent(book)]
    return "\n\n".join(part for part in parts if part) + "\n"


def _bar(limit: Limit, book: Book) -> Bar | None:
    """How often the figure fits into its bound, or the bound into it."""
    bound, value = report.bound(limit, book), book.single.get(limit.key)
    if bound is None and limit.beside is None:
        return None
    if bound is None or value is None:
        return Bar(limit.label, "null", None, state="missing")
    score = (bound / value if value else chart.MOST) if limit.at_most else value / bound
    state = "reached" if report.kept(limit, book) else ("loses" if limit.beside else "below target")
    return Bar(limit.label, f"{value:,.3g} ({'at most' if limit.at_most else 'target'} {bound:.3g})", score, (), state)


def _head(facts: dict[str, Any]) -> str:
    load = (
        ""
        if facts["load"] <= report.BUSY * facts["cores"]
        else (f" **The machine was busy when this began (load {facts['load']}): even ratios are doubtful.**")
    )
    kind = "A quick run: short rounds, smaller tables, not every peer." if facts.get("quick") else ""
    return (
        "# Benchmarks\n\n"
        "Written by `make bench`; how it measures, and how to read it, is in "
        "[benchmarks/README.md](../benchmarks/README.md).\n"
        f"{note(facts)}. {kind}{load}\n\n"
        "![Every figure with a target, as a multiple of it](benchmarks.svg)\n\n"
        "Only ratios mean something: rates drift with the machine, ratios are taken within a round. "
        "Rows in which a peer is faster say **loses**."
    )


def _ratios(book: Book) -> str:
    rows = []
    for row in RATIOS:
        found = book.ratio(row)
        target = "" if row.target is None else f"{row.target:g}"
        if isinstance(found, str):
            rows.append([row.label, target, "null", "missing", found])
            continue
        each = " ".join(f"{one:.2f}" for one in found.rounds)
        rows.append([row.label, target, f"{found.median:.2f}", _said(report.verdict(row, found)), each])
    return "## Ratios\n\n" + _table(["Our rate over theirs", "Target", "Median", "", "Each round"], rows)


def _figures(book: Book) -> str:
    rows = []
    for each in FIGURES:
        value, bound = book.single.get(each.key), report.bound(each, book)
        wanted = "" if bound is None else f"{'at most' if each.at_most else 'at least'} {bound:.3g}"
        kept = {True: "reached", False: "**loses**" if each.beside else "**missed**", None: ""}[report.kept(each, book)]
        shown = f"null: {book.absent.get(each.key, 'not measured')}" if value is None else f"{value:,.3f}"
        rows.append([each.label, wanted, shown, kept])
    return "## Figures\n\n" + _table(["What", "Bound", "Measured", ""], rows)


def _missed(book: Book) -> str:
    rows, kinds = [], []
    for row in RATIOS:
        found = book.ratio(row)
        if not isinstance(found, str) and report.verdict(row, found) in ("below target", "LOSES", "tie"):
            cost, wanted = spent(row, book), "" if row.target is None else f"{row.target:g}"
            allowed = "" if cost.allowed is None else f"{cost.allowed:.0f}"
            shown = [f"{each:.0f}" for each in (cost.took, cost.python, cost.postgres)]
            rows.append([row.label, f"{found.median:.2f}", wanted, allowed, *shown])
            kinds.append(kind_of(row))
    parts = []
    if rows:
        head = ["", "Measured", "Target", "A step may take", "It takes", "of it Python's CPU", "PostgreSQL's, besides"]
        parts.append(
            "Microseconds of a process for each step; what is not Python's is waiting.\n\n" + _table(head, rows)
        )
    known = book.details.get("profiles", {})
    lines = [
        f"- The largest costs of `{kind}`: {largest(known[kind])}." for kind in dict.fromkeys(kinds) if kind in known
    ]
    for each in FIGURES:
        if report.kept(each, book) is False:
            bound = report.bound(each, book)
            lines.append(f"- **{each.label}**: {book.single[each.key]:,.3g}; the bound is {bound:.3g}.")
    if lines:
        parts.append("\n".join(lines))
    return "## What is missed, and why\n\n" + ("\n\n".join(parts) if parts else "Nothing: every target is reached.")


def _rates(book: Book) -> str:
    parts = ["## Rates, every round\n\nSteps a second; then what the CPU time of Python and PostgreSQL predicts."]
    for group, sides in book.samples.items():
        costs = report.costs(sides)
        rows = [
            [name, " ".join(f"{each.rate:,.0f}" for each in runs), f"{costs[name]['predicted_rate']:,.0f}"]
            for name, runs in sides.items()
        ]
        parts.append(f"### {group.capitalize()}\n\n" + _table(["Side", "Each round", "Predicted"], rows))
    return "\n\n".join(parts)


def _messages(book: Book) -> str:
    trips = {name: each["round_trips"] for name, each in book.details.get("per_step", {}).items()}
    rows = []
    for sides in book.samples.values():
        for name, runs in sides.items():
            shown = [_median(runs, "python_us"), _median(runs, "postgres_us")]
            shown += [_detail(runs, "wal_bytes"), _detail(runs, "rows_written")]
            counted = f"{trips[name]:.3f}" if name in trips else ""
            if [name, *shown, counted] not in rows:
                rows.append([name, *shown, counted])
    head = ["Side", "Python us", "PostgreSQL us", "WAL bytes", "Rows written", "Round trips"]
    return (
        "## What a message costs\n\nMedians, for each step. `smtp` hands each letter to a server in another process; "
        "its CPU is not in these. Rows are those that the server counts as inserted, updated or deleted.\n\n"
        + _table(head, rows)
    )


def _endurance(book: Book) -> str:
    parts = []
    if late := book.details.get("lateness"):
        p50, p99 = (book.single.get(f"lateness_{name}_ms", 0.0) for name in ("p50", "p99"))
        parts.append(
            f"**Lateness** at {late['rate']:,.0f} messages a second, half of what one process did"
            f" ({late['capacity']:,.0f}): {p50:.0f} ms in the median, {p99:.0f} ms for 99 of 100,"
            f" {late['worst_ms']:.0f} ms at worst."
        )
    if turned := book.details.get("turnovers"):
        head = ["After turnover", "Steps/s of it", "Table MiB", "Indexes MiB", "Dead rows"]
        rates = ["", *(f"{each:,.0f}" for each in turned["rates"])]
        rows = [
            [str(at), rates[at], f"{each['table_mb']:,.1f}", f"{each['indexes_mb']:,.1f}", f"{each['dead_rows']:,}"]
            for at, each in enumerate(turned["sizes"])
        ]
        memory = ", ".join(f"{each:.0f}" for each in turned["memory_mb"])
        parts.append(
            f"**Three turnovers** of the hot table, by {turned['people']:,} people who take three steps each:\n\n"
            + _table(head, rows)
        )
        parts.append(
            f"Resident memory of that one worker after each {turned['memory_after_each']:,} steps: {memory} MiB."
        )
    if counts := book.details.get("old_snapshot_steps_each_second"):
        parts.append(f"**An old snapshot held**, steps of each second: {' '.join(map(str, counts))}.")
    if claim := book.details.get("claim_ms"):
        few, many = (claim["waiting"][name] for name in ("few", "many"))
        parts.append(
            f"**A claim of {claim['batch']}** with {few:,} waiting takes {claim['few']:.2f} ms, with {many:,} "
            f"{claim['many']:.2f} ms; where what is due lies anywhere in the heap {claim['few_anywhere']:.2f} and "
            f"{claim['many_anywhere']:.2f} ms."
        )
    return "## In the long run\n\n" + "\n\n".join(parts) if parts else ""


def _profiles(book: Book) -> str:
    parts = []
    for kind, found in book.details.get("profiles", {}).items():
        each = found["python_us"]
        for name, title in (
            ("parts", "Package"),
            ("within", "Function of ours, with what it calls"),
            ("own", "Itself"),
        ):
            top = [[who, f"{share:.1%}", f"{share * each:.1f}"] for who, share in list(found[name].items())[:10]]
            parts.append(f"### {kind}: {title.lower()}\n\n" + _table([title, "Share", "us a step"], top))
        rows = [
            [
                one["name"].replace("|", "\\|"),
                f"{one['calls']:,}",
                f"{one['ms_per_call']:.3f}",
                f"{one['us_per_step']:.2f}",
            ]
            for one in found["statements"]
        ]
        head = ["Statement", "Calls", "ms each", "us a step"]
        parts.append(f"### {kind}: statements, as the server times them\n\n" + _table(head, rows))
    if not parts:
        return ""
    return (
        "## Profiles\n\nLooks at the stack after each millisecond of CPU, in a run of its own; statements are timed by "
        "the server, the wait for the disk included.\n\n" + "\n\n".join(parts)
    )


def _machine(facts: dict[str, Any]) -> str:
    rows = [["PostgreSQL", str(facts["postgresql"])], ["Cores", str(facts["cores"])]]
    rows += [["fdatasync of 8 KB", f"{facts['fdatasync_us']:.0f} us"], ["Load when it began", str(facts["load"])]]
    rows += [[name, str(value)] for name, value in facts.get("machine", {}).items()]
    rows += [[side, str(packages)] for side, packages in facts["sides"].items()]
    rows += [[f"`{name}`", str(value)] for name, value in facts["settings"].items()]
    return "## The machine\n\n" + _table(["What", ""], rows)


def _absent(book: Book) -> str:
    lines = [f"- {name}: {reason}" for name, reason in sorted(book.absent.items())]
    return "## What did not run\n\n" + "\n".join(lines) if lines else ""


def _said(verdict: str) -> str:
    return {"ok": "reached", "LOSES": "**loses**", "": ""}.get(verdict, f"**{verdict}**")


def _median(runs: Sequence[Sample], name: str) -> str:
    value = median(getattr(each, name) for each in runs)
    return f"{value:,.0f}" if value else ""


def _detail(runs: Sequence[Sample], name: str) -> str:
    values = [each.detail[name] for each in runs if name in each.detail]
    return f"{median(values):,.1f}" if values else ""


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)])
