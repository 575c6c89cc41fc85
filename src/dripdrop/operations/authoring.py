"""How does a version come to be, and which one is in force?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from dripdrop.errors import Conflict, Finding, Invalid
from dripdrop.operations import adopting, hooking, owning
from dripdrop.operations.adopting import Difference
from dripdrop.operations.cataloguing import (
    active_version,
    create_sequence,
    delete_sequence,
    get_sequence,
    latest_step,
    list_sequences,
    max_version_number,
    steps,
    update_sequence,
    version,
    versions,
)
from dripdrop.operations.hooking import NO_KEYS, Keyring
from dripdrop.operations.owning import AnyVersion, load
from dripdrop.rules import document as documents
from dripdrop.rules import reading, validation
from dripdrop.rules.definition import Version
from dripdrop.rules.document import SequenceDocument
from dripdrop.rules.lifecycle import VERSION
from dripdrop.rules.plain import plain
from dripdrop.rules.validation import Checks
from dripdrop.store import sequences
from dripdrop.store.flow import Flow
from dripdrop.store.scope import Scope
from dripdrop.store.sequences import Edition, Named, Sequence

__all__ = [
    "AnyVersion", "Applied", "activate", "active_version", "apply", "archive", "clone_version", "create_sequence",
    "delete_sequence", "draft", "get_sequence", "latest_step", "list_sequences", "load", "max_version_number", "steps",
    "update_sequence", "validate", "version", "versions",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Applied:
    """What `apply` did: `differences` from what was there before, `changed` their paths; `created`: a new sequence."""

    sequence: Sequence
    version: Version
    differences: list[Difference]
    created: bool

    @property
    def changed(self) -> list[str]:
        return [each.path for each in self.differences]


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
    hooking.refuse_clear(config or {})
    if mode not in ("lifecycle", "outbound"):
        raise Invalid(f"There is no mode {mode!r}.", cure="Use lifecycle or outbound.", code="unknown_word")
    held = yield from owning.held(scope, sequence)
    number = version if version is not None else (yield from sequences.max_version(scope, held.id)) + 1
    if type(number) is not int or not 0 < number < 2**31:
        raise Invalid("A version's number is a whole number from 1 on.", cure="Leave it out.", code="version_number")
    made = yield from sequences.insert_version(
        now, held, number, name=name, mode=mode, config=plain(dict(config or {})), digest=digest
    )
    if made is None:
        raise Conflict(
            f"{held.key} has a version {number} already.", cure="Leave the number out.", code="version_taken"
        )
    return made


def validate(
    now: datetime,
    scope: Scope,
    version: AnyVersion,
    *,
    checks: Checks | None = None,
) -> Flow[list[Finding]]:
    """Everything that keeps a version from being activated, and warnings; empty is good."""
    loaded = yield from owning.load(scope, version)
    return (yield from _judged(scope, loaded, checks))


def activate(
    now: datetime,
    scope: Scope,
    version: AnyVersion,
    *,
    checks: Checks | None = None,
    keyring: Keyring = NO_KEYS,
    validated: bool = True,
) -> Flow[Edition]:
    """Put a version in force and archive the one before; who is inside stays where they are.

    Validates first, unless `validated` is False; raises Invalid (`cannot_activate`, with findings), Conflict.
    """
    edition = yield from owning.writable(scope, version)
    held = yield from owning.held(scope, edition)
    loaded = yield from sequences.load_version(edition.id)
    problems = validation.errors((yield from _judged(scope, loaded, checks))) if validated else []
    if problems:
        raise owning.refusal(
            "cannot_activate", f"Version {edition.number} of {loaded.sequence_key} cannot be activated", problems
        )
    if loaded.state == "active":
        return edition
    VERSION.after("activate", loaded.state)
    yield from hooking.carry(now, held, loaded.config.get("http_hooks"), keyring)
    content = documents.digest(documents.document_of(loaded))
    moved = yield from sequences.activate(now, edition, sources=VERSION.sources("activate"), digest=content)
    return moved or owning.changed_meanwhile(edition)


def archive(now: datetime, scope: Scope, version: AnyVersion) -> Flow[Edition]:
    """Take the active version out of force: nobody can enter until another one is activated."""
    edition = yield from owning.writable(scope, version)
    VERSION.after("archive", edition.state)
    return (yield from sequences.archive(now, edition, sources=VERSION.sources("archive"))) or owning.changed_meanwhile(
        edition
    )


def clone_version(now: datetime, scope: Scope, version: AnyVersion, *, number: int | None = None) -> Flow[Edition]:
    """A new draft with all the parts of a version."""
    loaded = yield from owning.load(scope, version)
    return (yield from _write(now, scope, loaded.sequence_id, documents.document_of(loaded), number))


def apply(
    now: datetime,
    scope: Scope,
    document: SequenceDocument | Mapping[str, Any],
    *,
    checks: Checks | None = None,
    keyring: Keyring = NO_KEYS,
) -> Flow[Applied]:
    """Make a document the active version of its sequence; the same document again changes nothing.

    What belongs to the sequence itself (name, description, hooks, metadata, active) is updated in place; anything else
    makes a new version. Raises Invalid (`cannot_apply`) with every problem at once.
    """
    wanted, problems = _read(document)
    if wanted is not None:
        wanted, unknown = yield from adopting.resolved(scope, wanted)
        known = yield from hooking.known(scope, wanted.key, wanted, checks)
        problems = [*problems, *unknown, *validation.errors(validation.findings(wanted, checks=known))]
    if wanted is None or problems:
        raise owning.refusal("cannot_apply", "The definition cannot be applied", problems)
    sequence, created = yield from _sequence_for(now, scope, wanted)
    before = yield from sequences.active_version(sequence.id)
    same = before is not None and documents.digest(documents.document_of(before)) == documents.digest(wanted)
    found = [Difference(("sequence",), "added")] if created else adopting.differences(sequence, before, wanted)
    if not created and adopting.differs(sequence, wanted):
        sequence = (yield from sequences.update(now, adopting.adopted(sequence, wanted))) or owning.gone(sequence.key)
    if not same:
        edition = yield from _write(now, scope, sequence.id, wanted, None)
        content = documents.digest(wanted)
        yield from sequences.activate(now, edition, sources=VERSION.sources("activate"), digest=content)
        before = yield from sequences.load_version(edition.id)
    assert before is not None
    named = {each.path for each in found}
    found += [
        Difference((place,), "changed")
        for place in (yield from hooking.carry(now, sequence, wanted.config.get("http_hooks"), keyring))
        if not created and place not in named
    ]
    return Applied(sequence, before, found, created)


def _read(document: SequenceDocument | Mapping[str, Any]) -> tuple[SequenceDocument | None, list[Finding]]:
    return (document, []) if isinstance(document, SequenceDocument) else reading.read(document)


def _judged(scope: Scope, version: Version, checks: Checks | None) -> Flow[list[Finding]]:
    document, unknown = yield from adopting.resolved(scope, documents.document_of(version))
    known = yield from hooking.known(scope, version.sequence_id, document, checks)
    return [*unknown, *validation.findings(document, checks=known)]


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
    return (yield from owning.held(scope, found.id if found else wanted.key)), False


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
