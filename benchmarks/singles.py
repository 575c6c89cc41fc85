"""Which figures stand alone: bulk enrollment, claims, waiting, idleness, traffic, an old snapshot?"""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from statistics import median

import psycopg

from benchmarks.bulk import Bulk
from benchmarks.children import Child, Failed, call
from benchmarks.contest import Book
from benchmarks.environments import Unavailable
from benchmarks.figures import percentile
from benchmarks.plan import WORLDS, Cast
from benchmarks.server import Arena
from benchmarks.sides import Pace, Ring, Sample, Script
from benchmarks.wire import Relay

GAP = 0.04


@dataclass(frozen=True, slots=True)
class Size:
    """How much of each, in this kind of run."""

    bulk_rows: int
    bulk_rounds: int
    few: int
    many: int
    claims: int
    latencies: int
    idle_seconds: float
    snapshot_seconds: float


QUICK = Size(20_000, 3, 10_000, 500_000, 20, 100, 5.0, 0.0)
FULL = Size(100_000, 5, 100_000, 5_000_000, 60, 500, 20.0, 60.0)


class Singles:
    """Takes every figure it can; one that fails leaves its reason in the book."""

    def __init__(
        self, place: Arena, ring: Ring, cast: Cast, book: Book, say: Callable[[str], None], *, quick: bool
    ) -> None:
        self._place = place
        self._ring = ring
        self._cast = cast
        self._book = book
        self._say = say
        self._size = QUICK if quick else FULL
        self._quick = quick

    def take(self) -> None:
        self._try(self._bulk, "enroll_many_vs_copy")
        self._try(self._claims, "claim_cost_ratio")
        self._try(self._latency, "latency_p50_ms", "latency_p99_ms")
        if not self._quick:
            self._try(self._oban_latency, "oban_latency_p50_ms", "oban_latency_p99_ms")
        self._try(self._idle, "idle_cpu_percent", "idle_rss_mb")
        self._try(self._feedback, "feedback_round_trips_per_event", "feedback_events_per_second")
        self._try(self._traffic, "round_trips_per_step", "rows_written_per_step", "wal_bytes_per_step")
        if not self._quick:
            self._try(self._old_snapshot, "old_snapshot_ratio")

    def _try(self, measure: Callable[[], dict[str, float]], *keys: str) -> None:
        try:
            found = measure()
        except (Failed, Unavailable, psycopg.Error, subprocess.SubprocessError, ValueError) as reason:
            for key in keys:
                self._book.absent[key] = str(reason)
            self._say(f"{keys[0]} fails: {reason}")
            return
        self._book.single.update(found)
        self._say(", ".join(f"{key} {value:,.3f}" for key, value in found.items()))

    def _side(self, kind: str) -> Script:
        return Script(kind, WORLDS["noop"], self._cast.python("dripdrop"), "dripdrop_worker", {"kind": kind})

    def _bulk(self) -> dict[str, float]:
        ratio, details = Bulk(self._place, self._side("noop"), self._size.bulk_rows).compare(self._size.bulk_rounds)
        self._book.details["enroll_many"] = {**details, "rounds": [round(each, 4) for each in ratio.rounds]}
        return {"enroll_many_vs_copy": ratio.median}

    def _claims(self) -> dict[str, float]:
        side, size = self._side("noop"), self._size
        urls = {}
        for name, waiting in (("few", size.few), ("many", size.many)):
            urls[name] = self._place.create(f"waiting_{name}")
            job = {"url": urls[name], "waiting": waiting, "due": (size.claims + 5) * 100}
            call(side.python, "dripdrop_claims", "prepare", job, 900)
            with psycopg.connect(urls[name], autocommit=True) as connection:
                connection.execute("vacuum (analyze)")
        try:
            took = call(side.python, "dripdrop_claims", "cost", {**urls, "claims": size.claims}, 120)
        finally:
            for name in urls:
                self._place.drop(f"waiting_{name}")
        few, many = (median(took[name]) for name in ("few", "many"))
        self._book.details["claim_ms"] = {
            str(size.few): round(few * 1e3, 3),
            str(size.many): round(many * 1e3, 3),
            "batch": 100,
        }
        return {"claim_cost_ratio": many / few}

    def _latency(self) -> dict[str, float]:
        side = self._side("timed")
        waits = self._waits(side, self._fresh(side))
        return {
            "latency_p50_ms": percentile(waits["returned"], 0.5),
            "latency_p99_ms": percentile(waits["returned"], 0.99),
            "latency_with_call_p50_ms": percentile(waits["called"], 0.5),
        }

    def _oban_latency(self) -> dict[str, float]:
        side = Script("oban", WORLDS["oban"], self._cast.python("oban"), "oban_jobs")
        waits = self._waits(side, self._fresh(side))
        return {
            "oban_latency_p50_ms": percentile(waits["returned"], 0.5),
            "oban_latency_p99_ms": percentile(waits["returned"], 0.99),
            "oban_latency_with_call_p50_ms": percentile(waits["called"], 0.5),
        }

    def _fresh(self, side: Script) -> str:
        url = self._place.create("alone")
        side.prepare(url, 0)
        return url

    def _waits(self, side: Script, url: str) -> dict[str, list[float]]:
        """Milliseconds until a job began, from when the call that put it in was made, and from when it returned."""
        count = self._size.latencies
        job = {**side.options, "url": url, "count": count, "gap": GAP}
        with ExitStack() as stack:
            worker = stack.enter_context(Child(side.python, side.module, "serve", job))
            worker.ready()
            worker.go()
            host = stack.enter_context(Child(side.python, side.module, "enqueue", job))
            host.ready()
            host.go()
            asked = host.result(count * GAP + 60)["asked"]
            worker.go()
            started = worker.result(60)["started"]
        if missed := asked.keys() - started.keys():
            raise Failed(f"{side.name}: {len(missed)} of {count} jobs never began")
        waits: dict[str, list[float]] = {"called": [], "returned": []}
        for key, (called, returned) in asked.items():
            waits["called"].append((started[key] - called) * 1e3)
            waits["returned"].append(max(started[key] - returned, 0.0) * 1e3)
        return waits

    def _idle(self) -> dict[str, float]:
        side = self._side("noop")
        job = {"url": self._fresh(side), "warmup": 2.0, "seconds": self._size.idle_seconds}
        with Child(side.python, side.module, "idle", {**job, "postmaster": self._place.postmaster}) as child:
            child.ready()
            child.go()
            found = child.result(self._size.idle_seconds + 60)
        return {
            "idle_cpu_percent": found["cpu"] / found["seconds"] * 100,
            "idle_postgres_cpu_percent": found["postgres_cpu"] / found["seconds"] * 100,
            "idle_rss_mb": found["rss_mb"],
        }

    def _traffic(self) -> dict[str, float]:
        side = _Watched(self._side("noop"), self._place)
        self._ring.run(side)
        return side.found

    def _feedback(self) -> dict[str, float]:
        """Events of providers, taken in by one process; the waits are counted in a run of their own."""
        side, found = self._side("noop"), {}
        for name, rows in (("counted", 2_000), ("timed", self._size.bulk_rows)):
            url = self._place.create(f"feedback_{name}")
            try:
                call(side.python, "dripdrop_feedback", "prepare", {"url": url, "rows": rows}, 900)
                with Relay(url) as relay:
                    where = relay.url if name == "counted" else url
                    took = call(side.python, "dripdrop_feedback", "take", {"url": where}, 900)
                    if took["events"] != rows:
                        raise ValueError(f"{took['events']} of {rows} events were taken in")
                    found["feedback_round_trips_per_event"] = found.get(
                        "feedback_round_trips_per_event", relay.round_trips / rows
                    )
                found["feedback_events_per_second"] = rows / took["seconds"]
            finally:
                self._place.drop(f"feedback_{name}")
        return found

    def _old_snapshot(self) -> dict[str, float]:
        pace = Pace(1.5, self._size.snapshot_seconds, 1)
        counts = self._ring.run(_Held(self._side("noop")), pace).detail["timeline"]
        tenth = max(len(counts) // 10, 1)
        self._book.details["old_snapshot_steps_each_second"] = counts
        return {"old_snapshot_ratio": sum(counts[-tenth:]) / sum(counts[:tenth])}


class _Watched:
    """A side whose conversation with the server is counted; its rate is not used."""

    def __init__(self, side: Script, place: Arena) -> None:
        self.name, self.world = "noop, counted", side.world
        self.found: dict[str, float] = {}
        self._side = side
        self._place = place

    def prepare(self, url: str, rows: int) -> None:
        self._side.prepare(url, rows)

    def run(self, url: str, pace: Pace, postmaster: int) -> Sample:
        before = self._place.wal_bytes()
        with Relay(url) as relay:
            sample = self._side.run(relay.url, pace, postmaster)
            trips = relay.round_trips
        wal = self._place.wal_bytes() - before
        written = self._place.rows_written(str(psycopg.conninfo.conninfo_to_dict(url)["dbname"]))
        per_step = {"round_trips": trips, "rows_written": written, "wal_bytes": wal}
        self.found = {f"{name}_per_step": value / sample.total for name, value in per_step.items()}
        return sample


class _Held:
    """A side that works while somebody else's transaction keeps every dead row from being cleaned up."""

    def __init__(self, side: Script) -> None:
        self.name, self.world = "noop, old snapshot", side.world
        self._side = side

    def prepare(self, url: str, rows: int) -> None:
        self._side.prepare(url, rows)

    def run(self, url: str, pace: Pace, postmaster: int) -> Sample:
        with psycopg.connect(url) as connection:
            connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            connection.execute("select 1")
            return self._side.run(url, pace, postmaster)
