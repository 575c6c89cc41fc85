"""Which PostgreSQL is measured, and how fast is the disk beneath it?"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from dripdrop import embedded

SETTINGS = {
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    "shared_buffers": "1GB",
    "max_wal_size": "16GB",
    "min_wal_size": "2GB",
    "checkpoint_timeout": "30min",
    "max_connections": "100",
    "track_wal_io_timing": "off",
    "jit": "off",
}
SYNC_SECONDS = 0.5


class Arena:
    """One server for the whole run, where every round gets fresh tables."""

    def __init__(self, server: embedded.Server, folder: Path) -> None:
        self._server = server
        self._folder = folder
        self._number = 0
        self.admin = psycopg.connect(server.url, autocommit=True)
        backend = self.admin.info.backend_pid
        self.postmaster = int(Path(f"/proc/{backend}/stat").read_text().rpartition(")")[2].split()[1])

    @property
    def log(self) -> Path:
        """What the server says."""
        return next(self._folder.glob("*/server.log"))

    def create(self, name: str) -> str:
        """An empty database in place of whatever had that name; returns its URL."""
        self.drop(name)
        return self._server.create_database(name)

    def copy(self, template: str) -> tuple[str, str]:
        """A database like `template`, as (name, URL), each page in the WAL already: no round pays for first touches."""
        self._number += 1
        name = f"round_{self._number}"
        command = sql.SQL("create database {} template {} strategy wal_log")
        self.admin.execute(command.format(sql.Identifier(name), sql.Identifier(template)))
        return name, self.url(name)

    def url(self, name: str) -> str:
        return self._server.url.replace("/dripdrop?", f"/{name}?")

    def drop(self, name: str) -> None:
        self.admin.execute(sql.SQL("drop database if exists {} with (force)").format(sql.Identifier(name)))

    def wal_bytes(self) -> int:
        """Bytes of WAL written since the server was made."""
        return int(self._one("select pg_current_wal_insert_lsn() - '0/0'"))

    def rows_written(self, name: str) -> int:
        """Rows inserted, updated and deleted in a database whose other connections have ended."""
        query = "select tup_inserted + tup_updated + tup_deleted from pg_stat_database where datname = %s"
        return int(self._one(query, [name]))

    def facts(self) -> dict[str, Any]:
        """What is printed with the results: version, settings, how long a write takes to reach the disk."""
        asked = [*SETTINGS, "autovacuum", "wal_sync_method"]
        settings = {name: self._one("select current_setting(%s)", [name]) for name in asked}
        version = str(self._one("select current_setting('server_version')"))
        return {"postgresql": version, "settings": settings, "fdatasync_us": round(fdatasync_us(self._folder), 1)}

    def _one(self, query: str, values: list[Any] | None = None) -> Any:
        row = self.admin.execute(query.encode(), values).fetchone()
        assert row is not None
        return row[0]


@contextmanager
def arena(more: Mapping[str, str] | None = None) -> Iterator[Arena]:
    """A server in a temporary folder, durable as in production, gone with everything in it at the end."""
    folder = Path(tempfile.mkdtemp(prefix="bench-"))
    try:
        with embedded.start(folder, version=18, settings={**SETTINGS, **(more or {})}) as server:
            found = Arena(server, folder)
            try:
                yield found
            finally:
                found.admin.close()
    finally:
        _wait_until_stopped(folder)
        shutil.rmtree(folder, ignore_errors=True)


def fdatasync_us(folder: Path) -> float:
    """Microseconds for 8 KB to be appended and reach the disk, on average over half a second."""
    path = folder / "fdatasync.probe"
    with path.open("wb", buffering=0) as file:
        block, count, begin = os.urandom(8192), 0, time.perf_counter()
        while time.perf_counter() - begin < SYNC_SECONDS:
            file.seek(count % 1024 * 8192)
            file.write(block)
            getattr(os, "fdatasync", os.fsync)(file.fileno())
            count += 1
        spent = time.perf_counter() - begin
    path.unlink()
    return spent / count * 1e6


def _wait_until_stopped(folder: Path, patience: float = 20.0) -> None:
    until = time.monotonic() + patience
    while any(folder.glob("*/data/postmaster.pid")) and time.monotonic() < until:
        time.sleep(0.05)
