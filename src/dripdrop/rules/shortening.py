"""Which links of a message are shortened, where do they lead, and how is the message written with the short ones?"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Literal
from urllib.parse import urlsplit

import orjson

from dripdrop.rules.link_spans import Span, in_html, in_text, replaced
from dripdrop.rules.message import Chat, Email, Message, Sms
from dripdrop.rules.utm import NAMES, tagged

MAX_URL = 2_048
MAX_LINKS = 500
MAX_PATTERN = 200
BUILT_IN = "builtin"
# Another spelling of the reference's.
_PROVIDERS = {"module": "function", "built_in": BUILT_IN}
# What says nothing about which link is made: a link is found again when these have changed.
_NO_IDENTITY = frozenset(
    {"enabled", "provider", "on_error", "exclude", "exclude_patterns", "images", "headers", "timeout", "domains", "utm"}
) | {f"utm_{name}" for name in (*NAMES, "overwrite")}
_CODE = frozenset({"module", "function"})
_WEB = re.compile(r"https?://[^/?#]", re.IGNORECASE)
_UNFIT = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff\\]")


@dataclass(frozen=True, slots=True)
class Settings:
    """What holds for one step. `options` is all of it merged, as the shortener is handed it."""

    provider: str
    on_error: Literal["fail", "send_originals"]
    options: Mapping[str, Any]
    domains: frozenset[str]
    excluded: tuple[re.Pattern[str], ...]
    images: bool
    utm: Mapping[str, str]
    tags: Mapping[str, str]
    overwrite: bool


@dataclass(frozen=True, slots=True)
class Link:
    """One link of a message: as its author wrote it, where its short form leads, and under which key it is kept."""

    original: str
    destination: str
    key: str


@dataclass(frozen=True, slots=True)
class Places:
    """Where the links of a message stand: (field, text, spans) for each field that people read."""

    message: Message
    parts: tuple[tuple[str, str, Sequence[Span]], ...]

    def urls(self) -> list[str]:
        """Each address once, in the order of reading."""
        return list(dict.fromkeys(span.url for _, _, spans in self.parts for span in spans))

    def rewritten(self, by: Mapping[str, str]) -> Message:
        """The message with other links where `by` names one; the same object where there is nothing to change."""
        fields = {name: replaced(text, spans, by) for name, text, spans in self.parts}
        changed = {name: text for name, text in fields.items() if text != getattr(self.message, name)}
        return replace(self.message, **changed) if changed else self.message  # type: ignore[arg-type]


def wanted(step: Mapping[str, Any], sequence: Sequence[Mapping[str, Any]], app: Mapping[str, Any]) -> bool:
    """Whether links are shortened at all: the step says it, else its sequence (strongest first), else the settings."""
    own = step.get("short_links")
    if own is not None:
        return bool(own.get("enabled", True)) if isinstance(own, Mapping) else bool(own)
    for each in sequence:
        said = each.get("short_links")
        if isinstance(said, bool) or (isinstance(said, Mapping) and "enabled" in said):
            return said if isinstance(said, bool) else bool(said["enabled"])
    return bool(app.get("enabled"))


def settings(
    step: Mapping[str, Any],
    sequence: Sequence[Mapping[str, Any]],
    app: Mapping[str, Any],
    *,
    channel: str,
    sequence_key: str,
    step_key: str,
    trusted: bool = True,
) -> Settings:
    """The settings of a step: app, then sequence (strongest first in the list), then step; a later key wins whole.

    Another `endpoint` does not get the `headers` that were meant for the one before. Of a definition that is not
    `trusted`, `module` and `function` are left out: they are code of this process.

    `exclude` adds to `exclude_patterns`. `utm: true` merges source dripdrop, medium the channel, campaign the sequence
    and content the step into every link; a mapping merges what it names.
    """
    merged: dict[str, Any] = dict(app)
    for level in (*reversed(sequence), step):
        said = level.get("short_links")
        if isinstance(said, Mapping):
            if said.get("endpoint", merged.get("endpoint")) != merged.get("endpoint"):
                merged.pop("headers", None)
            merged |= {name: value for name, value in said.items() if trusted or name not in _CODE}
    provider = str(merged.get("provider") or BUILT_IN).strip().lower().replace("-", "_")
    patterns = (*_texts(merged.get("exclude_patterns")), *_texts(merged.get("exclude")))
    defaults = {"source": "dripdrop", "medium": channel, "campaign": sequence_key, "content": step_key}
    named, overwrite = _utm(merged, defaults)
    return Settings(
        provider=_PROVIDERS.get(provider, provider),
        on_error="send_originals" if merged.get("on_error") == "send_originals" else "fail",
        options=merged,
        domains=frozenset(_host(each) for each in (*_texts(merged.get("domain")), *_texts(merged.get("domains")))),
        excluded=tuple(_compiled(each) for each in patterns),
        images=bool(merged.get("images")),
        utm={**defaults, **named},
        tags={f"utm_{name}": value for name, value in named.items()},
        overwrite=overwrite,
    )


def places(message: Message, *, images: bool = False) -> Places:
    """Where the links stand in html, text and body; addresses, headers, payloads and attachments are left alone."""
    match message:
        case Email(html=html, text=text):
            parts = [("html", html, in_html(html, sources=images))] if html else []
            return Places(message, (*parts, *([("text", text, in_text(text))] if text else ())))
        case Sms(body=body):
            return Places(message, (("body", body, in_text(body)),))
        case Chat(text=text, extra=extra):
            marked_up = str(extra.get("parse_mode", "")).lower() == "html"
            return Places(message, (("text", text, in_html(text) if marked_up else in_text(text)),))
        case _:
            return Places(message, ())


def links(
    urls: Sequence[str], settings: Settings, *, execution: str | None, tenant: str, own: Sequence[str] = ()
) -> list[Link]:
    """The links to be shortened: http(s), none of `own` (what they begin with), no short domain, nothing excluded.

    At most the first 500; the others stay as they are.
    A link of one execution has the same key every time; without an execution, of one tenant.
    """
    identity = {name: value for name, value in settings.options.items() if name not in _NO_IDENTITY}
    about = orjson.dumps(
        [execution or "no_execution", tenant, settings.provider, identity],
        default=_plain,
        option=orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS,
    )
    found: list[Link] = []
    for url in urls:
        if len(found) < MAX_LINKS and _concerned(url, settings, own):
            destination = tagged(url, settings.tags, overwrite=settings.overwrite)
            key = hashlib.sha256(about + orjson.dumps([url, destination])).hexdigest()
            found.append(Link(url, destination, key))
    return found


def modest(pattern: str) -> bool:
    """Whether an exclusion can be searched for as a regular expression without ever taking long.

    At most one thing is repeated, and no group: the work then grows with the square of a short address.
    """
    if len(pattern) > MAX_PATTERN or re.search(r"\)[*+{?]|\\[1-9]|\(\?(?![:i])", pattern):
        return False
    plain = re.sub(r"\\.|\[(?:\\.|[^\]\\])*\]", "x", pattern)
    if len(re.findall(r"[*+{]", plain)) > 1 or plain.count("?") > 8:
        return False
    try:
        re.compile(pattern)
    except (re.error, OverflowError):
        return False
    return True


def _concerned(url: str, settings: Settings, own: Sequence[str]) -> bool:
    if len(url) > MAX_URL or not _WEB.match(url) or _UNFIT.search(url) or url.startswith(tuple(own)):
        return False
    try:
        host = urlsplit(url).hostname
    except ValueError:
        return False
    return bool(host) and host not in settings.domains and not any(each.search(url) for each in settings.excluded)


def _utm(merged: Mapping[str, Any], defaults: Mapping[str, str]) -> tuple[dict[str, str], bool]:
    """What is merged into each link, by short name, and whether it replaces what is there."""
    asked = merged.get("utm")
    given = dict(asked) if isinstance(asked, Mapping) else dict(defaults) if asked else {}
    given |= {name: merged[f"utm_{name}"] for name in (*NAMES, "overwrite") if merged.get(f"utm_{name}") is not None}
    named = {name: str(given[name]) for name in NAMES if given.get(name) not in (None, "")}
    return named, bool(given.get("overwrite"))


@lru_cache(maxsize=1024)
def _compiled(pattern: str) -> re.Pattern[str]:
    """A modest regular expression; any other text is looked for as it stands."""
    return re.compile(pattern if modest(pattern) else re.escape(pattern), re.IGNORECASE)


def _texts(value: Any) -> tuple[str, ...]:
    several = value if isinstance(value, (list, tuple)) else (value,)
    return tuple(each.strip() for each in several if isinstance(each, str) and each.strip())


def _host(domain: str) -> str:
    return domain.rpartition("://")[2].partition("/")[0].lower()


def _plain(value: Any) -> Any:
    return dict(value) if isinstance(value, Mapping) else str(value)
