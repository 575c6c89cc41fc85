"""What can go wrong by misuse or misfortune, and what does the reader do about it?

    DripDropError
    ├── Invalid            the input is wrong                      (findings: all problems at once)
    │   └── BadSettings    a setting is missing or makes no sense
    ├── NotFound           no such row in this scope               (a foreign tenant's row looks the same)
    ├── Conflict           somebody was faster, or the name is taken
    │   └── IllegalMove    the state machine has no such move
    ├── Refused            the rules say no                        (re-entry, inactive sequence, allow-list)
    ├── Unauthorized       a signature or token does not hold
    ├── Unavailable        a server, an extra or a schema is missing
    │   ├── MissingExtra   an optional package is not installed
    │   └── SchemaMismatch the installed schema is not what this code needs
    └── Unreadable         sealed bytes cannot be opened with the keys at hand

Trouble with a provider is never an exception: it is an `Outcome`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Finding:
    """One problem of a definition or an installation: a stable code, the place, the sentence, the cure."""

    code: str
    path: str
    message: str
    cure: str
    line: int | None = None
    column: int | None = None
    severity: str = "error"

    def __str__(self) -> str:
        place = self.path if self.line is None else f"{self.path} (line {self.line})"
        return f"{place}: {self.message} {self.cure} [{self.code}]".strip()

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


class DripDropError(Exception):
    """Base of everything raised on purpose: `code` is stable, the text ends with the cure."""

    code = "error"

    def __init__(self, message: str, *, cure: str = "", code: str | None = None) -> None:
        super().__init__(f"{message} {cure}".strip())
        self.message = message
        self.cure = cure
        if code is not None:
            self.code = code

    def as_dict(self) -> dict[str, Any]:
        """Shape of an error in `--json` output and over HTTP."""
        return {"code": self.code, "message": self.message, "cure": self.cure}


class Invalid(DripDropError):
    """The input is wrong; `findings` holds every problem, not only the first."""

    code = "invalid"

    def __init__(
        self, message: str, *, cure: str = "", code: str | None = None, findings: Sequence[Finding] = ()
    ) -> None:
        super().__init__(message, cure=cure, code=code)
        self.findings = list(findings)

    def as_dict(self) -> dict[str, Any]:
        return {**super().as_dict(), "findings": [finding.as_dict() for finding in self.findings]}


class BadSettings(Invalid):
    """A setting is missing or makes no sense."""

    code = "bad_settings"


class NotFound(DripDropError):
    """No such row in this scope; a row of another tenant looks exactly like a missing one."""

    code = "not_found"


class Conflict(DripDropError):
    """Somebody was faster, or the name is taken."""

    code = "conflict"


class IllegalMove(Conflict):
    """The state machine has no such move."""

    code = "illegal_move"


class Refused(DripDropError):
    """The rules say no to something well-formed."""

    code = "refused"


class Unauthorized(DripDropError):
    """A signature or token does not hold."""

    code = "unauthorized"


class Unavailable(DripDropError):
    """Something this needs cannot be reached or is not there."""

    code = "unavailable"


class MissingExtra(Unavailable):
    """An optional package is not installed; the cure names the extra."""

    code = "missing_extra"

    def __init__(self, what: str, extra: str) -> None:
        super().__init__(
            f"{what} needs an optional package that is not installed.",
            cure=f"Install it with: pip install 'dripdrop-engine[{extra}]'",
        )
        self.extra = extra


class SchemaMismatch(Unavailable):
    """The installed schema is not what this code needs."""

    code = "schema_mismatch"


class Unreadable(DripDropError):
    """Sealed bytes cannot be opened with the keys at hand."""

    code = "unreadable"
