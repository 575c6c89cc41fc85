"""What happens where the database, or the line to it, dies?"""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psycopg

from crash_table.cells import Cell, Result
from crash_table.house import House
from crash_table.scene import WORKER, Scene

WORKERS = 3
PEOPLE = 200
PAUSE = 0.25
PATIENCE = 40.0
PROGRESS = 5.0
_BACKENDS = "select pid from pg_stat_activity where application_name = %s"
_CUT = "select pg_terminate_backend(%s)"


def kill_databases(house: House, kind: str, on_unknown: str, target: int, *, seconds: float = 300.0) -> Result:
    """Kill the server under working workers: by turns a backend, which takes all others along, and its postmaster."""
    return _outage(house, Cell("database", kind, on_unknown, "kill"), target, seconds, _kill_server)


def cut_lines(house: House, kind: str, on_unknown: str, target: int, *, seconds: float = 120.0) -> Result:
    """Cut every connection of the workers at once, in the middle of whatever they are at."""
    return _outage(house, Cell("connection", kind, on_unknown, "cut"), target, seconds, _cut)


def _outage(
    house: House, cell: Cell, target: int, seconds: float, strike: Callable[[House, Scene, int], bool]
) -> Result:
    begin, result = time.monotonic(), Result(cell)
    scene = Scene(house, cell.name, cell.kind, cell.on_unknown, slow=0.01)
    try:
        scene.enroll(PEOPLE)
        workers = [house.nursery.bear(scene.spec(batch=20)) for _ in range(WORKERS)]
        names = [each.name for each in workers]
        _await_registered(scene, names)
        chance = random.Random(cell.name)
        while result.kills < target and time.monotonic() < begin + seconds:
            time.sleep(PAUSE * chance.random())
            if scene.live()["due"] < 30:
                scene.enroll(PEOPLE)
            await_progress(scene)
            held = scene.held(names)
            result.open_attempts += sum(each[1] for each in held.values())
            busy = any(each[0] for each in held.values())
            struck = strike(house, scene, result.kills)
            result.kills += struck and busy
            result.idle_kills += struck and not busy
            scene.connection = again(scene.url)
        settled = scene.finish()
        for each in workers:
            if each.ended.is_set():
                result.problem = f"{each.name} ended with status {each.status}"
            each.kill(signal.SIGTERM)
            each.ended.wait(10.0)
        result.account = scene.account(settled)
    except Exception as error:
        result.problem = f"{type(error).__name__}: {error}"
    finally:
        # A server that still recovers would let nobody drop a database.
        with suppress(psycopg.OperationalError):
            again(scene.url).close()
        scene.close()
    result.seconds = time.monotonic() - begin
    return result


def _kill_server(house: House, scene: Scene, number: int) -> bool:
    backend = scene.connection.info.backend_pid
    postmaster = int(Path(f"/proc/{backend}/stat").read_text().rpartition(")")[2].split()[1])
    witness = again(scene.url)
    os.kill(postmaster if number % 2 else backend, signal.SIGKILL)
    # Until it takes all others along, a server with a dead backend still lets people in, only to throw them out again.
    _await_death(witness)
    return True


def _await_death(witness: psycopg.Connection[dict[str, object]]) -> None:
    until = time.monotonic() + PATIENCE
    with suppress(psycopg.OperationalError):
        while time.monotonic() < until:
            witness.execute("select 1")
            time.sleep(0.005)
        raise TimeoutError("the server did not die")
    witness.close()


def _cut(house: House, scene: Scene, number: int) -> bool:
    pids = [row["pid"] for row in scene.connection.execute(_BACKENDS, [WORKER]).fetchall()]
    for pid in pids:
        scene.connection.execute(_CUT, [pid])
    return bool(pids)


def _await_registered(scene: Scene, names: list[str]) -> None:
    until = time.monotonic() + PATIENCE
    while len(scene.held(names)) < len(names) and time.monotonic() < until:
        time.sleep(0.02)


def await_progress(scene: Scene) -> None:
    """Between two strikes something must have been sent, or the second would strike nobody at work."""
    until, before = time.monotonic() + PROGRESS, scene.ended()
    while scene.ended() == before and time.monotonic() < until:
        time.sleep(0.02)


def again(url: str) -> psycopg.Connection[dict[str, object]]:
    """A new connection for the conductor, as soon as the server answers again."""
    until = time.monotonic() + PATIENCE
    while True:
        try:
            connection = psycopg.connect(url, autocommit=True, row_factory=psycopg.rows.dict_row, connect_timeout=5)
            connection.execute("select 1")
            return connection
        except psycopg.OperationalError:
            if time.monotonic() > until:
                raise
            time.sleep(0.02)
