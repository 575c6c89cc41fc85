"""How is a letter sent through real SMTP, and who counts it?  A server of ours in another process."""

from __future__ import annotations

import socket
from dataclasses import dataclass, replace

from benchmarks.children import Child, Failed
from benchmarks.sides import Pace, Sample, Script, World

PATIENCE = 30.0


@dataclass(frozen=True, slots=True)
class Mailed:
    """A side whose letters go to a server on this machine; a run whose counts differ is refused."""

    side: Script

    @property
    def name(self) -> str:
        return self.side.name

    @property
    def world(self) -> World:
        return self.side.world

    def prepare(self, url: str, rows: int) -> None:
        self.side.prepare(url, rows)

    def run(self, url: str, pace: Pace, postmaster: int) -> Sample:
        port = free_port()
        with Child(self.side.python, "smtp_sink", "serve", {"port": port}) as sink:
            sink.ready()
            sink.go()
            sending = replace(self.side, options={**self.side.options, "smtp_port": port})
            sample = sending.run(url, pace, postmaster)
            sink.go()
            taken = sink.result(PATIENCE)["messages"]
        if taken != sample.total:
            raise Failed(f"{self.name} reports {sample.total} letters, and the server took {taken}")
        return sample


def free_port() -> int:
    """A port that nobody listens on, now."""
    with socket.socket() as asked:
        asked.bind(("127.0.0.1", 0))
        return int(asked.getsockname()[1])
