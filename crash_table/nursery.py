"""How do thousands of workers come into the world cheaply?  Forked from a parent that has imported everything.

`python -m crash_table.nursery` reads a line of JSON for each worker and answers `{"born": name, "pid": pid}`, later
`{"ended": name, "signal": number}`. It and all of its children end with its input.
"""

from __future__ import annotations

import ctypes
import gc
import json
import os
import select
import signal
import sys
import traceback
from contextlib import suppress
from typing import Any

from crash_table import victim

PR_SET_PDEATHSIG = 1


def main() -> None:
    """Serve until the input ends."""
    victim.SETTINGS["lease_seconds"]
    gc.collect()
    gc.freeze()
    awake, wake = os.pipe()
    for end in (awake, wake):
        os.set_blocking(end, False)
    signal.set_wakeup_fd(wake)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    children: dict[int, str] = {}
    rest = b""
    while True:
        ready, _, _ = select.select([0, awake], [], [])
        if awake in ready:
            with suppress(BlockingIOError):
                os.read(awake, 4096)
            _bury(children)
        if 0 in ready:
            piece = os.read(0, 65536)
            if not piece:
                break
            *lines, rest = (rest + piece).split(b"\n")
            for line in lines:
                _bear(json.loads(line), children, (awake, wake))
    for pid in children:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def _bear(spec: dict[str, Any], children: dict[int, str], descriptors: tuple[int, int]) -> None:
    parent = os.getpid()
    pid = os.fork()
    if pid:
        children[pid] = spec["name"]
        _say({"born": spec["name"], "pid": pid})
        return
    status = 1
    try:
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        for end in descriptors:
            os.close(end)
        nothing = os.open(os.devnull, os.O_RDWR)
        os.dup2(nothing, 0)
        os.dup2(nothing, 1)
        victim.run(spec)
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(status)


def _bury(children: dict[int, str]) -> None:
    with suppress(ChildProcessError):
        while True:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if not pid:
                return
            number = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
            _say({"ended": children.pop(pid, "?"), "signal": number, "status": os.waitstatus_to_exitcode(status)})


def _say(told: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(told) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
