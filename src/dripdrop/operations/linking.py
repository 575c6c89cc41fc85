"""Which short links does a message have already, which does it get, and where does one lead?"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from dripdrop.store import links
from dripdrop.store.flow import Flow
from dripdrop.store.links import Fresh
from dripdrop.store.scope import Scope

_CODE = re.compile(r"[0-9A-Za-z]{8,32}")
_WEB = re.compile(r"https?://[^/?#\s]", re.IGNORECASE)


def find(now: datetime, scope: Scope, keys: Sequence[str]) -> Flow[dict[str, str]]:
    """The short URLs that these keys have, by key."""
    return (yield from links.found(scope, keys))


def keep(
    now: datetime, scope: Scope, execution: UUID | None, provider: str, fresh: Sequence[Fresh]
) -> Flow[dict[str, str]]:
    """Keep what a shortener made; what each key has now, by key.

    Whoever was first wins, so two workers write the same message. A key without a link has lost its code to another
    one: ask again for another code.
    """
    kept = yield from links.keep(now, scope, execution, provider, fresh)
    lost = [each.key for each in fresh if each.key not in kept]
    return {**kept, **(yield from links.found(scope, lost))} if lost else kept


def follow(now: datetime, code: str, *, agent: str, counted: bool) -> Flow[str | None]:
    """Where a code leads: only ever to an address that was written into a message; None for a code nobody has.

    `counted` notes a click of its execution; `agent` is the class of program that came, never its own words.
    """
    if not _CODE.fullmatch(code):
        return None
    destination = yield from links.follow(now, code, agent, counted)
    return destination if destination and _WEB.match(destination) else None
