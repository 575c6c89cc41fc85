"""Which sequences and versions are there, and what is in them?"""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Sequence as Series
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeAlias
from uuid import UUID

import orjson

from dripdrop.errors import NotFound
from dripdrop.rules.definition import Condition, Step, Transition, Version
from dripdrop.store import parts
from dripdrop.store.flow import Flow, Row
from dripdrop.store.scope import Scope
from dripdrop.store.statements import Statements

SQL = Statements("sequences")


@dataclass(frozen=True, slots=True)
class Sequence:
    """A sequence without its versions; `tenant_key` '' is global."""

    id: UUID
    tenant_key: str
    key: str
    name: str
    description: str | None = None
    hook_module: str | None = None
    active: bool = True
    metadata: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Edition:
    """A version without its steps: what lists show."""

    id: UUID
    sequence_id: UUID
    tenant_key: str
    number: int
    state: str
    mode: str
    name: str | None = None
    config: Mapping[str, Any] = field(default_factory=dict)
    published_at: datetime | None = None
    digest: bytes | None = field(default=None, repr=False)


Named: TypeAlias = "Sequence | Version | Edition | UUID | str"


def find(scope: Scope, sequence: Named) -> Flow[Sequence | None]:
    """The sequence of a key (own tenant's before the global one), of an id, or of an object that names one."""
    if isinstance(sequence, (Version, Edition)):
        sequence = sequence.sequence_id
    wanted = sequence.id if isinstance(sequence, Sequence) else as_uuid(sequence)
    if wanted is not None:
        row = yield from SQL.one("find_by_id", id=wanted, tenant=scope.tenant)
    else:
        row = yield from SQL.one("find_by_key", key=str(sequence).strip().lower(), tenant=scope.tenant)
    return from_row(row) if row else None


def listed(scope: Scope, *, active: bool | None = None) -> Flow[list[Sequence]]:
    """Every sequence of the scope, by key."""
    return [from_row(row) for row in (yield from SQL.all("listed", tenant=scope.tenant, active=active))]


def insert(now: datetime, sequence: Sequence) -> Flow[Sequence | None]:
    """A new sequence (its `id` is ignored), or None where the key is taken."""
    row = yield from SQL.one("insert", now=now, key=sequence.key, **_written(sequence))
    return from_row(row) if row else None


def update(now: datetime, sequence: Sequence) -> Flow[Sequence | None]:
    """The sequence as given, or None where it is gone; its key and tenant never change."""
    row = yield from SQL.one("update", now=now, id=sequence.id, **_written(sequence))
    return from_row(row) if row else None


def delete(sequence: Sequence) -> Flow[bool]:
    """Whether it was there; its versions go with it, unless somebody is enrolled."""
    return (yield from SQL.one("delete", id=sequence.id, tenant=sequence.tenant_key)) is not None


def in_use(sequence: Sequence) -> Flow[bool]:
    """Whether anybody is or was enrolled."""
    row = yield from SQL.one("in_use", id=sequence.id)
    return row is not None and bool(row["used"])


def lock(sequence: Sequence) -> Flow[Sequence | None]:
    """The sequence as it is now, held until the transaction ends."""
    row = yield from SQL.one("lock", id=sequence.id, tenant=sequence.tenant_key)
    return from_row(row) if row else None


def edition(scope: Scope, version_id: UUID) -> Flow[Edition | None]:
    """A version of the scope, without its steps."""
    row = yield from SQL.one("version_of_scope", id=version_id, tenant=scope.tenant)
    return _edition(row) if row else None


def versions(scope: Scope, sequence_id: UUID) -> Flow[list[Edition]]:
    """Every version, lowest number first."""
    return [_edition(row) for row in (yield from SQL.all("versions", sequence_id=sequence_id, tenant=scope.tenant))]


def max_version(scope: Scope, sequence_id: UUID) -> Flow[int]:
    """The highest number in use, 0 when there is none."""
    row = yield from SQL.one("max_version", sequence_id=sequence_id, tenant=scope.tenant)
    return int(row["number"]) if row else 0


def active_version(sequence_id: UUID) -> Flow[Version | None]:
    """The active version, whole."""
    row = yield from SQL.one("active_id", sequence_id=sequence_id)
    return (yield from load_version(row["id"])) if row else None


def load_version(version_id: UUID) -> Flow[Version]:
    """A version with all its parts, in four statements; raises NotFound."""
    head = yield from SQL.one("load_head", id=version_id)
    if head is None:
        raise NotFound(f"There is no version {version_id}.", cure="See: dripdrop sequences")
    steps = yield from SQL.all("load_steps", id=version_id)
    ways = yield from SQL.all("load_transitions", id=version_id)
    conditions = yield from SQL.all("load_conditions", id=version_id)
    return parts.version(head, steps, ways, conditions)


def insert_version(
    now: datetime,
    sequence: Sequence,
    number: int,
    *,
    name: str | None,
    mode: str,
    config: Mapping[str, Any],
    digest: bytes | None = None,
) -> Flow[Edition | None]:
    """A new draft, or None where the number is taken."""
    row = yield from SQL.one(
        "insert_version",
        now=now,
        sequence_id=sequence.id,
        tenant=sequence.tenant_key,
        number=number,
        name=name,
        mode=mode,
        config=dumps(config),
        digest=digest,
    )
    return _edition(row) if row else None


def activate(now: datetime, version: Edition, *, sources: Series[str], digest: bytes | None) -> Flow[Edition | None]:
    """The version active and every other archived, or None where it is in none of `sources` any more."""
    named: dict[str, Any] = {"now": now, "id": version.id, "tenant": version.tenant_key}
    yield from SQL.run("archive_others", sequence_id=version.sequence_id, **named)
    row = yield from SQL.one("activate", sources=list(sources), digest=digest, **named)
    return _edition(row) if row else None


