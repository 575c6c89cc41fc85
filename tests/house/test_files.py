"""Does the tree hold only what belongs there?"""

from __future__ import annotations

import re
import tomllib

import pytest
from tree import ROOT, tracked

TEXT = {
    ".py",
    ".sql",
    ".md",
    ".toml",
    ".txt",
    ".yaml",
    ".yml",
    ".csv",
    ".html",
    ".css",
    ".js",
    ".awk",
    ".json",
    ".liquid",
    "",
}
FILES = [path for path in tracked() if path.suffix in TEXT]
LOCKS = {"uv.lock", "poetry.lock", "pdm.lock", "Pipfile.lock", "package-lock.json", "yarn.lock", "pnpm-lock.yaml"}
# Letters in brackets, so that this file passes its own test.
HOMES = re.compile(r"/h[o]me/\w|/U[s]ers/\w|/w[o]rk/\w|/r[o]ot/|\b[A-Z]:\\U[s]ers")
REGISTRIES = re.compile(r"pypi[.]org|python[h]osted|npmjs[.](org|com)|index[-]url|--find[-]links")


def read(path):
    try:
        return path.read_text("utf-8")
    except UnicodeDecodeError:
        return ""


def lines(pattern):
    return [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()[:100]}"
        for path in FILES
        for number, line in enumerate(read(path).splitlines(), 1)
        if pattern.search(line)
    ]


def test_no_file_names_a_place_on_somebodys_machine():
    assert lines(HOMES) == []


def test_no_file_names_a_package_registry():
    assert lines(REGISTRIES) == []


def test_there_is_no_lock_file():
    assert [path for path in tracked() if path.name in LOCKS] == []


def test_constraints_are_plain_pins():
    pins = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if line and line[0] != "#"]
    assert [pin for pin in pins if not re.fullmatch(r"[A-Za-z0-9._-]+==[\w.+!-]+", pin)] == []
    assert pins == sorted(pins, key=str.lower)


def test_everything_that_is_asked_for_is_pinned():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    queues = {"oban", "pgflow", "procrastinate", "celery"}
    asked = [
        *project["dependencies"],
        *(each for name, extra in extras.items() if name not in queues for each in extra),
    ]
    names = {re.split(r"[\[<>=;~! ]", each)[0].lower().replace("_", "-") for each in asked} - {"dripdrop-engine"}
    pinned = {
        line.split("==")[0].lower().replace("_", "-") for line in (ROOT / "constraints.txt").read_text().splitlines()
    }
    assert names - pinned == set()


def test_named_statements_stand_in_the_store_and_its_two_guests():
    # A scheduler may bring statements of its own, and the demo watches the tables as a spectator would.
    folders = {path.relative_to(ROOT / "src/dripdrop").parts[0] for path in (ROOT / "src/dripdrop").rglob("*.sql")}
    assert folders <= {"store", "schedulers", "demo"}


def test_the_makefile_explains_every_target():
    text = (ROOT / "Makefile").read_text()
    explained = re.findall(r"^([a-z-]+):.*## \w", text, re.MULTILINE)
    assert explained[:2] == ["demo", "test"]
    assert {"demo", "test", "check", "bench", "crash-table", "docs", "format", "setup", "clean"} <= set(explained)


def test_test_files_have_names_of_their_own():
    names = [path.name for path in (ROOT / "tests").rglob("test_*.py")]
    assert [name for name in sorted(set(names)) if names.count(name) > 1] == []


def test_a_test_that_needs_a_system_package_names_one_that_make_check_installs():
    listed = {
        line.split()[0]
        for line in (ROOT / "scripts/system-packages.txt").read_text().splitlines()
        if line and line[0] != "#"
    }
    used = {
        package
        for path in (ROOT / "tests").rglob("*.py")
        for package in re.findall(r"mark\.system\(\"([^\"]+)\"\)", path.read_text("utf-8"))
    }
    assert used == listed


@pytest.mark.parametrize(
    "path", [ROOT / "LICENSE", ROOT / "README.md", ROOT / "ARCHITECTURE.md", ROOT / "CHANGELOG.md"]
)
def test_a_newcomer_finds(path):
    assert path.stat().st_size > 500
