"""What happens where the ground gives way: full disk, no connection, torn network, wrong clock, migration, a backup?"""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import psycopg

from crash_table import restored
from crash_table.cells import Cell, Result
from crash_table.house import House, Nursery, opened
from crash_table.network import Far
from crash_table.outages import again, await_progress
from crash_table.scene import WORKER, Scene
from dripdrop.store import schema

PEOPLE = 200
WORKERS = 3
LONGER_THAN_THE_LEASE = 4.0
FAKETIME = tuple(Path(f"/usr/lib/{each}-linux-gnu/faketime/libfaketime.so.1") for each in ("x86_64", "aarch64"))
_CUT = "select pg_terminate_backend(pid) from pg_stat_activity where application_name = %s"
Strike = Callable[[House, Scene], None]


class CannotBeHad(Exception):
    """Why this machine cannot show it: no root, no library."""


def run(name: str, kind: str) -> Result:
    """One calamity in a house of its own; where it cannot be had here, the problem says why."""
    result, begin = Result(Cell(name, kind, "hold", "calamity")), time.monotonic()
    try:
        with ExitStack() as stack:
            CALAMITIES[name](stack, result)
    except CannotBeHad as reason:
        result.problem = f"cannot be had here: {reason}"
    except Exception as error:
        result.problem = f"{type(error).__name__}: {error}"
    result.seconds = time.monotonic() - begin
    return result


def _struck(
    house: House,
    result: Result,
    strike: Strike,
    *,
    nursery: Nursery | None = None,
    reach: Callable[[str], str] = str,
) -> None:
    """Workers at work, one of them in `nursery` if there is another; the calamity; and the account."""
    scene = Scene(house, result.cell.name, result.cell.kind, "hold", slow=0.01)
    try:
        scene.enroll(PEOPLE)
        spec = scene.spec(batch=20, in_flight=40)
        workers = [house.nursery.bear(spec) for _ in range(WORKERS - (nursery is not None))]
        if nursery is not None:
            workers.append(nursery.bear({**spec, "url": reach(spec["url"])}))
        await_progress(scene)
        scene.enroll(PEOPLE)
        result.open_attempts = sum(each[1] for each in scene.held([each.name for each in workers]).values())
        strike(house, scene)
        scene.connection = again(scene.url)
        settled = scene.finish()
        for each in workers:
            if each.ended.is_set():
                result.problem = f"a worker ended with status {each.status}"
            each.kill(signal.SIGTERM)
            each.ended.wait(10.0)
        result.kills = 1
        result.account = scene.account(settled)
    finally:
        scene.close()


def _full_disk(stack: ExitStack, result: Result) -> None:
    """The server's own disk is full for longer than a lease."""
    disk = stack.enter_context(_small_disk(400))
    house = stack.enter_context(opened({"max_wal_size": "64MB", "min_wal_size": "32MB"}, disk))

    def strike(house: House, scene: Scene) -> None:
        filler = disk / "filler"
        with filler.open("wb", buffering=0) as file, suppress(OSError):
            while True:
                file.write(bytes(65536))
        time.sleep(LONGER_THAN_THE_LEASE)
        filler.unlink()

    _struck(house, result, strike)


def _no_connections(stack: ExitStack, result: Result) -> None:
    """Every connection is somebody else's, and the workers lose theirs."""
    house = stack.enter_context(opened({"max_connections": "40"}))

    def strike(house: House, scene: Scene) -> None:
        hogs: list[psycopg.Connection[tuple[object, ...]]] = []
        until = time.monotonic() + LONGER_THAN_THE_LEASE
        while time.monotonic() < until:
            scene.connection.execute(_CUT, [WORKER])
            with suppress(psycopg.OperationalError):
                while True:
                    hogs.append(psycopg.connect(house.server.url, autocommit=True))
            time.sleep(0.1)
        for each in hogs:
            each.close()

    _struck(house, result, strike)


