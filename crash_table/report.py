"""How is the table told?  `docs/crash-table.md`, one JSON object, and a line a cell while it runs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from crash_table.cells import Result, told
from crash_table.house import ROOT

PAGE = ROOT / "docs/crash-table.md"
_HEAD = """# Crash table

Written by `make crash-table`; nothing here was typed by hand. Real workers, forked from one parent, work on real
PostgreSQL {version} and hand each message to a receiver that is a process of its own and is never killed. A worker is
ended by SIGKILL at the named place; a kill counts only if that worker held a lease or an open attempt at that moment.
When the cell's kills are done the living finish, a person settles what is still in doubt by looking at what arrived,
and every message that the sequence promised is set beside what the receiver counted.

*Duplicates*: messages that arrived more than once. *Lost*: promised, and never arrived. *In doubt*: held for a person,
because the provider can neither de-duplicate nor be asked (or was asked in vain) and the step says `on_unknown: hold`.
*Takeover*: seconds from a worker's death until the last row that it held was in other hands (lease {lease} s in these
runs; 60 s by default). Rows in which an author chose `on_unknown: resend` for a provider that can do neither are *at
least once by choice*; their duplicates are counted apart.

What a worker that stood still (SIGSTOP) for longer than its lease does when it comes back: everything that it writes is
refused by its tokens, and right before the wire it compares a clock that counts suspension with its last confirmed
heartbeat. Between that look and the provider's socket lie a few microseconds in which the machine could be suspended
once more; no clock can close that gap, only the provider's own de-duplication can.

"""
_COLUMNS = (
    ("deed", "deed"), ("place", "place"), ("provider", "provider"), ("on_unknown", "on_unknown"), ("kills", "counted"),
    ("open_attempts", "open attempts"), ("messages", "messages"), ("duplicates", "duplicates"), ("lost", "lost"),
    ("unknown", "in doubt"), ("takeover_p50", "takeover p50"), ("takeover_max", "max"),
)  # fmt: skip


def summary(results: Sequence[Result], seconds: float) -> dict[str, Any]:
    """The one object of `--json`. `duplicates` leaves out those that an author chose, which are counted apart."""
    rows = [told(each) for each in results]
    chosen = [row for each, row in zip(results, rows, strict=True) if each.chosen]
    others = [row for each, row in zip(results, rows, strict=True) if not each.chosen]
    return {
        "kills": sum(row["kills"] for row in rows if row["deed"] == "kill" and row["place"] != "database"),
        "database_kills": sum(row["kills"] for row in rows if row["place"] == "database"),
        "cuts": sum(row["kills"] for row in rows if row["deed"] == "cut"),
        "stops": sum(row["kills"] for row in rows if row["deed"] == "stop"),
        "messages": sum(row["messages"] for row in rows),
        "duplicates": _sum(others, "duplicates"),
        "chosen_duplicates": _sum(chosen, "duplicates"),
        "lost": _sum(rows, "lost"),
        "unknown": _sum(rows, "unknown"),
        "open_attempts": _sum(rows, "open_attempts"),
        "takeover_max": max((row["takeover_max"] or 0.0 for row in rows), default=None),
        "bad_cells": [f"{row['deed']} {row['place']} {row['provider']} {row['on_unknown']}: {row['problem']}"
                      for row in rows if not row["good"]],
        "fewest_kills": min((row["kills"] for row in rows if row["deed"] == "kill"), default=0),
        "cells": rows,
        "seconds": round(seconds, 1),
    }  # fmt: skip


def _sum(rows: Iterable[Mapping[str, Any]], name: str) -> int:
    return sum(row[name] or 0 for row in rows)


def write(found: Mapping[str, Any], version: str, lease: float) -> None:
    """The page."""
    head = _HEAD.format(version=version, lease=lease)
    totals = (
        f"**{found['kills']:,} workers, {found['database_kills']} databases and {found['cuts']} lines were killed, and "
        f"{found['stops']} workers stood still, while {found['messages']:,} messages were sent: "
        f"{found['lost']} lost, {found['duplicates']} sent twice, {found['unknown']:,} held for a person** "
        f"({found['chosen_duplicates']:,} arrived twice where the author had chosen that).\n\n"
    )
    PAGE.write_text(head + totals + _table(found["cells"]), "utf-8")


def _table(rows: Iterable[Mapping[str, Any]]) -> str:
    lines = [
        "| " + " | ".join(title for _, title in _COLUMNS) + " |",
        "|" + "---|" * 4 + "---:|" * (len(_COLUMNS) - 4),
    ]
    lines += ["| " + " | ".join(_said(row[name]) for name, _ in _COLUMNS) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def _said(value: Any) -> str:
    return "" if value is None else str(value)


def line(result: Result) -> str:
    """What is printed when a cell is done."""
    row = told(result)
    verdict = "ok" if row["good"] else f"BAD {row['problem']}"
    return (
        f"{result.cell.name:48} {row['kills']:4} counted {row['open_attempts']:5} open "
        f"{row['messages']:6} messages  dup {row['duplicates']} lost {row['lost']} doubt {row['unknown']} "
        f"takeover {row['takeover_p50']}/{row['takeover_max']} s  {row['seconds']} s  {verdict}"
    )