def archive(now: datetime, version: Edition, *, sources: Series[str]) -> Flow[Edition | None]:
    """The version archived, or None where it is in none of `sources` any more."""
    row = yield from SQL.one("archive", now=now, id=version.id, tenant=version.tenant_key, sources=list(sources))
    return _edition(row) if row else None


def latest_step(scope: Scope, sequence_id: UUID, key: str) -> Flow[Step | None]:
    """The step of that key in the highest version that has one, whatever its state."""
    row = yield from SQL.one("latest_step", sequence_id=sequence_id, tenant=scope.tenant, key=key)
    return (yield from load_version(row["sequence_version_id"])).step_by_id(row["id"]) if row else None


def owner_of(scope: Scope, *, step: UUID | None = None, transition: UUID | None = None) -> Flow[UUID | None]:
    """The version that a step or transition belongs to."""
    if step is not None:
        row = yield from SQL.one("owner_of_step", id=step, tenant=scope.tenant)
    else:
        row = yield from SQL.one("owner_of_transition", id=transition, tenant=scope.tenant)
    return row["version_id"] if row else None


def insert_steps(now: datetime, version: Edition, steps: Series[Step]) -> Flow[list[UUID] | None]:
    """The ids of new steps in their order, or None where a key or position is taken."""
    ids = yield from new_ids(len(steps))
    rows = [parts.step_row(each, step) for each, step in zip(ids, steps, strict=True)]
    named: dict[str, Any] = {"now": now, "version_id": version.id, "tenant": version.tenant_key}
    made = yield from SQL.all("insert_steps", rows=dumps(rows), **named)
    if len(made) != len(steps):
        return None
    yield from insert_conditions(now, version, [(each, None, s.conditions) for each, s in zip(ids, steps, strict=True)])
    return ids


def update_step(now: datetime, version: Edition, step: Step) -> Flow[bool]:
    """Whether the step now is as given, but for its key and conditions; not where its position is taken."""
    rows = dumps([parts.step_row(step.id, step)])
    return (yield from SQL.one("update_step", now=now, tenant=version.tenant_key, rows=rows)) is not None


def delete_step(version: Edition, step: Step) -> Flow[bool]:
    """Whether it was there; its conditions and the ways from and to it go with it."""
    return (yield from SQL.one("delete_step", id=step.id, tenant=version.tenant_key)) is not None


def insert_transitions(
    now: datetime, version: Edition, ways: Series[Transition], steps: Mapping[str, UUID]
) -> Flow[list[UUID]]:
    """The ids of new transitions in their order; `steps` gives the id of each key."""
    ids = yield from new_ids(len(ways))
    rows = [parts.transition_row(each, way, steps) for each, way in zip(ids, ways, strict=True)]
    named: dict[str, Any] = {"now": now, "version_id": version.id, "tenant": version.tenant_key}
    if rows:
        yield from SQL.run("insert_transitions", rows=dumps(rows), **named)
    yield from insert_conditions(now, version, [(None, each, w.conditions) for each, w in zip(ids, ways, strict=True)])
    return ids


Owned: TypeAlias = tuple[UUID | None, UUID | None, Series[Condition]]


def insert_conditions(now: datetime, version: Edition, owned: Series[Owned], *, begin: int = 0) -> Flow[list[UUID]]:
    """The ids of new conditions, given as (step, transition, conditions); numbered from `begin` for each owner."""
    flat = [
        (step, way, number, condition)
        for step, way, conditions in owned
        for number, condition in enumerate(conditions, begin)
    ]
    if not flat:
        return []
    ids = yield from new_ids(len(flat))
    rows = [parts.condition_row(each, *condition) for each, condition in zip(ids, flat, strict=True)]
    yield from SQL.run("insert_conditions", now=now, tenant=version.tenant_key, rows=dumps(rows))
    return ids


def count_conditions(owner: UUID | None) -> Flow[int]:
    """How many conditions a step or transition has."""
    row = yield from SQL.one("count_conditions", id=owner)
    return int(row["number"]) if row else 0


def new_ids(count: int) -> Flow[list[UUID]]:
    """As many new ids, lowest first."""
    if not count:
        return []
    return sorted(row["id"] for row in (yield from SQL.all("new_ids", count=count)))


def from_row(row: Row) -> Sequence:
    """A sequence of its row."""
    return Sequence(**{name: row[name] for name in Sequence.__slots__})


def as_uuid(value: object) -> UUID | None:
    """The id that a value is or spells, or None."""
    if isinstance(value, UUID):
        return value
    try:
        return UUID(value) if isinstance(value, str) and len(value) == 36 else None
    except ValueError:
        return None


def dumps(value: Any) -> str:
    """JSON for a `jsonb` parameter."""
    return orjson.dumps(value, default=str).decode()


def _written(sequence: Sequence) -> dict[str, Any]:
    return {
        "tenant": sequence.tenant_key,
        "name": sequence.name,
        "description": sequence.description,
        "hook_module": sequence.hook_module,
        "active": sequence.active,
        "metadata": dumps(sequence.metadata),
    }


def _edition(row: Row) -> Edition:
    return Edition(
        id=row["id"],
        sequence_id=row["sequence_id"],
        tenant_key=row["tenant_key"],
        number=row["version"],
        state=row["state"],
        mode=row["mode"],
        name=row["name"],
        config=row["config"],
        published_at=row["published_at"],
        digest=row["digest"],
    )
