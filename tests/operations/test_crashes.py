"""Each operation, dying at each of its queries in turn, leaves nothing; carried out to its end, it leaves everything.

`make crash-table` prints the table.
"""

from __future__ import annotations

import importlib
import inspect
import os
import pkgutil
import re
import socket
import time
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from psycopg import sql
from tests.conftest import Postgres
from tests.operations import scenes_feedback  # noqa: F401
from tests.operations.scenes import SCENES, Registered, Stage

from dripdrop import operations
from dripdrop.store.database import configure
from dripdrop.store.flow import Query, Row
from dripdrop.store.runners import _Psycopg
from dripdrop.testing import Died, count_queries, crash_points, die_at

DEADLINE = 10.0
OBJECTS = (
    "select '(objects)', count(*), md5(string_agg(c.relname, ' ' order by c.relname)) from pg_class c"
    " where c.relnamespace = 'dripdrop'::regnamespace"
)


def the_operations() -> set[str]:
    """`module.name` of every public function of the package that makes a flow and is handed `now`."""
    found = set()
    for module in pkgutil.iter_modules(operations.__path__):
        loaded = importlib.import_module(f"{operations.__name__}.{module.name}")
        for name, function in inspect.getmembers(loaded, inspect.isfunction):
            answers = str(function.__annotations__.get("return", ""))
            first = next(iter(inspect.signature(function).parameters), None)
            own = function.__module__ == loaded.__name__ and not name.startswith("_")
            if own and first == "now" and answers.startswith("Flow["):
                found.add(f"{module.name}.{name}")
    return found


class Victim:
    """A connection of its own, in a transaction, that can be cut off as the kernel does it for a killed process."""

    def __init__(self, url: str) -> None:
        self.connection = psycopg.connect(url)
        configure(self.connection)
        self.asked: list[Query] = []
        self._runner = _Psycopg(self.connection)

    def ask(self, query: Query) -> list[Row]:
        self.asked.append(query)
        return self._runner.fetch(query.text, query.params)

    def die(self) -> int:
        """Cut the connection without a word; the backend's process id."""
        pid = self.connection.info.backend_pid
        wire = socket.socket(fileno=os.dup(self.connection.fileno()))
        wire.shutdown(socket.SHUT_RDWR)
        wire.close()
        self.connection.close()
        return pid


