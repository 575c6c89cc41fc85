"""Can the links of a step be shortened as it asks?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dripdrop.errors import Invalid
from dripdrop.rules.checks.common import Found, nearest
from dripdrop.rules.document import Path, SequenceDocument
from dripdrop.rules.shortening import BUILT_IN, modest
from dripdrop.rules.urls import check_url, why_blocked
from dripdrop.rules.utm import NAMES

OURS = (BUILT_IN, "webhook", "function", "module", "none")
ON_ERROR = ("fail", "send_originals")
_TEXTS = ("provider", "domain", "key", "prefix", "endpoint", "module", "function", *(f"utm_{each}" for each in NAMES))
_FLAGS = ("enabled", "images", "utm_overwrite")
_LISTS = ("domains", "exclude", "exclude_patterns")
_MAPPINGS = ("metadata", "headers")
_KEYS = (*_TEXTS, *_FLAGS, *_LISTS, *_MAPPINGS, "utm", "on_error", "timeout")
_SHAPES = ("invalid_url", "invalid_host")


def short_links(document: SequenceDocument, value: Any, at: Path, *, public: bool = True) -> Found:
    """`true`, `false`, or a mapping of what `rules.shortening` knows; a shortener of the host's may have more keys."""
    if value is None or isinstance(value, bool):
        given: Mapping[str, Any] = {}
    elif isinstance(value, Mapping):
        given = value
    else:
        cure = "Write `short_links: true`, or a mapping such as { domain: go.example.org }."
        yield document.finding("short_links", at, "`short_links` is neither a mapping nor true or false.", cure)
        return
    provider = given.get("provider") or BUILT_IN
    for name, setting in given.items():
        if name not in _KEYS and provider in OURS:
            yield document.finding("unknown_key", (*at, name), f"{name!r} is not known here.", nearest(name, _KEYS))
        elif wrong := _wrong(name, setting):
            yield document.finding("short_links_value", (*at, name), wrong[0], wrong[1])
    yield from _patterns(document, given, at)
    yield from _ways(document, given, at)
    if value and provider == BUILT_IN and given.get("enabled", True) and not public and not given.get("domain"):
        message = "Short links of our own need an address that leads here."
        cure = "Set public_url (DRIPDROP_PUBLIC_URL)."
        yield document.finding("short_links_address", at, message, cure, severity="warning")


def _wrong(name: str, value: Any) -> tuple[str, str] | None:
    """What is wrong with one setting, and its cure."""
    if value is None:
        return None
    if name in _TEXTS and (not isinstance(value, str) or not value.strip()):
        return f"`{name}` is no text.", "Write it as text."
    if name in _FLAGS and not isinstance(value, bool):
        return f"`{name}` is neither true nor false.", "Write true or false."
    if name in _LISTS and not _is_texts(value):
        return f"`{name}` is no list of texts.", "Write it as a list of texts."
    if name in _MAPPINGS and not isinstance(value, Mapping):
        return f"`{name}` is no mapping.", "Write names with their values."
    if name == "on_error" and value not in ON_ERROR:
        return f"`on_error` cannot be {str(value)[:40]!r}.", nearest(str(value), ON_ERROR)
    if name == "timeout" and (isinstance(value, bool) or not isinstance(value, (int, float)) or value <= 0):
        return "`timeout` is no number of seconds.", "Write a number, such as 5."
    return _wrong_utm(value) if name == "utm" else None


def _wrong_utm(value: Any) -> tuple[str, str] | None:
    known = (*NAMES, "overwrite")
    if isinstance(value, bool):
        return None
    if not isinstance(value, Mapping):
        return "`utm` is neither a mapping nor true or false.", "Write { campaign: spring }, or true for all of it."
    unknown = next((str(name) for name in value if name not in known), None)
    if unknown is not None:
        return f"`utm` knows no {unknown[:40]!r}.", nearest(unknown, known)
    bad = next((name for name in NAMES if isinstance(value.get(name), (Mapping, list, bool))), None)
    return (f"`utm.{bad}` is no text.", "Write it as text.") if bad else None


def _patterns(document: SequenceDocument, given: Mapping[str, Any], at: Path) -> Found:
    for name in ("exclude", "exclude_patterns"):
        value = given.get(name)
        several = value if isinstance(value, (list, tuple)) else (value,)
        for pattern in several:
            if isinstance(pattern, str) and not modest(pattern):
                message = f"{pattern[:60]!r} could take long to search for: it is looked for as plain text."
                cure = "Repeat one thing at most (`*`, `+`, `{}`) and no group, or write the text itself."
                yield document.finding("short_links_pattern", (*at, name), message, cure, severity="warning")


def _ways(document: SequenceDocument, given: Mapping[str, Any], at: Path) -> Found:
    endpoint, function = given.get("endpoint"), given.get("function")
    if isinstance(endpoint, str) and endpoint.strip():
        try:
            check_url(endpoint)
        except Invalid as trouble:
            if why_blocked(trouble) in _SHAPES:
                yield document.finding("short_links_value", (*at, "endpoint"), trouble.message, trouble.cure)
    code = given.get("provider") in ("function", "module") and (given.get("module") or function)
    if code and not given.get("module") and ":" not in str(function):
        message = f"{str(function)[:60]!r} names no module."
        yield document.finding("short_links_value", (*at, "function"), message, "Write module:function.")


def _is_texts(value: Any) -> bool:
    return isinstance(value, str) or (isinstance(value, (list, tuple)) and all(isinstance(each, str) for each in value))