def _partition(stack: ExitStack, result: Result) -> None:
    """One worker sits behind a network that is torn for longer than its lease, and then healed."""
    house = stack.enter_context(opened())
    far = stack.enter_context(_far(house))
    nursery = Nursery(prefix=far.command)
    stack.callback(nursery.close)

    def strike(house: House, scene: Scene) -> None:
        far.tear()
        time.sleep(LONGER_THAN_THE_LEASE)
        far.heal()
        await_progress(scene)

    _struck(house, result, strike, nursery=nursery, reach=far.url_of)


def _worker_clock(stack: ExitStack, result: Result) -> None:
    """One worker's machine believes that it is tomorrow."""
    house = stack.enter_context(opened())
    nursery = Nursery(more=_faked("+1d"))
    stack.callback(nursery.close)
    _struck(house, result, lambda house, scene: await_progress(scene), nursery=nursery)


def _server_clock(stack: ExitStack, result: Result) -> None:
    """The database's clock jumps an hour ahead of every heartbeat: all leases look run out while their holders live."""
    house = stack.enter_context(opened())

    def strike(house: House, scene: Scene) -> None:
        for _ in range(4):
            scene.connection.execute("update dripdrop.workers set heartbeat_at = heartbeat_at - interval '1 hour'")
            await_progress(scene)

    _struck(house, result, strike)


def _migration(stack: ExitStack, result: Result) -> None:
    """The schema is changed, and partitions are made, under workers at work."""
    house = stack.enter_context(opened())

    def strike(house: House, scene: Scene) -> None:
        done = threading.Event()

        def partitions() -> None:
            with psycopg.connect(scene.url, autocommit=True) as other:
                while not done.is_set():
                    other.execute("select dripdrop.make_partitions(clock_timestamp() + interval '9 months', 3)")

        maker = threading.Thread(target=partitions)
        maker.start()
        for table in ("enrollments", "execution_queue", "execution_history", "delivery_attempts"):
            schema.migrate(scene.url)
            with psycopg.connect(scene.url) as connection:
                connection.execute(f"alter table dripdrop.{table} add column note text".encode())
            await_progress(scene)
        done.set()
        maker.join()

    _struck(house, result, strike)


CALAMITIES: Mapping[str, Callable[[ExitStack, Result], None]] = {
    "full disk": _full_disk,
    "no connection left": _no_connections,
    "torn network": _partition,
    "worker's clock": _worker_clock,
    "server's clock": _server_clock,
    "migration": _migration,
    "restored backup": restored.strike,
}


def _faked(ahead: str) -> dict[str, str]:
    library = next((each for each in FAKETIME if each.exists()), None)
    if library is None:
        raise CannotBeHad("libfaketime is not installed")
    return {"LD_PRELOAD": str(library), "FAKETIME_DONT_FAKE_MONOTONIC": "1", "FAKETIME": ahead}


@contextmanager
def _small_disk(megabytes: int) -> Iterator[Path]:
    if os.geteuid() != 0:
        raise CannotBeHad("only root can mount a small disk")
    with _folder() as folder:
        options = f"size={megabytes}m,mode=755"
        made = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "crash-table", folder], check=False)
        if made.returncode:
            raise CannotBeHad("no disk can be mounted")
        try:
            yield folder
        finally:
            subprocess.run(["umount", "-l", folder], check=False)


@contextmanager
def _far(house: House) -> Iterator[Far]:
    if os.geteuid() != 0:
        raise CannotBeHad("only root can make a network")
    try:
        far = Far(house)
    except (OSError, subprocess.CalledProcessError) as error:
        raise CannotBeHad(f"no network can be made: {error}") from error
    try:
        yield far
    finally:
        far.close()


@contextmanager
def _folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="crash-", ignore_cleanup_errors=True) as folder:
        os.chmod(folder, 0o755)
        yield Path(folder)
