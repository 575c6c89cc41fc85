"""What may be kept of what a provider's adapter says?"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from typing import Any, get_args

from dripdrop.rules.outcome import Accepted, Cause, Kind, Outcome, Rejected, Unknown
from dripdrop.rules.redaction import REDACTED, evidence, is_secret_key

_KINDS = frozenset(get_args(Kind))
_CAUSES = frozenset(get_args(Cause))
_LONGEST_ID = 998
_LONGEST_SAYING = 500
_SHORTEST_SECRET = 6
_PERSONAL = (re.compile(r"[^\s<>\"'(),;:=]{1,64}@[^\s<>\"'(),;:]{1,253}"), re.compile(r"\+\d{7,15}\b"))


def checked(outcome: Any, config: Mapping[str, Any] | None = None) -> Outcome:
    """The outcome as it may be kept: bounded, redacted, JSON-safe; what is no outcome is `Unknown`.

    The secrets of `config` are taken out wherever they stand. Never raises: what an adapter says of an accepted
    message may be unreadable, accepted it stays.
    """
    if isinstance(outcome, Accepted):
        if type(outcome) is Accepted and outcome.provider_message_id is None and not outcome.meta:
            return outcome
        return Accepted(_identifier(outcome.provider_message_id), kept(outcome.meta, config))
    if isinstance(outcome, Rejected) and _known(outcome):
        return Rejected(outcome.kind, outcome.cause, _seconds(outcome.retry_after), kept(outcome.detail, config))
    if isinstance(outcome, Unknown):
        return Unknown(kept(outcome.detail, config))
    return Unknown({"reason": "nonsense", "returned": type(outcome).__name__})


def kept(detail: Any, config: Mapping[str, Any] | None = None) -> Mapping[str, Any]:
    """A small JSON-safe mapping without secrets, addresses or content; {} for what is none."""
    try:
        found = evidence(detail, _PERSONAL) if detail else {}
        secrets = [] if config is None or _plain(found) else list(_secrets(config))
        return _without(found, secrets) if secrets else found
    except Exception as error:
        return {"reason": "detail_unreadable", "exception": type(error).__name__}


def said(text: str, config: Mapping[str, Any]) -> str:
    """A sentence of an adapter as it may be shown: one line, short, without the secrets of `config`."""
    line = " ".join(str(_without(text.replace("\0", ""), list(_secrets(config)))).split())
    return line[:_LONGEST_SAYING]


def _known(outcome: Rejected) -> bool:
    """Whether both words are of the contract; what cannot even be compared is not."""
    try:
        return outcome.kind in _KINDS and outcome.cause in _CAUSES
    except Exception:
        return False


def _identifier(value: Any) -> str | None:
    try:
        return None if value is None else str(value).replace("\0", "")[:_LONGEST_ID]
    except Exception:
        return None


def _seconds(value: Any) -> float | None:
    if isinstance(value, (int, float)) and math.isfinite(value) and value >= 0:
        return float(value)
    return None


def _plain(found: Mapping[str, Any]) -> bool:
    """Most answers say no more than a status."""
    return all(type(each) in (int, bool) for each in found.values())


def _secrets(config: Mapping[str, Any]) -> Iterable[str]:
    for name, value in config.items():
        if is_secret_key(name):
            several = value if isinstance(value, (list, tuple)) else (value,)
            yield from (each for each in several if isinstance(each, str) and len(each) >= _SHORTEST_SECRET)


def _without(value: Any, secrets: Iterable[str]) -> Any:
    if isinstance(value, str):
        for secret in secrets:
            value = value.replace(secret, REDACTED)
        return value
    if isinstance(value, dict):
        return {_without(name, secrets): _without(each, secrets) for name, each in value.items()}
    return [_without(each, secrets) for each in value] if isinstance(value, list) else value
