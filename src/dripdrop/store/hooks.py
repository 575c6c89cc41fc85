"""Which HTTP endpoints may a sequence ask, and how is each called?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson

from dripdrop.rules.http_hooks import DEFINED, Auth, HttpHook
from dripdrop.store.flow import Flow, Row
from dripdrop.store.scope import Scope
from dripdrop.store.statements import Statements
from dripdrop.vault import Vault

SQL = Statements("hooks")


@dataclass(frozen=True, slots=True, kw_only=True)
class Hook(HttpHook):
    """An HTTP hook of a sequence, whose tenant is the hook's; its credentials stay sealed."""

    id: UUID
    sequence_id: UUID
    sequence_key: str
    tenant_key: str
    auth_sealed: bytes | None = field(default=None, repr=False)
    last_test_at: datetime | None = None
    last_test_result: Mapping[str, Any] | None = None
    inserted_at: datetime | None = None
    updated_at: datetime | None = None


def binding(hook_id: UUID) -> bytes:
    """What the credentials of this hook are sealed together with."""
    return b"http_hooks:" + hook_id.bytes


def credentials(hook: Hook, vault: Vault) -> Auth:
    """The opened credentials, {} where there are none; raises `Unreadable`."""
    return vault.open(hook.auth_sealed, binding(hook.id)) if hook.auth_sealed else {}


def new_id() -> Flow[UUID]:
    """An id before its row: credentials are sealed together with it."""
    rows = yield from SQL.all("new_id")
    return UUID(str(rows[0].id))


def insert(now: datetime, hook: Hook) -> Flow[UUID | None]:
    """The new row's id; None where the sequence has a hook of that key."""
    row = yield from SQL.one("insert", now=now, sequence_id=hook.sequence_id, key=hook.key, **_written(hook))
    return row.id if row else None


def update(now: datetime, hook: Hook) -> Flow[UUID | None]:
    """Write a hook of its tenant; None where it is gone. Its key and its sequence stay."""
    row = yield from SQL.one("update", now=now, **_written(hook))
    return row.id if row else None


def tested(now: datetime, hook: Hook, result: Mapping[str, Any]) -> Flow[None]:
    """Note what came of a test; the result must be redacted by now."""
    written = orjson.dumps(dict(result)).decode()
    yield from SQL.run("tested", now=now, id=hook.id, tenant=hook.tenant_key, result=written)


def get(scope: Scope, hook_id: UUID) -> Flow[Hook | None]:
    """The hook of that id that the scope sees."""
    row = yield from SQL.one("get", id=hook_id, tenant=scope.tenant)
    return _from_row(row) if row else None


def listed(tenant: str, sequence_id: UUID) -> Flow[list[Hook]]:
    """The hooks of a sequence of this tenant, by key, active or not."""
    rows = yield from SQL.all("listed", tenant=tenant, sequence_id=sequence_id)
    return [_from_row(row) for row in rows]


def seen(scope: Scope) -> Flow[list[Hook]]:
    """Every hook the scope sees, by sequence and key."""
    rows = yield from SQL.all("seen", tenant=scope.tenant)
    return [_from_row(row) for row in rows]


def _from_row(row: Row) -> Hook:
    values = dict(row)
    sealed = values.pop("auth_config")
    return Hook(auth_sealed=None if sealed is None else bytes(sealed), **values)


def _written(hook: Hook) -> dict[str, Any]:
    values = {name: getattr(hook, name) for name in DEFINED}
    headers = orjson.dumps(dict(hook.headers)).decode()
    return {
        **values,
        "headers": headers,
        "id": hook.id,
        "tenant": hook.tenant_key,
        "auth_config": hook.auth_sealed,
    }
