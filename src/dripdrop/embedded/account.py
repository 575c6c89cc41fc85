"""As which account does the server run?  PostgreSQL refuses to run as root."""

from __future__ import annotations

import os
import pwd
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

NOBODY = 65534


@dataclass(frozen=True, slots=True)
class Account:
    """Another account than our own."""

    uid: int
    gid: int

    def as_popen(self) -> dict[str, Any]:
        """The arguments with which `subprocess` starts a child under this account."""
        return {"user": self.uid, "group": self.gid, "extra_groups": []}


def of(home: Path) -> Account | None:
    """The account for the server in `home`: None is our own.

    Root lends that of whoever owns the data, else of whoever owns the home and is known to the system (an owner from
    outside a container is not), else `nobody`'s. What else runs under `nobody` can then reach the data too.
    """
    if os.geteuid() != 0:
        return None
    with suppress(FileNotFoundError):
        if (home / "data").stat().st_uid != 0:
            return _owner(home / "data")
    if home.stat().st_uid != 0:
        with suppress(KeyError):
            pwd.getpwuid(home.stat().st_uid)
            return _owner(home)
    with suppress(KeyError):
        nobody = pwd.getpwnam("nobody")
        return Account(nobody.pw_uid, nobody.pw_gid)
    return Account(NOBODY, NOBODY)


def give(path: Path, account: Account | None) -> None:
    """Make `account` the owner of `path` and of everything beneath it."""
    if account is not None:
        for one in (path, *path.rglob("*")):
            os.chown(one, account.uid, account.gid, follow_symlinks=False)


def as_popen(account: Account | None) -> dict[str, Any]:
    """The arguments with which `subprocess` starts a child under `account`, which may be our own."""
    return {} if account is None else account.as_popen()


def _owner(path: Path) -> Account:
    found = path.stat()
    return Account(found.st_uid, found.st_gid)
