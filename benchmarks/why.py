"""Why is a target missed?  What a step costs, what the target leaves for it, and which costs are the largest."""

from __future__ import annotations

from statistics import median
from typing import Any

from benchmarks.contest import Book
from benchmarks.targets import Row

TOP = 3


def why(row: Row, book: Book) -> str:
    """A sentence or two from the samples and, where it was taken, the profile of this kind of step."""
    runs = book.samples[row.group][row.ours]
    python, postgres = (median(getattr(each, part) for each in runs) for part in ("python_us", "postgres_us"))
    processes = 2 if row.ours.endswith("_2p") else 1
    took = processes / median(each.rate for each in runs) * 1e6
    said = f"A step takes {took:.0f} us of a process: {python:.0f} us of Python's CPU, the rest is waiting; "
    said += f"PostgreSQL spends {postgres:.0f} us"
    if row.target is not None:
        theirs = median(each.rate for each in book.samples[row.group][row.theirs])
        said += f". The target allows {processes / (theirs * row.target) * 1e6:.0f} us of a process"
    found = book.details.get("profiles", {}).get("email" if row.ours.startswith(("email", "smtp")) else "noop")
    return f"{said}. {_largest(found)}" if found else f"{said}."


def _largest(profile: dict[str, Any]) -> str:
    parts = list(profile["parts"].items())[:TOP]
    own = list(profile["own"].items())[:TOP]
    each = profile["python_us"]
    packages = ", ".join(f"{name} {share * each:.0f} us" for name, share in parts)
    functions = ", ".join(f"`{name}` {share * each:.0f} us" for name, share in own)
    statements = ", ".join(f"`{one['name']}` {one['us_per_step']:.0f} us" for one in profile["statements"][:TOP])
    return f"Largest in Python: {packages}; by function {functions}. Largest in PostgreSQL: {statements}."
