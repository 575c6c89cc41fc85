"""How do tests type a command, and what do they see?"""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from terminal import KEY, WELCOME

from dripdrop.cli import main


@dataclass(frozen=True)
class Said:
    """What a command answered: exit status, standard output, standard error."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def error(self) -> dict[str, Any]:
        found = self.json["error"]
        assert set(found) == {"code", "message", "cure", "findings"}
        return found


Typed = Callable[..., Said]


@pytest.fixture(autouse=True)
def nothing_from_outside(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No setting of this machine's, an empty folder, nothing piped in."""
    import os

    for name in [each for each in os.environ if each.startswith("DRIPDROP_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.stdin", io.StringIO(""))


@pytest.fixture
def bare(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Typed:
    """Type a command where nothing is configured."""

    def type_in(*args: object, piped: str = "") -> Said:
        monkeypatch.setattr("sys.stdin", io.StringIO(piped))
        capsys.readouterr()
        status = main([str(each) for each in args])
        seen = capsys.readouterr()
        assert "Traceback" not in seen.err
        return Said(status, seen.out, seen.err)

    return type_in


@pytest.fixture
def typed(bare: Typed, database_url: str, monkeypatch: pytest.MonkeyPatch) -> Typed:
    """Type a command where a migrated database and a key are configured."""
    monkeypatch.setenv("DRIPDROP_DATABASE_URL", database_url)
    monkeypatch.setenv("DRIPDROP_ENCRYPTION_KEY", KEY)
    return bare


@pytest.fixture
def welcome(typed: Typed, tmp_path: Path) -> Typed:
    """The same with the sequence `welcome` applied and a mailbox for e-mail."""
    (tmp_path / "welcome.yaml").write_text(WELCOME)
    assert typed("apply", "welcome.yaml").status == 0
    made = typed(
        "adapters", "create", "mail", "--channel", "email", "--provider", "local", "--default",
        "--config", f"folder={tmp_path / 'mailbox'}",
    )  # fmt: skip
    assert made.status == 0
    return typed


@pytest.fixture
def ann(welcome: Typed) -> str:
    """The id of Ann's enrollment in `welcome`."""
    said = welcome(
        "enroll", "welcome", "--id", "ann", "--data", "email=ann@example.org", "--data", "first_name=Ann", "--json"
    )
    return str(said.json["enrollment"]["id"])
