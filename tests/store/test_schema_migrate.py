"""Does setup bring any database to the newest schema, once, and without losing a row?"""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from dripdrop.errors import SchemaMismatch
from dripdrop.store import catalogue, schema

ALL = [migration.number for migration in schema.migrations()]
NEWEST = ALL[-1]
NEXT = NEWEST + 1
ANOTHER = schema.Migration(
    NEXT,
    "nicknames",
    "alter table dripdrop.sequences add column nickname text;\n"
    "update dripdrop.sequences set nickname = key || '%s';\n"
    "create function dripdrop.shout(word text) returns text language sql as $$ select upper(word) $$;",
)


@pytest.fixture
def with_another(monkeypatch):
    real = schema.migrations()
    monkeypatch.setattr(schema, "migrations", lambda: (*real, ANOTHER))


def test_setting_up_twice_changes_nothing(empty_database_url):
    assert schema.migrate(empty_database_url) == ALL
    with psycopg.connect(empty_database_url) as connection:
        before = catalogue.installed(connection)
        assert schema.migrate_on(connection) == []
        assert catalogue.installed(connection) == before
        assert schema.installed_on(connection) == NEWEST


def test_many_who_set_up_at_once_apply_it_once(empty_database_url):
    together = threading.Barrier(6)

    def one(_: int) -> list[int]:
        together.wait(timeout=30)
        return schema.migrate(empty_database_url)

    with ThreadPoolExecutor(6) as pool:
        applied = list(pool.map(one, range(6)))
    assert sorted(applied) == [[], [], [], [], [], ALL]
    assert catalogue.check_database(empty_database_url) == []


def test_an_upgrade_keeps_what_is_there(database_url, with_another):
    with psycopg.connect(database_url) as connection:
        connection.execute(
            "insert into dripdrop.sequences (tenant_key, key, name, inserted_at, updated_at)"
            " values ('acme', 'welcome', 'Welcome', now(), now())"
        )
    assert schema.migrate(database_url) == [NEXT]
    with psycopg.connect(database_url) as connection:
        rows = connection.execute("select tenant_key, key, nickname, dripdrop.shout(name) from dripdrop.sequences")
        assert rows.fetchall() == [("acme", "welcome", "welcome%s", "WELCOME")]
        noted = connection.execute("select version, name from dripdrop.schema_migrations order by version").fetchall()
        assert [noted[0], noted[-1]] == [(1, "schema"), (NEXT, "nicknames")]
    assert catalogue.check_database(database_url) == []


def test_a_failing_migration_leaves_nothing(database_url, monkeypatch):
    real = schema.migrations()
    broken = schema.Migration(NEXT, "broken", "create table dripdrop.half (id integer); select 1 / 0;")
    monkeypatch.setattr(schema, "migrations", lambda: (*real, broken))
    with pytest.raises(psycopg.errors.DivisionByZero):
        schema.migrate(database_url)
    monkeypatch.setattr(schema, "migrations", lambda: real)
    assert catalogue.check_database(database_url) == []


def test_migrations_can_be_applied_one_by_one(empty_database_url, with_another):
    with psycopg.connect(empty_database_url) as connection:

        def ask(text: str):
            cursor = connection.execute(text.encode())
            return cursor.fetchone() if cursor.description else None

        with pytest.raises(SchemaMismatch, match=f"has schema version 0; {NEWEST} must come first"):
            schema.upgrade(ask, "dripdrop", NEXT, needed=NEWEST)
        for number in ALL:
            assert schema.upgrade(ask, "dripdrop", number) == [number]
        assert [finding.code for finding in catalogue.check(connection)] == ["old_schema"]
        assert schema.upgrade(ask, "dripdrop", NEXT, needed=NEWEST) == [NEXT]
        assert schema.upgrade(ask, "dripdrop", 1) == []
        with pytest.raises(SchemaMismatch, match=f"needs schema version {NEXT + 1}; this code knows {NEXT}"):
            schema.upgrade(ask, "dripdrop", NEXT + 1)


def test_an_older_package_refuses_a_newer_schema(database_url):
    with psycopg.connect(database_url) as connection:
        connection.execute("insert into dripdrop.schema_migrations (version, name, checksum) values (99, 'later', '')")
        with pytest.raises(SchemaMismatch, match=f"version 99; this code knows {NEWEST}"):
            schema.migrate_on(connection)


def test_the_printed_script_makes_the_same_schema(empty_database_url):
    with psycopg.connect(empty_database_url) as connection:
        connection.execute(schema.script("mine").encode())
        assert catalogue.check(connection, "mine") == []
        assert schema.migrate_on(connection, "mine") == []


def test_a_role_that_may_not_create_schemas_uses_one_made_for_it(empty_database_url):
    with psycopg.connect(empty_database_url) as connection:
        connection.execute("create role tenant_of_a_dba")
        connection.execute("create schema dripdrop authorization tenant_of_a_dba")
        connection.execute("set local role tenant_of_a_dba")
        assert schema.migrate_on(connection) == ALL
        connection.rollback()


