"""How does a verified request of a provider come in, and how does a person find it again?"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from dripdrop.contracts import QUERY
from dripdrop.errors import DripDropError, Invalid, NotFound, Unauthorized
from dripdrop.operations.provisioning import Known, nobody
from dripdrop.store import adapters, inbox
from dripdrop.store.adapters import Adapter
from dripdrop.store.flow import Flow
from dripdrop.store.inbox import STATES, Request
from dripdrop.store.scope import Scope

# What a parser may ask for later. Everything else may be a secret, however a provider spells it.
KEPT_HEADERS = frozenset({
    "content-type", "content-encoding", "user-agent", "date", "x-amz-sns-message-type", "x-amz-sns-message-id",
    "x-amz-sns-topic-arn", QUERY,
})  # fmt: skip
LARGEST_PAGE = 1000


@dataclass(frozen=True, slots=True)
class Route:
    """Where a provider is to call: `path` below the mount, `url` whole where the public address is known."""

    provider: str
    adapter: str
    adapter_id: UUID
    method: str
    path: str
    url: str | None = None


def destination(now: datetime, scope: Scope, adapter: UUID) -> Flow[tuple[datetime, Adapter | None]]:
    """The time, and the adapter a request is for.

    The global scope, which the public receiver speaks for, knows every tenant's; a tenant its own and global ones.
    """
    if scope.tenant:
        return now, (yield from adapters.get(scope, adapter))
    found = yield from adapters.load([adapter])
    return now, found[0] if found else None


def accept(
    now: datetime, adapter: Adapter, headers: Mapping[str, str], body: bytes, *, once: Sequence[str] = ()
) -> Flow[UUID | None]:
    """Keep a verified request; None where this very one is here already.

    `once` are keys that sign one request: used again with another body they raise Unauthorized (`replayed`).
    """
    if once:
        fingerprint = hashlib.sha256(body).hexdigest()[:32]
        keys = {f"once:{hashlib.sha256(each.encode()).hexdigest()}" for each in once}
        whole = {f"{each}:{fingerprint}" for each in keys}
        fresh = yield from inbox.spend(now, adapter.id, sorted(keys | whole))
        if not keys <= fresh:
            if fresh & whole:
                raise Unauthorized("This signature was used before.", cure="Sign each request anew.", code="replayed")
            return None
    kept = {name: value.replace("\0", "")[:1000] for name, value in headers.items() if name in KEPT_HEADERS}
    return (yield from inbox.store(now, adapter.tenant_key, adapter.id, adapter.provider, kept, body))


def list_(
    now: datetime, scope: Scope, *, state: str | None = None, limit: int = 50, after: UUID | None = None
) -> Flow[list[Request]]:
    """The scope's stored requests, newest first; `after` is the id that ended the page before.

    States: stored (still to be processed), processed, ignored (nothing in it for us), failed (`reason` says why).
    """
    if state is not None and state not in STATES:
        raise Invalid(f"{state!r} is no state.", cure=f"One of: {', '.join(STATES)}.", code="state")
    return (yield from inbox.listed(scope, state=state, limit=max(1, min(limit, LARGEST_PAGE)), after=after))


def get(now: datetime, scope: Scope, request: UUID) -> Flow[Request]:
    """One stored request with its headers and body; raises NotFound."""
    found = yield from inbox.get(scope, request)
    if found is None:
        raise _missing(request)
    return found


def replay(now: datetime, scope: Scope, request: UUID) -> Flow[None]:
    """Process a stored request once more; events that were taken in are known and not taken in again.

    Raises NotFound.
    """
    if not (yield from inbox.replay(now, scope, request)):
        raise _missing(request)


def routes(
    now: datetime,
    scope: Scope,
    *,
    known: Known = nobody,
    public_url: str | None = None,
    base: str = "/webhooks",
) -> Flow[list[Route]]:
    """Where the scope's adapters are called by their providers; `base` is where the receiver is mounted."""
    found: list[Route] = []
    for each in (yield from adapters.listed(scope)):
        try:
            provider = known(each.channel, each.provider)
        except DripDropError:
            continue
        for method, suffix in provider.webhook_routes(each) if hasattr(provider, "webhook_routes") else ():
            path = f"{base.rstrip('/')}/{each.provider}/{each.id}{suffix}"
            url = f"{public_url.rstrip('/')}{path}" if public_url else None
            found.append(Route(each.provider, each.name, each.id, method, path, url))
    return found


def _missing(request: UUID) -> NotFound:
    return NotFound(f"There is no stored request {request}.", cure="See: dripdrop webhooks list")
