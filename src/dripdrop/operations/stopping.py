"""What must stop at once, and what may go again?"""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from dripdrop.errors import Invalid, NotFound, Refused
from dripdrop.operations import provisioning
from dripdrop.store import sequences, stops
from dripdrop.store.flow import Flow
from dripdrop.store.scope import Scope
from dripdrop.store.stops import Stop


def stop(
    now: datetime,
    scope: Scope,
    *,
    everything: bool = False,
    tenant: str | None = None,
    sequence: Any = None,
    adapter: Any = None,
    reason: str | None = None,
) -> Flow[Stop]:
    """Hold back every send of exactly one of these, from the next send on; what is on the wire is not called back.

    The global scope stops everybody, one tenant, or a sequence or adapter for everybody. A tenant stops everything of
    its own, or a sequence or adapter it uses, for itself. Stopping twice changes nothing but a given reason.
    """
    key, kind, target = yield from _target(now, scope, everything, tenant, sequence, adapter)
    return (yield from stops.add(now, key, kind, target, reason))


def go(
    now: datetime,
    scope: Scope,
    *,
    everything: bool = False,
    tenant: str | None = None,
    sequence: Any = None,
    adapter: Any = None,
) -> Flow[Stop]:
    """Lift the stop that `stop` with the same arguments set; raises `NotFound`. What was held back goes when due."""
    key, kind, target = yield from _target(now, scope, everything, tenant, sequence, adapter)
    lifted = yield from stops.remove(key, kind, target)
    if lifted is None:
        raise NotFound("That is not stopped.", cure="See what is: dripdrop status")
    return lifted


def list_(now: datetime, scope: Scope) -> Flow[list[Stop]]:
    """The stops that concern the scope, oldest first; the global scope sees them all."""
    return (yield from stops.listed(scope))


def _target(
    now: datetime, scope: Scope, everything: bool, tenant: str | None, sequence: Any, adapter: Any
) -> Flow[tuple[str, str, UUID | None]]:
    """(tenant key, kind, target id). `all` of a tenant is the tenant's own switch, `tenant` the operator's."""
    named = [name for name, given in _given(everything, tenant, sequence, adapter) if given]
    if len(named) != 1:
        raise Invalid(
            f"{' and '.join(named) or 'Nothing'} was named to stop or start.",
            cure="Name one of: everything, tenant, sequence, adapter.",
            code="one_target",
        )
    if tenant is not None:
        if scope.tenant:
            raise Refused(
                "Only the global scope stops a tenant from outside.", cure="Use everything.", code="foreign_tenant"
            )
        return Scope.of(tenant).tenant, "tenant", None
    if adapter is not None:
        return scope.tenant, "adapter", (yield from provisioning.get(now, scope, adapter)).id
    if sequence is not None:
        return scope.tenant, "sequence", (yield from _sequence_id(scope, sequence))
    return scope.tenant, "all", None


def _given(everything: bool, tenant: Any, sequence: Any, adapter: Any) -> list[tuple[str, bool]]:
    return [
        ("everything", bool(everything)),
        ("tenant", tenant is not None),
        ("sequence", sequence is not None),
        ("adapter", adapter is not None),
    ]


def _sequence_id(scope: Scope, sequence: Any) -> Flow[UUID]:
    found = yield from sequences.find(scope, sequence)
    if found is None:
        raise NotFound(f"There is no sequence {sequence}.", cure="See: dripdrop sequences")
    return found.id
