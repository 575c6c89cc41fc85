"""How do sequences, versions and their parts come to be, and which version is in force?"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, TypeAlias
from uuid import UUID

from dripdrop.errors import Conflict, Finding, IllegalMove, Invalid, NotFound, Refused
from dripdrop.operations import adopting
from dripdrop.rules import document as documents
from dripdrop.rules import reading, validation
from dripdrop.rules.definition import CHANNELS, Step, Version
from dripdrop.rules.document import SequenceDocument
from dripdrop.rules.lifecycle import VERSION
from dripdrop.rules.validation import CheckTemplate
from dripdrop.store import sequences
from dripdrop.store.flow import Flow
from dripdrop.store.scope import Scope
from dripdrop.store.sequences import Edition, Named, Sequence

AnyVersion: TypeAlias = Edition | Version | UUID | str
_KEEP: Any = object()


@dataclass(frozen=True, slots=True)
class Applied:
    """What `apply` did: `changed` names every place that differs from before; `created` says the sequence is new."""

    sequence: Sequence
    version: Version
    changed: list[str]
    created: bool


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
        documents.NO_ID, scope.tenant, checked_key(key), _name(name), description, hooks, active, dict(metadata or {})
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
    held = yield from _held(scope, sequence)
    given = {"name": name, "description": description, "hook_module": hooks, "metadata": metadata, "active": active}
    changed = replace(held, **{field: value for field, value in given.items() if value is not _KEEP})
    updated = yield from sequences.update(now, replace(changed, name=_name(changed.name)))
    return updated or _gone(sequence)


def delete_sequence(now: datetime, scope: Scope, sequence: Named) -> Flow[None]:
    """Away with a sequence and its versions; raises Refused (`sequence_in_use`) when somebody is or was enrolled."""
    held = yield from _held(scope, sequence)
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


def draft(
    now: datetime,
    scope: Scope,
    sequence: Named,
    *,
    version: int | None = None,
    name: str | None = None,
    mode: str = "lifecycle",
    config: Mapping[str, Any] | None = None,
    digest: bytes | None = None,
) -> Flow[Edition]:
    """A new draft, numbered after the highest version unless a number is given; raises Conflict (`version_taken`)."""
    if mode not in ("lifecycle", "outbound"):
        raise Invalid(f"There is no mode {mode!r}.", cure="Use lifecycle or outbound.", code="unknown_word")
    held = yield from _held(scope, sequence)
    number = version if version is not None else (yield from sequences.max_version(scope, held.id)) + 1
    if type(number) is not int or not 0 < number < 2**31:
        raise Invalid("A version's number is a whole number from 1 on.", cure="Leave it out.", code="version_number")
    made = yield from sequences.insert_version(
        now, held, number, name=name, mode=mode, config=dict(config or {}), digest=digest
    )
    if made is None:
        raise Conflict(
            f"{held.key} has a version {number} already.", cure="Leave the number out.", code="version_taken"
        )
    return made


def versions(now: datetime, scope: Scope, sequence: Named) -> Flow[list[Edition]]:
    """Every version of a sequence, lowest number first."""
    found = yield from _found(scope, sequence)
    return (yield from sequences.versions(scope, found.id))


def active_version(now: datetime, scope: Scope, sequence: Named) -> Flow[Version | None]:
    """The version new enrollments enter, whole; None where there is none."""
    found = yield from _found(scope, sequence)
    return (yield from sequences.active_version(found.id))


def max_version_number(now: datetime, scope: Scope, sequence: Named) -> Flow[int]:
    """The highest number in use, 0 when there is none."""
    found = yield from _found(scope, sequence)
    return (yield from sequences.max_version(scope, found.id))


def latest_step(now: datetime, scope: Scope, sequence: Named, key: str) -> Flow[Step | None]:
    """The step of that key in the highest version that has one."""
    found = yield from _found(scope, sequence)
    return (yield from sequences.latest_step(scope, found.id, key))


def steps(now: datetime, scope: Scope, version: AnyVersion) -> Flow[list[Step]]:
    """Every step of a version, inactive ones too, by position; those without one come last."""
    return list((yield from load(scope, version)).steps)


def validate(
    now: datetime,
    scope: Scope,
    version: AnyVersion,
    *,
    check_template: CheckTemplate | None = None,
    channels: Collection[str] = CHANNELS,
) -> Flow[list[Finding]]:
    """Everything that keeps a version from being activated, and warnings; empty is good."""
    loaded = yield from load(scope, version)
    return (yield from _judged(scope, loaded, check_template, channels))


def activate(
    now: datetime,
    scope: Scope,
    version: AnyVersion,
    *,
    check_template: CheckTemplate | None = None,
    channels: Collection[str] = CHANNELS,
    validated: bool = True,
) -> Flow[Edition]:
    """Put a version in force and archive the one before; who is inside stays where they are.

    Validates first, unless `validated` is False; raises Invalid (`cannot_activate`, with findings), Conflict.
    """
    edition = yield from _writable(scope, version)
    yield from _held(scope, edition)
    loaded = yield from sequences.load_version(edition.id)
    problems = validation.errors((yield from _judged(scope, loaded, check_template, channels))) if validated else []
    if problems:
        raise refusal(f"Version {edition.number} of {loaded.sequence_key} cannot be activated", problems)
    if loaded.state == "active":
        return edition
    VERSION.after("activate", loaded.state)
    content = documents.digest(documents.document_of(loaded))
    moved = yield from sequences.activate(now, edition, sources=VERSION.sources("activate"), digest=content)
    return moved or _changed(edition)


def archive(now: datetime, scope: Scope, version: AnyVersion) -> Flow[Edition]:
    """Take the active version out of force: nobody can enter until another one is activated."""
    edition = yield from _writable(scope, version)
    VERSION.after("archive", edition.state)
    return (yield from sequences.archive(now, edition, sources=VERSION.sources("archive"))) or _changed(edition)


def clone_version(now: datetime, scope: Scope, version: AnyVersion, *, number: int | None = None) -> Flow[Edition]:
    """A new draft with all the parts of a version."""
    loaded = yield from load(scope, version)
    return (yield from _write(now, scope, loaded.sequence_id, documents.document_of(loaded), number))


def apply(
    now: datetime,
    scope: Scope,
    document: SequenceDocument | Mapping[str, Any],
    *,
    check_template: CheckTemplate | None = None,
    channels: Collection[str] = CHANNELS,
) -> Flow[Applied]:
    """Make a document the active version of its sequence; the same document again changes nothing.

    What belongs to the sequence itself (name, description, hooks, metadata, active) is updated in place; anything else
    makes a new version. Raises Invalid (`cannot_apply`) with every problem at once.
    """
    wanted, problems = _read(document)
    if wanted is not None:
        wanted, unknown = yield from adopting.resolved(scope, wanted)
        problems = [*problems, *unknown, *validation.errors(validation.findings(wanted, check_template, channels))]
    if wanted is None or problems:
        raise refusal("The definition cannot be applied", problems)
    sequence, created = yield from _sequence_for(now, scope, wanted)
    before = yield from sequences.active_version(sequence.id)
    same = before is not None and documents.digest(documents.document_of(before)) == documents.digest(wanted)
    changed = adopting.differences(sequence, before, wanted) if not created else ["sequence"]
    if not created and adopting.differs(sequence, wanted):
        sequence = (yield from sequences.update(now, adopting.adopted(sequence, wanted))) or _gone(sequence.key)
    if not same:
        edition = yield from _write(now, scope, sequence.id, wanted, None)
        content = documents.digest(wanted)
        yield from sequences.activate(now, edition, sources=VERSION.sources("activate"), digest=content)
        before = yield from sequences.load_version(edition.id)
    assert before is not None
    return Applied(sequence, before, changed, created)


def load(scope: Scope, version: AnyVersion) -> Flow[Version]:
    """A version that the scope sees, with all its parts; raises NotFound."""
    return (yield from sequences.load_version((yield from _edition(scope, version)).id))


def checked_key(key: Any) -> str:
    """A sequence's key, trimmed and in lower case; raises Invalid (`sequence_key`)."""
    trimmed = key.strip().lower() if isinstance(key, str) else ""
    if not reading.SEQUENCE_KEY.fullmatch(trimmed):
        cure = "Use a-z, 0-9, - and _, beginning with a letter or digit."
        raise Invalid(f"{str(key)[:80]!r} cannot be a sequence's key.", cure=cure, code="sequence_key")
    return trimmed


