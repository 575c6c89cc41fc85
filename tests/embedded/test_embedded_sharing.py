"""Do processes share one server, and does it stop after the last of them, however that one ends?"""

from __future__ import annotations

import os
import shutil
import signal

import psutil
import psycopg
from tests.embedded.conftest import World, ask, until

from dripdrop import embedded


def test_processes_that_start_at_once_share_one_server(world: World) -> None:
    clients = [world.client() for _ in range(4)]
    starts = {ask(client.ready().url, "select pg_postmaster_start_time()") for client in clients}
    assert len(starts) == 1


def test_the_server_stays_for_those_who_are_left_and_stops_after_the_last(world: World) -> None:
    first, second = world.client().ready(), world.client().ready()
    first.leave()
    assert ask(second.url, "select 1") == 1
    second.leave()
    world.stops()


def test_a_killed_process_no_longer_counts_as_a_user(world: World) -> None:
    clients = [world.client().ready() for _ in range(2)]
    pid = world.postmaster
    for client in clients:
        client.kill()
    world.stops()
    until(lambda: _ended(pid), "the postmaster ends")


def test_a_process_killed_in_the_middle_of_starting_leaves_nothing_running_and_nothing_broken(world: World) -> None:
    hasty = world.client()
    until(lambda: any(world.folder.glob("pg*/data.new/PG_VERSION")), "initdb begins")
    hasty.kill()
    patient = world.client().ready()
    assert ask(patient.url, "select current_database()") == "dripdrop"


def test_handles_in_one_process_share_the_server_until_the_last_is_closed(world: World) -> None:
    with embedded.start(world.folder) as outer:
        with embedded.start(world.folder) as inner:
            assert inner.url == outer.url
        assert ask(outer.url, "select 1") == 1
        inner.close()
        assert ask(outer.url, "select 1") == 1
    world.stops()


def test_a_user_who_arrives_during_the_shutdown_gets_a_server_that_stays(world: World) -> None:
    leaving = world.client().ready()
    for _ in range(3):
        leaving.leave()
        leaving = world.client().ready()
        assert ask(leaving.url, "select 1") == 1
    pid = world.postmaster
    with psycopg.connect(leaving.url) as connection:
        connection.execute("select pg_sleep(0.3)")
    assert world.postmaster == pid


def test_a_forked_child_goes_on_using_the_server_after_its_parent_left(world: World) -> None:
    server = embedded.start(world.folder)
    told, tell = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(tell)
        os.read(told, 1)
        os._exit(0)
    os.close(told)
    server.close()
    try:
        assert ask(server.url, "select 1") == 1
        assert world.is_used()
    finally:
        os.close(tell)
        os.waitpid(child, 0)
    world.stops()


def test_a_terminated_supervisor_stops_its_server_and_the_next_user_gets_a_new_one(world: World) -> None:
    client = world.client().ready()
    os.kill(world.supervisor, signal.SIGTERM)
    world.stops()
    assert ask(world.client().ready().url, "select 1") == 1
    assert client.process.poll() is None


def test_a_server_whose_folder_was_deleted_stops_after_its_last_user(world: World) -> None:
    client = world.client().ready()
    pids = [world.postmaster, world.supervisor]
    shutil.rmtree(world.folder)
    client.leave()
    until(lambda: all(map(_ended, pids)), "the server and its supervisor end")


def _ended(pid: int) -> bool:
    # A zombie has ended: only init has not looked yet.
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
