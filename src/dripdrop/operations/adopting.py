"""What of a document differs from what is stored, and which adapters does it name?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from dripdrop.errors import Finding
from dripdrop.rules.definition import Version
from dripdrop.rules.document import Path, SequenceDocument, canonical, document_of, spelled
from dripdrop.store import adapters, sequences
from dripdrop.store.adapters import Adapter
from dripdrop.store.flow import Flow
from dripdrop.store.scope import Scope
from dripdrop.store.sequences import Sequence


def resolved(scope: Scope, document: SequenceDocument) -> Flow[tuple[SequenceDocument, list[Finding]]]:
    """The document with each adapter's name replaced by its id, and what is wrong with the names."""
    names = {each for step in document.steps for each in (step.adapter, step.adapter_override) if each}
    known: dict[str, Adapter] = {}
    for name in sorted(names):
        found = yield from _adapter(scope, name)
        if found is not None:
            known[name] = found
    steps = tuple(
        replace(
            step,
            adapter=_id(known, step.adapter),
            adapter_override=_id(known, step.adapter_override),
        )
        for step in document.steps
    )
    return replace(document, steps=steps), list(_problems(document, known))


def _adapter(scope: Scope, name: str) -> Flow[Adapter | None]:
    wanted = sequences.as_uuid(name)
    if wanted is not None:
        return (yield from adapters.get(scope, wanted))
    return (yield from adapters.named(scope, name))


def _id(known: Mapping[str, Adapter], name: str | None) -> str | None:
    return str(known[name].id) if name is not None and name in known else None


def _problems(document: SequenceDocument, known: Mapping[str, Adapter]) -> Iterator[Finding]:
    for step in document.steps:
        for field, name in (("adapter", step.adapter), ("adapter_override", step.adapter_override)):
            at: Path = ("steps", step.key, field)
            if not name:
                continue
            if name not in known:
                cure = "Create it first, or leave `adapter` out to use the default of the channel."
                yield document.finding("unknown_adapter", at, f"There is no adapter {name!r}.", cure)
            elif known[name].channel != step.channel:
                message = f"The adapter {name!r} is for {known[name].channel}, the step for {step.channel}."
                yield document.finding("adapter_channel_mismatch", at, message, "Choose one of the same channel.")


def adopted(sequence: Sequence, document: SequenceDocument) -> Sequence:
    """The sequence with what a document says of it."""
    return replace(
        sequence,
        name=document.name,
        description=document.description,
        hook_module=document.hook_module,
        active=document.active,
        metadata=dict(document.metadata),
    )


def differs(sequence: Sequence, document: SequenceDocument) -> bool:
    """Whether a document says anything else of the sequence itself."""
    return adopted(sequence, document) != sequence


@dataclass(frozen=True, slots=True)
class Difference:
    """One place where a document differs from what is stored; `str` says it: `step welcome: subject changed`."""

    place: Path
    how: str

    @property
    def path(self) -> str:
        return spelled(self.place)

    def __str__(self) -> str:
        if self.place[0] != "steps" or len(self.place) == 1:
            return f"{self.path} {self.how}"
        inner = spelled(self.place[2:]) if len(self.place) > 2 else ""
        return f"step {self.place[1]}: {inner} {self.how}".replace(":  ", ": ")


def differences(sequence: Sequence, before: Version | None, document: SequenceDocument) -> list[Difference]:
    """Every place where a document differs from what is stored."""
    if before is None:
        return [Difference(("steps",), "added")]
    stored = replace(
        document_of(before, description=sequence.description, active=sequence.active),
        name=sequence.name,
        hook_module=sequence.hook_module,
        metadata=sequence.metadata,
    )
    was, now = canonical(stored), canonical(document)
    found = list(_apart(was, now, ()))
    kept = [[key for key in one["steps"] if key in other["steps"]] for one, other in ((was, now), (now, was))]
    if kept[0] != kept[1]:
        found.append(Difference(("steps",), "in another order"))
    return found


def _apart(before: Any, after: Any, at: Path) -> Iterator[Difference]:
    if not isinstance(before, Mapping) or not isinstance(after, Mapping):
        if before != after:
            yield Difference(at, "changed")
        return
    for name in (*before, *(each for each in after if each not in before)):
        if name not in after:
            yield Difference((*at, name), "removed")
        elif name not in before:
            yield Difference((*at, name), "added")
        else:
            yield from _apart(before[name], after[name], (*at, name))
