"""Who is in the file, what happens to them, and what must they get?"""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources

from dripdrop.recipients import is_email

_EXPECTED = re.compile(r"(?:(refused|skip|rejected):)?(\w+)(?:\((\w+)\))?")
_OURS = ("id", "happens", "expect")


@dataclass(frozen=True, slots=True)
class Expected:
    """One thing that must come about: `kind` is `message`, `refused`, `skip` or `rejected` (then `what` says why)."""

    kind: str
    what: str
    why: str | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """One row of the file; `happens` is what the person will do, and `expect` what must come of it."""

    number: int
    id: str
    data: Mapping[str, str]
    happens: str
    expect: tuple[Expected, ...]

    @property
    def name(self) -> str:
        return self.data["first_name"]

    @property
    def email(self) -> str:
        return self.data["email"]

    @property
    def trouble(self) -> str | None:
        """Why nobody can be written to at this address, or None."""
        if not self.email.strip():
            return "missing_address"
        return None if is_email(self.email) else "broken_address"


def read() -> list[Row]:
    """The rows of people.csv, in order."""
    text = resources.files("dripdrop.demo").joinpath("data/people.csv").read_text("utf-8")
    return [
        Row(
            number,
            line["id"],
            {name: value for name, value in line.items() if name not in _OURS},
            line["happens"],
            tuple(_expected(each) for each in line["expect"].split()),
        )
        for number, line in enumerate(csv.DictReader(text.splitlines()), 2)
    ]


def _expected(text: str) -> Expected:
    found = _EXPECTED.fullmatch(text)
    if found is None:
        raise ValueError(f"people.csv expects {text!r}, which says nothing")
    kind, what, why = found.groups()
    return Expected(kind or "message", what, why)
