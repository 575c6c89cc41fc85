"""What does the whole product look like at work?  Five hundred people, a week, real SMTP, and a worker that dies."""

from __future__ import annotations

from pathlib import Path


def run(
    *, as_json: bool = False, keep: bool = False, folder: Path | str | None = None, database: str | None = None
) -> int:
    """Play it; the exit status: 0 when everything came out as people.csv says, else 1.

    Args:
        as_json: progress goes to standard error, and the last line of standard output is one object.
        keep: leave the folder, with its database and logs.
        folder: where to play; by default a temporary one.
        database: the URL of an empty database to play in; by default the embedded PostgreSQL, in the folder.
    """
    from dripdrop.demo.conductor import conduct

    return conduct(as_json=as_json, keep=keep, folder=folder, database=database)
