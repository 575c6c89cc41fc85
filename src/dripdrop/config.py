"""Which settings hold right now, and where did each come from?

Each is looked for in the arguments, then in `DRIPDROP_*` environment variables, then in `[tool.dripdrop]` of
`pyproject.toml` or in `dripdrop.toml`, in the folder or the nearest one above; then comes the default. An empty
variable is unset. `load` is a question: ask it at each use, an unchanged answer costs a few microseconds.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import difflib
import hmac
import os
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any

from dripdrop import _settings
from dripdrop._settings import Bad, freeze
from dripdrop.errors import BadSettings, Finding

KEY_BYTES = 32
MAKE_A_KEY = (
    "Make one with: python -c 'import base64, os; print(base64.b64encode(os.urandom(32)).decode())'"
    " and set it as DRIPDROP_ENCRYPTION_KEY."
)


def _table(**defaults: Any) -> Any:
    return field(default_factory=lambda: freeze(defaults))


@dataclass(frozen=True)
class Config:
    """Every setting with its value. Durations end in `_seconds`; secrets and the database's address are not shown."""

    database: str | None = field(default=None, repr=False)
    schema: str = "dripdrop"
    encryption_key: str | None = field(default=None, repr=False)
    secret: str | None = field(default=None, repr=False)
    app: str | None = None
    scheduler: str = "postgres"
    public_url: str | None = None
    channels: tuple[str, ...] = ()
    quiet_hours_default: Any = (8, 21)
    quiet_hours_timezones: Mapping[str, str] = _table()
    default_timezone: str = "Etc/UTC"
    sms_max_chars: int = 1600
    keep_content: int = 0
    lease_seconds: float = 60.0
    heartbeat_seconds: float = 5.0
    adapter_timeout_seconds: float = 30.0
    webhook_max_body_bytes: int = 1048576
    webhook_replay_skew_seconds: float = 300.0
    virtual_clock: bool = False
    http_allow: tuple[str, ...] = ()
    only_to: tuple[str, ...] | None = None
    pgflow_jobs: tuple[str, ...] = ("dispatch_step", "cron_tick")
    rate_limits: Mapping[str, Any] = _table()
    dispatch_concurrency: Mapping[str, Any] = _table(defer_seconds=30)
    bounce_complaint_thresholds: Mapping[str, Any] = _table(
        enabled=True,
        interval_ms=60000,
        window_days=30,
        complaint_rate=0.003,
        bounce_rate=0.02,
        pause_seconds=86400,
        min_sends=50,
        min_events=3,
    )
    outbound_defaults: Mapping[str, Any] = _table(probe_daily_cap=5, probe_min_sends=5)
    short_links: Mapping[str, Any] = _table(
        enabled=False,
        provider=None,
        on_error="fail",
        exclude_patterns=["unsubscribe", "privacy", r"password[_-]?reset", "token=", "signature="],
    )
    redaction_patterns: tuple[str, ...] = ()
    unsubscribe_mailto: str | None = None
    public_texts: Mapping[str, Mapping[str, str]] = _table()
    on_reply: Any = None
    keep_feedback_days: float = 30.0
    feedback_ends: tuple[str, ...] = _settings.ENDINGS
    sources: Mapping[str, str] = field(default_factory=lambda: freeze({}), repr=False, compare=False)

    def is_set(self, name: str) -> bool:
        """Whether somebody gave this setting, as opposed to its default."""
        return name in self.sources

    def allows(self, recipient: str) -> bool:
        """Whether `only_to` lets this recipient be written to; without the setting it lets everybody."""
        if self.only_to is None:
            return True
        recipient = _settings.allow_entry(recipient)
        return recipient in self.only_to or ("@" in recipient and recipient.rpartition("@")[2] in self.only_to)

    def quiet_hours(self, channel: str) -> tuple[int, int] | None:
        """The hours [start, end) in which messages of this channel may go; None where it may always.

        One pair for all concerns the channels that reach a person's pocket: email, sms, whatsapp and telegram.
        """
        hours = self.quiet_hours_default
        if isinstance(hours, Mapping):
            start_end = hours.get(channel, (8, 21) if channel in _settings.TO_PEOPLE else None)
        else:
            start_end = hours if channel in _settings.TO_PEOPLE else None
        return start_end or None

    def encryption_keys(self) -> list[bytes]:
        """The keys of the vault, newest first; raises `BadSettings` (`missing`, `invalid_base64`, `invalid_length`)."""
        texts = [each.strip() for each in (self.encryption_key or "").split(",") if each.strip()]
        if not texts:
            raise BadSettings("There is no encryption key.", cure=MAKE_A_KEY, code="missing")
        return [self._key(number, text) for number, text in enumerate(texts, 1)]

    def secrets(self) -> list[bytes]:
        """What links and sessions are signed with, newest first: `secret`, else derived from the encryption keys."""
        return list(self._secrets)

    @cached_property
    def _secrets(self) -> tuple[bytes, ...]:
        if self.secret:
            return tuple(each.strip().encode() for each in self.secret.split(",") if each.strip())
        keys = self.encryption_keys()
        return tuple(hmac.digest(key, b"dripdrop signed links and sessions", "sha256") for key in keys)

    def _key(self, number: int, text: str) -> bytes:
        source = self.sources.get("encryption_key", "encryption_key")
        try:
            key = base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError):
            raise BadSettings(
                f"Encryption key {number} ({source}) is not base64.", cure=MAKE_A_KEY, code="invalid_base64"
            ) from None
        if len(key) != KEY_BYTES:
            raise BadSettings(
                f"Encryption key {number} ({source}) has {len(key)} bytes, not {KEY_BYTES}.",
                cure=MAKE_A_KEY,
                code="invalid_length",
            )
        return key


