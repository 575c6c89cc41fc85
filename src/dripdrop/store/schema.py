"""Which schema does this code need, and how does a database get it?"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any, TypeAlias

import psycopg
from psycopg.rows import tuple_row

from dripdrop.errors import SchemaMismatch
from dripdrop.store.statements import DEFAULT_SCHEMA, in_schema

OLDEST = 150000
MONTHS = 6
# Runs one statement without parameters on a connection of any driver; its first row, where there is one.
Ask: TypeAlias = Callable[[str], Sequence[Any] | None]
# Any constant will do: everybody who migrates takes the same lock.
_LOCK = 0x64726970


@dataclass(frozen=True, slots=True)
class Migration:
    """One numbered file; `text` is plain SQL for the schema `dripdrop`."""

    number: int
    name: str
    text: str

    @property
    def checksum(self) -> str:
        return hashlib.sha256(self.text.encode()).hexdigest()


@cache
def migrations() -> tuple[Migration, ...]:
    """Every migration, lowest number first."""
    files = (entry for entry in resources.files("dripdrop.store.migrations").iterdir() if entry.name.endswith(".sql"))
    found = [Migration(int(entry.name[:4]), entry.name[5:-4], entry.read_text("utf-8")) for entry in files]
    return tuple(sorted(found, key=lambda migration: migration.number))


def newest() -> int:
    """The number of the last migration."""
    return migrations()[-1].number


def script(schema: str = DEFAULT_SCHEMA, *, after: int = 0, upto: int | None = None) -> str:
    """All migrations after a number, or those up to another, as one SQL text with the book-keeping; `setup --sql`."""
    parts = [_book(schema)] if after == 0 else []
    for migration in migrations():
        if after < migration.number <= (newest() if upto is None else upto):
            parts.append(f"-- {migration.number:04d}_{migration.name}\n{in_schema(migration.text, schema)}")
            parts.append(noted(migration, schema))
    return "\n".join(parts)


def migrate(conninfo: str, schema: str = DEFAULT_SCHEMA) -> list[int]:
    """Apply what is missing, under a lock and in one transaction; answers the numbers that were applied."""
    with psycopg.connect(conninfo) as connection:
        return migrate_on(connection, schema)


def migrate_on(connection: psycopg.Connection[Any], schema: str = DEFAULT_SCHEMA) -> list[int]:
    """The same on an open connection, inside its transaction."""
    ask = _asking(connection)
    applied = upgrade(ask, schema, newest())
    ask(in_schema(f"select dripdrop.make_partitions(clock_timestamp(), {MONTHS})", schema))
    return applied


def upgrade(ask: Ask, schema: str, upto: int, *, needed: int = 0, run: Ask | None = None) -> list[int]:
    """Apply what is missing up to a number, on any driver's connection and inside its transaction.

    `needed` is the number that must be there already; `run` takes a text of many statements, where `ask` cannot.
    Answers the numbers that were applied; raises SchemaMismatch.
    """
    version = _number(ask("select current_setting('server_version_num')"))
    if version < OLDEST:
        raise SchemaMismatch(f"This is PostgreSQL {version // 10000}.", cure="PostgreSQL 15 or newer is needed.")
    ask(f"select pg_advisory_xact_lock({_LOCK})")
    installed = _installed(ask, schema)
    if max(installed, upto) > newest():
        raise SchemaMismatch(
            f"The database has or needs schema version {max(installed, upto)}; this code knows {newest()}.",
            cure="Install a newer dripdrop-engine.",
        )
    if installed < needed:
        raise SchemaMismatch(
            f"The database has schema version {installed}; {needed} must come first.",
            cure="Run the wrapper of the earlier numbers, or: dripdrop setup",
        )
    if installed < upto:
        (run or ask)(script(schema, after=installed, upto=upto))
    return [migration.number for migration in migrations() if installed < migration.number <= upto]


def installed_on(connection: psycopg.Connection[Any], schema: str = DEFAULT_SCHEMA) -> int:
    """The number of the last migration applied here; 0 where there is no schema."""
    return _installed(_asking(connection), schema)


def _asking(connection: psycopg.Connection[Any]) -> Ask:
    def ask(text: str) -> Sequence[Any] | None:
        with connection.cursor(row_factory=tuple_row) as cursor:
            cursor.execute(text.encode())
            return cursor.fetchone() if cursor.description else None

    return ask


def _installed(ask: Ask, schema: str) -> int:
    there = ask(f"""select to_regclass('"{_checked(schema)}".schema_migrations')::text""")
    if there is None or there[0] is None:
        return 0
    return _number(ask(in_schema("select coalesce(max(version), 0) from dripdrop.schema_migrations", schema)))


def _number(row: Sequence[Any] | None) -> int:
    return int(row[0]) if row else 0


def as_one(text: str) -> str:
    """Many statements as one, since some drivers prepare what they are given."""
    return f"do $dripdrop_do$ begin execute $dripdrop_script$\n{text}\n$dripdrop_script$; end $dripdrop_do$"


def _checked(schema: str) -> str:
    if not re.fullmatch(r"[a-z_][a-z0-9_]{0,62}", schema):
        raise SchemaMismatch(
            f"{schema!r} cannot name a schema.", cure="Use lower-case letters, digits and underscores."
        )
    return schema


def _book(schema: str) -> str:
    quoted = f'"{_checked(schema)}"'
    # Not "if not exists", which asks for the right to create schemas even where there is nothing to create.
    return in_schema(
        f"do $$ begin if to_regnamespace('{quoted}') is null then create schema {quoted}; end if; end $$;\n"
        "create table dripdrop.schema_migrations (version integer primary key, name text not null,"
        " checksum text not null, applied_at timestamptz not null default clock_timestamp());",
        schema,
    )


def noted(migration: Migration, schema: str) -> str:
    """The statement that keeps book of a migration."""
    return in_schema(
        "insert into dripdrop.schema_migrations (version, name, checksum)"
        f" values ({migration.number}, '{migration.name}', '{migration.checksum}')"
        " on conflict (version) do update set checksum = excluded.checksum;",
        schema,
    )
