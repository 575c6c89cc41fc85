"""Three hosts, set up and used as their READMEs say, in a fresh virtual environment where only pip has been."""

from __future__ import annotations

import base64
import fcntl
import json
import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

ROOT = Path(__file__).parents[2]
PATIENCE = 900.0
SOURCE = ("src", "pyproject.toml", "README.md", "LICENSE")
WANTED = "cli,django,sqlalchemy,web"

pytestmark = pytest.mark.slow


@pytest.fixture(scope="session")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The `bin` of a virtual environment in which this tree was installed with pip, made once for all workers."""
    base = tmp_path_factory.getbasetemp()
    home = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "fresh"
    home.mkdir(exist_ok=True)
    binaries = home / "venv" / "bin"
    with (home / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (home / "done").exists():
            source = _source(home / "source")
            subprocess.run([sys.executable, "-m", "venv", home / "venv"], check=True, timeout=PATIENCE)
            done = subprocess.run(
                [binaries / "pip", "install", "--disable-pip-version-check", "--quiet", "--constraint",
                 ROOT / "constraints.txt", f"{source}[{WANTED}]", "fastapi"],
                capture_output=True, text=True, env=_plain(), timeout=PATIENCE,
            )  # fmt: skip
            assert done.returncode == 0, done.stderr
            (home / "done").touch()
    return binaries


@pytest.fixture
def host(fresh: Path, tmp_path: Path, empty_database_url: str) -> Iterator[Callable[[str], Host]]:
    hosts: list[Host] = []

    def make(example: str) -> Host:
        shutil.copytree(ROOT / "examples" / example, tmp_path / example)
        hosts.append(Host(tmp_path / example, fresh, empty_database_url))
        return hosts[-1]

    yield make
    for each in hosts:
        each.close()


class Host:
    """A project on a machine of its own: its README's commands are typed one after the other."""

    def __init__(self, folder: Path, binaries: Path, url: str) -> None:
        self.folder, self.url = folder, url
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = str(free.getsockname()[1])
        self.env = _plain() | {
            "PATH": f"{binaries}:{os.defpath}",
            "PYTHONUNBUFFERED": "1",
            "DRIPDROP_DATABASE_URL": url,
            "DRIPDROP_PUBLIC_URL": f"http://127.0.0.1:{self.port}/mail",
            "DRIPDROP_ENCRYPTION_KEY": base64.b64encode(bytes(range(32))).decode(),
        }
        self.servers: list[subprocess.Popen[str]] = []

    def follow_readme(self) -> dict[str, str]:
        """Type every command of the README, in order; what each printed."""
        text = (self.folder / "README.md").read_text("utf-8")
        shown = re.findall(r"^```console\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
        commands = re.findall(r"^\$ (.*)$", "\n".join(shown), re.MULTILINE)
        assert len(commands) >= 6
        return {command: self.type(command) for command in commands}

    def type(self, command: str) -> str:
        typed = command.replace("8000", self.port)
        if typed.endswith("&"):
            return self._serve(typed.removesuffix("&"))
        done = subprocess.run(
            ["bash", "-c", typed], cwd=self.folder, env=self.env, capture_output=True, text=True, timeout=PATIENCE,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip
        assert done.returncode == 0, f"{typed}\n{done.stdout}{done.stderr}"
        return done.stdout

    def _serve(self, command: str) -> str:
        server = subprocess.Popen(
            ["bash", "-c", f"exec {command}"], cwd=self.folder, env=self.env, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        self.servers.append(server)
        assert server.stdout is not None
        said = ""
        for line in server.stdout:
            said += line
            if f"http://127.0.0.1:{self.port}" in line:
                return said
        pytest.fail(f"{command} ended:\n{said}")

    def letters(self) -> dict[str, dict[str, Any]]:
        """What is in the mailbox, by subject."""
        files = sorted((self.folder / ".dripdrop" / "mailbox").glob("*.json"))
        kept = [json.loads(file.read_text("utf-8")) for file in files]
        return {each["message"]["subject"]: each["message"] for each in kept}

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.url) as connection:
            return connection.execute(query.encode()).fetchall()

    def close(self) -> None:
        for server in self.servers:
            server.terminate()
            server.wait(timeout=30)


def _source(to: Path) -> Path:
    """What pip is given: only what belongs to the package, so that nothing is built into this tree."""
    to.mkdir()
    for name in SOURCE:
        found = ROOT / name
        if found.is_dir():
            shutil.copytree(found, to / name, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
        else:
            shutil.copy(found, to / name)
    return to


def _plain() -> dict[str, str]:
    """The environment without anything of ours, of Python's or of a virtual environment."""
    ours = ("DRIPDROP_", "PYTHON", "VIRTUAL_ENV", "DATABASE_URL", "PYTEST")
    return {name: value for name, value in os.environ.items() if not name.startswith(ours)} | {"NO_COLOR": "1"}


ENROLLED = "select subscriber_id from dripdrop.enrollments"


def signed_up(host: Host, customers: str, said: dict[str, str]) -> dict[str, dict[str, Any]]:
    """What holds in every host: Ann is a customer and got both letters, and Ben never was there."""
    assert host.rows(f"select email from {customers}") == [("ann@example.org",)]
    assert host.rows(ENROLLED) == [("ann@example.org",)]
    letters = host.letters()
    assert list(letters) == ["Welcome, Ann", "2 tips for Ann"]
    assert "1. Invite your team" in letters["2 tips for Ann"]["text"]
    assert any("2 sent" in printed for command, printed in said.items() if command.endswith("worker --once"))
    return letters


def test_a_django_project(host: Callable[[str], Host]) -> None:
    django = host("django_project")
    said = django.follow_readme()
    signed_up(django, "shop_customer", said)
    assert [text for command, text in said.items() if command.startswith("curl")] == [
        "Welcome, Ann.\n",
        "The card was declined.\n",
    ]
    assert "No changes detected" in django.type("python manage.py makemigrations --check --dry-run")
    assert "what this code needs" in django.type("dripdrop --app shop.mail:drip check-schema")


def test_a_fastapi_application(host: Callable[[str], Host]) -> None:
    application = host("fastapi_app")
    said = application.follow_readme()
    letters = signed_up(application, "customers", said)
    (short,) = re.findall(rf"http://127\.0\.0\.1:{application.port}/mail/l/\w+", letters["Welcome, Ann"]["text"])
    assert "https://shop.example/begin?from=mail" in application.type(
        f"curl -sS -o /dev/null -D - -A Mozilla/5.0 {short}"
    )
    assert application.rows("select event_type::text from dripdrop.message_events") == [("clicked",)]


def test_a_script(host: Callable[[str], Host]) -> None:
    script = host("script")
    signed_up(script, "customers", script.follow_readme())
