"""How does a server come to run: initialised, supervised, answering?"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import psycopg

from dripdrop.embedded import account, binaries, supervisor
from dripdrop.embedded.homes import PORT, Home
from dripdrop.errors import Unavailable

PATIENCE = 60.0  # seconds without a sign of life; a server that says it is recovering may take longer
INITIAL = {"max_connections": "200", "shared_buffers": "128MB", "timezone": "UTC", "log_timezone": "UTC"}
ESSENTIAL = {"listen_addresses": "", "unix_socket_directories": ".", "port": str(PORT), "logging_collector": "off"}


def ensure_running(home: Home, settings: Mapping[str, str]) -> None:
    """Return when the server of `home` answers under a living supervisor. The caller holds `start` and `users`.

    Raises:
        Unavailable: it cannot be initialised or does not start; the message carries the end of its log.
    """
    if not home.data.exists():
        _initialise(home)
    beginning = home.log.stat().st_size if home.log.exists() else 0
    started = False
    until = time.monotonic() + PATIENCE
    while True:
        if not supervisor.is_held(home.path, "supervisor"):
            if started:
                raise _failure(home, beginning, "did not start")
            _supervise(home, settings)
            started = True
        answer = _ask(home)
        if answer is None:
            return
        if "the database system is" in answer:  # starting up, in recovery, shutting down
            until = time.monotonic() + PATIENCE
        if time.monotonic() > until:
            raise _failure(home, beginning, f"has not answered for {PATIENCE:.0f} seconds")
        time.sleep(0.02)


def _ask(home: Home) -> str | None:
    try:
        psycopg.connect(home.url("postgres"), connect_timeout=10).close()
    except psycopg.OperationalError as error:
        return str(error)
    return None


def _supervise(home: Home, settings: Mapping[str, str]) -> None:
    lent = account.of(home.path)
    if home.data.stat().st_uid == 0:  # copied or restored by root
        account.give(home.data, lent)
    folder = binaries.of(home.version, lent)
    parameters = [f"{name}={value}" for name, value in {**settings, **ESSENTIAL}.items()]
    command = [str(folder / "bin/postgres"), "-D", _reachable(home.data, lent)]
    job = {
        "home": str(home.path),
        "command": command + [word for parameter in parameters for word in ("-c", parameter)],
        "account": account.as_popen(lent),
    }
    log = home.open_log()
    try:
        subprocess.run(
            [sys.executable, "-I", "-S", supervisor.__file__, json.dumps(job)],
            cwd="/",
            env=_environment(),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            check=False,
        )
    finally:
        os.close(log)


def _initialise(home: Home) -> None:
    """Make the data folder: whole and on disk, or not at all."""
    lock = supervisor.open_lock(home.path, "server")
    try:
        # Whoever began this before us may have been killed, but not the program he left at work.
        if not supervisor.take(lock, fcntl.LOCK_EX, patience=PATIENCE):
            raise _unavailable(home, f"has been initialising for {PATIENCE:.0f} seconds", "")
        new = home.path / "data.new"
        if new.exists():
            shutil.rmtree(new)
        _initdb(home, new, lock)
        new.rename(home.data)
        for folder in (home.path, *home.path.parents[:2]):
            _to_disk(folder)
    finally:
        os.close(lock)


def _initdb(home: Home, new: Path, lock: int) -> None:
    lent = account.of(home.path)
    new.mkdir(mode=0o700)
    account.give(new, lent)
    program = binaries.of(home.version, lent) / "bin/initdb"
    command = [str(program), "-D", _reachable(new, lent), "--username=postgres", "--auth=trust"]
    command += ["--encoding=UTF8", "--data-checksums", *_locale(home.version)]
    command += [word for name, value in INITIAL.items() for word in ("-c", f"{name}={value}")]
    made = subprocess.run(
        command,
        cwd=new,
        env=_environment(),
        pass_fds=[lock],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        **account.as_popen(lent),
    )
    if made.returncode != 0:
        raise _unavailable(home, "could not be initialised", made.stdout)


def _locale(version: int) -> list[str]:
    if version >= 17:
        return ["--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
    return ["--locale=C.UTF-8" if sys.platform == "linux" else "--locale=C"]


def _reachable(data: Path, lent: account.Account | None) -> str:
    # The lent account may not be allowed through the folders above (/root, a temporary folder of root's). It need
    # not: the server is started in its data folder and stays there, and this name leads there from anywhere.
    if lent is not None and Path("/proc/self/cwd").exists():
        return "/proc/self/cwd"
    return str(data)


def _environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PG", "LC_", "LANG"))}
    return {**kept, "LC_ALL": "C"}


def _to_disk(folder: Path) -> None:
    with suppress(PermissionError):  # a folder around ours that we may pass but not read
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _failure(home: Home, beginning: int, what: str) -> Unavailable:
    log = home.log.read_bytes()
    since = log[beginning:] or log  # a log that started anew is shorter than where it was
    return _unavailable(home, what, since.decode(errors="replace"))


def _unavailable(home: Home, what: str, output: str) -> Unavailable:
    last = "\n".join(output.strip().splitlines()[-8:])
    return Unavailable(
        f"The embedded PostgreSQL in {home.path} {what}. It said last:\n{last}\n",
        cure=f"Mend what it complains about (all of it is in {home.log}), or choose another folder.",
    )
