"""Where does an embedded server keep its things, and by which path do clients reach it?"""

from __future__ import annotations

import hashlib
import os
import stat
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from dripdrop.embedded import binaries
from dripdrop.errors import MissingExtra, Unavailable

PORT = 5432
LONGEST_SOCKET = 103  # bytes without the final NUL: 103 on macOS, 107 on Linux
LARGEST_LOG = 10_000_000  # bytes


@dataclass(frozen=True, slots=True)
class Home:
    """One major version's place in a folder: `data` (with the socket), `locks/`, `server.log`."""

    path: Path
    version: int

    @property
    def data(self) -> Path:
        return self.path / "data"

    @property
    def log(self) -> Path:
        return self.path / "server.log"

    def prepare(self) -> None:
        """Make what is missing; what root makes belongs to the owner of the folder around it."""
        for folder, mode in ((self.path.parent, 0o777), (self.path, 0o700), (self.path / "locks", 0o700)):
            if not folder.exists():
                folder.mkdir(mode=mode, parents=True, exist_ok=True)
                _give(folder, like=folder.parent)

    def open_log(self) -> int:
        """A descriptor to append to the server's log, which starts anew once it is large."""
        if self.log.exists() and self.log.stat().st_size > LARGEST_LOG:
            self.log.replace(self.log.with_suffix(".log.old"))
        descriptor = os.open(self.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        _give(self.log, like=self.path)
        return descriptor

    def url(self, database: str) -> str:
        """The URL of `database` on this home's server, for psycopg and SQLAlchemy alike."""
        host = quote(os.fsencode(self._host()))
        return f"postgresql://postgres@/{quote(database, safe='')}?host={host}&port={PORT}"

    def _host(self) -> Path:
        # libpq takes a comma for the end of one host and the beginning of the next.
        if _fits(self.data) and "," not in str(self.data):
            return self.data
        digest = hashlib.sha256(os.fsencode(self.data)).hexdigest()[:16]
        for folder in _short_folders():
            if _fits(folder / digest) and _is_private(folder):
                return _alias(folder / digest, self.data)
        raise Unavailable(
            f"The path of {self.data} is too long for a socket, and no shorter one could be made.",
            cure="Choose a folder with a shorter path, or make the temporary folder writable.",
        )


def choose(folder: Path, version: int | None) -> Home:
    """The home in `folder`: of the `version` asked for, else of what the folder holds, else of the newest at hand.

    Raises:
        MissingExtra: no PostgreSQL is installed.
        Unavailable: the folder holds another major version, or the version is not at hand.
    """
    at_hand = binaries.available()
    if not at_hand:
        raise MissingExtra("The embedded PostgreSQL", "embedded")
    kept = {int(file.read_text()): file.parents[1] for file in folder.glob("pg*/data/PG_VERSION")}
    wanted = version or max(kept, default=at_hand[0])
    if kept and wanted not in kept:
        raise Unavailable(
            f"{folder} was initialised by PostgreSQL {_listed(kept)}, and PostgreSQL {wanted} was asked for.",
            cure=f"Ask for version {max(kept)}, choose another folder, or move the data with pg_dump and pg_restore.",
        )
    if wanted not in at_hand:
        made = f"{folder} was initialised by PostgreSQL {wanted}, which is" if kept else f"PostgreSQL {wanted} is"
        raise Unavailable(
            f"{made} not among the embedded versions ({_listed(at_hand)}).",
            cure="Use one of those in a folder of its own, or give the URL of a PostgreSQL of that version.",
        )
    return Home(kept.get(wanted, folder / f"pg{wanted}"), wanted)


def _listed(versions: Iterable[int]) -> str:
    return ", ".join(str(version) for version in sorted(versions, reverse=True))


def _give(path: Path, *, like: Path) -> None:
    if os.geteuid() == 0:
        owner = like.stat()
        os.chown(path, owner.st_uid, owner.st_gid, follow_symlinks=False)


def _fits(folder: Path) -> bool:
    return len(os.fsencode(folder / f".s.PGSQL.{PORT}")) <= LONGEST_SOCKET


def _short_folders() -> Iterator[Path]:
    if "XDG_RUNTIME_DIR" in os.environ:
        yield Path(os.environ["XDG_RUNTIME_DIR"], "dripdrop")
    for folder in dict.fromkeys((tempfile.gettempdir(), "/tmp")):
        yield Path(folder, f"dripdrop-{os.geteuid()}")


def _is_private(folder: Path) -> bool:
    # Its name can be guessed: in somebody else's folder the alias could be turned to a server of his.
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and stat.S_IMODE(found.st_mode) == 0o700


def _alias(link: Path, data: Path) -> Path:
    for other in link.parent.iterdir():
        if other.is_symlink() and not other.exists():
            other.unlink(missing_ok=True)
    with suppress(FileExistsError):
        link.symlink_to(data)
    return link
