"""Messaging sequences inside your application and its PostgreSQL: never twice, never lost, always explained."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dripdrop.errors import (
    BadSettings,
    Conflict,
    DripDropError,
    Finding,
    IllegalMove,
    Invalid,
    MissingExtra,
    NotFound,
    Refused,
    SchemaMismatch,
    Unauthorized,
    Unavailable,
    Unreadable,
)

if TYPE_CHECKING:
    from dripdrop.app import AsyncDripDrop as AsyncDripDrop
    from dripdrop.app import DripDrop as DripDrop
    from dripdrop.config import Config as Config
    from dripdrop.contracts import HookUnavailable as HookUnavailable
    from dripdrop.rules.message import Delivery as Delivery
    from dripdrop.rules.outcome import Accepted as Accepted
    from dripdrop.rules.outcome import Askable as Askable
    from dripdrop.rules.outcome import CannotTell as CannotTell
    from dripdrop.rules.outcome import Idempotent as Idempotent
    from dripdrop.rules.outcome import Neither as Neither
    from dripdrop.rules.outcome import Rejected as Rejected
    from dripdrop.rules.outcome import Unknown as Unknown
    from dripdrop.rules.redaction import redact as redact
    from dripdrop.rules.urls import check_url as check_url

__version__ = "0.1.0"

# Loaded when asked for, so that the command line answers at once.
_WHERE = {
    "DripDrop": "dripdrop.app",
    "AsyncDripDrop": "dripdrop.app",
    "Config": "dripdrop.config",
    "HookUnavailable": "dripdrop.contracts",
    "Delivery": "dripdrop.rules.message",
    "Accepted": "dripdrop.rules.outcome",
    "Askable": "dripdrop.rules.outcome",
    "CannotTell": "dripdrop.rules.outcome",
    "Idempotent": "dripdrop.rules.outcome",
    "Neither": "dripdrop.rules.outcome",
    "Rejected": "dripdrop.rules.outcome",
    "Unknown": "dripdrop.rules.outcome",
    "redact": "dripdrop.rules.redaction",
    "check_url": "dripdrop.rules.urls",
}

__all__ = [
    "Accepted",
    "Askable",
    "AsyncDripDrop",
    "BadSettings",
    "CannotTell",
    "Config",
    "Conflict",
    "Delivery",
    "DripDrop",
    "DripDropError",
    "Finding",
    "HookUnavailable",
    "Idempotent",
    "IllegalMove",
    "Invalid",
    "MissingExtra",
    "Neither",
    "NotFound",
    "Refused",
    "Rejected",
    "SchemaMismatch",
    "Unauthorized",
    "Unavailable",
    "Unknown",
    "Unreadable",
    "check_url",
    "redact",
]


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module 'dripdrop' has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(_WHERE[name]), name)
    globals()[name] = value
    return value