NAMES = tuple(each.name for each in fields(Config) if each.name != "sources")


def load(
    overrides: Mapping[str, Any] | None = None,
    *,
    environ: Mapping[str, str] | None = None,
    folder: Path | str | None = None,
) -> Config:
    """The settings as they are now; raises `BadSettings` with every finding at once.

    `environ` is the process's own and `folder` the working directory where not given.
    """
    environ = os.environ if environ is None else environ
    place = os.getcwd() if folder is None else os.fspath(folder)
    asked = freeze(overrides)
    key = (place, id(environ))
    known = _answers.get(key, [])
    for answer in known:
        if answer.overrides == asked and answer.still_holds(environ):
            return answer.config
    files = _Files(place)
    answer = _Answer(_build(overrides, environ, files), asked, dict(_raw(environ)), files.looked_at)
    if len(_answers) >= 64:
        _answers.clear()
    _answers[key] = [answer, *(each for each in known if each.overrides != asked)][:8]
    return answer.config


def dev_key(folder: Path | str) -> str:
    """The encryption key (base64) that `dev` and `demo` keep in the folder's `.dripdrop/`, with mode 0600.

    It is made on first use; two processes that make it at once end up with the same one.
    """
    home = Path(folder) / ".dripdrop"
    home.mkdir(parents=True, exist_ok=True)
    ignore, path = home / ".gitignore", home / "encryption.key"
    if not ignore.exists():
        ignore.write_text("*\n", encoding="utf-8")
    if not path.exists():
        draft = home / f".encryption.key.{os.getpid()}.{os.urandom(4).hex()}"
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(base64.b64encode(os.urandom(KEY_BYTES)) + b"\n")
        # A link fails where the file is there already, and it is never seen half written.
        with contextlib.suppress(FileExistsError):
            os.link(draft, path)
        draft.unlink()
    if path.stat().st_mode & 0o077:
        path.chmod(0o600)
    return path.read_text(encoding="ascii").strip()


