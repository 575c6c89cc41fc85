"""How does a process come to share the server of a folder?"""

from __future__ import annotations

import fcntl
import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

import psycopg
from psycopg import sql

from dripdrop.embedded import launch
from dripdrop.embedded.homes import Home, choose
from dripdrop.embedded.supervisor import open_lock, take
from dripdrop.errors import Unavailable

DATABASE = "dripdrop"
PATIENCE = 60.0  # seconds for somebody else's start-up or shutdown

_users: dict[Path, tuple[int, set[Server]]] = {}  # home: the descriptor that counts this process in, and its handles
_registry = threading.RLock()


class Server:
    """One use of a running server, from `start` until `close`; the server stops after the last use of any process.

    A forked child uses the server too, until it ends or closes its copy of this object; a process that is meant to
    outlive its parent without using the database should be spawned.
    """

    def __init__(self, home: Home) -> None:
        self._home = home

    @property
    def url(self) -> str:
        """The URL of the database `dripdrop`: `postgresql://postgres@/dripdrop?host=<socket's folder>&port=5432`."""
        return self._home.url(DATABASE)

    @property
    def version(self) -> int:
        """The major version, such as 18."""
        return self._home.version

    def create_database(self, name: str) -> str:
        """Create an empty database (UTF8) and return its URL."""
        with psycopg.connect(self._home.url("postgres"), autocommit=True) as connection:
            connection.execute(sql.SQL("create database {}").format(sql.Identifier(name)))
        return self._home.url(name)

    def close(self) -> None:
        """Stop using the server. Closing twice is harmless."""
        with _registry:
            descriptor, servers = _users.get(self._home.path, (-1, set()))
            servers.discard(self)
            if descriptor >= 0 and not servers:
                del _users[self._home.path]
                os.close(descriptor)

    def __enter__(self) -> Server:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def start(folder: Path, *, version: int | None = None, settings: Mapping[str, str] | None = None) -> Server:
    """Use the PostgreSQL server of `folder`, starting or initialising it where needed; returns when it answers.

    Args:
        folder: where the data is kept, in `pg<version>` beneath; processes that name the same folder share one server.
        version: the major version; by default what the folder holds, else the newest at hand.
        settings: more server parameters, which count only if this call is the one that starts the server.

    Raises:
        MissingExtra: the package with the programs is not installed.
        Unavailable: the folder holds another major version, cannot be used, or the server does not start.
    """
    home = choose(folder.resolve(), version)
    server = Server(home)
    with _registry, _explained(home):
        home.prepare()
        with _alone(home):
            _join(home, server)
            try:
                launch.ensure_running(home, settings or {})
                _ensure_database(home)
            except BaseException:
                server.close()
                raise
    return server


def _join(home: Home, server: Server) -> None:
    if home.path not in _users:
        descriptor = open_lock(home.path, "users")
        if not take(descriptor, fcntl.LOCK_SH, patience=PATIENCE):
            os.close(descriptor)
            raise Unavailable(
                f"The server in {home.path} has been shutting down for {PATIENCE:.0f} seconds.",
                cure=f"See {home.log}, and end its processes if they hang.",
            )
        _users[home.path] = descriptor, set()
    _users[home.path][1].add(server)


def _ensure_database(home: Home) -> None:
    with psycopg.connect(home.url("postgres"), autocommit=True) as connection:
        if not connection.execute("select from pg_database where datname = %s", [DATABASE]).fetchall():
            connection.execute(sql.SQL("create database {}").format(sql.Identifier(DATABASE)))


@contextmanager
def _alone(home: Home) -> Iterator[None]:
    descriptor = open_lock(home.path, "start")
    try:
        if not take(descriptor, fcntl.LOCK_EX, patience=2 * PATIENCE):
            raise Unavailable(
                f"Another process has been starting the server in {home.path} for {2 * PATIENCE:.0f} seconds.",
                cure=f"See {home.log}, and end that process if it hangs.",
            )
        yield
    finally:
        os.close(descriptor)


@contextmanager
def _explained(home: Home) -> Iterator[None]:
    try:
        yield
    except (OSError, psycopg.Error) as error:
        raise Unavailable(
            f"The embedded PostgreSQL cannot use {home.path}: {error}.",
            cure="Give this account the folder, or choose another one.",
        ) from error


def _forget_other_threads() -> None:
    global _registry
    _registry = threading.RLock()


# A thread that was starting a server at the moment of a fork does not exist in the child, and would never let go.
os.register_at_fork(after_in_child=_forget_other_threads)