def refusal(what: str, problems: list[Finding]) -> Invalid:
    """The error that carries every finding; its sentence shows the first ones."""
    shown = " ".join(str(each) for each in problems[:3])
    code = "cannot_apply" if what.endswith("applied") else "cannot_activate"
    return Invalid(f"{what}: {len(problems)} problem(s). {shown}", code=code, findings=problems)


def _read(document: SequenceDocument | Mapping[str, Any]) -> tuple[SequenceDocument | None, list[Finding]]:
    return (document, []) if isinstance(document, SequenceDocument) else reading.read(document)


def _judged(
    scope: Scope, version: Version, check_template: CheckTemplate | None, channels: Collection[str]
) -> Flow[list[Finding]]:
    document, unknown = yield from adopting.resolved(scope, documents.document_of(version))
    return [*unknown, *validation.findings(document, check_template, channels)]


def _sequence_for(now: datetime, scope: Scope, wanted: SequenceDocument) -> Flow[tuple[Sequence, bool]]:
    """The scope's own sequence of that key, locked; made where there is none."""
    found = yield from sequences.find(scope, wanted.key)
    if found is None or found.tenant_key != scope.tenant:
        fresh = adopting.adopted(Sequence(documents.NO_ID, scope.tenant, wanted.key, wanted.name), wanted)
        made = yield from sequences.insert(now, fresh)
        if made is not None:
            return made, True
        # Somebody was faster; this statement sees theirs.
        found = yield from sequences.find(scope, wanted.key)
    return (yield from _held(scope, found.id if found else wanted.key)), False


