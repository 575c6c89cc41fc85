"""What may be kept of a value once its secrets are taken out?"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import fields, is_dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from functools import lru_cache
from typing import Any, TypeAlias
from uuid import UUID

REDACTED = "[REDACTED]"
MAX_DEPTH = 20
LONGEST_KEY = 200
EVIDENCE_TEXT = 500
EVIDENCE_DEPTH = 6
EVIDENCE_KEYS = 50
EVIDENCE_VALUES = 300
EVIDENCE_CHARACTERS = 4000

Pattern: TypeAlias = str | re.Pattern[str]

# Compared after case and separators are gone; the parts stand anywhere in a key, the words only as a word of it.
_SECRET_PARTS = (
    "apikey", "secret", "token", "password", "passwd", "passphrase", "authorization", "bearer", "credential",
    "privatekey", "signingkey", "accesskey", "encryptionkey", "cookie",
)  # fmt: skip
_SECRET_WORDS = frozenset({"auth", "pwd", "jwt"})
# What an attempt's evidence must not hold either: whom it was for, and what was said.
_PRIVATE_KEYS = frozenset({
    "endpoint", "recipient", "recipients", "recipientid", "adopter", "adopterid", "identity", "email", "phone", "to",
    "cc", "bcc", "url", "uri", "link", "deeplink", "trustedlink", "payload", "content", "body", "html",
    "renderedbody", "renderedcontent", "providerbody", "providerresponse",
})  # fmt: skip

_SECRET_NAME = r"(?:api[_-]?key|secret|token|passw(?:or)?d|authorization|credentials?|access[_-]?key|private[_-]?key)"
_KEY_VALUE = re.compile(
    rf"""({_SECRET_NAME}[\w-]{{0,40}}["']?\s{{0,8}}(?:=>|[=:])\s{{0,8}}["']?)"""
    r"""(?:(?:bearer|basic|digest|token)\s{1,8})?[^\s"'&,;<>]+""",
    re.IGNORECASE,
)
_BEARER = re.compile(r"\b((?:bearer|basic)\s{1,8})[A-Za-z0-9._~+/=-]{6,}", re.IGNORECASE)
_USERINFO = re.compile(r"(://[^\s/:@]{0,200}:)[^\s/@]{1,200}(?=@)")
# One cheap look decides whether the three patterns have anything to find.
_HINT = re.compile(r"key|secret|token|passw|auth|credential|bearer|basic|://", re.IGNORECASE)

_KEPT = (bool, int, float, Decimal, date, time, timedelta, UUID)


def redact(value: Any, patterns: Iterable[Pattern] = ()) -> Any:
    """The same value without secrets, to any depth; doing it twice changes nothing more.

    Whatever stands under a key that names a secret is replaced, as are `name=value` secrets, Bearer and Basic
    credentials and passwords in URLs inside text. `patterns` are further expressions: their first two groups are
    kept, the rest of the match is replaced. Mappings, lists and tuples keep their shape; dataclasses become mappings,
    sets lists, bytes their size; other objects only their class.
    """
    return _Redactor(_compiled(tuple(patterns))).walk(value, 0)


def redact_text(text: str, patterns: Iterable[Pattern] = ()) -> str:
    """The same text without secrets."""
    return _clean(text, _compiled(tuple(patterns)))


def is_secret_key(key: str) -> bool:
    """Whether a key of this name holds a secret, however it is spelt (`api_key`, `apiKey`, `X-Api-Key`).

    A key of more than 200 characters is no name; it counts as secret.
    """
    return len(key) > LONGEST_KEY or _is_secret(key)


def evidence(value: Any, patterns: Iterable[Pattern] = ()) -> dict[str, Any]:
    """What is kept with an attempt: a small JSON-safe mapping without secrets, addresses or content.

    Text is cut at 500 characters, depth at 6, a mapping or list at 50 entries and the whole at 300 values and 4,000
    characters of text. What is not a mapping gives {}.
    """
    if is_dataclass(value) and not isinstance(value, type):
        value = _fields(value)
    if not isinstance(value, Mapping):
        return {}
    kept = _Evidence(_compiled(tuple(patterns))).walk(value, 0)
    return kept if isinstance(kept, dict) else {}


class _Redactor:
    """Walks one value; remembers the containers it is inside of, so that a cycle ends."""

    def __init__(self, patterns: tuple[re.Pattern[str], ...]) -> None:
        self._patterns = patterns
        self._inside: set[int] = set()

    def walk(self, value: Any, depth: int) -> Any:
        if isinstance(value, Enum):
            value = value.value
        if isinstance(value, str):
            return _clean(str(value), self._patterns)
        if value is None or isinstance(value, _KEPT):
            return value
        if isinstance(value, (bytes, bytearray, memoryview)):
            return f"<{len(value)} bytes>"
        if isinstance(value, BaseException):
            return _clean(f"{type(value).__name__}: {value}", self._patterns)
        if is_dataclass(value) and not isinstance(value, type):
            return self._container(value, _fields, depth)
        if isinstance(value, Mapping):
            return self._container(value, dict, depth)
        if isinstance(value, (list, tuple, AbstractSet)):
            return self._container(value, list, depth)
        return f"<{type(value).__name__}>"

    def _container(self, value: Any, opened: Any, depth: int) -> Any:
        if depth >= MAX_DEPTH:
            return "[TOO DEEP]"
        if id(value) in self._inside:
            return "[CYCLE]"
        self._inside.add(id(value))
        try:
            inner = opened(value)
            if isinstance(inner, dict):
                return {key: self._entry(key, each, depth) for key, each in inner.items()}
            walked = [self.walk(each, depth + 1) for each in inner]
            return tuple(walked) if isinstance(value, tuple) else walked
        finally:
            self._inside.discard(id(value))

    def _entry(self, key: Any, value: Any, depth: int) -> Any:
        return REDACTED if isinstance(key, str) and is_secret_key(key) else self.walk(value, depth + 1)


class _Evidence:
    """Walks one value into bounded JSON."""

    def __init__(self, patterns: tuple[re.Pattern[str], ...]) -> None:
        self._patterns = patterns
        self._left = EVIDENCE_VALUES
        self._room = EVIDENCE_CHARACTERS

    def walk(self, value: Any, depth: int) -> Any:
        self._left -= 1
        if type(value) is str:
            return self._text(value)
        if isinstance(value, Enum):
            value = value.value
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, int):
            return value if -(2**63) <= value < 2**63 else self._text(str(value) if abs(value) < 2**4096 else "<huge>")
        if isinstance(value, float):
            return value if abs(value) <= 1.7976931348623157e308 else str(value)
        if is_dataclass(value) and not isinstance(value, type):
            value = _fields(value)
        if isinstance(value, Mapping):
            return self._mapping(value, depth)
        if isinstance(value, (list, tuple, AbstractSet)):
            return self._list(value, depth)
        if isinstance(value, (datetime, date, time)):
            return value.isoformat()
        if isinstance(value, (str, Decimal, UUID, timedelta)):
            return self._text(str(value))
        return self._text(str(_Redactor(self._patterns).walk(value, 0)))

    def _mapping(self, value: Mapping[Any, Any], depth: int) -> Any:
        if depth >= EVIDENCE_DEPTH:
            return "[TOO DEEP]"
        kept: dict[str, Any] = {}
        for key, each in _first(value.items()):
            if self._left <= 0 or self._room <= 0:
                break
            name = str(key)
            hidden = len(name) > LONGEST_KEY or _is_private(name)
            kept[self._text(name[:80])] = REDACTED if hidden else self.walk(each, depth + 1)
        return kept

    def _list(self, value: Iterable[Any], depth: int) -> Any:
        if depth >= EVIDENCE_DEPTH:
            return "[TOO DEEP]"
        return [self.walk(each, depth + 1) for each in _first(value) if self._left > 0 < self._room]

    def _text(self, text: str) -> str:
        # Cut twice: a long text is not searched to its end, and what replaces a secret may make it longer again.
        # PostgreSQL's jsonb takes neither NUL nor a lone surrogate.
        text = text[: 2 * EVIDENCE_TEXT].replace("\x00", "")
        if not text.isascii():
            text = text.encode("utf-8", "replace").decode()
        text = _clean(text, self._patterns)[: min(EVIDENCE_TEXT, self._room)]
        self._room -= len(text)
        return text


