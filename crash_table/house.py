"""What does the crash table stand on?  A database server, the receiver, the nursery, and a database for each cell."""

from __future__ import annotations

import json
import os
import queue
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from dripdrop import embedded
from dripdrop.store import schema

ROOT = Path(__file__).parents[1]
PATIENCE = 30.0
SETTINGS = {"max_connections": "400", "shared_buffers": "256MB", "max_wal_size": "4GB", "jit": "off"}


@dataclass(slots=True)
class Child:
    """A worker of the nursery: when it was born and how it ended."""

    name: str
    pid: int = 0
    born: threading.Event = field(default_factory=threading.Event)
    ended: threading.Event = field(default_factory=threading.Event)
    ended_at: float = 0.0
    died_of: int = 0
    status: int | None = None

    def kill(self, number: int = signal.SIGKILL) -> None:
        with suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def stands(self) -> bool:
        """Whether the kernel has stopped it."""
        try:
            return Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"
        except OSError:
            return False


class Nursery:
    """Workers, forked by a parent that has imported everything. Safe to call from several threads."""

    def __init__(self, prefix: Sequence[str] = (), more: Mapping[str, str] | None = None) -> None:
        self._process = subprocess.Popen(
            [*prefix, sys.executable, "-m", "crash_table.nursery"],
            cwd=ROOT,
            env={**environment(), **(more or {})},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._children: dict[str, Child] = {}
        self._queues: dict[str, queue.SimpleQueue[Child] | None] = {}
        self._lock = threading.Lock()
        self._number = 0
        self._prefix = f"w{self._process.pid}-"
        threading.Thread(target=self._read, daemon=True).start()

    def bear(self, spec: Mapping[str, Any], ended: queue.SimpleQueue[Child] | None = None) -> Child:
        """A new worker; `ended` is told when it is gone."""
        with self._lock:
            self._number += 1
            child = Child(f"{self._prefix}{self._number}")
            self._children[child.name] = child
            self._queues[child.name] = ended
            assert self._process.stdin is not None
            self._process.stdin.write(json.dumps({**spec, "name": child.name}) + "\n")
            self._process.stdin.flush()
        if not child.born.wait(PATIENCE):
            raise TimeoutError("the nursery does not answer")
        return child

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(PATIENCE)

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            told = json.loads(line)
            child = self._children[told.get("born") or told["ended"]]
            if "born" in told:
                child.pid = told["pid"]
                child.born.set()
                continue
            child.ended_at, child.died_of, child.status = time.monotonic(), told["signal"], told["status"]
            child.ended.set()
            del self._children[child.name]
            waiting = self._queues.pop(child.name, None)
            if waiting is not None:
                waiting.put(child)


class Line:
    """The conductor's own connection to the receiver."""

    def __init__(self, path: str) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.connect(path)
        self._file = self._socket.makefile("rw")
        self._lock = threading.Lock()

    def ask(self, **told: Any) -> Any:
        with self._lock:
            self._file.write(json.dumps(told) + "\n")
            self._file.flush()
            return json.loads(self._file.readline())


class House:
    """One server, one receiver, one nursery; `database` gives a cell tables of its own."""

    def __init__(self, folder: Path, server: embedded.Server, receiver: str, nursery: Nursery) -> None:
        self.folder = folder
        self.server = server
        self.receiver = receiver
        self.line = Line(receiver)
        self.nursery = nursery
        self._number = 0
        self._lock = threading.Lock()
        schema.migrate(server.create_database("template"), "dripdrop")

    def database(self) -> str:
        """A migrated database for one cell; its URL."""
        with self._lock:
            self._number += 1
            name = f"cell_{self._number}"
            command = sql.SQL("create database {} template template strategy file_copy").format(sql.Identifier(name))
            self._admin(command)
        return self.server.url.replace("/dripdrop?", f"/{name}?")

    def drop(self, url: str) -> None:
        name = url.rpartition("?")[0].rpartition("/")[2]
        self._admin(sql.SQL("drop database if exists {} with (force)").format(sql.Identifier(name)))

    @property
    def data(self) -> Path:
        """Where the server keeps its files."""
        return next(self.folder.glob("postgres/pg*/data"))

    def _admin(self, command: sql.Composed) -> None:
        with psycopg.connect(self.server.url, autocommit=True) as connection:
            connection.execute(command)


def environment() -> dict[str, str]:
    """Ours without settings of somebody else's."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PG", "DRIPDROP_"))}
    return {**kept, "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}", "PYTHONUNBUFFERED": "1"}


@contextmanager
def opened(settings: Mapping[str, str] | None = None, disk: Path | None = None) -> Iterator[House]:
    """Everything, in a temporary folder that is gone at the end; the server's own folder may lie on another disk."""
    settings = {**SETTINGS, **(settings or {})}
    folder = Path(tempfile.mkdtemp(prefix="crash-"))
    folder.chmod(0o755)
    path = str(folder / "receiver.sock")
    receiver = subprocess.Popen(
        [sys.executable, "-m", "crash_table.receiver", path],
        cwd=ROOT,
        env=environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert receiver.stdout is not None
        assert receiver.stdin is not None
        receiver.stdout.readline()
        with embedded.start((disk or folder) / "postgres", settings=settings) as server:
            nursery = Nursery()
            try:
                yield House(folder, server, path, nursery)
            finally:
                nursery.close()
    finally:
        receiver.kill()
        receiver.wait()
        until = time.monotonic() + PATIENCE
        while any((disk or folder).glob("postgres/*/data/postmaster.pid")) and time.monotonic() < until:
            time.sleep(0.05)
        shutil.rmtree(folder, ignore_errors=True)
