"""Is what a database holds the schema that this code needs, and where does it differ?"""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeAlias

import psycopg
from psycopg.rows import tuple_row

from dripdrop.errors import Finding, Unavailable
from dripdrop.store import schema as schemas
from dripdrop.store.statements import DEFAULT_SCHEMA, in_schema, read

_EVERYTHING = read("dripdrop.store", "catalogue.sql")
_BARE = _EVERYTHING.pop("bare")
# Kinds, in the order in which a reader wants to hear of them and in which they can be put back.
KINDS = tuple(_EVERYTHING)
SETUP = "Run: dripdrop setup"
_BODY = re.compile(r"AS (\$\w*\$)(.*)\1", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Thing:
    """One thing in a schema: a column or constraint has its table as `parent`; others have ''."""

    kind: str
    parent: str
    name: str

    def path(self, schema: str) -> str:
        """The full name: `dripdrop.steps.key`; an index stands in the schema itself, as PostgreSQL has it."""
        within = "" if self.kind in ("index", "options") or not self.parent else f"{self.parent}."
        return f"{schema}.{within}{self.name}"


Catalogue: TypeAlias = Mapping[Thing, str]
Connection: TypeAlias = psycopg.Connection[Any]


def check_database(conninfo: str, schema: str = DEFAULT_SCHEMA) -> list[Finding]:
    """Everything in which a database differs from what this code needs; raises Unavailable where one cannot look."""
    try:
        with psycopg.connect(conninfo) as connection:
            return check(connection, schema)
    except psycopg.OperationalError as trouble:
        raise Unavailable(f"The database does not answer: {trouble}.", cure="Check DRIPDROP_DATABASE_URL.") from trouble


def check(connection: Connection, schema: str = DEFAULT_SCHEMA) -> list[Finding]:
    """The same on an open connection: builds the schema once more under another name, compares, rolls that back."""
    with _looking(connection):
        there = _read(connection, schema)
        if not there:
            return [Finding("no_schema", schema, f"The database has no schema {schema}.", SETUP)]
        book = _book(connection, schema, there)
        number = max(book or (), default=schemas.newest())
        if number > schemas.newest():
            return [_another_version("new_schema", schema, number, "Install a newer dripdrop-engine.")]
        findings = [*_versions(book, schema, number), *compare(_needed(connection, schema, number), there, schema)]
        return [*findings, *_partitions(connection, schema)]


def installed(connection: Connection, schema: str = DEFAULT_SCHEMA) -> Catalogue:
    """What the database holds under a schema's name."""
    with _looking(connection):
        return _read(connection, schema)


def needed(connection: Connection, schema: str = DEFAULT_SCHEMA) -> Catalogue:
    """What the migrations make of a schema on this very server."""
    with _looking(connection):
        return _needed(connection, schema, schemas.newest())


def compare(wanted: Catalogue, there: Catalogue, schema: str = DEFAULT_SCHEMA) -> list[Finding]:
    """What is missing or different, as errors; what is there besides, as warnings."""
    findings = []
    for thing, definition in wanted.items():
        if Thing("table", "", thing.parent) not in there and thing.parent:
            continue  # said once, of the table
        if thing not in there:
            findings.append(_missing(thing, definition, schema))
        elif there[thing] != definition:
            findings.append(_different(thing, definition, there[thing], schema))
    strange = [thing for thing in there if thing not in wanted and not _inside_another(thing, there, wanted)]
    return findings + [_extra(thing, there[thing], schema) for thing in strange]


@contextmanager
def _looking(connection: Connection) -> Iterator[None]:
    """A transaction that is always rolled back and in which names are printed with their schema."""
    try:
        with connection.transaction(force_rollback=True):
            connection.execute("set local search_path = pg_catalog")
            yield
    except (psycopg.errors.InsufficientPrivilege, psycopg.errors.ReadOnlySqlTransaction) as trouble:
        raise Unavailable(
            f"This role cannot check the schema: {trouble.diag.message_primary}.",
            cure="Check with the role that ran setup, on the primary: it needs CREATE on the database.",
        ) from trouble


def _rows(connection: Connection, text: str, schema: str) -> list[tuple[Any, ...]]:
    with connection.cursor(row_factory=tuple_row) as cursor:
        return cursor.execute(text.encode(), {"schema": schema}).fetchall()


def _read(connection: Connection, schema: str) -> dict[Thing, str]:
    return {
        Thing(kind, parent, name): definition
        for kind, text in _EVERYTHING.items()
        for parent, name, definition in _rows(connection, text, schema)
    }


def _needed(connection: Connection, schema: str, upto: int) -> dict[Thing, str]:
    scratch = f"dripdrop_check_{uuid.uuid4().hex[:16]}"
    connection.execute(schemas.script(scratch, upto=upto).encode())
    quoted = str(_rows(connection, "select quote_ident(%(schema)s)", schema)[0][0])
    # PostgreSQL prints the scratch name bare, our own texts quote it; nothing else can contain it.
    ours = in_schema(f"{DEFAULT_SCHEMA}.x", schema)[:-1]
    return {
        thing: definition.replace(f'"{scratch}".', ours).replace(f"{scratch}.", f"{quoted}.")
        for thing, definition in _read(connection, scratch).items()
    }


def _book(connection: Connection, schema: str, there: Catalogue) -> dict[int, str] | None:
    """Number -> checksum of what was applied here; None where the book itself is missing."""
    if Thing("table", "", "schema_migrations") not in there:
        return None
    return dict(
        _rows(connection, in_schema("select version, checksum from dripdrop.schema_migrations", schema), schema)
    )


def _versions(book: Mapping[int, str] | None, schema: str, number: int) -> Iterator[Finding]:
    if number < schemas.newest():
        yield _another_version("old_schema", schema, number, SETUP)
    for migration in schemas.migrations():
        path = f"{schema}.schema_migrations ({migration.number:04d}_{migration.name})"
        noted = f"If nothing else differs, run: {schemas.noted(migration, schema)}"
        if book is not None and migration.number <= number and migration.number not in book:
            yield Finding("missing_migration", path, f"Migration {migration.number} is not noted as applied.", noted)
        elif book and book.get(migration.number, migration.checksum) != migration.checksum:
            message = "What was applied is not what this code has under this number."
            yield Finding("edited_migration", path, message, noted)


def _another_version(code: str, schema: str, number: int, cure: str) -> Finding:
    return Finding(code, schema, f"The schema has version {number}; this code needs {schemas.newest()}.", cure)


def _missing(thing: Thing, definition: str, schema: str) -> Finding:
    message = f"Expected {definition}; there is none." if thing.kind == "options" else f"This {thing.kind} is missing."
    return _finding("missing", thing, message, _put_back(thing, definition, schema), schema)


def _different(thing: Thing, wanted: str, found: str, schema: str) -> Finding:
    if thing.kind == "function" and _made_for_another_server(found):
        message = "This function was made for another PostgreSQL; it works."
        return Finding("different_function", thing.path(schema), message, f"Better: {wanted}", severity="warning")
    if thing.kind in ("function", "view"):
        message = f"The text of this {thing.kind} differs."
    else:
        message = f"Expected {wanted}; there is {found}."
    return _finding("different", thing, message, _put_back(thing, wanted, schema, instead=True), schema)


def _finding(how: str, thing: Thing, message: str, cure: str, schema: str) -> Finding:
    # Tuning is the operator's right; everything else here is a promise of the schema that does not hold.
    severity = "warning" if thing.kind == "options" else "error"
    return Finding(f"{how}_{thing.kind}", thing.path(schema), message, cure, severity=severity)


def _extra(thing: Thing, definition: str, schema: str) -> Finding:
    message = f"This {thing.kind} is not ours: {definition.splitlines()[0]}"
    cure = "Keep it if it is yours; know that it may stand in the way of a later upgrade."
    return Finding(f"extra_{thing.kind}", thing.path(schema), message, cure, severity="warning")


def _inside_another(thing: Thing, there: Catalogue, wanted: Catalogue) -> bool:
    table = Thing("table", "", thing.parent)
    return bool(thing.parent) and table in there and table not in wanted


def _put_back(thing: Thing, definition: str, schema: str, *, instead: bool = False) -> str:
    """The statement that makes it what it should be, where one statement can."""
    table, name = f'"{schema}"."{thing.parent}"', f'"{thing.name}"'
    match thing.kind:
        case "column" if not instead:
            return f"Run: alter table {table} add column {name} {definition}"
        case "constraint":
            drop = f"drop constraint {name}, " if instead else ""
            return f"Run: alter table {table} {drop}add constraint {name} {definition}"
        case "index":
            drop = f'drop index "{schema}".{name}; ' if instead else ""
            return f"Run: {drop}{definition}"
        case "trigger":
            drop = f"drop trigger {name} on {table}; " if instead else ""
            return f"Run: {drop}{definition}"
        case "options":
            return f"Run: alter table {table} set ({definition})"
        case "type" if not instead:
            return f'Run: create type "{schema}".{name} as {definition}'
        case "column" | "type":
            return f"Alter it to: {definition}"
        case "table":
            return "Restore it, with its rows, from a backup; `dripdrop setup --sql` prints its definition."
        case _:
            return "Make it again as `dripdrop setup --sql` prints it."


def _made_for_another_server(definition: str) -> bool:
    """Whether a function's body is one that a migration holds for another version of PostgreSQL."""
    body = _BODY.search(definition)
    texts = (migration.text.replace("''", "'") for migration in schemas.migrations())
    return body is not None and any(f"'{body[2]}'" in text for text in texts)


def _partitions(connection: Connection, schema: str) -> Iterator[Finding]:
    for parent, month in _rows(connection, _BARE, schema):
        message = f"There is no partition for {month}; what belongs there goes into {parent}_default."
        cure = f"{SETUP}. Workers do it too, while they run."
        yield Finding("no_partition", f"{schema}.{parent}", message, cure, severity="warning")