def _first(values: Iterable[Any]) -> Iterable[Any]:
    for number, each in enumerate(values):
        if number >= EVIDENCE_KEYS:
            return
        yield each


def _fields(value: Any) -> dict[str, Any]:
    return {each.name: getattr(value, each.name, None) for each in fields(value)}


def _clean(text: str, patterns: Sequence[re.Pattern[str]]) -> str:
    if _HINT.search(text):
        text = _KEY_VALUE.sub(rf"\1{REDACTED}", text)
        text = _BEARER.sub(rf"\1{REDACTED}", text)
        text = _USERINFO.sub(rf"\1{REDACTED}", text)
    for pattern in patterns:
        text = pattern.sub(_keep_groups, text)
    return text


def _keep_groups(match: re.Match[str]) -> str:
    kept = "".join(group or "" for group in match.groups()[:2])
    return match.group() if match.group() == kept + REDACTED else kept + REDACTED


def _squash(key: str) -> str:
    return re.sub(r"[_\-\s.]", "", key).lower()


@lru_cache(maxsize=4096)
def _is_secret(key: str) -> bool:
    squashed = _squash(key)
    if any(part in squashed for part in _SECRET_PARTS):
        return True
    words = re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", key)
    return any(word.lower() in _SECRET_WORDS for word in words)


@lru_cache(maxsize=4096)
def _is_private(key: str) -> bool:
    return _is_secret(key) or _squash(key) in _PRIVATE_KEYS


@lru_cache(maxsize=64)
def _compiled(patterns: tuple[Pattern, ...]) -> tuple[re.Pattern[str], ...]:
    return tuple(re.compile(each) if isinstance(each, str) else each for each in patterns)
