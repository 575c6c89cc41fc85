"""How does a host that uses Alembic get our schema?  Through a revision of its own that runs ours."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from dripdrop.errors import Conflict, NotFound, Refused
from dripdrop.integrations import wrapping
from dripdrop.store import schema as schemas
from dripdrop.store.statements import DEFAULT_SCHEMA

_REVISION = '''"""The schema of DripDrop, {span}.

Revision ID: {revision}
Revises: {revises}
"""

from alembic import op

from dripdrop.integrations import alembic as dripdrop

revision = "{revision}"
down_revision = {down!r}
branch_labels = None
depends_on = None

DRIPDROP_SCHEMA = "{schema}"
DRIPDROP_MIGRATIONS = {numbers!r}


def upgrade() -> None:
    dripdrop.upgrade(op, DRIPDROP_SCHEMA, DRIPDROP_MIGRATIONS)


def downgrade() -> None:
    dripdrop.downgrade()
'''


def write_alembic(path: Path, schema: str = DEFAULT_SCHEMA, *, after: str | None = None) -> Path:
    """Write a revision that brings our schema to its newest version; answers the file.

    Args:
        path: the folder of revisions, or the one above it, with `env.py`.
        schema: the schema that will be made.
        after: the revision to stand on; by default the head of the folder.

    Raises:
        NotFound: there is no folder of revisions.
        Conflict: all our migrations are wrapped already, or there are several heads to choose from.
    """
    folder = _versions(path)
    there = wrapping.files(folder)
    numbers = wrapping.unwrapped(there, schema)
    down = after or _head(there)
    revision = _revision(numbers[-1], schema)
    file = folder / f"{revision}.py"
    span = ", ".join(f"{number:04d}" for number in numbers)
    file.write_text(
        _REVISION.format(
            span=f"migrations {span}" if len(numbers) > 1 else f"migration {span}",
            revision=revision,
            revises=down or "",
            down=down,
            schema=schema,
            numbers=numbers,
        ),
        "utf-8",
    )
    return file


def upgrade(op: Any, schema: str, numbers: Sequence[int]) -> None:
    """What such a revision runs, on the connection and in the transaction of Alembic; what is there is left alone."""
    context = op.get_context()
    if context.as_sql:
        context.impl.static_output(schemas.script(schema, after=numbers[0] - 1, upto=numbers[-1]))
        return
    bind = op.get_bind()

    def ask(text: str) -> Sequence[Any] | None:
        # Without parameters a driver does not look for its own placeholders in our text.
        result = bind.exec_driver_sql(text, execution_options={"no_parameters": True})
        return tuple(result.fetchone() or ()) if result.returns_rows else None

    def run(text: str) -> Sequence[Any] | None:
        # asyncpg and others prepare what they are given, and only one statement can be prepared.
        return ask(text if bind.dialect.driver in ("psycopg", "psycopg2") else schemas.as_one(text))

    schemas.upgrade(ask, schema, numbers[-1], needed=numbers[0] - 1, run=run)


def downgrade() -> NoReturn:
    """There is no way back: a schema holds what people were sent."""
    raise Refused(
        "DripDrop's schema only goes forward.",
        cure="Stay above this revision, or `alembic stamp` past it; `drop schema` if you mean to lose the data.",
    )


def _versions(path: Path) -> Path:
    for folder in (path / "versions", path / "alembic" / "versions", path / "migrations" / "versions"):
        if folder.is_dir():
            return folder
    if path.is_dir() and (path.name == "versions" or (path.parent / "env.py").is_file()):
        return path
    raise NotFound(f"{path} holds no Alembic revisions.", cure="Name the folder with env.py, or its versions folder.")


def _head(there: Sequence[wrapping.Wrapped]) -> str | None:
    revisions = {
        str(file.values["revision"]): file.values.get("down_revision") for file in there if file.values.get("revision")
    }
    below = {each for down in revisions.values() if down for each in ([down] if isinstance(down, str) else down)}
    heads = sorted(revisions.keys() - below)
    if len(heads) > 1:
        raise Conflict(
            f"There are several heads: {', '.join(heads)}.", cure="Merge them with `alembic merge heads`, or name one."
        )
    return heads[0] if heads else None


def _revision(number: int, schema: str) -> str:
    """An id within the 32 characters that Alembic keeps; of its own for each schema."""
    plain = f"dripdrop_{number:04d}"
    if schema == DEFAULT_SCHEMA:
        return plain
    named = f"{plain}_{schema}"
    return named if len(named) <= 32 else f"{plain}_{hashlib.sha256(schema.encode()).hexdigest()[:16]}"
