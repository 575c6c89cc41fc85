"""How does a test get a migrated database that nobody has written to, without copying one each time?

Copying and dropping a database costs more than most tests that need one. So one that a test leaves is emptied and
handed on, if nothing but rows was changed in it; where a catalogue differs (a table, a partition, a role's right, a
statistic) it is dropped, and the next test gets a new copy.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import psycopg
from psycopg import sql

# Deleted rows leave pages behind: no test gets a database that very many wrote to.
USES = 40

_KEPT = """
select n.nspname, c.relname from pg_class c join pg_namespace n on n.oid = c.relnamespace
where c.relkind = 'r' and not c.relisshared and (n.nspname = 'pg_catalog' or n.nspname = 'dripdrop')
  and (n.nspname = 'pg_catalog' or pg_relation_size(c.oid) > 0)
"""
_EMPTY = """
select c.oid, n.nspname, c.relname from pg_class c join pg_namespace n on n.oid = c.relnamespace
where c.relkind = 'r' and n.nspname = 'dripdrop' and pg_relation_size(c.oid) = 0
"""
_SETTINGS = """
select (select count(*) from pg_db_role_setting where setdatabase = d.oid), d.xmin::text
from pg_database d where datname = current_database()
"""
_ALONE = """
select pg_terminate_backend(pid, 20000) from pg_stat_activity
where datname = current_database() and pid <> pg_backend_pid()
"""


class Database:
    """A copy of the migrated database, and what tells whether it still is one."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.uses = 0
        with psycopg.connect(url, autocommit=True) as connection:
            self.born = connection.execute("select pg_current_xact_id()::text::bigint % 4294967296").fetchone()[0]  # type: ignore[index]
            self.kept = connection.execute(_KEPT).fetchall()
            self.empty = connection.execute(_EMPTY).fetchall()
            self.settings = connection.execute(_SETTINGS).fetchall()
            self.counts = [count for count, _ in self._catalogues(connection)]

    def is_new_again(self) -> bool:
        """Take out what a test wrote; False if it changed more than rows, or does not let go of them."""
        self.uses += 1
        if self.uses >= USES:
            return False
        try:
            with psycopg.connect(self.url, autocommit=True, options="-c lock_timeout=2s") as connection:
                connection.execute(_ALONE)
                if not self._unchanged(connection):
                    return False
                self._delete(connection)
        except psycopg.Error:
            return False
        return True

    def _unchanged(self, connection: psycopg.Connection[Any]) -> bool:
        found = self._catalogues(connection)
        return (
            [count for count, _ in found] == self.counts
            and not any(newer for _, newer in found)
            and connection.execute(_SETTINGS).fetchall() == self.settings
        )

    def _catalogues(self, connection: psycopg.Connection[Any]) -> list[tuple[int, int]]:
        """(rows, rows written since the copy was made) of every table that tests leave as it is."""
        born = sql.Literal(str(self.born))
        one = sql.SQL("select {}::int, count(*), count(*) filter (where age(xmin) <= age({}::xid)) from only {}")
        parts = [one.format(place, born, sql.Identifier(*name)) for place, name in enumerate(self.kept)]
        return [row[1:] for row in connection.execute(sql.SQL(" union all ").join(parts) + sql.SQL(" order by 1"))]

    def _delete(self, connection: psycopg.Connection[Any]) -> None:
        oids = [oid for oid, *_ in self.empty]
        rows = connection.execute("select oid from unnest(%s::oid[]) oid where pg_relation_size(oid) > 0", [oids])
        written = {oid for (oid,) in rows}
        # Everything goes, so nothing has to be kept consistent on the way: no triggers, no foreign keys.
        parts = [sql.SQL("begin"), sql.SQL("set local session_replication_role = replica")]
        parts += [
            sql.SQL("delete from only {}").format(sql.Identifier(*name)) for oid, *name in self.empty if oid in written
        ]
        connection.execute(sql.SQL("; ").join([*parts, sql.SQL("commit")]))


class Databases:
    """Lends databases one after the other; every one is like the template when it is lent."""

    def __init__(self, made: Callable[[], Any]) -> None:
        self.made = made
        self._free: list[tuple[ExitStack, Database]] = []

    @contextmanager
    def lent(self) -> Iterator[str]:
        """The URL of a database for as long as the block runs."""
        stack, database = self._free.pop() if self._free else self._new()
        try:
            yield database.url
        finally:
            if database.is_new_again():
                self._free.append((stack, database))
            else:
                stack.close()

    def close(self) -> None:
        while self._free:
            self._free.pop()[0].close()

    def _new(self) -> tuple[ExitStack, Database]:
        with ExitStack() as stack:
            database = Database(stack.enter_context(self.made()))
            return stack.pop_all(), database
