"""How does a test watch the processes of an embedded server?"""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest

from dripdrop.embedded import supervisor

CLIENT = Path(__file__).with_name("client.py")
DEADLINE = 20.0


def until(true: Callable[[], bool], what: str) -> None:
    """Wait for something that happens in another process."""
    end = time.monotonic() + DEADLINE
    while not true():
        assert time.monotonic() < end, f"{what}: not within {DEADLINE:.0f} seconds"
        time.sleep(0.01)


def ask(url: str, statement: str) -> Any:
    """The one value that `statement` returns, committed."""
    with psycopg.connect(url) as connection:
        cursor = connection.execute(statement)
        row = cursor.fetchone() if cursor.description else None
        return row[0] if row else None


@dataclass
class Client:
    """Another process that uses a folder's server."""

    process: subprocess.Popen[str]
    greeting: dict[str, Any] = field(default_factory=dict)

    def ready(self) -> Client:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, "the client ended before its server answered"
        self.greeting = json.loads(line)
        return self

    @property
    def url(self) -> str:
        return str(self.greeting["url"])

    def leave(self) -> None:
        self.process.communicate(timeout=DEADLINE)
        assert self.process.returncode == 0

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(DEADLINE)


@dataclass
class World:
    """One folder, and all that runs for it."""

    folder: Path
    clients: list[Client] = field(default_factory=list)

    @property
    def home(self) -> Path:
        return next(self.folder.glob("pg*"))

    def client(self, *words: str, python: str = sys.executable, **how: Any) -> Client:
        pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        path = os.pathsep.join(entry for entry in sys.path if entry)
        environment = {**os.environ, "PYTHONPATH": path, **how.pop("env", {})}
        command = [python, str(CLIENT), str(self.folder), *words]
        client = Client(subprocess.Popen(command, env=environment, **pipes, **how))
        self.clients.append(client)
        return client

    @property
    def postmaster(self) -> int:
        pid = supervisor.postmaster(self.home / "data")
        assert pid is not None, "no server runs"
        return pid

    @property
    def supervisor(self) -> int:
        for process in psutil.process_iter(["cmdline"]):
            words = process.info["cmdline"] or ()
            if supervisor.__file__ in words and str(self.home) in words[-1]:
                return int(process.pid)
        raise AssertionError("no supervisor runs")

    def is_running(self) -> bool:
        return supervisor.is_held(self.home, "server") or self.is_watched()

    def is_watched(self) -> bool:
        return supervisor.is_held(self.home, "supervisor")

    def is_used(self) -> bool:
        users = supervisor.open_lock(self.home, "users")
        try:
            return not supervisor.take(users, fcntl.LOCK_EX)
        finally:
            os.close(users)

    def stops(self) -> None:
        until(lambda: not self.is_running(), "the server stops")
        assert supervisor.postmaster(self.home / "data") is None


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """A folder that nobody used yet; whatever was started in it is gone afterwards."""
    with _cleared(World(tmp_path / "app")) as world:
        yield world


@pytest.fixture(scope="package")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A folder with one client, for tests that only look."""
    with _cleared(World(tmp_path_factory.mktemp("running"))) as world:
        world.client().ready()
        yield world


@contextmanager
def _cleared(world: World) -> Iterator[World]:
    yield world
    for client in world.clients:
        client.process.kill()
        client.process.communicate()
    if world.folder.exists() and any(world.folder.glob("pg*/locks")):
        world.stops()


@pytest.fixture
def public_folder() -> Iterator[Path]:
    """A folder that every account may look into; with a short path."""
    with tempfile.TemporaryDirectory(dir="/tmp", prefix="dripdrop-test-") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)
