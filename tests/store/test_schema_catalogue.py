"""Does check-schema name everything that is missing or different, and nothing else?"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from tests.conftest import CARELESS, Postgres

from dripdrop import embedded
from dripdrop.errors import Unavailable
from dripdrop.store import catalogue, schema
from dripdrop.store.catalogue import Thing

DROPS = {
    "table": "drop table {schema}.{name} cascade",
    "options": "alter table {schema}.{name} reset (fillfactor, autovacuum_vacuum_scale_factor)",
    "type": "drop type {schema}.{name} cascade",
    "column": "alter table {schema}.{parent} drop column {name} cascade",
    "constraint": "alter table {schema}.{parent} drop constraint {name} cascade",
    "index": "drop index {schema}.{name}",
    "trigger": "drop trigger {name} on {schema}.{parent}",
    "view": "drop view {schema}.{name}",
}
# PostgreSQL drops these only together with their table.
PARTITION_KEYS = {
    ("execution_history", "id"),
    ("delivery_attempts", "execution_id"),
    ("journal", "id"),
    ("message_events", "id"),
}


@pytest.fixture(scope="module")
def database(postgres: Postgres, migrated_template: str) -> Iterator[str]:
    """The URL of one migrated database, in which every test rolls back."""
    with postgres.database(migrated_template) as name:
        yield postgres.url_of(name)


@pytest.fixture
def connection(database: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(database) as connection:
        yield connection
        connection.rollback()


def drop(connection: psycopg.Connection, thing: Thing, schema_name: str = "dripdrop") -> None:
    if thing.kind == "function":
        # The name holds the types of its arguments, which no identifier does.
        connection.execute(f'drop function "{schema_name}".{thing.name} cascade'.encode())
        return
    statement = DROPS[thing.kind]
    if thing.kind == "column" and (thing.parent, thing.name) in PARTITION_KEYS:
        statement = "alter table {schema}.{parent} rename column {name} to gone"
    parts = {"schema": schema_name, "parent": thing.parent, "name": thing.name}
    connection.execute(sql.SQL(statement).format(**{key: sql.Identifier(part) for key, part in parts.items()}))


def codes(findings: list) -> set[str]:
    return {finding.code for finding in findings}


def test_a_migrated_database_has_no_findings(connection):
    assert catalogue.check(connection) == []


def test_everything_that_is_dropped_is_named(connection):
    wanted = catalogue.needed(connection)
    assert {thing.kind for thing in wanted} == {*DROPS, "function"}
    unnoticed = []
    for thing in wanted:
        with connection.transaction(force_rollback=True):
            drop(connection, thing)
            findings = catalogue.compare(wanted, catalogue.installed(connection))
        named = {
            finding.path for finding in findings if finding.code in (f"missing_{thing.kind}", f"different_{thing.kind}")
        }
        if thing.path("dripdrop") not in named:
            unnoticed.append(thing)
    assert unnoticed == []
    assert len(wanted) > 450


def test_the_cure_of_what_is_missing_cures_it(connection):
    """Whatever can be put back by a statement comes back as it was."""
    wanted = catalogue.needed(connection)
    cured = 0
    for thing in wanted:
        # The book has rows, and no statement can make up what stood in them.
        if thing.kind not in ("constraint", "index", "trigger", "column") or thing.parent == "schema_migrations":
            continue
        if thing.kind == "column" and thing.parent not in ("sequence_versions", "steps", "enrollments", "journal"):
            continue
        with connection.transaction(force_rollback=True):
            drop(connection, thing)
            cures = [finding.cure for finding in catalogue.compare(wanted, catalogue.installed(connection))]
            if not all(cure.startswith("Run: ") for cure in cures) or (thing.parent, thing.name) in PARTITION_KEYS:
                continue
            # Columns before what stands on them, primary and unique keys before what refers to them.
            for cure in sorted(cures, key=lambda cure: ("add column" not in cure, "FOREIGN KEY" in cure)):
                connection.execute(cure.removeprefix("Run: ").encode())
            assert catalogue.compare(wanted, catalogue.installed(connection)) == [], thing
            cured += 1
    assert cured > 150


def test_a_view_made_again_from_its_own_text_is_the_same(connection):
    """As after a dump and a restore."""
    wanted = catalogue.installed(connection)
    (text,) = [definition for thing, definition in wanted.items() if thing.kind == "view"]
    connection.execute("drop view dripdrop.step_executions")
    connection.execute(f"create view dripdrop.step_executions as {text}".encode())
    assert catalogue.check(connection) == []


@pytest.mark.parametrize(
    ("change", "code", "path"),
    [
        ("alter table dripdrop.steps alter position type bigint", "different_column", "dripdrop.steps.position"),
        ("alter table dripdrop.steps alter config drop default", "different_column", "dripdrop.steps.config"),
        ("alter table dripdrop.steps alter active set default false", "different_column", "dripdrop.steps.active"),
        ("alter table dripdrop.steps alter channel drop not null", "different_column", "dripdrop.steps.channel"),
        ('alter table dripdrop.steps alter key type text collate "C"', "different_column", "dripdrop.steps.key"),
        ("alter type dripdrop.http_method add value 'HEAD'", "different_type", "dripdrop.http_method"),
        ("alter type dripdrop.http_method rename value 'PUT' to 'put'", "different_type", "dripdrop.http_method"),
        (
            "alter table dripdrop.conditions drop constraint conditions_step_or_transition_xor,"
            " add constraint conditions_step_or_transition_xor check (true)",
            "different_constraint",
            "dripdrop.conditions.conditions_step_or_transition_xor",
        ),
        (
            "drop index dripdrop.enrollments_one_live;"
            " create unique index enrollments_one_live on dripdrop.enrollments (tenant_key, sequence_id)",
            "different_index",
            "dripdrop.enrollments_one_live",
        ),
        (
            "alter table dripdrop.execution_queue disable trigger execution_queue_move",
            "different_trigger",
            "dripdrop.execution_queue.execution_queue_move",
        ),
        (
            "alter table dripdrop.steps disable trigger all",
            "different_constraint",
            "dripdrop.steps.steps_sequence_version_id_fkey",
        ),
        (
            "create or replace function dripdrop.refuse_move() returns trigger language plpgsql"
            " as 'begin return new; end'",
            "different_function",
            "dripdrop.refuse_move()",
        ),
        (
            "create or replace function dripdrop.uuid7() returns uuid language sql as 'select gen_random_uuid()'",
            "different_function",
            "dripdrop.uuid7()",
        ),
        (
            "drop view dripdrop.step_executions; create view dripdrop.step_executions as select 1 as id",
            "different_view",
            "dripdrop.step_executions",
        ),
        (
            "alter table dripdrop.journal detach partition dripdrop.journal_default",
            "different_table",
            "dripdrop.journal_default",
        ),
        ("alter table dripdrop.stops enable row level security", "different_table", "dripdrop.stops"),
        ("alter table dripdrop.stops set unlogged", "different_table", "dripdrop.stops"),
    ],
)
def test_what_was_changed_is_named(connection, change, code, path):
    connection.execute(change)
    found = {(finding.code, finding.path): finding for finding in catalogue.check(connection)}
    assert (code, path) in found
    assert found[code, path].severity == "error"


@pytest.mark.parametrize(
    ("change", "code", "path"),
    [
        ("alter table dripdrop.execution_queue set (fillfactor = 90)", "different_options", "dripdrop.execution_queue"),
        ("alter table dripdrop.steps set (fillfactor = 90)", "extra_options", "dripdrop.steps"),
        ("create table dripdrop.mine (id int primary key)", "extra_table", "dripdrop.mine"),
        ("create index mine on dripdrop.steps (name)", "extra_index", "dripdrop.mine"),
        ("alter table dripdrop.steps add column mine text", "extra_column", "dripdrop.steps.mine"),
        ("create view dripdrop.mine as select 1 as id", "extra_view", "dripdrop.mine"),
        ("create sequence dripdrop.mine", "extra_sequence", "dripdrop.mine"),
    ],
)
def test_tuning_and_additions_are_warned_of_once(connection, change, code, path):
    connection.execute(change)
    (finding,) = catalogue.check(connection)
    assert (finding.code, finding.path, finding.severity) == (code, path, "warning")


def test_a_missing_table_is_said_once(connection):
    connection.execute("drop table dripdrop.message_contents")
    (finding,) = catalogue.check(connection)
    assert (finding.code, finding.path) == ("missing_table", "dripdrop.message_contents")


def test_a_function_of_another_server_version_only_warns(connection):
    bodies = [
        "select pg_catalog.uuidv7()",
        next(part for part in schema.migrations()[0].text.split("as '") if "gen_random_uuid" in part)
        .split("';")[0]
        .replace("''", "'"),
    ]
    connection.execute("set local check_function_bodies = off")
    found = []
    for body in bodies:
        connection.execute(
            sql.SQL(
                "create or replace function dripdrop.uuid7() returns uuid language sql volatile parallel safe as {}"
            ).format(sql.Literal(body))
        )
        found.append([(finding.code, finding.severity) for finding in catalogue.check(connection)])
    assert sorted(found) == [[], [("different_function", "warning")]]


def test_partitions_that_run_out_are_warned_of(connection):
    months = connection.execute(
        "select c.relname from pg_inherits i join pg_class c on c.oid = i.inhrelid"
        " where i.inhparent = 'dripdrop.journal'::regclass and c.relname ~ '_y' order by c.relname"
    ).fetchall()
    for (name,) in months[2:]:
        connection.execute(sql.SQL("drop table dripdrop.{}").format(sql.Identifier(name)))
    assert catalogue.check(connection) == []
    connection.execute(sql.SQL("drop table dripdrop.{}").format(sql.Identifier(months[1][0])))
    (finding,) = catalogue.check(connection)
    assert (finding.code, finding.path, finding.severity) == ("no_partition", "dripdrop.journal", "warning")
    schema.migrate_on(connection)
    assert catalogue.check(connection) == []


def test_no_schema_is_one_finding(empty_database_url):
    (finding,) = catalogue.check_database(empty_database_url)
    assert (finding.code, finding.cure) == ("no_schema", "Run: dripdrop setup")


def test_an_older_and_a_newer_schema_name_both_numbers(connection, monkeypatch):
    real = schema.migrations()
    newest = real[-1].number
    later = schema.Migration(newest + 1, "later", "create table dripdrop.later (id integer);")
    monkeypatch.setattr(schema, "migrations", lambda: (*real, later))
    (old,) = catalogue.check(connection)
    assert (old.code, old.message) == ("old_schema", f"The schema has version {newest}; this code needs {newest + 1}.")
    assert schema.migrate_on(connection) == [newest + 1]
    assert catalogue.check(connection) == []
    monkeypatch.setattr(schema, "migrations", lambda: real)
    (new,) = catalogue.check(connection)
    assert (new.code, new.message) == ("new_schema", f"The schema has version {newest + 1}; this code needs {newest}.")


def test_an_edited_or_forgotten_migration_is_named_and_its_cure_cures_it(connection):
    for change, code in (
        ("update dripdrop.schema_migrations set checksum = 'other' where version = 1", "edited_migration"),
        ("delete from dripdrop.schema_migrations where version = 1", "missing_migration"),
    ):
        connection.execute(change)
        (finding,) = catalogue.check(connection)
        assert (finding.code, "0001_schema" in finding.path) == (code, True)
        connection.execute(finding.cure.partition("run: ")[2].encode())
        assert catalogue.check(connection) == []


def test_a_role_that_may_not_create_is_told_so(database, connection):
    connection.execute("create role onlooker")
    connection.execute("grant usage on schema dripdrop to onlooker")
    connection.execute("grant select on all tables in schema dripdrop to onlooker")
    connection.execute("set local role onlooker")
    with pytest.raises(Unavailable, match="permission denied for database") as trouble:
        catalogue.check(connection)
    assert "CREATE on the database" in trouble.value.cure


def test_a_database_that_does_not_answer_is_unavailable():
    with pytest.raises(Unavailable, match="does not answer"):
        catalogue.check_database("postgresql://nobody@127.0.0.1:1/none?connect_timeout=2")


@pytest.mark.parametrize("name", ["drip_two", "user", "steps", "x"])
def test_a_schema_of_another_name_is_checked_alike(empty_database_url, name):
    """Also where the name is a word of SQL, a table's or an alias's."""
    assert schema.migrate(empty_database_url, name) == [each.number for each in schema.migrations()]
    assert catalogue.check_database(empty_database_url, name) == []
    with psycopg.connect(empty_database_url) as connection:
        connection.execute(f'drop index "{name}".execution_queue_due'.encode())
        (finding,) = catalogue.check(connection, name)
        assert finding.path == f"{name}.execution_queue_due"
        connection.execute(finding.cure.removeprefix("Run: ").encode())
        assert catalogue.check(connection, name) == []


def test_checking_leaves_nothing_behind_and_disturbs_nothing(database, connection):
    connection.execute("insert into dripdrop.stops (tenant_key, target_kind, inserted_at) values ('', 'all', now())")
    catalogue.check(connection)
    assert connection.execute("select count(*) from dripdrop.stops").fetchone() == (1,)
    assert connection.execute("select count(*) from pg_namespace where nspname ~ '^dripdrop_check'").fetchone() == (0,)
    assert connection.execute("show search_path").fetchone() == ('"$user", public',)
    connection.rollback()
    connection.autocommit = True
    assert catalogue.check(connection) == []
    assert connection.execute("select count(*) from pg_namespace where nspname ~ '^dripdrop_check'").fetchone() == (0,)


@pytest.mark.slow
@pytest.mark.parametrize("version", [16])
def test_an_older_server_has_no_findings_either(tmp_path: Path, version):
    with embedded.start(tmp_path, version=version, settings=CARELESS) as server:
        assert schema.migrate(server.url) == [each.number for each in schema.migrations()]
        assert catalogue.check_database(server.url) == []
        with psycopg.connect(server.url) as connection:
            assert connection.info.server_version // 10000 == version
            drop(connection, Thing("trigger", "steps", "steps_published"))
            assert [finding.path for finding in catalogue.check(connection)] == ["dripdrop.steps.steps_published"]
