"""How do the demo's processes come and go?"""

from __future__ import annotations

import os
import select
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from dripdrop.clock import monotonic

PATIENCE = 15.0


class Trouble(Exception):
    """The demo cannot go on; the text says why."""


@dataclass(slots=True)
class WorkerProcess:
    """A worker and where its output goes."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path
    killed: bool = False

    @property
    def pid(self) -> int:
        return self.process.pid

    def check(self) -> None:
        """Raises where it ended and nobody had killed it."""
        if not self.killed and self.process.poll() is not None:
            raise Trouble(f"{self.name} ended with status {self.process.returncode}: {tail(self.log)}")

    def kill(self) -> None:
        """SIGKILL: it gets no chance to say goodbye."""
        self.killed = True
        self.process.kill()
        self.process.wait()


def start_worker(name: str, folder: Path, settings: Mapping[str, str]) -> WorkerProcess:
    """A worker with these settings and no others."""
    log = folder / f"{name.replace(' ', '-')}.log"
    with log.open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "dripdrop.demo.worker"],
            env=clean_environment(settings),
            cwd=folder,
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    return WorkerProcess(name, process, log)


def clean_environment(settings: Mapping[str, str]) -> dict[str, str]:
    """This process's environment with exactly these settings of ours."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("DRIPDROP_")}
    return {**kept, **settings}


def stop(processes: list[subprocess.Popen[bytes]]) -> None:
    """Ask all to end, wait, and kill whoever does not."""
    for each in processes:
        with suppress(OSError):
            if each.stdin is not None:
                each.stdin.close()  # each of them ends with its input
    until = monotonic() + PATIENCE
    for each in processes:
        try:
            each.wait(max(until - monotonic(), 0.1))
        except subprocess.TimeoutExpired:
            each.kill()
            each.wait()
        if each.stdout is not None:
            each.stdout.close()


def first_line(process: subprocess.Popen[bytes], errors: Path, *, within: float) -> str:
    """The first line that a process prints; raises `Trouble` where none comes in time."""
    assert process.stdout is not None
    ready, _, _ = select.select([process.stdout], [], [], within)
    line = process.stdout.readline().decode() if ready else ""
    if not line:
        raise Trouble(f"The SMTP server did not start: {tail(errors)}")
    return line


def tail(log: Path, lines: int = 6) -> str:
    """The end of a log, on one line."""
    text = log.read_text("utf-8", "replace").strip() if log.exists() else ""
    return " | ".join(text.splitlines()[-lines:]) or "it said nothing"
