"""Why is a target missed?  What a step costs, what the target leaves for it, and which costs are the largest."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median
from typing import Any

from benchmarks.contest import Book
from benchmarks.targets import Row

TOP = 3


@dataclass(frozen=True, slots=True)
class Spent:
    """Microseconds of a process for one step: what it took, what the target allows (None: there is no target), and the
    CPU of Python, which is a part of it, and of PostgreSQL, which is not."""

    took: float
    allowed: float | None
    python: float
    postgres: float


def spent(row: Row, book: Book) -> Spent:
    """What a step of this row cost, from its samples."""
    runs = book.samples[row.group][row.ours]
    python, postgres = (median(getattr(each, part) for each in runs) for part in ("python_us", "postgres_us"))
    processes = 2 if row.ours.endswith("_2p") else 1
    took = processes / median(each.rate for each in runs) * 1e6
    allowed = None
    if row.target is not None:
        theirs = median(each.rate for each in book.samples[row.group][row.theirs])
        allowed = processes / (theirs * row.target) * 1e6
    return Spent(took, allowed, python, postgres)


def kind_of(row: Row) -> str:
    """The profile that shows such a step from within."""
    if row.ours.startswith(("email", "smtp")):
        return "email"
    return "noop_gated" if row.ours.startswith("noop_gated") else "noop"


def largest(profile: dict[str, Any]) -> str:
    """Its dearest packages, functions and statements, with microseconds."""
    parts = list(profile["parts"].items())[:TOP]
    own = list(profile["own"].items())[:TOP]
    each = profile["python_us"]
    packages = ", ".join(f"{name} {share * each:.0f}" for name, share in parts)
    functions = ", ".join(f"`{name}` {share * each:.0f}" for name, share in own)
    statements = ", ".join(f"`{one['name']}` {one['us_per_step']:.0f}" for one in profile["statements"][:TOP])
    return f"in Python {packages}; by function {functions}; in PostgreSQL, waits included, {statements}"
