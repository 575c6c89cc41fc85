"""Where does a step's time go?  Our own sides looked at from within, on a server that times each statement.

Runs after everything else, on a server of its own: what is measured is never slowed down by being looked at.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from benchmarks.children import Failed
from benchmarks.contest import Book
from benchmarks.plan import Cast
from benchmarks.server import Arena, arena
from benchmarks.sides import Pace, Ring

KINDS = ("noop", "noop_gated", "email")
MARK = "bench-statement"
LOGGING = {
    "log_min_duration_statement": "0",
    "log_parameter_max_length": "0",
    "log_line_prefix": f"{MARK} %d ",
    "log_checkpoints": "off",
}
PACE = Pace(1.5, 8.0, 1)
TOP = 12

_RECORD = re.compile(
    rf"^{MARK} (\S*) LOG:  duration: ([\d.]+) ms  (parse|bind|execute|statement)[^:]*: (.*)", re.DOTALL
)
_PLACES = re.compile(r"%\(\w+\)[sbt]|\$\d+")
_COMMENTS = re.compile(r"--[^\n]*")
_NAME = re.compile(r"^-- name: (\w+)\s*$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Cost:
    """One statement: how often it ran, and milliseconds of the server in all (waiting for the disk included)."""

    name: str
    calls: int
    milliseconds: float


def take(cast: Cast, book: Book, say: Callable[[str], None], pace: Pace = PACE) -> None:
    """Profiles of each kind into the book's details; one that cannot be taken leaves its reason."""
    with arena(LOGGING) as place:
        for kind in KINDS:
            try:
                found = _one(kind, place, cast, pace)
            except Failed as reason:
                book.absent[f"profile_{kind}"] = str(reason)
                say(f"profile of {kind} fails: {reason}")
                continue
            book.details.setdefault("profiles", {})[kind] = found
            top = ", ".join(f"{name} {share:.0%}" for name, share in list(found["within"].items())[:3])
            say(f"profile of {kind}: {top}")


def _one(kind: str, place: Arena, cast: Cast, pace: Pace) -> dict[str, Any]:
    side = cast.ours(kind, profile=True)
    if side is None:
        raise Failed("it cannot run here")
    from_here = place.log.stat().st_size
    sample = Ring(place, pace).run(side)
    with place.log.open("rb") as log:
        log.seek(from_here)
        text = log.read().decode(errors="replace")
    statements = costs(records(text, "round_"), named())
    return {
        **sample.detail["profile"],
        "python_us": round(sample.python_us, 1),
        "postgres_us": round(sample.postgres_us, 1),
        "statements": [
            {
                "name": each.name,
                "calls": each.calls,
                "ms_per_call": round(each.milliseconds / each.calls, 3),
                "us_per_step": round(each.milliseconds / sample.total * 1e3, 2),
            }
            for each in statements[:TOP]
        ],
    }


def records(text: str, databases: str) -> Iterator[tuple[str, str, float]]:
    """(phase, statement, milliseconds) of each line that the server logged for databases whose names begin so."""
    for each in text.split(f"\n{MARK} "):
        found = _RECORD.match(each if each.startswith(MARK) else f"{MARK} {each}")
        if found and found[1].startswith(databases):
            yield found[3], found[4], float(found[2])


def costs(found: Iterable[tuple[str, str, float]], names: Mapping[str, str]) -> list[Cost]:
    """What each statement took in all its phases, dearest first; known ones by their name."""
    calls: defaultdict[str, int] = defaultdict(int)
    spent: defaultdict[str, float] = defaultdict(float)
    for phase, text, milliseconds in found:
        bare = plain(text)
        name = names.get(bare, bare[:60])
        calls[name] += phase in ("execute", "statement")
        spent[name] += milliseconds
    ranked = sorted(spent, key=lambda name: -spent[name])
    return [Cost(name, max(calls[name], 1), spent[name]) for name in ranked]


def named() -> dict[str, str]:
    """The engine's statements, as the server sees them, by name."""
    known = {}
    for folder in (resources.files("dripdrop.store"), resources.files("dripdrop.schedulers")):
        for path in Path(str(folder)).glob("*.sql"):
            pieces = _NAME.split(path.read_text("utf-8"))
            for name, text in zip(pieces[1::2], pieces[2::2], strict=True):
                known[plain(text)] = f"{path.stem}.{name}"
    return known


def plain(text: str) -> str:
    """A statement without comments, spacing and names of its parameters."""
    bare = _PLACES.sub("$", _COMMENTS.sub("", text)).replace("%%", "%")
    return " ".join(bare.split()).rstrip("; ").lower()
