"""Which calls is the host owed, who makes them, and which failed?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from dripdrop.store import inbox
from dripdrop.store.flow import Flow

MOST_TRIES = 12


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a host's function; `retries` counts how often it was taken up."""

    id: UUID
    name: str
    payload: Mapping[str, Any]
    retries: int


def claim(now: datetime, names: Sequence[str], *, limit: int = 20) -> Flow[list[Call]]:
    """Take up calls that are due; one that failed too often stays behind as failed."""
    rows = yield from inbox.claim_calls(now, names, limit, MOST_TRIES)
    return [Call(row["id"], row["name"], row["payload"], row["retries"]) for row in rows if row["state"] == "waiting"]


def done(now: datetime, calls: Sequence[UUID]) -> Flow[None]:
    """These were made."""
    yield from inbox.called(calls)


def failed(now: datetime, call: UUID, reason: str) -> Flow[None]:
    """This one failed; it is made again when it is due."""
    yield from inbox.not_called(call, reason)
