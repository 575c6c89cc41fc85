"""Can a command begin: does the database answer, and does it have the schema that this code needs?"""

from __future__ import annotations

from dripdrop.errors import SchemaMismatch, Unavailable

CONNECT_SECONDS = 10


def require_schema(url: str, schema: str) -> None:
    """Raises `Unavailable` (no answer) or `SchemaMismatch` (none, an old or a newer schema), each with its cure."""
    import psycopg

    from dripdrop.store import schema as schemas

    try:
        with psycopg.connect(url, connect_timeout=CONNECT_SECONDS) as connection:
            installed = schemas.installed_on(connection, schema)
    except psycopg.Error as trouble:
        raise unreachable(trouble) from trouble
    if installed == schemas.newest():
        return
    if installed == 0:
        raise SchemaMismatch(f"The database has no schema {schema}.", cure="Run: dripdrop setup", code="no_schema")
    code, cure = (
        ("old_schema", "Run: dripdrop setup")
        if installed < schemas.newest()
        else ("new_schema", "Install a newer dripdrop-engine.")
    )
    raise SchemaMismatch(
        f"The schema has version {installed}; this code needs {schemas.newest()}.", cure=cure, code=code
    )


def unreachable(trouble: Exception) -> Unavailable:
    """Why the database cannot be used, said with what to do about it."""
    lines = [line for line in str(trouble).splitlines() if line.strip()] or ["no reason given"]
    # libpq says which address it tried, then why that failed; a second line only guesses.
    reason = (
        next((line for line in lines if "failed: " in line), lines[0]).rpartition("failed: ")[2].strip().rstrip(".")
    )
    lowered = str(trouble).lower()
    if "does not exist" in lowered and "database" in lowered:
        cure = "Create it (createdb), or name another with --database or DRIPDROP_DATABASE_URL."
    elif "password" in lowered or "role" in lowered or "authentication" in lowered:
        cure = "Check user and password in DRIPDROP_DATABASE_URL."
    elif "invalid" in lowered or 'missing "="' in lowered:
        cure = "Write it as postgresql://user:password@host:5432/name."
    else:
        cure = "Check that the server runs and that DRIPDROP_DATABASE_URL names it."
    return Unavailable(f"The database cannot be used: {reason}.", cure=cure)
