"""How is a script of another environment started, told to begin, heard, and surely ended?"""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from benchmarks.environments import ROOT

READY_SECONDS = 60.0


class Failed(Exception):
    """Why a side has no figure: it crashed, hung, or its counts do not agree."""


class Child:
    """A script at work in a process group of its own, which ends with the `with` block whatever happens."""

    def __init__(self, python: Path, module: str, phase: str, job: dict[str, Any]) -> None:
        self.name = f"{module} {phase}"
        self._errors: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 closed in __exit__
        self._lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._process = subprocess.Popen(
            [str(python), "-m", "benchmarks.work", module, phase, json.dumps(job)],
            cwd=ROOT,
            env=_environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            start_new_session=True,
        )
        threading.Thread(target=self._read, daemon=True).start()

    def ready(self, patience: float = READY_SECONDS) -> None:
        """Return once it has said that it is ready."""
        until = time.monotonic() + patience
        while self._line(until) != "ready":
            pass

    def go(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write("go\n")
        self._process.stdin.flush()

    def result(self, patience: float) -> Any:
        """The JSON of its last line; it has `patience` seconds to end."""
        until, last = time.monotonic() + patience, ""
        while (line := self._line(until, at_end="")) != "":
            last = line
        try:
            code = self._process.wait(timeout=max(until - time.monotonic(), 0.1))
        except subprocess.TimeoutExpired:
            raise Failed(f"{self.name} did not end: {self._complaint()}") from None
        if code:
            raise Failed(f"{self.name} ended with status {code}: {self._complaint()}")
        return json.loads(last)

    def __enter__(self) -> Child:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._errors.close()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.strip():
                self._lines.put(line.strip())
        self._lines.put(None)

    def _line(self, until: float, at_end: str | None = None) -> str:
        try:
            line = self._lines.get(timeout=max(until - time.monotonic(), 0.01))
        except queue.Empty:
            raise Failed(f"{self.name} said nothing in time: {self._complaint()}") from None
        if line is None and at_end is None:
            raise Failed(f"{self.name} ended too early: {self._complaint()}")
        return at_end or "" if line is None else line

    def _complaint(self) -> str:
        self._errors.seek(0)
        lines = self._errors.read().decode(errors="replace").strip().splitlines()
        return lines[-1] if lines else "no message"


def call(python: Path, module: str, phase: str, job: dict[str, Any], patience: float) -> Any:
    """Run a phase that needs no word to begin, and return what it answers."""
    with Child(python, module, phase, job) as child:
        return child.result(patience)


def _environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PG", "DRIPDROP_", "OBAN_"))}
    kept.pop("VIRTUAL_ENV", None)
    return {**kept, "PYTHONPATH": str(ROOT / "src"), "PYTHONDONTWRITEBYTECODE": "0", "PYTHONUNBUFFERED": "1"}
