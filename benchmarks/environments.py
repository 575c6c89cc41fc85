"""On which interpreter does each side run, and with which packages?

Every side has an environment of its own under `.venv-bench/`, all on the newest interpreter at hand, so that no ratio
compares two versions of Python.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
HOME = ROOT / ".venv-bench"
INSTALL_SECONDS = 600
OUR_EXTRAS = ("cli", "smtp", "fast")
PEERS: dict[str, tuple[str, ...]] = {
    "pgqueuer": ("pgqueuer[asyncpg]>=1.0",),
    "oban": ("oban>=0.7",),
    "procrastinate": ("procrastinate>=3.0", "psycopg[binary,pool]>=3.2", "uvloop>=0.21"),
    "django_drip": ("django-drip-campaigns>=1.16", "psycopg[binary,pool]>=3.2"),
}
OLDEST = {"oban": (3, 12)}  # the interpreter it asks for


class Unavailable(Exception):
    """Why a side cannot run here."""


def python_of(side: str, say: Callable[[str], None]) -> Path:
    """The interpreter of `side`'s environment, made on first use; `dripdrop` is our own side's name.

    Raises:
        Unavailable: there is no interpreter for it, or its packages do not install.
    """
    interpreter, version = newest_interpreter()
    if version < OLDEST.get(side, (0, 0)):
        needed = ".".join(map(str, OLDEST[side]))
        raise Unavailable(f"needs Python {needed}; the newest at hand is {'.'.join(map(str, version))}")
    wanted = _ours() if side == "dripdrop" else PEERS[side]
    stamp = hashlib.sha256("\n".join([str(interpreter), *wanted]).encode()).hexdigest()
    folder = HOME / side
    python, mark = folder / "bin/python", folder / "benchmark.stamp"
    if not (mark.exists() and python.exists() and mark.read_text() == stamp):
        say(f"installing {side} on Python {'.'.join(map(str, version))}")
        shutil.rmtree(folder, ignore_errors=True)
        _run(side, [str(interpreter), "-m", "venv", str(folder)])
        _run(side, [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *wanted])
        mark.write_text(stamp)
    return python


def packages(side: str, python: Path) -> str:
    """The versions that were measured: the peer's own package, and the interpreter."""
    code = "import importlib.metadata as m, platform, sys; print(platform.python_version(), m.version(sys.argv[1]))"
    name = re.split(r"[\[<>=]", "psycopg" if side == "dripdrop" else PEERS[side][0])[0]
    done = subprocess.run([str(python), "-c", code, name], capture_output=True, text=True, check=False, timeout=60)
    interpreter, _, version = done.stdout.strip().partition(" ")
    return f"Python {interpreter}, {name} {version}"


@cache
def newest_interpreter() -> tuple[Path, tuple[int, int]]:
    """The newest CPython from 3.11 on that has `venv`, and its version."""
    names = [Path(found) for minor in range(15, 10, -1) if (found := shutil.which(f"python3.{minor}"))]
    pyenv = Path(os.environ.get("PYENV_ROOT", str(Path.home() / ".pyenv"))) / "versions"
    candidates = [*sorted(pyenv.glob("3.*/bin/python3")), *names, Path(sys.executable)]
    known = [(number, path) for path in candidates if (number := _version(path)) is not None]
    version, path = max(known, key=lambda each: each[0])
    return path, version


def _version(path: Path) -> tuple[int, int] | None:
    code = "import sys, venv, ensurepip; print(*sys.version_info[:2], sys.version_info.releaselevel)"
    try:
        done = subprocess.run([str(path), "-c", code], capture_output=True, text=True, check=False, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return None
    words = done.stdout.split()
    if len(words) != 3 or words[2] != "final":
        return None
    return (int(words[0]), int(words[1])) if (int(words[0]), int(words[1])) >= (3, 11) else None


def _ours() -> tuple[str, ...]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    return (*project["dependencies"], *(each for name in OUR_EXTRAS for each in extras[name]))


def _run(side: str, command: list[str]) -> None:
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=INSTALL_SECONDS, stdin=subprocess.DEVNULL
        )
    except subprocess.TimeoutExpired:
        raise Unavailable(f"installing {side} took more than {INSTALL_SECONDS} s") from None
    if done.returncode:
        last = done.stderr.strip().splitlines()[-1:] or ["no message"]
        raise Unavailable(f"installing {side} failed: {last[0]}")
