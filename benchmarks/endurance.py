"""What becomes of it in the long run?  Lateness at a steady load; three turnovers of the hot table; memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import psycopg

from benchmarks.children import Child, Failed, call
from benchmarks.figures import percentile
from benchmarks.plan import OUR_ENDED
from benchmarks.server import Arena
from benchmarks.sides import Script

MEMORY_STEPS = 100_000
TURNOVERS = 3
PREPARE_SECONDS = 900.0


@dataclass(frozen=True, slots=True)
class Steady:
    """Lateness of every message of a steady load."""

    rate: float
    p50_ms: float
    p99_ms: float
    worst_ms: float


@dataclass(frozen=True, slots=True)
class Turned:
    """What three turnovers of the hot table showed; `memory` in MiB after each `every` steps."""

    rates: tuple[float, ...]
    sizes: tuple[dict[str, float], ...]
    memory: tuple[float, ...]
    every: int

    @property
    def last_against_first(self) -> float:
        return self.rates[-1] / self.rates[0]

    @property
    def growth(self) -> float | None:
        """Resident memory at the end against that after the first 10^5 steps, if it came so far."""
        first = MEMORY_STEPS // self.every
        return self.memory[-1] / self.memory[first - 1] if len(self.memory) > first else None


def steady(place: Arena, side: Script, rate: int, seconds: float) -> Steady:
    """So many a second, evenly, for `seconds`."""
    job: dict[str, Any] = {"url": place.create("steady"), "rows": int(rate * seconds), "rate": rate}
    try:
        call(side.python, "dripdrop_steady", "prepare", job, PREPARE_SECONDS)
        found = _run(side, "dripdrop_steady", job, seconds + 120)
        _agree(job["url"], found["sent"], job["rows"])
    finally:
        place.drop("steady")
    late = found["late"]
    return Steady(rate, percentile(late, 0.5), percentile(late, 0.99), max(late))


def turned(place: Arena, side: Script, people: int, patience: float) -> Turned:
    """`people` go through three steps, one process."""
    every = min(MEMORY_STEPS, people)
    job: dict[str, Any] = {
        "url": place.create("turnovers"),
        "rows": people,
        "every": every,
        "postmaster": place.postmaster,
    }
    try:
        call(side.python, "dripdrop_turnovers", "prepare", job, PREPARE_SECONDS)
        with psycopg.connect(job["url"], autocommit=True) as connection:
            connection.execute("vacuum (analyze)")
        found = _run(side, "dripdrop_turnovers", {**job, "warmup": 0.0, "seconds": 0.0}, patience)
        _agree(job["url"], found["total"], people * TURNOVERS)
    finally:
        place.drop("turnovers")
    rates = tuple(people / each for each in found["turnovers"])
    return Turned(rates, tuple(found["sizes"]), tuple(found["memory"]), every)


def _run(side: Script, module: str, job: dict[str, Any], patience: float) -> Any:
    with Child(side.python, module, "run", job) as child:
        child.ready()
        child.go()
        return child.result(patience)


def _agree(url: str, counted: int, wanted: int) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        row = connection.execute(OUR_ENDED.encode()).fetchone()
    assert row is not None
    if not counted == wanted == row[0]:
        raise Failed(f"{wanted} were due, {counted} were sent, and the database has {row[0]}")
