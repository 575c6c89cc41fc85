"""Which database does a test talk to?  A fresh one of its own, on a server that the whole run shares.

`DRIPDROP_TEST_PG=16` takes another embedded version; `DRIPDROP_TEST_DATABASE_URL` names a server of your own (a
superuser's URL: databases are created and dropped there).

Property tests take the same examples in every run; `--hypothesis-profile=search` takes new ones.
"""

from __future__ import annotations

import compileall
import gc
import os
import shutil
import uuid
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import hypothesis
import psycopg
import pytest
from hypothesis import HealthCheck, settings
from psycopg import sql
from tests.databases import Databases

from dripdrop import embedded

# A busy machine must not make a test fail, and what one run finds the next one must find again.
hypothesis.settings.register_profile("same", deadline=None, derandomize=True, database=None)
hypothesis.settings.register_profile("search", deadline=None, max_examples=1000, print_blob=True)
hypothesis.settings.load_profile("same")

# Nothing of a test run has to survive a crash of the machine, and nothing may happen behind a test's back.
CARELESS = {
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "off",
    "autovacuum": "off",
    "max_prepared_transactions": "10",
}


@dataclass(frozen=True)
class Postgres:
    """A server for tests; `url` is that of its maintenance database."""

    url: str

    def url_of(self, database: str) -> str:
        return urlunsplit(urlsplit(self.url)._replace(path=f"/{database}"))

    def run(self, statement: str, *names: str) -> None:
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))

    @contextmanager
    def database(self, template: str | None = None) -> Iterator[str]:
        """The name of a database that is there for as long as the block runs: empty, or a clone of `template`."""
        name = f"test_{uuid.uuid4().hex[:16]}"
        if template is None:
            self.run("create database {} template template0 encoding 'UTF8'", name)
        else:
            self.run("create database {} template {} strategy file_copy", name, template)
        try:
            yield name
        finally:
            self.run("drop database {} with (force)", name)


ROOT = Path(__file__).parents[1]
# What a test starts runs this tree's code too, wherever it is started and whatever is installed.
os.environ["PYTHONPATH"] = str(ROOT / "src")

# How long an example takes says how busy the machine is, and nothing about what it proves.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")

SYSTEM_PACKAGES = ROOT / "scripts" / "system-packages.txt"
# Where nothing may be skipped, a skip is a failure: `make check` as root on Debian.
NO_SKIP = os.environ.get("DRIPDROP_NO_SKIP", "") not in ("", "0")


def command_of(package: str) -> str:
    """The command that a Debian package brings, by scripts/system-packages.txt."""
    lines = [line.split() for line in SYSTEM_PACKAGES.read_text("utf-8").splitlines() if line and line[0] != "#"]
    commands = dict(line[:2] for line in lines)
    assert package in commands, f"{package} does not stand in scripts/{SYSTEM_PACKAGES.name}"
    return commands[package]


def pytest_runtest_setup(item: pytest.Item) -> None:
    """A test marked `system("package")` is skipped by name where the package is not installed."""
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"])
    for mark in item.iter_markers("system"):
        for package in mark.args:
            if shutil.which(command_of(package), path=path) is None:
                pytest.skip(f"needs the Debian package {package}")


def pytest_sessionstart(session: pytest.Session) -> None:
    """Compile the package once: each of the many processes that tests start would do it again."""
    if "PYTEST_XDIST_WORKER" not in os.environ:
        compileall.compile_dir(ROOT / "src", quiet=2)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The long ones first, so that none of them is what a whole run waits for in the end."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)


def pytest_collection_finish(session: pytest.Session) -> None:
    """What was collected stays to the end: the garbage collector need not walk it again and again."""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if NO_SKIP and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid} was skipped, and nothing may be: {report.longrepr}"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    if NO_SKIP and report.skipped:
        report.outcome = "failed"
        report.longrepr = f"{collector.nodeid} was skipped, and nothing may be: {report.longrepr}"
    return report


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    """The server of this run, shared by all workers of pytest-xdist."""
    if url := os.environ.get("DRIPDROP_TEST_DATABASE_URL"):
        yield Postgres(url)
        return
    base: Path = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    version = int(os.environ.get("DRIPDROP_TEST_PG", "18"))
    with embedded.start(shared / "postgres", version=version, settings=CARELESS) as server:
        yield Postgres(server.url)


@pytest.fixture(scope="session")
def migrated_template(postgres: Postgres) -> Iterator[str]:
    """The name of a migrated database, to be cloned: nobody can connect to it."""
    from dripdrop.store import schema

    with postgres.database() as name:
        schema.migrate(postgres.url_of(name))
        # A clone is refused while anybody is connected to its template.
        postgres.run("alter database {} allow_connections false", name)
        yield name


@pytest.fixture(scope="session")
def databases(postgres: Postgres, migrated_template: str) -> Iterator[Databases]:
    """Copies of the migrated database, lent to one test after the other."""

    @contextmanager
    def made() -> Iterator[str]:
        with postgres.database(migrated_template) as name:
            yield postgres.url_of(name)

    lender = Databases(made)
    yield lender
    lender.close()


@pytest.fixture
def database_url(databases: Databases) -> Iterator[str]:
    """The URL of a migrated database that nobody has written to."""
    with databases.lent() as url:
        yield url


@pytest.fixture
def empty_database_url(postgres: Postgres) -> Iterator[str]:
    """The URL of a fresh database without our schema."""
    with postgres.database() as name:
        yield postgres.url_of(name)
