"""What is a provider of messages given, and is it something that it can send?"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any, NoReturn, TypeVar

import orjson

from dripdrop.contracts import Config, Delivery
from dripdrop.rules.addresses import refuse
from dripdrop.rules.message import Chat, Sms
from dripdrop.rules.recipients import normalize

_E164 = re.compile(r"\+[1-9]\d{4,14}")
M = TypeVar("M", Sms, Chat)


def missing(credentials: Mapping[str, Any], *names: str) -> list[tuple[str, str]]:
    """The problems with credentials that must be texts (or, while one is rotated, lists of texts)."""
    return [(name, "is required") for name in names if not secret(credentials, name)]


def secret(config: Mapping[str, Any], name: str) -> str:
    """A credential as it is used for sending: of several, while they are rotated, the newest; '' for none."""
    value = config.get(name)
    several = value if isinstance(value, (list, tuple)) else (value,)
    return next((each.strip() for each in several if isinstance(each, str) and each.strip()), "")


def message_of(delivery: Delivery, kind: type[M]) -> M:
    """The message, where it is of the channel's kind; raises `Invalid` (`wrong_message`)."""
    if not isinstance(delivery.message, kind):
        refuse(
            "wrong_message", "message", f"Only a {kind.__name__} can be sent here.", "Use a step of the right channel."
        )
    return delivery.message


def number(channel: str, text: str, path: str = "to") -> str:
    """A phone number as it is also looked up among the suppressed (E.164); raises `Invalid` (`phone_number`)."""
    found = normalize(channel, text)
    if not _E164.fullmatch(found):
        refuse("phone_number", path, f"{path} is no phone number.", "Write it in full: +, country code, number.")
    return found


def json_bytes(body: Any) -> bytes:
    """The body of a call; raises `Invalid` (`payload`) for values that JSON has not."""
    try:
        return orjson.dumps(body, default=_plain, option=orjson.OPT_NON_STR_KEYS)
    except (TypeError, ValueError):
        refuse("payload", "payload", "A field of the message is no JSON.", "Use JSON values only.")


def unsupported(feature: str) -> NoReturn:
    """Refuse by name what a provider cannot carry: nothing is dropped in silence."""
    refuse("unsupported", feature, f"The provider cannot carry {feature}.", "Leave it out, or use another provider.")


def only(extra: Mapping[str, Any], known: Collection[str]) -> dict[str, Any]:
    """The fields of a message beside its text; one that the provider would not understand is refused by name."""
    for name in extra:
        if name not in known:
            unsupported(str(name))
    return {str(name): value for name, value in extra.items() if value is not None}


def options(delivery: Delivery, config: Config) -> dict[str, Any]:
    """The provider's own settings: `provider_options` of the adapter, then of the step."""
    return {**(config.get("provider_options") or {}), **(delivery.step.config.get("provider_options") or {})}


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError
