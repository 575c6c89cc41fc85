"""What does one get from `start`: which version, which URL, and which words when it cannot be?"""

from __future__ import annotations

import os
import stat
from pathlib import Path

import psycopg
import pytest
from tests.embedded.conftest import World, ask

from dripdrop import embedded
from dripdrop.embedded import binaries
from dripdrop.errors import MissingExtra, Unavailable


def test_the_versions_at_hand_are_18_and_16() -> None:
    assert embedded.available() == [18, 16]


def test_a_new_folder_gets_the_newest_version_and_a_database_in_utf8(world: World) -> None:
    with embedded.start(world.folder) as server:
        assert server.version == 18
        assert ask(server.url, "show server_version_num") >= "180000"
        assert ask(server.url, "select current_database() || current_user") == "dripdroppostgres"
        assert ask(server.url, "select upper('é') || pg_encoding_to_char(encoding) from pg_database limit 1") == "ÉUTF8"
    assert (world.folder / "pg18/data/PG_VERSION").read_text() == "18\n"


def test_version_16_works_and_a_folder_keeps_its_version(world: World) -> None:
    with embedded.start(world.folder, version=16) as server:
        assert server.version == 16
        assert ask(server.url, "show server_version_num") >= "160000"
        assert ask(server.url, "select upper('é')") == "É"
    with embedded.start(world.folder) as server:
        assert server.version == 16


def test_a_folder_of_another_version_is_refused_by_both_names(world: World) -> None:
    world.client("16").ready().leave()
    with pytest.raises(Unavailable, match=r"initialised by PostgreSQL 16, and PostgreSQL 18 was asked for.*version 16"):
        embedded.start(world.folder, version=18)


def test_a_folder_of_a_version_that_is_not_at_hand_is_refused(tmp_path: Path) -> None:
    (tmp_path / "pg17/data").mkdir(parents=True)
    (tmp_path / "pg17/data/PG_VERSION").write_text("17\n")
    with pytest.raises(Unavailable, match=r"initialised by PostgreSQL 17, which is not among .*18, 16"):
        embedded.start(tmp_path)
    with pytest.raises(Unavailable, match=r"PostgreSQL 14 is not among"):
        embedded.start(tmp_path / "new", version=14)


def test_without_the_package_the_error_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(binaries, "PACKAGE", "no_such_package")
    binaries._installed.cache_clear()
    try:
        assert embedded.available() == []
        with pytest.raises(MissingExtra, match=r"dripdrop-engine\[embedded\]"):
            embedded.start(tmp_path)
    finally:
        binaries._installed.cache_clear()


def test_a_server_that_cannot_start_is_reported_with_the_end_of_its_log(world: World) -> None:
    with pytest.raises(Unavailable, match=r'did not start(.|\n)*"shared_buffers"(.|\n)*server\.log'):
        embedded.start(world.folder, settings={"shared_buffers": "nonsense"})
    with embedded.start(world.folder) as server:
        assert ask(server.url, "select 1") == 1


def test_a_file_in_the_place_of_the_folder_is_refused_with_a_cure(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    with pytest.raises(Unavailable, match="or choose another one"):
        embedded.start(tmp_path / "taken")


def test_more_settings_reach_the_server(world: World) -> None:
    with embedded.start(world.folder, settings={"work_mem": "7MB"}) as server:
        assert ask(server.url, "show work_mem") == "7MB"


def test_settings_of_the_environment_do_not_lead_astray(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"PGPORT": "6543", "PGDATA": "/nowhere", "LC_ALL": "xx_YY", "PGDATABASE": "other"}.items():
        monkeypatch.setenv(name, value)
    with embedded.start(world.folder) as server:
        assert ask(server.url, "select current_database()") == "dripdrop"


@pytest.mark.parametrize("name", ["ünder 50%20?&#", "one,two"])
def test_the_url_leads_into_folders_of_any_name(tmp_path: Path, name: str) -> None:
    world = World(tmp_path / name)
    with embedded.start(world.folder) as server:
        assert ask(server.url, "select 1") == 1
    world.stops()


def test_a_path_too_long_for_a_socket_is_reached_through_a_short_and_private_one(
    tmp_path: Path, public_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(public_folder))
    world = World(tmp_path / ("long" * 30) / "app")
    with embedded.start(world.folder) as server:
        host = psycopg.conninfo.conninfo_to_dict(server.url)["host"]
        assert isinstance(host, str)
        assert len(f"{host}/.s.PGSQL.5432") < 104
        assert Path(host).parent == public_folder / "dripdrop"
        assert stat.S_IMODE(Path(host).parent.stat().st_mode) == 0o700
        assert ask(server.url, "select 1") == 1
    world.stops()


def test_a_short_path_that_others_may_write_to_is_not_trusted(
    tmp_path: Path, public_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(public_folder))
    (public_folder / "dripdrop").mkdir()
    (public_folder / "dripdrop").chmod(0o777)
    world = World(tmp_path / ("long" * 30) / "app")
    with embedded.start(world.folder) as server:
        assert str(public_folder) not in server.url
        assert f"dripdrop-{os.geteuid()}" in server.url
    world.stops()


def test_a_database_of_any_name_can_be_made(running: World) -> None:
    with embedded.start(running.folder) as server:
        assert ask(server.create_database('odd "name"/?'), "select current_database()") == 'odd "name"/?'
