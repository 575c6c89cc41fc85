"""What does enroll_many cost beside COPY of the very rows that it wrote, into the same tables?"""

from __future__ import annotations

import time
from typing import Any

import psycopg
from psycopg import sql

from benchmarks import figures
from benchmarks.children import Failed, call
from benchmarks.server import Arena
from benchmarks.sides import Script

TABLES = """
select c.relname from pg_class c join pg_namespace n on n.oid = c.relnamespace
 where n.nspname = 'dripdrop' and c.relkind = 'r' order by c.relname
"""
BLOCK = 1 << 18


class Bulk:
    """Both ways on fresh copies of one template; a COPY gets its bytes ready-made, so it is at its best."""

    def __init__(self, place: Arena, side: Script, rows: int) -> None:
        self._place = place
        self._side = side
        self._rows = rows
        self._written: dict[str, list[bytes]] = {}

    def compare(self, rounds: int) -> tuple[figures.Ratio, dict[str, Any]]:
        """Rows a second of each, round by round."""
        self._place.create("bulk")
        self._side.prepare(self._place.url("bulk"), 0)
        found: dict[str, list[float]] = {"ours": [], "copy": []}
        ways = {"ours": self._enroll, "copy": self._copy}
        self._enroll()
        for number in range(rounds):
            for name in figures.order(list(ways), number):
                found[name].append(ways[name]())
        ratio = figures.Ratio(tuple(found["ours"]), tuple(found["copy"]))
        return ratio, {"rows": self._rows, "tables": sorted(self._written), "rows_per_second": found}

    def _enroll(self) -> float:
        name, url = self._place.copy("bulk")
        try:
            answer = call(self._side.python, "dripdrop_worker", "enroll", {"url": url, "rows": self._rows}, 300)
            if answer["created"] != self._rows:
                raise Failed(f"enroll_many made {answer['created']} enrollments of {self._rows}")
            if not self._written:
                self._take_down(url)
        finally:
            self._place.drop(name)
        return self._rows / float(answer["seconds"])

    def _copy(self) -> float:
        name, url = self._place.copy("bulk")
        try:
            with psycopg.connect(url) as connection, connection.cursor() as cursor:
                begin = time.perf_counter()
                for table, blocks in self._written.items():
                    with cursor.copy(sql.SQL("copy {} from stdin").format(_named(table))) as target:
                        for block in blocks:
                            target.write(block)
                connection.commit()
                spent = time.perf_counter() - begin
                if (made := _count(connection, "enrollments")) != self._rows:
                    raise Failed(f"COPY made {made} enrollments of {self._rows}")
        finally:
            self._place.drop(name)
        return self._rows / spent

    def _take_down(self, url: str) -> None:
        """The rows that enrolling added, table by table, parents first."""
        with psycopg.connect(url) as after, psycopg.connect(self._place.url("bulk")) as before:
            names = [row[0] for row in after.execute(TABLES)]
            names.sort(key=lambda name: (name != "enrollments", name))
            for name in names:
                if _count(after, name) == _count(before, name):
                    continue
                if _count(before, name):
                    raise Failed(f"{name} had rows before, so the new ones cannot be told apart")
                with after.cursor().copy(sql.SQL("copy {} to stdout").format(_named(name))) as source:
                    self._written[name] = _blocks(bytes(each) for each in source)


def _blocks(lines: Any) -> list[bytes]:
    blocks, waiting, size = [], [], 0
    for line in lines:
        waiting.append(line)
        size += len(line)
        if size > BLOCK:
            blocks.append(b"".join(waiting))
            waiting, size = [], 0
    return [*blocks, b"".join(waiting)]


def _named(table: str) -> sql.Identifier:
    return sql.Identifier("dripdrop", table)


def _count(connection: psycopg.Connection[Any], table: str) -> int:
    row = connection.execute(sql.SQL("select count(*) from {}").format(_named(table))).fetchone()
    assert row is not None
    return int(row[0])
