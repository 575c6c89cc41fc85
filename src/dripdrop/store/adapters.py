"""Which adapters are there, and which one does a message go through?"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson

from dripdrop.rules.message import AdapterRef
from dripdrop.store.flow import Flow, Row
from dripdrop.store.scope import Scope
from dripdrop.store.statements import Statements
from dripdrop.vault import Vault

SQL = Statements("adapters")


@dataclass(frozen=True, slots=True)
class Adapter:
    """A provider account to send through. `tenant_key` '' is global; credentials stay sealed, and are None in lists."""

    id: UUID
    tenant_key: str
    name: str
    channel: str
    provider: str
    config: Mapping[str, Any] = field(default_factory=dict)
    is_default: bool = False
    active: bool = True
    credentials_sealed: bytes | None = field(default=None, repr=False)
    daily_cap: int | None = None
    ramp_started_at: datetime | None = None
    ramp_increment: int | None = None
    ramp_floor: int | None = None
    min_gap_seconds: int | None = None
    health_state: str | None = None
    health_score: float | None = None
    resting_until: datetime | None = None
    last_send_at: datetime | None = None
    inserted_at: datetime | None = None
    updated_at: datetime | None = None

    @property
    def ref(self) -> AdapterRef:
        """What an adapter's code may know of its own row."""
        return AdapterRef(self.id, self.name, self.channel, self.provider)

    def serves(self, tenant: str, channel: str) -> bool:
        """Whether a message of this tenant and channel may go through it."""
        return self.active and self.channel == channel and self.tenant_key in ("", tenant)


def binding(adapter_id: UUID) -> bytes:
    """What the credentials of this adapter are sealed together with."""
    return b"channel_adapters:" + adapter_id.bytes


def credentials(adapter: Adapter, vault: Vault) -> dict[str, Any]:
    """The opened credentials; raises `Unreadable`. An adapter without any has an empty map."""
    return vault.open(adapter.credentials_sealed, binding(adapter.id)) if adapter.credentials_sealed else {}


def new_id() -> Flow[UUID]:
    """An id before its row: credentials are sealed together with it."""
    rows = yield from SQL.all("new_id")
    return UUID(str(rows[0].id))


def lock(tenant: str) -> Flow[None]:
    """Wait for whoever else writes this tenant's adapters, until the transaction ends."""
    yield from SQL.run("lock", tenant=tenant)


def insert(now: datetime, adapter: Adapter) -> Flow[UUID | None]:
    """The new row's id; None where the name is taken."""
    row = yield from SQL.one("insert", now=now, channel=adapter.channel, provider=adapter.provider, **_written(adapter))
    return row.id if row else None


def update(now: datetime, adapter: Adapter) -> Flow[UUID | None]:
    """Write an adapter of this tenant; None where it is gone or another has the name."""
    row = yield from SQL.one("update", now=now, **_written(adapter))
    return row.id if row else None


def clear_default(now: datetime, adapter: Adapter) -> Flow[None]:
    """Take the default of the adapter's channel and tenant from every other."""
    yield from SQL.run("clear_default", now=now, tenant=adapter.tenant_key, channel=adapter.channel, id=adapter.id)


def get(scope: Scope, adapter_id: UUID) -> Flow[Adapter | None]:
    """The adapter of that id that the scope sees, credentials and all."""
    row = yield from SQL.one("get", id=adapter_id, tenant=scope.tenant)
    return from_row(row) if row else None


def named(scope: Scope, name: str) -> Flow[Adapter | None]:
    """The adapter of that name: the scope's own, else the global one."""
    row = yield from SQL.one("named", name=name, tenant=scope.tenant)
    return from_row(row) if row else None


def listed(scope: Scope, *, channel: str | None = None, active: bool | None = None) -> Flow[list[Adapter]]:
    """What the scope sees, by channel and name, without credentials."""
    rows = yield from SQL.all("list", tenant=scope.tenant, channel=channel, active=active)
    return [from_row(row) for row in rows]


def load(ids: Iterable[UUID]) -> Flow[list[Adapter]]:
    """For the worker: adapters by id, of any tenant, in no order."""
    rows = yield from SQL.all("load", ids=list(ids))
    return [from_row(row) for row in rows]


def usable(tenants: Sequence[str], channels: Sequence[str]) -> Flow[list[Adapter]]:
    """Active defaults of these channels, of these tenants and global ones (last): ask `default_for` of the list."""
    rows = yield from SQL.all("usable", tenants=list(tenants), channels=list(channels))
    return [from_row(row) for row in rows]


def default_for(adapters: Iterable[Adapter], tenant: str, channel: str) -> Adapter | None:
    """The tenant's default for the channel, else the global one."""
    fits = [each for each in adapters if each.is_default and each.serves(tenant, channel)]
    return next((each for each in fits if each.tenant_key == tenant), fits[0] if fits else None)


def from_row(row: Row) -> Adapter:
    values = dict(row)
    sealed, score = values.pop("credentials"), values.pop("health_score")
    return Adapter(
        credentials_sealed=None if sealed is None else bytes(sealed),
        health_score=None if score is None else float(score),
        **values,
    )


def _written(adapter: Adapter) -> dict[str, Any]:
    return {
        "id": adapter.id,
        "tenant": adapter.tenant_key,
        "name": adapter.name,
        "credentials": adapter.credentials_sealed,
        "config": orjson.dumps(dict(adapter.config)).decode(),
        "is_default": adapter.is_default,
        "active": adapter.active,
        "daily_cap": adapter.daily_cap,
        "ramp_started_at": adapter.ramp_started_at,
        "ramp_increment": adapter.ramp_increment,
        "ramp_floor": adapter.ramp_floor,
        "min_gap_seconds": adapter.min_gap_seconds,
    }