@pytest.mark.parametrize("name", ['x"; drop schema public; --', "Capital", "", "a" * 64])
def test_what_cannot_name_a_schema_is_refused(database_url, name):
    with pytest.raises(SchemaMismatch, match="cannot name a schema"):
        schema.migrate(database_url, name)


@pytest.mark.parametrize("zone", ["Etc/UTC", "America/New_York", "Pacific/Kiritimati"])
def test_partitions_are_months_of_utc_whatever_the_zone_of_the_session(database_url, zone):
    with psycopg.connect(database_url) as connection:
        connection.execute("select set_config('timezone', %s, true)", [zone])
        connection.execute("select dripdrop.make_partitions('2040-01-31 23:59:59.9999+00', 3)")
        rows = connection.execute(
            "select c.relname, pg_get_expr(c.relpartbound, c.oid) from pg_class c"
            " join pg_inherits i on i.inhrelid = c.oid"
            " where i.inhparent = 'dripdrop.journal'::regclass and c.relname ~ 'y2040' order by 1"
        ).fetchall()
        months = [f"2040-{month:02d}-01 00:00+00" for month in range(1, 6)]
        floors = [connection.execute("select dripdrop.uuid7_floor(%s)", [month]).fetchone()[0] for month in months]
        assert rows == [
            (f"journal_y2040m{at + 1:02d}", f"FOR VALUES FROM ('{floors[at]}') TO ('{floors[at + 1]}')")
            for at in range(4)
        ]


def test_many_who_make_partitions_at_once_make_each_once(database_url):
    together = threading.Barrier(4)

    def one(_: int) -> int:
        with psycopg.connect(database_url) as connection:
            together.wait(timeout=30)
            return connection.execute("select dripdrop.make_partitions('2041-01-01', 5)").fetchone()[0]

    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(one, range(4))) == [0, 0, 0, 24]


def test_a_long_reader_puts_partitions_off_and_nothing_else(database_url):
    make = "select dripdrop.make_partitions('2043-01-01', 0)"
    insert = (
        "insert into dripdrop.journal (tenant_key, enrollment_id, seq, event, at)"
        " values ('', gen_random_uuid(), 1, 'e', now())"
    )
    with psycopg.connect(database_url) as reader, psycopg.connect(database_url, autocommit=True) as maker:
        reader.execute("select count(*) from dripdrop.journal")
        assert maker.execute(make).fetchone() == (0,)
        maker.execute(insert)
        reader.commit()
        assert maker.execute(make).fetchone() == (4,)
        assert catalogue.check(maker) == []


def test_writers_are_not_held_up_while_partitions_are_made(database_url):
    with psycopg.connect(database_url) as maker, psycopg.connect(database_url) as writer:
        maker.execute("select dripdrop.make_partitions('2043-01-01', 0)")
        writer.execute("set local lock_timeout = '2s'")
        writer.execute(
            "insert into dripdrop.journal (tenant_key, enrollment_id, seq, event, at)"
            " values ('', gen_random_uuid(), 1, 'e', now())"
        )


def test_rows_in_default_move_into_the_partition_that_is_made_for_them(database_url):
    with psycopg.connect(database_url) as connection:
        for moment in (
            "2042-03-01 00:00+00",
            "2042-03-15 12:00+00",
            "2042-03-31 23:59:59.999+00",
            "2042-05-01 00:00+00",
        ):
            connection.execute(
                "insert into dripdrop.journal (id, tenant_key, enrollment_id, seq, event, at)"
                " values (dripdrop.uuid7_floor(%s), '', gen_random_uuid(), 1, 'e', %s)",
                [moment, moment],
            )
        connection.execute("select dripdrop.make_partitions('2042-03-01', 1)")
        places = connection.execute(
            "select tableoid::regclass::text, count(*) from dripdrop.journal group by 1 order by 1"
        )
        assert places.fetchall() == [("dripdrop.journal_default", 1), ("dripdrop.journal_y2042m03", 3)]
        assert catalogue.check(connection) == []


def test_ids_made_by_the_database_are_uuids_of_version_7_in_the_order_of_their_time(database_url):
    with psycopg.connect(database_url) as connection:
        rows = connection.execute(
            "select clock_timestamp(), dripdrop.uuid7(), clock_timestamp(), pg_sleep(0.002)"
            " from generate_series(1, 200)"
        ).fetchall()
    ids = [made for _, made, _, _ in rows]
    assert {(made.version, made.variant) for made in ids} == {(7, "specified in RFC 4122")}
    assert ids == sorted(ids)
    for before, made, after, _ in rows:
        assert int(before.timestamp() * 1000) <= made.int >> 80 <= int(after.timestamp() * 1000)


def test_no_id_made_at_or_after_a_moment_lies_below_its_floor(database_url):
    with psycopg.connect(database_url) as connection:
        count = connection.execute(
            "select count(*) from (select dripdrop.uuid7_floor(clock_timestamp()) as floor, dripdrop.uuid7() as id"
            " from generate_series(1, 20000)) made where id < floor"
        ).fetchone()
        assert count == (0,)
        floor = connection.execute("select dripdrop.uuid7_floor('2026-05-01 00:00:00.0019+00')").fetchone()[0]
        assert floor.int == 1777593600001 << 80