def _write(
    now: datetime, scope: Scope, sequence_id: UUID, document: SequenceDocument, number: int | None
) -> Flow[Edition]:
    """A new draft with everything a document holds; the number of statements does not depend on its size."""
    edition = yield from draft(
        now,
        scope,
        sequence_id,
        version=number,
        mode=document.mode,
        config=document.config,
        digest=documents.digest(document),
    )
    ids = yield from sequences.insert_steps(now, edition, document.steps)
    if ids is None:
        raise Conflict("Two steps have the same key or position.", cure="Change one of them.", code="step_taken")
    keys = {step.key: each for step, each in zip(document.steps, ids, strict=True)}
    yield from sequences.insert_transitions(now, edition, document.transitions, keys)
    return edition


def _found(scope: Scope, sequence: Named) -> Flow[Sequence]:
    found = yield from sequences.find(scope, sequence)
    return found or _gone(sequence)


def _held(scope: Scope, sequence: Named) -> Flow[Sequence]:
    """The scope's own sequence, locked until the end of the transaction."""
    found = yield from _found(scope, sequence)
    if found.tenant_key != scope.tenant:
        raise Refused(
            f"{found.key} is a global sequence, which a tenant can use and not change.",
            cure="Make a sequence of that key of your own: it comes first.",
            code="global_sequence",
        )
    return (yield from sequences.lock(found)) or _gone(sequence)


def _edition(scope: Scope, version: AnyVersion) -> Flow[Edition]:
    wanted = version.id if isinstance(version, (Edition, Version)) else sequences.as_uuid(version)
    found = (yield from sequences.edition(scope, wanted)) if wanted is not None else None
    if found is None:
        raise NotFound(f"There is no version {wanted or version}.", cure="See: dripdrop sequences")
    return found


def _writable(scope: Scope, version: AnyVersion) -> Flow[Edition]:
    edition = yield from _edition(scope, version)
    if edition.tenant_key != scope.tenant:
        raise Refused("A global version cannot be changed by a tenant.", cure="Clone it.", code="global_sequence")
    return edition


def own_draft(scope: Scope, version: AnyVersion) -> Flow[Edition]:
    """The scope's own version, which must be a draft; raises IllegalMove once it is published."""
    edition = yield from _writable(scope, version)
    if edition.state != "draft":
        raise IllegalMove(
            f"Version {edition.number} is {edition.state}, and what is published never changes.",
            cure="Clone it, change the clone and activate that: drip.sequences.clone_version(version).",
            code="version_published",
        )
    return edition


def _name(value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        raise Invalid("A sequence needs a name.", cure="Give name=...", code="missing_name")
    return value.strip()


def _gone(sequence: Any) -> Any:
    raise NotFound(f"There is no sequence {sequence}.", cure="See: dripdrop sequences")


def _changed(edition: Edition) -> Any:
    raise Conflict(f"Version {edition.number} changed meanwhile.", cure="Read it again and retry.")