class Witness:
    """Looks at everything that is stored, from outside."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self.connection = connection
        tables = connection.execute(
            "select c.relname from pg_class c join pg_namespace n on n.oid = c.relnamespace"
            " where n.nspname = 'dripdrop' and c.relkind = 'r' order by c.relname"
        ).fetchall()
        self.tables = [name for (name,) in tables]
        each = "select {name}, count(*), md5(string_agg(t::text, chr(10) order by t::text)) from dripdrop.{table} t"
        self.look = sql.SQL(" union all ").join(
            [sql.SQL(OBJECTS)]
            + [sql.SQL(each).format(name=sql.Literal(name), table=sql.Identifier(name)) for name in self.tables]
        )

    def wipe(self) -> None:
        """As it was when it was new: no rows, and business time is real time."""
        kept = {"clock", "schema_migrations"}
        filled = {name for name, mark in self.snapshot().items() if mark[0] and name in self.tables} - kept
        with self.connection.transaction():
            # A published version does not let its parts go one by one.
            self.connection.execute("set local session_replication_role = replica")
            for name in filled:
                self.connection.execute(sql.SQL("delete from dripdrop.{}").format(sql.Identifier(name)))
            self.connection.execute("update dripdrop.clock set ahead = '0'")

    def snapshot(self) -> dict[str, tuple[int, str | None]]:
        """Per table: how many rows, and a digest of all of them."""
        return {name: (count, mark) for name, count, mark in self.connection.execute(self.look).fetchall()}

    def wait_until_gone(self, pid: int) -> None:
        end = time.monotonic() + DEADLINE
        while self.connection.execute("select 1 from pg_stat_activity where pid = %s", [pid]).fetchone():
            assert time.monotonic() < end, "the server still keeps the connection of the dead"


@pytest.fixture(scope="module")
def shared_url(postgres: Postgres, migrated_template: str) -> Iterator[str]:
    """One database for all scenes: making one takes longer than wiping it."""
    with postgres.database(migrated_template) as name:
        yield postgres.url_of(name)


@pytest.fixture(scope="module")
def table() -> Iterator[list[tuple[str, int, int, str]]]:
    rows: list[tuple[str, int, int, str]] = []
    yield rows
    print(f"\n\n{'operation':<44} {'queries':>7} {'deaths':>7}   left by the dead; by the whole run")
    for name, queries, deaths, whole in sorted(rows):
        print(f"{name:<44} {queries:>7} {deaths:>7}   nothing; {whole}")


def test_every_operation_has_a_scene_and_every_scene_an_operation() -> None:
    assert {each.operation for each in SCENES} == the_operations()


def test_the_enumeration_finds_operations_at_all() -> None:
    assert {"enrolling.enroll", "delivering.close", "dispatching.claim", "keeping.register"} <= the_operations()


def test_the_witness_sees_every_table(database_url: str) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        witness = Witness(connection)
        before = witness.snapshot()
        Stage(connection).enroll()
        changed = {name for name, mark in witness.snapshot().items() if mark != before[name]}
    assert {"sequences", "steps", "channel_adapters", "enrollments", "enrollment_data", "execution_queue"} <= changed
    assert any(name.startswith("journal") for name in changed), "partitions count too"


@pytest.mark.crash_table
@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.name)
def test_an_operation_that_dies_leaves_nothing_and_one_that_ends_leaves_everything(
    shared_url: str, scene: Registered, table: list[tuple[str, int, int, str]]
) -> None:
    with psycopg.connect(shared_url, autocommit=True) as connection:
        witness = Witness(connection)
        witness.wipe()
        fresh = scene.build(Stage(connection))
        before = witness.snapshot()

        probe = Victim(shared_url)
        total = count_queries(probe.ask, fresh())
        in_order = [query.name for query in probe.asked]
        # The runner may send COMMIT along with a query that is marked as the last one.
        commit = next((number for number, query in enumerate(probe.asked, 1) if query.last), total + 1)
        witness.wait_until_gone(probe.die())
        assert total > 0
        assert witness.snapshot() == before, "an operation committed by itself"

        for point, after in crash_points(total):
            if (point, after) >= (commit, True):
                break
            victim = Victim(shared_url)
            with pytest.raises(Died):
                die_at(victim.ask, fresh(), point, after=after)
            assert [query.name for query in victim.asked] == in_order[: point if after else point - 1]
            witness.wait_until_gone(victim.die())
            left = witness.snapshot()
            where = f"{'after' if after else 'before'} {in_order[point - 1]}"
            assert left == before, f"dying {where} left something in {sorted(changes(before, left))}"

        whole = Victim(shared_url)
        landed: list[dict[str, Any]] = []

        def ask_and_commit(query: Query) -> list[Row]:
            rows = whole.ask(query)
            if query.last:
                whole.connection.commit()
                landed.append(witness.snapshot())
            return rows

        assert count_queries(ask_and_commit, fresh()) == total
        whole.connection.commit()
        whole.connection.close()
        final = witness.snapshot()
        assert all(each == final for each in landed), "an operation went on writing after it said that it was done"
        changed = changes(before, final)
    assert bool(changed) == scene.writes
    table.append((scene.name, total, 2 * total, ", ".join(sorted(map(_parent, changed))) or "nothing, it only reads"))


def changes(before: dict[str, Any], after: dict[str, Any]) -> set[str]:
    return {name for name in after if after[name] != before.get(name)}


def _parent(table: str) -> str:
    """A partition is named after its table and month."""
    return re.sub(r"_(y\d+m\d+|default)$", "", table)
