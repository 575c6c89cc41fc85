"""Is this token one of ours, and what does it say?

A token is `body.mac`: the body is sorted JSON in URL-safe base64, the mac the first 16 bytes of HMAC-SHA256 over
version, purpose and body. Nothing in it depends on chance or on the hour, so a message rendered twice carries the same
links.
"""

from __future__ import annotations

import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from dripdrop.errors import BadSettings, Invalid, Unauthorized

VERSION = b"1"
MAC_BYTES = 16
MAX_LENGTH = 4096
UNSUBSCRIBE = "unsubscribe"


@dataclass(frozen=True, slots=True)
class Unsubscribe:
    """Who wishes to hear no more, and from what: `sequence` is an id or a key, `execution` an id, both as text."""

    tenant_key: str
    channel: str
    recipient: str
    sequence: str | None = None
    execution: str | None = None
    topic: str | None = None


def sign(payload: Mapping[str, Any], secret: bytes, purpose: str = UNSUBSCRIBE) -> str:
    """A URL-safe token for a JSON payload (ids may be UUIDs): the same for the same payload, secret and purpose.

    A token of one purpose is refused for every other. Raises `Invalid` for a payload that is not JSON or too large.
    """
    if not secret:
        raise BadSettings(
            "There is no secret to sign links with.", cure="Set DRIPDROP_SECRET or DRIPDROP_ENCRYPTION_KEY."
        )
    try:
        body = _encode(orjson.dumps(dict(payload), option=orjson.OPT_SORT_KEYS))
    except TypeError as problem:
        raise Invalid(f"A token cannot carry this: {problem}.", cure="Pass text, numbers and ids.") from None
    token = f"{body}.{_mac(body, secret, purpose)}"
    if len(token) > MAX_LENGTH:
        raise Invalid("A token cannot carry that much.", cure=f"Keep it under {MAX_LENGTH} characters.")
    return token


def read(token: str, secrets: Sequence[bytes], purpose: str = UNSUBSCRIBE) -> dict[str, Any]:
    """The payload of a token that one of the secrets signed for this purpose; else `Unauthorized` (`invalid_token`).

    Every secret is tried, so a link outlives a rotation for as long as its secret stays in the list.
    """
    if not isinstance(token, str) or len(token) > MAX_LENGTH or not token.isascii():
        raise _refusal()
    body, dot, mac = token.partition(".")
    # Compared as text: two spellings of the same bytes would be two valid tokens.
    signed = [hmac.compare_digest(mac, _mac(body, secret, purpose)) for secret in secrets if secret]
    if not dot or not any(signed):
        raise _refusal()
    payload = orjson.loads(_decode(body))
    if not isinstance(payload, dict):
        raise _refusal()
    return payload


def unsubscribe_token(
    secret: bytes,
    *,
    tenant_key: str,
    channel: str,
    recipient: str,
    sequence: Any = None,
    execution: Any = None,
    topic: str | None = None,
) -> str:
    """A token that says who may be unsubscribed from what; `recipient` as normalized."""
    named = {"t": tenant_key, "c": channel, "r": recipient, "s": sequence, "e": execution, "l": topic}
    return sign({key: value for key, value in named.items() if value is not None and value != ""}, secret, UNSUBSCRIBE)


def read_unsubscribe(token: str, secrets: Sequence[bytes]) -> Unsubscribe:
    """What an unsubscribe token says; else `Unauthorized` (`invalid_token`)."""
    said = read(token, secrets, UNSUBSCRIBE)
    texts = {key: value for key, value in said.items() if isinstance(value, str)}
    if not texts.get("c") or not texts.get("r"):
        raise _refusal()
    return Unsubscribe(texts.get("t", ""), texts["c"], texts["r"], texts.get("s"), texts.get("e"), texts.get("l"))


def _mac(body: str, secret: bytes, purpose: str) -> str:
    message = b"\x00".join((b"dripdrop", VERSION, purpose.encode(), body.encode()))
    return _encode(hmac.digest(secret, message, "sha256")[:MAC_BYTES])


def _encode(raw: bytes) -> str:
    return urlsafe_b64encode(raw).rstrip(b"=").decode()


def _decode(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _refusal() -> Unauthorized:
    return Unauthorized(
        "This link is not valid.", cure="Take it unchanged from the newest message.", code="invalid_token"
    )
