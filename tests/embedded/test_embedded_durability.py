"""Is what was committed still there after a stop, a kill, a crash?"""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from tests.embedded.conftest import World, ask, until

from dripdrop.embedded import account


@pytest.fixture
def stranger() -> Iterator[int]:
    """A process that is no server, under the account that servers run as."""
    lent = account.as_popen(account.of(Path("/")))
    with subprocess.Popen(["sleep", "60"], **lent) as process:
        yield process.pid
        process.kill()


def _remember(url: str, value: int) -> None:
    ask(url, "create table if not exists kept (value int)")
    ask(url, f"insert into kept values ({value})")


def test_a_restart_keeps_the_data(world: World) -> None:
    client = world.client().ready()
    _remember(client.url, 7)
    client.leave()
    world.stops()
    assert ask(world.client().ready().url, "select value from kept") == 7


def test_the_server_is_durable(running: World) -> None:
    url = running.clients[0].url
    settings = ("fsync", "synchronous_commit", "full_page_writes", "data_checksums")
    assert {setting: ask(url, f"show {setting}") for setting in settings} == dict.fromkeys(settings, "on")


def test_a_killed_server_comes_back_by_itself_with_what_was_committed(world: World) -> None:
    client = world.client().ready()
    _remember(client.url, 7)
    before = world.postmaster
    os.kill(before, signal.SIGKILL)
    until(lambda: _answers(client.url), "the server comes back")
    assert world.postmaster != before
    assert ask(client.url, "select value from kept") == 7


def test_a_killed_supervisor_is_replaced_by_the_next_user_and_the_server_goes_on(world: World) -> None:
    first = world.client().ready()
    server, watcher = world.postmaster, world.supervisor
    os.kill(watcher, signal.SIGKILL)
    until(lambda: not world.is_watched(), "the supervisor ends")
    second = world.client().ready()
    assert (world.postmaster, world.supervisor != watcher) == (server, True)
    first.leave()
    assert ask(second.url, "select 1") == 1
    second.leave()
    world.stops()


def test_after_everything_was_killed_the_next_start_recovers_what_was_committed(world: World) -> None:
    client = world.client().ready()
    _remember(client.url, 7)
    for pid in (world.supervisor, world.postmaster, client.process.pid):
        os.kill(pid, signal.SIGKILL)
    assert ask(world.client().ready().url, "select value from kept") == 7


def test_a_leftover_pid_file_that_names_a_stranger_does_not_keep_the_server_out(world: World, stranger: int) -> None:
    client = world.client().ready()
    lines = (world.home / "data/postmaster.pid").read_text().splitlines()
    client.leave()
    world.stops()
    for name in ("postmaster.pid", ".s.PGSQL.5432.lock"):
        leftover = world.home / "data" / name
        leftover.write_text("\n".join([str(stranger), *lines[1:]]) + "\n")
        owner = (world.home / "data/PG_VERSION").stat()
        os.chown(leftover, owner.st_uid, owner.st_gid)
    assert ask(world.client().ready().url, "select 1") == 1


def _answers(url: str) -> bool:
    try:
        psycopg.connect(url).close()
    except psycopg.OperationalError:
        return False
    return True
