"""How often does a side wait for the server for each step?  Runs of their own, with a relay on the socket."""

from __future__ import annotations

from benchmarks.sides import Pace, Ring, Sample, Side, World
from benchmarks.wire import Relay


class Watched:
    """A side whose conversation with the server is counted; its rate is not used."""

    def __init__(self, side: Side) -> None:
        self._side = side
        self.round_trips = 0

    @property
    def name(self) -> str:
        return f"{self._side.name}, counted"

    @property
    def world(self) -> World:
        return self._side.world

    def prepare(self, url: str, rows: int) -> None:
        self._side.prepare(url, rows)

    def run(self, url: str, pace: Pace, postmaster: int) -> Sample:
        with Relay(url) as relay:
            sample = self._side.run(relay.url, pace, postmaster)
            self.round_trips = relay.round_trips
        return sample


def per_step(side: Side, ring: Ring, pace: Pace | None = None) -> dict[str, float]:
    """Round trips, rows written and bytes of WAL for each step of a side."""
    watched = Watched(side)
    sample = ring.run(watched, pace)
    written = {name: float(sample.detail[name]) for name in ("rows_written", "wal_bytes")}
    return {"round_trips": watched.round_trips / sample.total, **written}
