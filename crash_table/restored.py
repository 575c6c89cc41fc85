"""What goes out of a database that was restored from a backup?  Nothing that went out before, without being asked."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psycopg

from crash_table.cells import Result
from crash_table.house import Child, House, opened
from crash_table.outages import await_progress
from crash_table.scene import Scene
from crash_table.victim import SETTINGS
from dripdrop import DripDrop
from dripdrop.embedded import binaries

PEOPLE = 200
WORKERS = 3
# Longer than a lease: who would take over what the dead of the backup held has done so by then.
QUIET = 4.0
PATIENCE = 30.0
_STOPPED = "select count(*) from dripdrop.stops where target_kind = 'all'"


def strike(stack: ExitStack, result: Result) -> None:
    """A backup under work; the original goes on to the end and is lost; workers start on the backup."""
    house = stack.enter_context(opened())
    scene = Scene(house, result.cell.name, result.cell.kind, "hold", slow=0.01)
    try:
        scene.enroll(PEOPLE)
        workers = [house.nursery.bear(scene.spec(batch=20, in_flight=40)) for _ in range(WORKERS)]
        await_progress(scene)
        backup = house.folder / "backup.sql"
        result.open_attempts = sum(each[1] for each in scene.held([each.name for each in workers]).values())
        _run(house, "pg_dump", "--file", str(backup), "--dbname", scene.url)
        settled = scene.finish()
        _end(workers)
        gone_out = _arrived(scene)
        with _copy(house, backup) as url:
            copies = [house.nursery.bear({**scene.spec(), "url": url}) for _ in range(WORKERS)]
            _await_stop(url)
            time.sleep(QUIET)
            untold = _arrived(scene) - gone_out
            held = _go_on(url)
            time.sleep(QUIET)
            _end(copies)
            told = _arrived(scene) - gone_out - untold
        result.kills = 1
        result.account = scene.account(settled)
        if untold or told or not held:
            result.problem = f"{untold} went out untold and {told} when told to go on; {held} people were held back"
    finally:
        scene.close()


def _run(house: House, program: str, *arguments: str) -> None:
    where = binaries.of(house.server.version, None) / "bin" / program
    subprocess.run([str(where), *arguments], check=True, capture_output=True, env={**os.environ, "PGOPTIONS": ""})


@contextmanager
def _copy(house: House, backup: Path) -> Iterator[str]:
    url = house.server.create_database("restored")
    _run(house, "psql", "--quiet", "--set", "ON_ERROR_STOP=1", "--file", str(backup), "--dbname", url)
    try:
        yield url
    finally:
        house.drop(url)


def _await_stop(url: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            row = connection.execute(_STOPPED).fetchone()
            if row is not None and row[0]:
                return
            time.sleep(0.05)
    raise TimeoutError("no worker noticed that this is a copy")


def _go_on(url: str) -> int:
    """What `dripdrop restored` does: hold back what may have gone out, and lift the stop; how many are held."""
    held = 0
    with DripDrop(url, config=SETTINGS) as drip:
        while some := drip.hold_back():
            held += some
        drip.go(everything=True)
    return held


def _arrived(scene: Scene) -> int:
    arrived: dict[str, int] = scene.house.line.ask(op="count", cell=scene.cell)["arrived"]
    return sum(arrived.values())


def _end(workers: list[Child]) -> None:
    for each in workers:
        each.kill(signal.SIGTERM)
        each.ended.wait(10.0)
