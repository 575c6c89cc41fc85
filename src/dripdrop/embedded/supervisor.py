"""Who keeps the embedded server running while somebody uses it, and stops it after the last one?

A process of its own, one per home, that outlives whoever started it. Four files in `locks/` say everything, and the
kernel lets go of each of them when its holder dies, however it dies:

    start        exclusive, whoever is starting up right now
    users        shared, each process that uses the server; exclusive, the supervisor while it shuts down
    supervisor   exclusive, the supervisor as long as it lives
    server       exclusive, inherited by every process of the server: free means that none of them is left

It is run by path and stands on the standard library alone, so that keeping watch costs next to no time and memory.
"""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

TICK = 0.1
FAST, IMMEDIATE, KILL = 30.0, 10.0, 5.0  # seconds each way of stopping may take before the next, harder one


def open_lock(home: Path, name: str) -> int:
    """A descriptor of the lock file `name`: closed on exec, not locked yet.

    Let go of the lock by closing it: a forked child shares it and goes on holding it with its own copy, whereas
    unlocking would take it from everyone.
    """
    path = home / "locks" / name
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    if os.geteuid() == 0:
        owner = home.stat()
        os.fchown(descriptor, owner.st_uid, owner.st_gid)
    return descriptor


def take(descriptor: int, how: int, *, patience: float = 0.0) -> bool:
    """Whether the lock could be had within `patience` seconds; `how` is `LOCK_SH` or `LOCK_EX`."""
    until = time.monotonic() + patience
    while True:
        try:
            fcntl.flock(descriptor, how | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            if time.monotonic() >= until:
                return False
            time.sleep(0.02)


def is_held(home: Path, name: str) -> bool:
    """Whether some process holds the lock `name` exclusively."""
    descriptor = open_lock(home, name)
    try:
        return not take(descriptor, fcntl.LOCK_SH)
    finally:
        os.close(descriptor)


def postmaster(data: Path) -> int | None:
    """The process id of the server that runs on `data`, or None; a stranger in a leftover file does not count."""
    try:
        pid = int((data / "postmaster.pid").read_text().splitlines()[0])
        os.kill(pid, 0)
        return pid if _serves(pid, data) else None
    except (OSError, ValueError, IndexError):
        return None


def _serves(pid: int, data: Path) -> bool:
    try:
        return os.path.samefile(f"/proc/{pid}/cwd", data)
    except PermissionError:  # root in a container is not shown the working folder of another account's process
        name, _, rest = Path(f"/proc/{pid}/stat").read_text().rpartition(")")
        return name.endswith("(postgres") and not _has_ended(rest)
    except FileNotFoundError:
        if Path("/proc/self").exists():  # it has just ended, or waits for its parent to notice
            return False
    asked = ["ps", "-p", str(pid), "-o", "stat=,comm="]
    status = subprocess.run(asked, capture_output=True, text=True, check=False).stdout
    return "postgres" in status and not _has_ended(status)


def _has_ended(status: str) -> bool:
    return status.lstrip().startswith("Z")


class Supervisor:
    """Runs one server for as long as it has users."""

    def __init__(self, home: Path, command: list[str], account: dict[str, Any]) -> None:
        self.data = home / "data"
        self.command = command
        self.account = account
        self.home = home
        # Held open, for the folder may be deleted under a running server, and it must stop all the same.
        self.users = open_lock(home, "users")
        self.server = open_lock(home, "server")
        self.child: subprocess.Popen[bytes] | None = None
        self.told_to_leave = False

    def run(self) -> int:
        """Keep the server running until nobody uses it; 0 when it was stopped, 1 when it would not run."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._leave)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        while not self.told_to_leave and not take(self.users, fcntl.LOCK_EX):
            if not self._is_running() and not self._start():
                return 1
            time.sleep(TICK)
        self._stop()
        return 0

    def _leave(self, *_: object) -> None:
        self.told_to_leave = True

    def _is_running(self) -> bool:
        if not take(self.server, fcntl.LOCK_SH):
            return True
        fcntl.flock(self.server, fcntl.LOCK_UN)
        return False

    def _start(self) -> bool:
        """Start the server; False if the last one ended by its own will, which it would only do again."""
        if self.child is not None:
            if self.child.wait() >= 0:
                return False
            time.sleep(1)  # it was killed: a machine short of memory needs a breath
        lock = open_lock(self.home, "server")
        try:
            if take(lock, fcntl.LOCK_EX):
                self._clear_leftovers()
                self.child = subprocess.Popen(
                    self.command, cwd=self.data, pass_fds=[lock], stdin=subprocess.DEVNULL, **self.account
                )
        finally:
            os.close(lock)
        return True

    def _clear_leftovers(self) -> None:
        # After a crash of the machine these files may name a process id that now belongs to somebody else, and the
        # server would refuse to start. A server that somebody started past us keeps them, and so keeps us out.
        if postmaster(self.data) is None:
            for name in ("postmaster.pid", ".s.PGSQL.5432.lock", ".s.PGSQL.5432"):
                (self.data / name).unlink(missing_ok=True)

    def _stop(self) -> None:
        for number, patience in ((signal.SIGINT, FAST), (signal.SIGQUIT, IMMEDIATE), (signal.SIGKILL, KILL)):
            signalled: set[int] = set()
            until = time.monotonic() + patience
            while self._is_running() and time.monotonic() < until:
                pid = self._pid()
                if pid is not None and pid not in signalled:
                    with suppress(ProcessLookupError):
                        os.kill(pid, number)
                    signalled.add(pid)
                time.sleep(0.02)
        if self.child is not None and not self._is_running():
            self.child.wait()

    def _pid(self) -> int | None:
        if self.child is not None and self.child.poll() is None:
            return self.child.pid
        return postmaster(self.data)


def main(job: str) -> int:
    """Become the supervisor described by `job` (JSON: home, command, account), unless its home has one already."""
    settings = json.loads(job)
    home = Path(settings["home"])
    if not take(open_lock(home, "supervisor"), fcntl.LOCK_EX):
        return 0
    if os.fork():
        # Only now: whoever waits for this process may rely on the lock being held.
        return 0
    os.setsid()
    return Supervisor(home, settings["command"], settings["account"]).run()


if __name__ == "__main__":
    os._exit(main(sys.argv[1]))
