"""Which schema does this code need, and how does a database get it?"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from functools import cache
from importlib import resources

import psycopg

from dripdrop.errors import SchemaMismatch
from dripdrop.store.statements import DEFAULT_SCHEMA, in_schema

OLDEST = 150000
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


def script(schema: str = DEFAULT_SCHEMA, *, after: int = 0) -> str:
    """All migrations after a number as one SQL text, with the book-keeping; what `setup --sql` prints."""
    parts = [_book(schema)] if after == 0 else []
    for migration in migrations():
        if migration.number > after:
            parts.append(f"-- {migration.number:04d}_{migration.name}\n{in_schema(migration.text, schema)}")
            parts.append(_noted(migration, schema))
    return "\n".join(parts)


def migrate(conninfo: str, schema: str = DEFAULT_SCHEMA) -> list[int]:
    """Apply what is missing, under a lock and in one transaction; answers the numbers that were applied."""
    with psycopg.connect(conninfo) as connection:
        return migrate_on(connection, schema)


def migrate_on(connection: psycopg.Connection[tuple[object, ...]], schema: str = DEFAULT_SCHEMA) -> list[int]:
    """The same on an open connection, inside its transaction."""
    version = connection.info.server_version
    if version < OLDEST:
        raise SchemaMismatch(f"This is PostgreSQL {version // 10000}.", cure="PostgreSQL 15 or newer is needed.")
    connection.execute("select pg_advisory_xact_lock(%s)", [_LOCK])
    installed = installed_on(connection, schema)
    if installed > newest():
        raise SchemaMismatch(
            f"The database has schema version {installed}; this code knows {newest()}.",
            cure="Install a newer dripdrop-engine.",
        )
    if installed < newest():
        connection.execute(script(schema, after=installed).encode())
    return [migration.number for migration in migrations() if migration.number > installed]


def installed_on(connection: psycopg.Connection[tuple[object, ...]], schema: str = DEFAULT_SCHEMA) -> int:
    """The number of the last migration applied here; 0 where there is no schema."""
    there = connection.execute("select to_regclass(%s)", [f'"{schema}".schema_migrations']).fetchone()
    if there is None or there[0] is None:
        return 0
    found = connection.execute(
        in_schema("select max(version) from dripdrop.schema_migrations", schema).encode()
    ).fetchone()
    return int(str(found[0])) if found and found[0] is not None else 0


def _book(schema: str) -> str:
    if not re.fullmatch(r"[a-z_][a-z0-9_]*", schema):
        raise SchemaMismatch(
            f"{schema!r} cannot name a schema.", cure="Use lower-case letters, digits and underscores."
        )
    return in_schema(
        f'create schema if not exists "{schema}";\n'
        "create table dripdrop.schema_migrations (version integer primary key, name text not null,"
        " checksum text not null, applied_at timestamptz not null default clock_timestamp());",
        schema,
    )


def _noted(migration: Migration, schema: str) -> str:
    return in_schema(
        "insert into dripdrop.schema_migrations (version, name, checksum)"
        f" values ({migration.number}, '{migration.name}', '{migration.checksum}');",
        schema,
    )
