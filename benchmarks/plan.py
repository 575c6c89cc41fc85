"""Who takes part, in which groups, and which figures are taken besides?"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks import environments
from benchmarks.contest import Book
from benchmarks.environments import Unavailable
from benchmarks.mailed import Mailed
from benchmarks.sides import Floor, Script, Side, World

NOON = "timestamptz '2030-01-01 12:00+00'"
FLOOR_ENDED = "select count(*) from floor.history"
FLOOR_ENDED_FULL = """
select case when (select count(*) from floor.attempts where outcome is not null) = n
             and (select count(*) from floor.journal) = n and (select sum(seq) from floor.enrollments) = n
            then n else -1 end
  from (select count(*) as n from floor.history) h
"""
FLOOR_DUE = f"select count(*) from floor.queue where worker_id is null and due_at <= {NOON}"
OUR_ENDED = "select count(*) from dripdrop.execution_history where state = 'sent'"
OUR_DUE = """
select count(*) from dripdrop.execution_queue
 where worker_id is null and due_at <= (select clock_timestamp() + ahead from dripdrop.clock)
"""

WORLDS = {
    "floor": World("floor", FLOOR_ENDED_FULL, FLOOR_DUE, 12_000),
    "floor_bare": World("floor_bare", FLOOR_ENDED, FLOOR_DUE, 25_000),
    "noop": World("ours_noop", OUR_ENDED, OUR_DUE, 8_000),
    "shuffled": World("ours_shuffled", OUR_ENDED, OUR_DUE, 8_000),
    "noop_gated": World("ours_noop_gated", OUR_ENDED, OUR_DUE, 6_000),
    "three": World("ours_three", OUR_ENDED, OUR_DUE, 10_000, steps=3),
    "email": World("ours_email", OUR_ENDED, OUR_DUE, 4_000),
    "email_gated": World("ours_email_gated", OUR_ENDED, OUR_DUE, 3_000),
    "smtp": World("ours_smtp", OUR_ENDED, OUR_DUE, 1_000),
    "pgqueuer": World(
        "pgqueuer",
        "select count(*) from pgqueuer_log where status = 'successful'",
        "select count(*) from pgqueuer where status = 'queued'",
        14_000,
    ),
    "oban": World(
        "oban",
        "select count(*) from oban_jobs where state = 'completed'",
        "select count(*) from oban_jobs where state = 'available'",
        2_000,
    ),
    "procrastinate": World(
        "procrastinate",
        "select count(*) from procrastinate_jobs where status = 'succeeded'",
        "select count(*) from procrastinate_jobs where status = 'todo'",
        500,
    ),
    "plain": World(
        "plain", "select count(*) from history", f"select count(*) from queue where due_at <= {NOON}", 1_500
    ),
    "django_drip": World(
        "django_drip",
        "select count(*) from drip_sentdrip",
        "select (select count(*) from auth_user) - (select count(*) from drip_sentdrip)",
        300,
    ),
}


class Cast:
    """The sides that can run here; asking for one that cannot notes why in the book."""

    def __init__(self, book: Book, say: Callable[[str], None]) -> None:
        self._book = book
        self._say = say
        self._pythons: dict[str, Path | Unavailable] = {}
        self.packages: dict[str, str] = {}

    def python(self, side: str) -> Path:
        """The interpreter of a side's environment; raises `Unavailable`."""
        if side not in self._pythons:
            try:
                self._pythons[side] = environments.python_of(side, self._say)
                self.packages[side] = environments.packages(side, environments.python_of(side, self._say))
            except Unavailable as reason:
                self._pythons[side] = reason
        found = self._pythons[side]
        if isinstance(found, Unavailable):
            raise found
        return found

    def groups(self, *, quick: bool) -> dict[str, list[Side]]:
        """The sides by group, without those that cannot run."""
        floors: list[Side] = [
            Floor("floor", WORLDS["floor"], "full"),
            Floor("floor_bare", WORLDS["floor_bare"], "bare"),
        ]
        one = [self.ours("noop"), self.ours("noop_gated"), self.ours("three"), self._peer("pgqueuer")]
        letters = [self.ours("email"), self._script("plain_handler", "dripdrop", "plain", "plain_handler")]
        two = [self.ours("noop", 2), self._peer("pgqueuer", 2), self.ours("email", 2)]
        if not quick:
            one += [self.ours("shuffled"), self._peer("oban"), self._peer("procrastinate")]
            letters += [self.ours("email_gated"), self.ours("smtp")]
            letters += [self._script("django_drip", "django_drip", "django_drip", "django_drip")]
            two += [self.ours("noop_gated", 2), self.ours("email_gated", 2)]
        groups = {"one process": [*floors, *one], "two processes": [floors[0], *two], "letter": letters}
        return {name: [side for side in sides if side is not None] for name, sides in groups.items()}

    def ours(self, kind: str, processes: int = 1, **options: Any) -> Side | None:
        """A side of ours, by kind of step; None, with the reason in the book, where it cannot run."""
        name = ("noop_shuffled" if kind == "shuffled" else kind) + ("_2p" if processes == 2 else "")
        phase = "drain" if WORLDS[kind].steps else "run"
        side = self._script(name, "dripdrop", kind, "dripdrop_worker", {"kind": kind, **options}, processes, phase)
        return Mailed(side) if side is not None and kind == "smtp" else side

    def _peer(self, name: str, processes: int = 1) -> Side | None:
        shown = name if processes == 1 else f"{name}_2p"
        return self._script(shown, name, name, f"{name}_jobs", {}, processes)

    def _script(
        self,
        name: str,
        environment: str,
        world: str,
        module: str,
        options: dict[str, Any] | None = None,
        processes: int = 1,
        phase: str = "run",
    ) -> Script | None:
        try:
            python = self.python(environment)
        except Unavailable as reason:
            self._book.absent[name] = str(reason)
            return None
        return Script(name, WORLDS[world], python, module, options or {}, processes, phase)