def _build(overrides: Mapping[str, Any] | None, environ: Mapping[str, str], files: _Files) -> Config:
    findings = list(files.findings)
    values: dict[str, Any] = {}
    sources: dict[str, str] = {}
    for source, given in (
        ("argument", _settings.flatten(overrides or {})),
        ("environment", _from_environment(environ)),
        (files.name, files.settings),
    ):
        _settings.use_aliases(given)
        for name, raw in given.items():
            where = f"{source} {_variable(name)}" if source == "environment" else source
            if name not in NAMES:
                findings.append(_unknown(name, where))
            elif raw is not None and name not in values:
                try:
                    values[name] = freeze(_settings.parse(name, raw))
                    sources[name] = where
                except Bad as bad:
                    findings.append(Finding(bad.code, f"{name} ({where})", bad.message, bad.cure))
    for name in _settings.MERGED & values.keys():
        values[name] = freeze({**getattr(_DEFAULTS, name), **values[name]})
    config = Config(**values, sources=MappingProxyType(sources))
    findings += _settings.disagreements(lambda name: getattr(config, name), lambda name: sources.get(name, "default"))
    if findings:
        raise BadSettings(
            "Settings: " + " ".join(str(each) for each in findings),
            cure="Settings come from arguments, DRIPDROP_* variables, pyproject.toml or dripdrop.toml.",
            findings=findings,
        )
    return config


class _Files:
    """Finds the nearest file with settings, and remembers what it looked at and how that was."""

    def __init__(self, folder: str) -> None:
        self.looked_at: list[tuple[str, _Stamp | None]] = []
        self.findings: list[Finding] = []
        self.settings: dict[str, Any] = {}
        self.name = ""
        folder = os.path.abspath(folder)
        while not self._here(folder):
            above = os.path.dirname(folder)
            if above == folder:
                return
            folder = above

    def _here(self, folder: str) -> bool:
        for name in ("dripdrop.toml", "pyproject.toml"):
            path = os.path.join(folder, name)
            stamp = _stamp(path)
            self.looked_at.append((path, stamp))
            if stamp is not None and self._read(path, name):
                return True
        return False

    def _read(self, path: str, name: str) -> bool:
        try:
            with open(path, "rb") as file:
                content = tomllib.load(file)
        except (OSError, ValueError) as problem:
            self.name = path
            self.findings.append(Finding("unreadable_file", path, f"It cannot be read: {problem}.", "Mend the file."))
            return True
        tools = content.get("tool")
        table = tools.get("dripdrop") if isinstance(tools, dict) else None
        if table is None and name == "dripdrop.toml":
            table = content
        if not isinstance(table, dict):
            return False
        self.name, self.settings = path, _settings.flatten(table)
        return True


_Stamp = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class _Answer:
    config: Config
    overrides: Any
    environ: Mapping[Any, Any]
    looked_at: Sequence[tuple[str, _Stamp | None]]

    def still_holds(self, environ: Mapping[str, str]) -> bool:
        if _raw(environ) != self.environ:
            return False
        for path, stamp in self.looked_at:
            # Asking whether a file is there costs half of asking for its times.
            if stamp is None:
                if os.access(path, os.F_OK):
                    return False
            elif _stamp(path) != stamp:
                return False
        return True


_answers: dict[tuple[str, int], list[_Answer]] = {}
_DEFAULTS = Config()


def _stamp(path: str) -> _Stamp | None:
    try:
        about = os.stat(path)
    except OSError:
        return None
    return about.st_mtime_ns, about.st_size, about.st_ino


def _raw(environ: Mapping[str, str]) -> Mapping[Any, Any]:
    """The environment as one plain dict: os.environ decodes each value at each look, which would cost the most."""
    raw = getattr(environ, "_data", environ)
    return raw if isinstance(raw, dict) else dict(environ)


def _variable(name: str) -> str:
    return "DRIPDROP_DATABASE_URL" if name == "database" else f"DRIPDROP_{name.upper()}"


def _from_environment(environ: Mapping[str, str]) -> dict[str, Any]:
    names = (*NAMES, *_settings.ALIASES)
    return {name: text for name in names if (text := environ.get(_variable(name), "").strip())}


def _unknown(name: str, where: str) -> Finding:
    close = difflib.get_close_matches(name, NAMES, 1)
    cure = _settings.RETIRED.get(name) or (f"Did you mean {close[0]}?" if close else f"Known are: {', '.join(NAMES)}.")
    return Finding("unknown_setting", f"{name} ({where})", f"There is no setting {name}.", cure)
