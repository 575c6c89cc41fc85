"""Whose is this sequence or version, and may the scope change it?"""

from __future__ import annotations

from typing import Any, NoReturn, TypeAlias
from uuid import UUID

from dripdrop.errors import Conflict, Finding, IllegalMove, Invalid, NotFound, Refused
from dripdrop.rules.definition import Version
from dripdrop.store import sequences
from dripdrop.store.flow import Flow
from dripdrop.store.scope import Scope
from dripdrop.store.sequences import Edition, Named, Sequence

AnyVersion: TypeAlias = Edition | Version | UUID | str


def load(scope: Scope, version: AnyVersion) -> Flow[Version]:
    """A version that the scope sees, with all its parts; raises NotFound."""
    return (yield from sequences.load_version((yield from edition_of(scope, version)).id))


def own_draft(scope: Scope, version: AnyVersion) -> Flow[Edition]:
    """The scope's own version, which must be a draft; raises IllegalMove once it is published."""
    edition = yield from writable(scope, version)
    if edition.state != "draft":
        raise IllegalMove(
            f"Version {edition.number} is {edition.state}, and what is published never changes.",
            cure="Clone it, change the clone and activate that: drip.sequences.clone_version(version).",
            code="version_published",
        )
    return edition


def sequence_of(scope: Scope, sequence: Named) -> Flow[Sequence]:
    """The sequence a name or id stands for; raises NotFound."""
    found = yield from sequences.find(scope, sequence)
    return found or gone(sequence)


def held(scope: Scope, sequence: Named) -> Flow[Sequence]:
    """The scope's own sequence, locked until the end of the transaction."""
    found = yield from sequence_of(scope, sequence)
    if found.tenant_key != scope.tenant:
        raise Refused(
            f"{found.key} is a global sequence, which a tenant can use and not change.",
            cure="Make a sequence of that key of your own: it comes first.",
            code="global_sequence",
        )
    return (yield from sequences.lock(found)) or gone(sequence)


def edition_of(scope: Scope, version: AnyVersion) -> Flow[Edition]:
    """The version that the scope sees, without its parts; raises NotFound."""
    wanted = version.id if isinstance(version, (Edition, Version)) else sequences.as_uuid(version)
    found = (yield from sequences.edition(scope, wanted)) if wanted is not None else None
    if found is None:
        raise NotFound(f"There is no version {wanted or version}.", cure="See: dripdrop sequences")
    return found


def writable(scope: Scope, version: AnyVersion) -> Flow[Edition]:
    """The scope's own version; raises NotFound, and Refused (`global_sequence`) for one it only sees."""
    edition = yield from edition_of(scope, version)
    if edition.tenant_key != scope.tenant:
        raise Refused("A global version cannot be changed by a tenant.", cure="Clone it.", code="global_sequence")
    return edition


def refusal(code: str, what: str, problems: list[Finding]) -> Invalid:
    """The error that carries every finding; its sentence shows the first ones."""
    shown = " ".join(str(each) for each in problems[:3])
    return Invalid(f"{what}: {len(problems)} problem(s). {shown}", code=code, findings=problems)


def gone(sequence: Any) -> NoReturn:
    """Raise NotFound."""
    raise NotFound(f"There is no sequence {sequence}.", cure="See: dripdrop sequences")


def changed_meanwhile(edition: Edition) -> NoReturn:
    """Raise Conflict: an UPDATE that was to move this version found it moved."""
    raise Conflict(f"Version {edition.number} changed meanwhile.", cure="Read it again and retry.")
