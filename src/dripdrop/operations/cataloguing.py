"""Which sequences are there, what are they called, and which versions have they?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from dripdrop.errors import Conflict, Invalid, NotFound, Refused
from dripdrop.operations import owning
from dripdrop.operations.owning import AnyVersion
from dripdrop.rules import reading
from dripdrop.rules.definition import Step, Version
from dripdrop.rules.document import NO_ID
from dripdrop.rules.plain import plain
from dripdrop.store import sequences
from dripdrop.store.flow import Flow
from dripdrop.store.scope import Scope
from dripdrop.store.sequences import Edition, Named, Sequence

_KEEP: Any = object()


def create_sequence(
    now: datetime,
    scope: Scope,
    key: str,
    *,
    name: str,
    description: str | None = None,
    hooks: str | None = None,
    metadata: Mapping[str, Any] | None = None,
    active: bool = True,
) -> Flow[Sequence]:
    """A new sequence without versions; raises Invalid (`sequence_key`, `missing_name`), Conflict (`key_taken`)."""
    wanted = Sequence(
        NO_ID,
        scope.tenant,
        checked_key(key),
        _name(name),
        description,
        hooks,
        active,
        plain(dict(metadata or {})),
    )
    made = yield from sequences.insert(now, wanted)
    if made is None:
        raise Conflict(f"There is a sequence {wanted.key!r} already.", cure="Choose another key.", code="key_taken")
    return made


def update_sequence(
    now: datetime,
    scope: Scope,
    sequence: Named,
    *,
    name: str = _KEEP,
    description: str | None = _KEEP,
    hooks: str | None = _KEEP,
    metadata: Mapping[str, Any] = _KEEP,
    active: bool = _KEEP,
) -> Flow[Sequence]:
    """The sequence with what is given changed; its key never changes, its versions are untouched."""
    held = yield from owning.held(scope, sequence)
    given: dict[str, Any] = {"name": name, "description": description, "hook_module": hooks, "active": active}
    given["metadata"] = metadata if metadata is _KEEP else plain(dict(metadata))
    changed = replace(held, **{field: value for field, value in given.items() if value is not _KEEP})
    updated = yield from sequences.update(now, replace(changed, name=_name(changed.name)))
    return updated or owning.gone(sequence)


def delete_sequence(now: datetime, scope: Scope, sequence: Named) -> Flow[None]:
    """Away with a sequence and its versions; raises Refused (`sequence_in_use`) when somebody is or was enrolled."""
    held = yield from owning.held(scope, sequence)
    if (yield from sequences.in_use(held)):
        cure = "Switch it off instead: drip.sequences.update(sequence, active=False)."
        raise Refused(f"Somebody is or was enrolled in {held.key}.", cure=cure, code="sequence_in_use")
    yield from sequences.delete(held)


def get_sequence(now: datetime, scope: Scope, sequence: Named) -> Flow[Sequence | None]:
    """The sequence of a key or id, the tenant's own before the global one; None where there is none."""
    return (yield from sequences.find(scope, sequence))


def list_sequences(now: datetime, scope: Scope, *, active: bool | None = None) -> Flow[list[Sequence]]:
    """Every sequence the scope sees, by key."""
    return (yield from sequences.listed(scope, active=active))


def versions(now: datetime, scope: Scope, sequence: Named) -> Flow[list[Edition]]:
    """Every version of a sequence, lowest number first."""
    found = yield from owning.sequence_of(scope, sequence)
    return (yield from sequences.versions(scope, found.id))


def active_version(now: datetime, scope: Scope, sequence: Named) -> Flow[Version | None]:
    """The version new enrollments enter, whole; None where there is none."""
    found = yield from owning.sequence_of(scope, sequence)
    return (yield from sequences.active_version(found.id))


def version(now: datetime, scope: Scope, sequence: Named, number: int) -> Flow[Version]:
    """The version of that number, whole; raises NotFound."""
    found = yield from owning.sequence_of(scope, sequence)
    several = yield from sequences.versions(scope, found.id)
    edition = next((each for each in several if each.number == number), None)
    if edition is None:
        known = ", ".join(f"{each.number} ({each.state})" for each in several) or "none"
        raise NotFound(f"{found.key} has no version {number}.", cure=f"There are: {known}.")
    return (yield from sequences.load_version(edition.id))


def max_version_number(now: datetime, scope: Scope, sequence: Named) -> Flow[int]:
    """The highest number in use, 0 when there is none."""
    found = yield from owning.sequence_of(scope, sequence)
    return (yield from sequences.max_version(scope, found.id))


def latest_step(now: datetime, scope: Scope, sequence: Named, key: str) -> Flow[Step | None]:
    """The step of that key in the highest version that has one."""
    found = yield from owning.sequence_of(scope, sequence)
    return (yield from sequences.latest_step(scope, found.id, key))


def steps(now: datetime, scope: Scope, version: AnyVersion) -> Flow[list[Step]]:
    """Every step of a version, inactive ones too, by position; those without one come last."""
    return list((yield from owning.load(scope, version)).steps)


def checked_key(key: Any) -> str:
    """A sequence's key, trimmed and in lower case; raises Invalid (`sequence_key`)."""
    trimmed = key.strip().lower() if isinstance(key, str) else ""
    if not reading.SEQUENCE_KEY.fullmatch(trimmed):
        cure = "Use a-z, 0-9, - and _, beginning with a letter or digit."
        raise Invalid(f"{str(key)[:80]!r} cannot be a sequence's key.", cure=cure, code="sequence_key")
    return trimmed


def _name(value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        raise Invalid("A sequence needs a name.", cure="Give name=...", code="missing_name")
    return value.strip()
