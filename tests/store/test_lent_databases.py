"""Is a database that tests hand on as good as a new one, and is it dropped where it is not?"""

from __future__ import annotations

import psycopg
import pytest
from tests.databases import USES, Databases

WORKER = "insert into dripdrop.workers (name, lease) values ('one', '1 minute')"


@pytest.fixture
def lender(databases: Databases):
    """One of our own, so that no other test's database is the next in turn."""
    mine = Databases(databases.made)
    yield mine
    mine.close()


def leave(lender: Databases, *statements: str) -> str:
    """What a test does to a database that it is lent; its URL."""
    with lender.lent() as url, psycopg.connect(url, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement.encode())
    return url


def rows(url: str) -> int:
    with psycopg.connect(url) as connection:
        return connection.execute("select count(*) from dripdrop.workers").fetchone()[0]


def test_what_was_written_is_gone_when_it_is_handed_on(lender):
    with lender.lent() as first:
        with psycopg.connect(first) as connection:
            connection.execute(WORKER)
        assert rows(first) == 1
    with lender.lent() as second:
        assert second == first
        assert rows(second) == 0


@pytest.mark.parametrize(
    "statement",
    [
        "create table public.shop (id int)",
        "alter table dripdrop.workers add column shoe_size int",
        "drop view dripdrop.step_executions",
        "create or replace function dripdrop.uuid7() returns uuid language sql as 'select gen_random_uuid()'",
        "grant select on dripdrop.workers to public",
        "comment on table dripdrop.workers is 'ours'",
        "analyze dripdrop.workers, dripdrop.schema_migrations",
        "update dripdrop.schema_migrations set applied_at = applied_at",
        "delete from dripdrop.schema_migrations",
        "do $$ begin execute format('alter database %I set jit = on', current_database()); end $$",
    ],
)
def test_where_more_than_rows_was_changed_the_next_gets_another(lender, statement):
    first = leave(lender, statement)
    assert leave(lender) != first
    with pytest.raises(psycopg.OperationalError, match="does not exist"):
        psycopg.connect(first)


def test_nobody_is_connected_any_more_when_it_is_handed_on(lender):
    with lender.lent() as url:
        left_open = psycopg.connect(url)
        left_open.execute(WORKER)
    with lender.lent() as again:
        assert (again, rows(again)) == (url, 0)
    with pytest.raises(psycopg.OperationalError):
        left_open.execute("select 1")


def test_two_at_once_get_two(lender):
    with lender.lent() as one, lender.lent() as other:
        assert one != other


def test_it_is_not_handed_on_for_ever(lender):
    assert len({leave(lender) for _ in range(USES + 1)}) == 2
