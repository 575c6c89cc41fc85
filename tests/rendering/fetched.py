"""Where is somebody else's work to compare ours with? Fetched once from the registries, kept outside the repository."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from zipfile import ZipFile


def home() -> Path:
    """The folder of what was fetched: in the user's cache."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "dripdrop-tests"
    cache.mkdir(parents=True, exist_ok=True)
    return cache


def wheel(name: str, version: str) -> Path:
    """The unpacked wheel of a Python package, which is not installed."""
    place = home() / f"{name}-{version}"
    if not place.exists():
        with tempfile.TemporaryDirectory(dir=home()) as folder:
            command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:"]
            _run([*command, "--dest", folder, f"{name}=={version}"])
            (packed,) = Path(folder).glob("*.whl")
            with ZipFile(packed) as archive:
                archive.extractall(f"{folder}/unpacked")
            _settle(Path(folder) / "unpacked", place)
    return place


def node_modules(name: str, version: str) -> Path:
    """The folder `node_modules` with an npm package and what it needs; its scripts are not run."""
    place = home() / f"npm-{name}-{version}"
    if not place.exists():
        with tempfile.TemporaryDirectory(dir=home()) as folder:
            quiet = ["--no-audit", "--no-fund", "--ignore-scripts", "--silent"]
            _run(["npm", "install", "--prefix", f"{folder}/made", *quiet, f"{name}@{version}"])
            _settle(Path(folder) / "made", place)
    return place / "node_modules"


def _settle(made: Path, place: Path) -> None:
    try:
        made.rename(place)
    except OSError:  # another process was faster
        if not place.exists():
            raise


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}{done.stderr}"
