"""Does this call really come from the provider?"""

from __future__ import annotations

import base64
import binascii
import hmac
import math
from collections.abc import Iterable, Mapping
from typing import Any, NoReturn

from dripdrop.contracts import Config
from dripdrop.errors import Unauthorized

DEFAULT_SKEW_SECONDS = 300.0


def refuse(why: str, cure: str = "Check the adapter's webhook secret against the provider's.") -> NoReturn:
    """Raise `Unauthorized`: the call is not what it says it is. `why` never repeats what was sent."""
    raise Unauthorized(why, cure=cure, code="webhook_signature")


def secrets(config: Config, *names: str) -> tuple[str, ...]:
    """Every secret under these names, newest first; each may be a text or, while it is rotated, a list of texts.

    Raises `Unauthorized` (`webhook_secret_missing`): without a secret nothing can be verified, so nothing is believed.
    """
    found = tuple(each for name in names for each in _texts(config.get(name)))
    if not found:
        raise Unauthorized(
            "The adapter has no secret to verify webhooks with.",
            cure=f"Set {' or '.join(names)} in its credentials.",
            code="webhook_secret_missing",
        )
    return found


def header(headers: Mapping[str, str], name: str) -> str:
    """The header's value; one that is missing is refused."""
    value = headers.get(name.lower(), "")
    if not value:
        refuse(f"The header {name} is missing.", "Turn on signed webhooks at the provider.")
    return value


def fresh(stamp: Any, config: Config) -> None:
    """Refuse a call whose time (Unix seconds) is further from now than `webhook_replay_skew_seconds`, either way."""
    skew = config.get("webhook_replay_skew_seconds")
    try:
        seconds = float(stamp)
    except (TypeError, ValueError):
        seconds = math.nan
    # Written so that NaN does not pass.
    if not abs(config["now"].timestamp() - seconds) <= (DEFAULT_SKEW_SECONDS if skew is None else float(skew)):
        raise Unauthorized(
            "The webhook is too old, or its time makes no sense.",
            cure="Check the clock of this machine; webhook_replay_skew_seconds says what is allowed.",
            code="webhook_expired",
        )


def same(given: str, wanted: str) -> bool:
    """Whether two texts are equal, taking as long for every difference."""
    return hmac.compare_digest(given.encode("utf-8", "surrogatepass"), wanted.encode("utf-8", "surrogatepass"))


def any_same(given: str, wanted: Iterable[str]) -> bool:
    """Whether one of several is equal; every one is looked at."""
    found = [same(given, each) for each in wanted]
    return any(found)


def unbase64(text: str) -> bytes:
    """The bytes of a signature or a key in strict base64; anything else is refused."""
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        refuse("A signature is not base64.")


def basic(headers: Mapping[str, str]) -> str:
    """`user:password` of HTTP Basic authentication (RFC 7617), "" where there is none."""
    scheme, _, encoded = headers.get("authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return ""
    try:
        return base64.b64decode(encoded.strip(), validate=True).decode("utf-8")
    except (binascii.Error, ValueError):
        return ""


def _texts(value: Any) -> tuple[str, ...]:
    several = value if isinstance(value, (list, tuple)) else (value,)
    return tuple(each for each in several if isinstance(each, str) and each)
