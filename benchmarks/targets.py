"""What is to be reached, by figure?  Ratios of one run, with the usual gates and with every gate on."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Row:
    """One ratio of the table: `ours` over `theirs`, rates, so more is better. `target` None: printed, ungated."""

    key: str
    group: str
    ours: str
    theirs: str
    label: str
    target: float | None = None


@dataclass(frozen=True, slots=True)
class Limit:
    """One figure of the table: `at_most` (else at least) `bound`, or no more than the figure `beside`; else ungated."""

    key: str
    label: str
    bound: float | None = None
    at_most: bool = True
    beside: str | None = None


PEERS = frozenset({"pgqueuer", "oban", "procrastinate", "plain_handler", "django_drip"})
ONE, TWO, LETTER = "one process", "two processes", "letter"
RATIOS = (
    Row("noop_vs_floor", ONE, "noop", "floor", "no-op step against the floor, 1 process", 0.30),
    Row("noop_vs_floor_2p", TWO, "noop_2p", "floor", "no-op step against the floor, 2 processes", 0.40),
    Row("noop_vs_bare_floor", ONE, "noop", "floor_bare", "no-op step against the bare floor, 1 process"),
    Row("noop_vs_pgqueuer", ONE, "noop", "pgqueuer", "no-op step against pgqueuer, 1 process", 0.8),
    Row("noop_vs_pgqueuer_2p", TWO, "noop_2p", "pgqueuer_2p", "no-op step against pgqueuer, 2 processes", 0.8),
    Row("noop_vs_oban", ONE, "noop", "oban", "no-op step against Oban, 1 process", 4.0),
    Row("noop_vs_procrastinate", ONE, "noop", "procrastinate", "no-op step against procrastinate", 25.0),
    Row("email_vs_floor", TWO, "email_2p", "floor", "e-mail step against the floor, 2 processes", 0.12),
    Row("email_vs_plain_handler", LETTER, "email", "plain_handler", "e-mail step against the plain handler", 4.0),
    Row("email_vs_django_drip", LETTER, "email", "django_drip", "e-mail step against django-drip-campaigns", 8.0),
    Row("gated_vs_floor", ONE, "noop_gated", "floor", "every gate: no-op step against the floor, 1 process", 0.25),
    Row("gated_vs_floor_2p", TWO, "noop_gated_2p", "floor", "every gate: no-op step against the floor, 2 proc.", 0.33),
    Row("gated_vs_pgqueuer", ONE, "noop_gated", "pgqueuer", "every gate: no-op step against pgqueuer, 1 process", 0.6),
    Row("gated_vs_pgqueuer_2p", TWO, "noop_gated_2p", "pgqueuer_2p", "every gate: against pgqueuer, 2 processes", 0.6),
    Row("gated_vs_oban", ONE, "noop_gated", "oban", "every gate: no-op step against Oban, 1 process", 3.0),
    Row("gated_vs_procrastinate", ONE, "noop_gated", "procrastinate", "every gate: against procrastinate", 20.0),
    Row("email_gated_vs_floor", TWO, "email_gated_2p", "floor", "every gate: e-mail against the floor, 2 proc.", 0.10),
    Row(
        "email_gated_vs_plain", LETTER, "email_gated", "plain_handler", "every gate: e-mail against plain handler", 4.0
    ),
    Row("email_gated_vs_django", LETTER, "email_gated", "django_drip", "every gate: e-mail against django-drip", 8.0),
    Row("three_vs_floor", ONE, "three", "floor", "a step of three to the end, against the floor"),
    Row("smtp_vs_null", LETTER, "smtp", "email", "e-mail through SMTP against the null transport"),
    Row("noop_random_heap", ONE, "noop_shuffled", "noop", "no-op step, heap in random order against due order"),
)
FIGURES = (
    Limit("enroll_many_vs_copy", "enroll_many against COPY of the same rows", 0.4, at_most=False),
    Limit("claim_cost_ratio", "cost of a claim with many waiting against few", 1.2),
    Limit("claim_cost_ratio_anywhere", "the same, where what is due lies anywhere in the heap"),
    Limit("three_enrollments_per_second", "people through three steps to the end each second, 1 process"),
    Limit("turnover_ratio", "rate of the last against the first of three turnovers", 0.85, at_most=False),
    Limit("worker_growth", "memory of a worker after 10^6 steps against after 10^5", 1.1),
    Limit("lateness_p50_ms", "lateness at half of the capacity, median, ms"),
    Limit("lateness_p99_ms", "lateness at half of the capacity, 99 of 100, ms"),
    Limit("quiet_lateness_p50_ms", "lateness at 20 a second, median, ms"),
    Limit("quiet_lateness_p99_ms", "lateness at 20 a second, 99 of 100, ms"),
    Limit("old_snapshot_ratio", "rate with an old snapshot held, last against first tenth", 0.85, at_most=False),
    Limit("latency_p50_ms", "enqueued to started, idle, median, ms", beside="oban_latency_p50_ms"),
    Limit("latency_p99_ms", "enqueued to started, idle, 99 of 100, ms", beside="oban_latency_p99_ms"),
    Limit("oban_latency_p50_ms", "the same for Oban, median, ms"),
    Limit("oban_latency_p99_ms", "the same for Oban, 99 of 100, ms"),
    Limit("idle_cpu_percent", "idle worker, percent of a core", 1.0),
    Limit("idle_rss_mb", "idle worker, resident MiB", 120.0),
    Limit("round_trips_per_step", "round trips per no-op step", 0.1),
    Limit("round_trips_per_gated_step", "round trips per no-op step with every gate on", 0.15),
    Limit("round_trips_per_email", "round trips per e-mail step, null transport"),
    Limit("round_trips_per_smtp", "round trips per e-mail step through SMTP"),
    Limit("feedback_round_trips_per_event", "round trips per feedback event, batches of 100", 0.2),
    Limit("feedback_events_per_second", "feedback events taken in each second, 1 process"),
    Limit("rows_written_per_step", "rows written per no-op step"),
    Limit("wal_bytes_per_step", "bytes of WAL per no-op step"),
)
ONLY_IN_FULL = frozenset(
    {
        *(row.key for row in RATIOS if row.theirs in ("oban", "procrastinate", "django_drip")),
        *(row.key for row in RATIOS if row.ours in ("noop_gated_2p", "email_gated", "email_gated_2p", "smtp")),
        "noop_random_heap",
        "old_snapshot_ratio",
        "worker_growth",
        "oban_latency_p50_ms",
        "oban_latency_p99_ms",
    }
)
OF_A_GROUP = {"three_enrollments_per_second": ONE}  # figures that a group's rounds give


def owed(*, quick: bool, only: Collection[str] = ()) -> frozenset[str]:
    """The keys that this kind of run must have: all, without the long ones in a quick run, or those of some groups."""
    keys = {row.key for row in RATIOS if not only or row.group in only}
    keys |= {each.key for each in FIGURES if not only or OF_A_GROUP.get(each.key, "singles") in only}
    return frozenset(keys - ONLY_IN_FULL if quick else keys)
