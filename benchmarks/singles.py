"""Which figures stand alone: bulk enrollment, claims, waiting, idleness, traffic, an old snapshot?"""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from statistics import median

import psycopg

from benchmarks import endurance, traffic
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
LOAD = 0.5  # of what the side has just been measured to do
QUIET, QUIET_SECONDS = 20, 15.0  # a second; where a worker has nothing to do between two of them


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
    steady_seconds: float
    turned: int  # people, of whom each takes three steps


QUICK = Size(20_000, 3, 10_000, 500_000, 20, 100, 5.0, 0.0, 10.0, 5_000)
FULL = Size(100_000, 5, 100_000, 5_000_000, 60, 500, 20.0, 60.0, 60.0, 334_000)
TURNED_PATIENCE = 900.0
ROUND_TRIPS = {
    "noop": "round_trips_per_step",
    "noop_gated": "round_trips_per_gated_step",
    "email": "round_trips_per_email",
    "smtp": "round_trips_per_smtp",
}


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
        self._try(self._claims, "claim_cost_ratio", "claim_cost_ratio_anywhere")
        self._try(self._latency, "latency_p50_ms", "latency_p99_ms")
        if not self._quick:
            self._try(self._oban_latency, "oban_latency_p50_ms", "oban_latency_p99_ms")
        self._try(self._idle, "idle_cpu_percent", "idle_rss_mb")
        self._try(self._feedback, "feedback_round_trips_per_event", "feedback_events_per_second")
        self._try(self._traffic, *ROUND_TRIPS.values(), "rows_written_per_step", "wal_bytes_per_step")
        self._try(self._steady, "lateness_p50_ms", "lateness_p99_ms", "quiet_lateness_p50_ms", "quiet_lateness_p99_ms")
        self._try(self._turned, "turnover_ratio", *(() if self._quick else ("worker_growth",)))
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
        urls, due = {}, (size.claims + 5) * 100
        for name, waiting in (("few", size.few), ("many", size.many)):
            urls[name] = self._place.create(f"waiting_{name}")
            job = {"url": urls[name], "waiting": waiting, "due": due}
            call(side.python, "dripdrop_claims", "prepare", job, 900)
            with psycopg.connect(urls[name], autocommit=True) as connection:
                connection.execute("vacuum (analyze)")
        try:
            took = call(side.python, "dripdrop_claims", "cost", {**urls, "claims": size.claims, "due": due}, 300)
        finally:
            for name in urls:
                self._place.drop(f"waiting_{name}")
        cost = {name: median(each) for name, each in took.items()}
        self._book.details["claim_ms"] = {
            "batch": 100,
            "waiting": {"few": size.few, "many": size.many},
            **{name: round(each * 1e3, 3) for name, each in cost.items()},
        }
        return {
            "claim_cost_ratio": cost["many"] / cost["few"],
            "claim_cost_ratio_anywhere": cost["many_anywhere"] / cost["few_anywhere"],
        }

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
        """What each kind of step asks of the server; all but the no-op's rows and WAL stand in the details alone."""
        found: dict[str, dict[str, float]] = {}
        for kind in ROUND_TRIPS:
            side = self._cast.ours(kind)
            if side is None:
                raise Failed(self._book.absent[kind])
            found[kind] = traffic.per_step(side, self._ring)
        self._book.details["per_step"] = found
        noop = {f"{name}_per_step": value for name, value in found["noop"].items() if name != "round_trips"}
        return {**noop, **{key: found[kind]["round_trips"] for kind, key in ROUND_TRIPS.items()}}

    def _steady(self) -> dict[str, float]:
        """A few a second; and half of what one process has done in this run, or does now."""
        side = self._side("noop")
        known = self._book.samples.get("one process", {}).get("noop") or [self._ring.run(side)]
        capacity = median(each.rate for each in known)
        quiet = endurance.steady(self._place, side, QUIET, QUIET_SECONDS)
        found = endurance.steady(self._place, side, max(round(capacity * LOAD), QUIET), self._size.steady_seconds)
        self._book.details["lateness"] = {"rate": found.rate, "capacity": capacity, "worst_ms": found.worst_ms}
        return {
            "lateness_p50_ms": found.p50_ms,
            "lateness_p99_ms": found.p99_ms,
            "quiet_lateness_p50_ms": quiet.p50_ms,
            "quiet_lateness_p99_ms": quiet.p99_ms,
        }

    def _turned(self) -> dict[str, float]:
        found = endurance.turned(self._place, self._side("noop"), self._size.turned, TURNED_PATIENCE)
        self._book.details["turnovers"] = {
            "people": self._size.turned,
            "rates": [round(each, 1) for each in found.rates],
            "sizes": list(found.sizes),
            "memory_mb": list(found.memory),
            "memory_after_each": found.every,
        }
        growth = {} if found.growth is None else {"worker_growth": found.growth}
        return {"turnover_ratio": found.last_against_first, **growth}

    def _feedback(self) -> dict[str, float]:
        """Events of providers, taken in by one process; the waits are counted in a run of their own."""
        side = self._side("noop")
        found: dict[str, float] = {}
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
