"""Why is a target missed?  What a step costs, what the target leaves for it, and which costs are the largest."""

from __future__ import annotations

from statistics import median
from typing import Any

from benchmarks import report
from benchmarks.contest import Book
from benchmarks.targets import Row

TOP = 3


def why(row: Row, book: Book) -> str:
    """A sentence or two from the samples and, where it was taken, the profile of this kind of step."""
    runs = book.samples[row.group][row.ours]
    python, postgres = (median(getattr(each, part) for each in runs) for part in ("python_us", "postgres_us"))
    said = f"A step costs {python:.0f} us of Python and {postgres:.0f} us of PostgreSQL"
    if row.target is not None:
        theirs = median(each.rate for each in book.samples[row.group][row.theirs])
        processes = 2 if row.ours.endswith("_2p") else 1
        allowed = processes / (theirs * row.target) * 1e6
        said += f"; the target allows {allowed:.0f} us of {'each' if processes > 1 else 'the one'} process's time"
        if processes > 1:
            both = report.cores() / (theirs * row.target) * 1e6
            said += f", and {both:.0f} us of the machine's"
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
