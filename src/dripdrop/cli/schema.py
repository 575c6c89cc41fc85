"""How does a database get our schema, and is it the one this code needs?"""

from __future__ import annotations

import sys
from pathlib import Path

import click

from dripdrop.cli import output, trouble
from dripdrop.cli.options import Command, Writing
from dripdrop.cli.readiness import unreachable
from dripdrop.cli.session import Session, import_from_here, with_session


@click.command("setup", cls=Writing)
@click.option(
    "--sql", is_flag=True, help="Print the SQL that is missing (all of it without a database), apply nothing."
)
@click.option("--alembic", type=click.Path(path_type=Path), help="Write a revision for this Alembic folder instead.")
@click.option("--django", metavar="APP", help="Write a migration into this Django app instead.")
@with_session
def setup(session: Session, sql: bool, alembic: Path | None, django: str | None) -> None:
    """Apply the schema, or write it down for somebody else to apply.

    It can be run again at any time: what is there is left alone.
    """
    if sql + (alembic is not None) + (django is not None) > 1:
        raise click.UsageError("Choose one of --sql, --alembic, --django.")
    if sql:
        _print_sql(session)
    elif alembic is not None or django is not None:
        _write(session, alembic, django)
    else:
        _apply(session)


@click.command("check-schema", cls=Command)
@with_session
def check_schema(session: Session) -> int:
    """Name everything in which the installed schema differs from what this code needs; exit 0 only if nothing does."""
    from dripdrop.store import catalogue

    name = session.config().schema
    found = catalogue.check_database(session.url, name)
    wrong = [each for each in found if each.severity == "error"]
    if session.json:
        output.write_json({"ok": not wrong, "schema": name, "findings": found})
    else:
        trouble.print_findings(found)
        if wrong:
            session.show(None, f"{len(wrong)} thing{'s' * (len(wrong) > 1)} in the schema {name} must be put right.")
        else:
            session.done(None, f"The schema {name} is what this code needs.")
    return 1 if wrong else 0


def _apply(session: Session) -> None:
    import psycopg

    from dripdrop.store import schema as schemas

    name = session.config().schema
    try:
        with psycopg.connect(session.url) as connection:
            applied = schemas.migrate_on(connection, name)
            if session.dry_run:
                connection.rollback()
    except psycopg.OperationalError as problem:
        raise unreachable(problem) from problem
    if not applied:
        text = f"The schema {name} is up to date."
    else:
        numbers = ", ".join(f"{number:04d}" for number in applied)
        text = f"Migration {numbers} {'would be' if session.dry_run else 'is'} applied to the schema {name}."
    session.done({"applied": applied, "schema": name, "dry_run": session.dry_run}, text)


def _print_sql(session: Session) -> None:
    from dripdrop.store import schema as schemas

    config = session.config()
    after = _installed(session, config.schema) if session.options.database or config.database else 0
    text = schemas.script(config.schema, after=after)
    if session.json:
        output.write_json({"sql": text, "schema": config.schema, "after": after})
    else:
        sys.stdout.write(text.rstrip() + "\n" if text.strip() else "-- There is nothing to apply.\n")


def _installed(session: Session, schema: str) -> int:
    import psycopg

    from dripdrop.store import schema as schemas

    try:
        with psycopg.connect(session.url) as connection:
            return schemas.installed_on(connection, schema)
    except psycopg.OperationalError as problem:
        raise unreachable(problem) from problem


def _write(session: Session, alembic: Path | None, django: str | None) -> None:
    name = session.config().schema
    target = f"a revision for {alembic}" if alembic is not None else f"a migration for the Django app {django}"
    if session.dry_run:
        session.done({"file": None, "dry_run": True}, f"It would write {target}.")
        return
    if alembic is not None:
        from dripdrop.integrations.alembic import write_alembic

        file = write_alembic(alembic, name)
    else:
        import_from_here()
        from dripdrop.integrations.django import wrappers

        assert django is not None
        file = wrappers.write_django(django, name)
    session.done({"file": file, "dry_run": False}, f"{file} is written. Run it with your other migrations.")
