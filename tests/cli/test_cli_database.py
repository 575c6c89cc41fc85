"""What does a command say when the database, its schema, the key or the app is not what it should be?"""

from __future__ import annotations

import base64
from urllib.parse import urlsplit, urlunsplit

import pytest

from dripdrop.store import schema as schemas


def test_a_server_that_does_not_answer_is_named_with_what_to_check(typed):
    said = typed("status", "--database", "postgresql://nobody@localhost:1/nothing")
    assert said.status == 1
    assert "Connection refused" in said.err
    assert "DRIPDROP_DATABASE_URL" in said.err
    assert typed("status", "--json", "--database", "postgresql://nobody@localhost:1/x").error["code"] == "unavailable"


def test_a_database_that_is_not_there_can_be_created_or_another_named(typed, database_url):
    missing = urlunsplit(urlsplit(database_url)._replace(path="/not_there"))
    said = typed("status", "--database", missing)
    assert said.status == 1
    assert "not_there" in said.err
    assert "createdb" in said.err


def test_a_url_that_is_none_is_shown_how_to_be_written(typed):
    said = typed("status", "--database", "nonsense")
    assert said.status == 1
    assert "postgresql://user:password@host:5432/name" in said.err


def test_a_database_without_our_schema_says_how_to_get_it(typed, empty_database_url):
    said = typed("sequences", "--database", empty_database_url)
    assert said.status == 1
    assert "dripdrop setup" in said.err
    assert typed("sequences", "--database", empty_database_url, "--json").error["code"] == "no_schema"


@pytest.mark.parametrize(("newest", "code", "cure"), [(7, "old_schema", "dripdrop setup"), (0, "new_schema", "newer")])
def test_a_schema_of_another_version_says_which_side_is_behind(typed, monkeypatch, newest, code, cure):
    monkeypatch.setattr(schemas, "newest", lambda: newest)
    error = typed("status", "--json").error
    assert error["code"] == code
    assert cure in error["cure"]


def test_setup_makes_the_schema_once_and_can_be_run_again(typed, empty_database_url):
    at = ("--database", empty_database_url)
    dry = typed("setup", "--dry-run", "--json", *at).json
    assert dry["applied"] == [each.number for each in schemas.migrations()]
    assert typed("check-schema", *at).status == 1
    assert typed("setup", *at).status == 0
    assert typed("setup", "--json", *at).json["applied"] == []
    assert typed("check-schema", *at).status == 0


def test_check_schema_names_what_is_missing(typed, database_url):
    import psycopg

    with psycopg.connect(database_url) as connection:
        connection.execute("drop view dripdrop.step_executions cascade")
    said = typed("check-schema")
    assert said.status == 1
    assert "dripdrop.step_executions" in said.out
    found = typed("check-schema", "--json")
    assert (found.status, found.json["ok"]) == (1, False)
    assert any(each["path"] == "dripdrop.step_executions" for each in found.json["findings"])


def test_setup_prints_what_is_missing_as_sql(typed, empty_database_url):
    text = typed("setup", "--sql", "--database", empty_database_url).out
    assert "schema_migrations" in text
    assert "channel_adapters" in text
    assert typed("setup", "--sql").out == "-- There is nothing to apply.\n"
    assert typed("setup", "--sql", "--json").json["after"] == schemas.newest()


def test_setup_prints_all_of_it_without_a_database(bare, tmp_path):
    assert "channel_adapters" in bare("setup", "--sql").out
    assert not (tmp_path / ".dripdrop").exists()


def test_setup_writes_a_revision_for_alembic(bare, tmp_path):
    (tmp_path / "migrations" / "versions").mkdir(parents=True)
    assert bare("setup", "--alembic", "migrations", "--dry-run").status == 0
    assert list((tmp_path / "migrations" / "versions").iterdir()) == []
    said = bare("setup", "--alembic", "migrations", "--json")
    assert said.status == 0
    assert "dripdrop" in (tmp_path / said.json["file"]).read_text()
    assert bare("setup", "--alembic", "migrations").status == 1
    assert bare("setup", "--alembic", "nowhere", "--json").error["code"] == "not_found"
    assert bare("setup", "--alembic", "migrations", "--sql").status == 2


def test_a_worker_with_no_key_or_a_wrong_one_does_not_begin(welcome, monkeypatch):
    create = (
        "adapters",
        "create",
        "smtp",
        "--channel",
        "email",
        "--provider",
        "smtp",
        "--config",
        "from=a@example.org",
    )
    made = welcome(*create, piped='{"relay": "localhost", "username": "u", "password": "p"}')
    assert made.status == 0, made.err
    monkeypatch.setenv("DRIPDROP_ENCRYPTION_KEY", base64.b64encode(bytes(32)).decode())
    error = welcome("worker", "--once", "--json").error
    assert error["code"] == "unknown_key"
    assert "DRIPDROP_ENCRYPTION_KEY" in error["cure"]
    monkeypatch.setenv("DRIPDROP_ENCRYPTION_KEY", "abc")
    assert welcome("worker", "--once", "--json").error["code"] == "invalid_base64"
    monkeypatch.delenv("DRIPDROP_ENCRYPTION_KEY")
    assert welcome("worker", "--once", "--json").error["code"] == "missing"


def test_an_app_brings_its_providers_along(typed, tmp_path, monkeypatch):
    (tmp_path / "hostapp.py").write_text(
        "import os\n"
        "from dripdrop import AsyncDripDrop, DripDrop\n"
        "class Pigeon:\n"
        "    name, channel = 'pigeon', 'email'\n"
        "    def deliver(self, delivery, config): ...\n"
        "    def validate_credentials(self, credentials): return []\n"
        "drip = DripDrop(os.environ['DRIPDROP_DATABASE_URL'], plugins=[Pigeon()])\n"
        "later = AsyncDripDrop(os.environ['DRIPDROP_DATABASE_URL'], plugins=[Pigeon()])\n"
        "number = 7\n"
    )
    for app in ("hostapp:drip", "hostapp:later"):
        assert "pigeon" in [each["name"] for each in typed("plugins", "--app", app, "--json").json["plugins"]]
        assert typed("status", "--app", app).status == 0
    monkeypatch.setenv("DRIPDROP_APP", "hostapp:drip")
    assert typed("adapters", "create", "p", "--channel", "email", "--provider", "pigeon").status == 0
    assert typed("adapters", "--json").json["adapters"][0]["provider"] == "pigeon"


@pytest.mark.parametrize("app", ["nowhere:drip", "hostapp2:nothing", "hostapp2:number"])
def test_an_app_that_is_not_there_says_how_to_name_it(typed, tmp_path, app):
    (tmp_path / "hostapp2.py").write_text("number = 7\n")
    error = typed("status", "--app", app, "--json").error
    assert error["code"] == "app"
    assert "myapp.mail:drip" in error["cure"]


def test_setup_writes_a_migration_for_django(bare, tmp_path):
    (tmp_path / "shop").mkdir()
    said = bare("setup", "--django", "shop", "--json")
    assert said.status == 0, said.out
    assert "ApplySchema" in (tmp_path / said.json["file"]).read_text()
    assert bare("setup", "--django", "nowhere", "--json").error["code"] == "not_found"
