"""What may a setting's value be, however it was written?"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

import orjson

from dripdrop.errors import Finding

TO_PEOPLE = frozenset({"email", "sms", "whatsapp", "telegram"})
ENDINGS = ("bounced", "complained", "unsubscribed")
# What the public pages say, by key: web/texts.py has the words.
PUBLIC_TEXTS = ("again", "ask", "cut_short", "done", "everything", "invalid", "nothing_done", "nowhere", "promise",
                "promise_topic", "unchanged", "under_way", "unsubscribe")  # fmt: skip
ALIASES = {"dispatch_stale_after_seconds": "lease_seconds"}
# Given in part, the rest keeps its defaults.
MERGED = frozenset({"dispatch_concurrency", "bounce_complaint_thresholds", "outbound_defaults", "short_links"})
RETIRED = {
    "http_hook_allow_http": "Name the hosts in http_allow as host:port.",
    "http_hook_allow_private": "Name the hosts in http_allow as host:port.",
    "rate_limit_backend": "Rate limits are kept in PostgreSQL; leave it out.",
    "unsubscribe_secret": "It is called secret.",
    "unsubscribe_token_max_age": "Unsubscribe links do not expire; leave it out.",
    "unsubscribe_url_builder": "Set public_url; links are made from it.",
    "repo": "It is called database.",
}


class Bad(Exception):
    """One value that makes no sense."""

    def __init__(self, code: str, message: str, cure: str) -> None:
        super().__init__(message)
        self.code, self.message, self.cure = code, message, cure


def parse(name: str, raw: Any) -> Any:
    """The value of a setting from whatever was written; raises `Bad`."""
    return _PARSERS[name](raw)


def freeze(value: Any) -> Any:
    """The same value, unchangeable: a loaded Config is shared by everybody who asks."""
    if isinstance(value, Mapping):
        return MappingProxyType({key: freeze(each) for key, each in value.items()})
    if isinstance(value, (list, tuple, set, frozenset)):
        return tuple(freeze(each) for each in value)
    return value


def flatten(given: Any) -> dict[str, Any]:
    """Settings by their plain names: `pgflow.jobs`, or a table `pgflow` with `jobs`, is `pgflow_jobs`."""
    flat: dict[str, Any] = {}
    for key, value in given.items():
        if key == "pgflow" and isinstance(value, Mapping):
            flat.update({f"pgflow_{inner}": each for inner, each in value.items()})
        else:
            flat[str(key).replace(".", "_").replace("-", "_")] = value
    return flat


def use_aliases(given: dict[str, Any]) -> None:
    for old, new in ALIASES.items():
        value = given.pop(old, None)
        if value is not None and given.get(new) is None:
            given[new] = value


def disagreements(value_of: Callable[[str], float], source_of: Callable[[str], str]) -> list[Finding]:
    """Settings that make sense alone and not together."""
    found, lease = [], value_of("lease_seconds")
    for name, why in (
        ("adapter_timeout_seconds", "else a send still under way would be taken for lost"),
        ("heartbeat_seconds", "else a living worker would be taken for dead"),
    ):
        if value_of(name) >= lease:
            found.append(
                Finding(
                    "not_below_lease",
                    f"{name} ({source_of(name)})",
                    f"{name} is {value_of(name):g} and must be below lease_seconds ({lease:g}), {why}.",
                    f"Lower {name} or raise lease_seconds.",
                )
            )
    return found


_NUMBER, _SPACED = re.compile(r"\+?[\d\s().-]+"), re.compile(r"[\s().-]")


def allow_entry(text: str) -> str:
    """One spelling for what is compared with `only_to`: an address, `example.org` (or `@example.org`), a number."""
    text = text.strip().lower().removeprefix("@")
    if _NUMBER.fullmatch(text):
        return _SPACED.sub("", text)
    if text.isascii():
        return text
    local, at, domain = text.rpartition("@")
    try:
        return f"{local}{at}{domain.encode('idna').decode()}"
    except UnicodeError:
        return text


def _text(raw: Any) -> str:
    if not isinstance(raw, str):
        raise Bad("not_text", f"It must be text, not {type(raw).__name__}.", "Put it in quotes.")
    return raw.strip()


def _matching(pattern: str, code: str, message: str, cure: str) -> Callable[[Any], str]:
    def check(raw: Any) -> str:
        text = _text(raw)
        if not re.fullmatch(pattern, text):
            raise Bad(code, message.format(repr(text)), cure)
        return text

    return check


def _number(least: float, *, whole: bool = False, above: bool = False) -> Callable[[Any], Any]:
    def check(raw: Any) -> Any:
        try:
            value = float(raw) if not isinstance(raw, bool) else math.nan
        except (TypeError, ValueError, OverflowError):
            value = math.nan
        if not math.isfinite(value) or (whole and value != int(value)):
            raise Bad("not_a_number", f"{raw!r} is not a {'whole ' if whole else ''}number.", "Write it in digits.")
        if value < least or (above and value == least):
            raise Bad(
                "too_small", f"{value:g} is too small.", f"It must be {'above' if above else 'at least'} {least:g}."
            )
        return int(value) if whole else value

    return check


def _flag(raw: Any) -> bool:
    if isinstance(raw, bool):
        return raw
    text = str(raw).strip().lower()
    if text in ("1", "true", "yes", "on"):
        return True
    if text in ("0", "false", "no", "off"):
        return False
    raise Bad("not_a_flag", f"{raw!r} is neither on nor off.", "Write 1 or 0.")


def _entries(raw: Any) -> list[str]:
    if isinstance(raw, str):
        return [each.strip() for each in raw.split(",") if each.strip()]
    if isinstance(raw, (list, tuple, set, frozenset)):
        return [_text(each) for each in raw]
    raise Bad("not_a_list", f"It must be a list, not {type(raw).__name__}.", "Separate the entries by commas.")


def _each(check: Callable[[Any], str]) -> Callable[[Any], tuple[str, ...]]:
    return lambda raw: tuple(check(each) for each in _entries(raw))


def _table(raw: Any) -> Mapping[str, Any]:
    if isinstance(raw, str):
        try:
            raw = orjson.loads(raw)
        except orjson.JSONDecodeError:
            raw = None
    if not isinstance(raw, Mapping):
        raise Bad("not_a_table", "It must be a table of names and values.", "In a variable write it as JSON.")
    return raw


def _zone(raw: Any) -> str:
    name = _text(raw)
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise Bad("unknown_timezone", f"There is no time zone {name!r}.", "Use a name such as Europe/Berlin.") from None
    return name


def _hours(raw: Any) -> tuple[int, int] | None:
    if raw is None or raw is False or (isinstance(raw, str) and raw.strip().lower() in ("off", "false", "")):
        return None
    if isinstance(raw, str):
        raw = re.split(r"\s*[-,]\s*", raw.strip().strip("[]").strip())
    if isinstance(raw, Mapping):
        raw = [raw.get("start"), raw.get("end")]
    try:
        start, end = (int(str(each)) for each in raw)
    except (TypeError, ValueError):
        raise Bad("invalid_quiet_hour", f"{raw!r} is no pair of hours.", "Write [8, 21], or false for none.") from None
    if not (0 <= start <= 23 and 0 <= end <= 24):
        raise Bad("invalid_quiet_hour", f"{start} to {end} are no hours of a day.", "Use 0 to 23, and 24 as an end.")
    return start, end


def _quiet_hours(raw: Any) -> Any:
    if isinstance(raw, str) and raw.lstrip().startswith("{"):
        raw = _table(raw)
    if isinstance(raw, Mapping) and not {"start", "end"} & raw.keys():
        return {str(channel): _hours(hours) for channel, hours in raw.items()}
    return _hours(raw) or ()


def _url(raw: Any) -> str:
    text = _text(raw).rstrip("/")
    try:
        parts = urlsplit(text)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        good = False
    if not good or parts.query or parts.fragment or parts.username or re.search(r"\s", text):
        raise Bad("invalid_url", "It is no base URL.", "Write it like https://mail.example.org/drip.")
    return text


def _patterns(raw: Any) -> tuple[str, ...]:
    # A comma is common inside an expression: in a variable, one stands on each line.
    given = [each for each in raw.split("\n") if each.strip()] if isinstance(raw, str) else _entries(raw)
    for each in given:
        try:
            re.compile(each)
        except re.error as problem:
            raise Bad("invalid_pattern", f"{each!r} is no regular expression: {problem}.", "Mend it.") from None
    return tuple(given)


def _secret(raw: Any) -> str:
    text = _text(raw)
    if any(len(each.strip()) < 16 for each in text.split(",") if each.strip()):
        raise Bad("too_short", "A secret must have at least 16 characters.", "Use a long random text.")
    return text


def _reply(raw: Any) -> Any:
    return raw if callable(raw) else _reference(raw)


def _ending(raw: Any) -> tuple[str, ...]:
    named = () if str(raw).strip().lower() in ("off", "none") else _entries(raw)
    if unknown := [each for each in named if each not in ENDINGS]:
        raise Bad("unknown_feedback", f"{unknown[0]!r} ends no enrollment.", f"Of: {', '.join(ENDINGS)}; or off.")
    return tuple(named)


def _texts(raw: Any) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    for language, texts in _table(raw).items():
        tag = str(language).strip().lower().replace("_", "-")
        if not re.fullmatch(r"[a-z]{2,8}(-[a-z0-9]{1,8})*", tag):
            raise Bad("unknown_language", f"{language!r} is no language.", "Write its tag, such as it or pt-br.")
        found[tag] = {str(key): _text(text) for key, text in _table(texts).items()}
        if unknown := sorted(found[tag].keys() - PUBLIC_TEXTS):
            raise Bad("unknown_text", f"No page says {unknown[0]!r}.", f"Of: {', '.join(PUBLIC_TEXTS)}.")
    return found


_reference = _matching(
    r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*", "invalid_reference", "{} names no object.", "Write module:attribute."
)
_name = _matching(r"[a-z][a-z0-9_]*", "invalid_name", "{} is no name.", "Use small letters, digits and underscores.")
_schema = _matching(
    r"(?!pg_|information_schema$)[a-z_][a-z0-9_]{0,62}",
    "invalid_schema",
    "{} cannot be our schema.",
    "Use small letters, digits and underscores, at most 63, not beginning with pg_.",
)
_host_port = _matching(
    r"(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\]):(?!0)(?:[0-9]{1,4}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])",
    "invalid_host_port",
    "{} is not host:port.",
    "Write it like hooks.internal:8080.",
)
_seconds = _number(0, above=True)


def _word(raw: Any) -> str:
    return _name(_text(raw).lower().replace("-", "_"))


_PARSERS: dict[str, Callable[[Any], Any]] = {
    "database": lambda raw: _text(raw) if isinstance(raw, str) else raw,
    "schema": _schema,
    "encryption_key": _text,
    "secret": _secret,
    "app": _reference,
    "scheduler": _word,
    "public_url": _url,
    "channels": _each(_word),
    "quiet_hours_default": _quiet_hours,
    "quiet_hours_timezones": lambda raw: {str(key): _zone(zone) for key, zone in _table(raw).items()},
    "default_timezone": _zone,
    "sms_max_chars": _number(1, whole=True),
    "keep_content": _number(0, whole=True),
    "lease_seconds": _seconds,
    "heartbeat_seconds": _seconds,
    "adapter_timeout_seconds": _seconds,
    "webhook_max_body_bytes": _number(1, whole=True),
    "webhook_replay_skew_seconds": _number(0),
    "virtual_clock": _flag,
    "http_allow": lambda raw: tuple(_host_port(each).lower() for each in _entries(raw)),
    "only_to": lambda raw: tuple(allow_entry(each) for each in _entries(raw)),
    "pgflow_jobs": _each(_word),
    "rate_limits": _table,
    "dispatch_concurrency": _table,
    "bounce_complaint_thresholds": _table,
    "outbound_defaults": _table,
    "short_links": _table,
    "redaction_patterns": _patterns,
    "unsubscribe_mailto": _matching(r"[^\s@<>]+@[^\s@<>]+", "invalid_address", "{} is no address.", "Write a@b.org."),
    "public_texts": _texts,
    "on_reply": _reply,
    "keep_feedback_days": _number(0),
    "feedback_ends": _ending,
}
