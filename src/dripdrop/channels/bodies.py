"""What stands in the body of a provider's call?"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any, NoReturn
from urllib.parse import parse_qsl

import orjson

from dripdrop.errors import Invalid

_BOUNDARY = re.compile(r'boundary=(?:"([^"]{1,200})"|([^\s;,"]{1,200}))', re.IGNORECASE)
_PARAMETER = re.compile(r'(?:^|;)\s*(name|filename)="((?:[^"\\]|\\.)*)"', re.IGNORECASE)
_MOST_FIELDS = 1000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def unparseable(what: str) -> NoReturn:
    """Raise `Invalid`: the body is not what the provider sends. The request stays stored and can be looked at."""
    raise Invalid(
        f"The body is not {what}.",
        cure="Look at it with `dripdrop webhooks`, and at what the provider is set to send.",
        code="webhook_unparseable",
    )


def json_body(raw: bytes) -> Any:
    """The body's JSON; raises `Invalid` (`webhook_unparseable`)."""
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError:
        unparseable("JSON")


def json_object(raw: bytes) -> dict[str, Any]:
    """The body's JSON object; raises `Invalid` (`webhook_unparseable`)."""
    found = json_body(raw)
    return found if isinstance(found, dict) else unparseable("a JSON object")


def json_objects(raw: bytes) -> list[dict[str, Any]]:
    """The objects of a body that is a JSON array of them; raises `Invalid` (`webhook_unparseable`)."""
    found = json_body(raw)
    if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
        unparseable("a JSON array of objects")
    return found


def content_type(headers: Mapping[str, str]) -> str:
    """The media type in lower case, without its parameters."""
    return headers.get("content-type", "").partition(";")[0].strip().lower()


def form(raw: bytes, headers: Mapping[str, str]) -> dict[str, bytes]:
    """The fields of a form, urlencoded or multipart (RFC 7578), as bytes; of a repeated field the last.

    A file counts as a field under its name. Raises `Invalid` (`webhook_unparseable`).
    """
    kind = content_type(headers)
    if kind == "application/x-www-form-urlencoded":
        return _urlencoded(raw)
    found = _BOUNDARY.search(headers.get("content-type", "")) if kind == "multipart/form-data" else None
    if found is None:
        unparseable("a form")
    return _multipart(raw, (found[1] or found[2]).encode("latin-1", "replace"))


def text(value: bytes, charset: str = "utf-8") -> str:
    """The text of a field; what its charset does not fit is read as Latin-1, which fits everything."""
    try:
        return value.decode(charset)
    except (UnicodeDecodeError, LookupError):
        return value.decode("latin-1")


def moment(value: Any) -> datetime | None:
    """A provider's time as an aware datetime in UTC: Unix seconds (number or text), ISO 8601, or an e-mail's date.

    None for anything else: a time that cannot be read is no reason to lose an event.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        return _EPOCH + timedelta(seconds=_number(value))
    except (ValueError, OverflowError):
        return _written(value) if isinstance(value, str) else None


def child(payload: Any, *path: str) -> Any:
    """What stands at a path of nested objects; None where it ends early."""
    for name in path:
        if not isinstance(payload, Mapping):
            return None
        payload = payload.get(name)
    return payload


def string(payload: Any, *path: str) -> str | None:
    """The text (or number, as text) at a path; None for anything else and for nothing."""
    found = child(payload, *path)
    if isinstance(found, bool) or not isinstance(found, (str, int, float)):
        return None
    return str(found).strip() or None


def message_ids(value: str | None) -> tuple[str, ...]:
    """The ids of a Message-ID, In-Reply-To or References header, without their brackets."""
    return tuple(each.strip("<>") for each in (value or "").replace("><", "> <").split() if each.strip("<>"))


def _number(value: int | float | str) -> float:
    seconds = float(value)
    if not math.isfinite(seconds):
        raise ValueError
    return seconds


def _written(value: str) -> datetime | None:
    for read in (datetime.fromisoformat, parsedate_to_datetime):
        try:
            found = read(value.strip())
        except (ValueError, TypeError, IndexError, OverflowError):
            continue
        try:
            return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
        except OverflowError:
            return None
    return None


def _urlencoded(raw: bytes) -> dict[str, bytes]:
    try:
        # Latin-1 is one character for each byte, so no byte is lost on the way.
        pairs = parse_qsl(raw.decode("latin-1"), True, encoding="latin-1", max_num_fields=_MOST_FIELDS)
    except ValueError:
        unparseable("a form")
    return {text(name.encode("latin-1")): value.encode("latin-1") for name, value in pairs}


def _multipart(raw: bytes, boundary: bytes) -> dict[str, bytes]:
    parts = (b"\r\n" + raw).split(b"\r\n--" + boundary)
    if len(parts) < 3 or not parts[-1].startswith(b"--") or len(parts) > _MOST_FIELDS:
        unparseable("a multipart form")
    fields: dict[str, bytes] = {}
    for part in parts[1:-1]:
        head, _, content = part.partition(b"\r\n\r\n")
        name = _name(head)
        if name is not None:
            fields[name] = content
    return fields


def _name(head: bytes) -> str | None:
    for line in head.decode("utf-8", "replace").split("\r\n"):
        title, _, value = line.partition(":")
        if title.strip().lower() == "content-disposition":
            found = {key.lower(): given for key, given in _PARAMETER.findall(value)}
            return found.get("name")
    return None
