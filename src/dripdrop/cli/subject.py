"""Which enrollment or step is meant, when it is not named by its id?"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from uuid import UUID

import click

from dripdrop.cli.options import suggestion
from dripdrop.cli.values import SUBSCRIBER
from dripdrop.errors import NotFound

if TYPE_CHECKING:
    from dripdrop.app import DripDrop

_LIVE = ("active", "paused")


def which_enrollment(function: Callable[..., Any]) -> Callable[..., Any]:
    """The arguments that name an enrollment: its id, or sequence and subscriber."""
    function = click.option("--subscriber", type=SUBSCRIBER, help="Whose enrollment, such as user:42.")(function)
    function = click.option("--sequence", metavar="KEY", help="In which sequence.")(function)
    return click.argument("enrollment", type=click.UUID, required=False)(function)


def enrollment_id(
    drip: DripDrop, enrollment: UUID | None, sequence: str | None, subscriber: tuple[str, str] | None
) -> UUID:
    """The enrollment meant: of a subscriber the one that goes on, else the newest; raises NotFound."""
    if enrollment is not None and (sequence or subscriber):
        raise click.UsageError("Name either an ENROLLMENT, or --sequence and --subscriber.")
    if enrollment is not None:
        return enrollment
    if subscriber is None:
        raise click.UsageError("Name an ENROLLMENT, or --sequence and --subscriber.")
    with suggesting(drip, sequence):
        found = drip.enrollments.list(sequence=_known(drip, sequence), subscriber=subscriber, limit=50)
    if not found:
        where = f" in {sequence}" if sequence else ""
        raise NotFound(
            f"{subscriber[0]} {subscriber[1]} is not enrolled{where}.", cure="See who is: dripdrop enrollments"
        )
    live = [each for each in found if each.state in _LIVE]
    if sequence is None and len({each.sequence_key for each in live or found}) > 1:
        keys = ", ".join(sorted({each.sequence_key for each in live or found}))
        raise click.UsageError(f"{subscriber[0]} {subscriber[1]} is in several sequences ({keys}): add --sequence.")
    return (live or found)[0].id


@contextmanager
def suggesting(drip: DripDrop, sequence: str | None) -> Iterator[None]:
    """A sequence that is not there is answered with the key that was probably meant."""
    try:
        yield
    except NotFound as missing:
        if sequence is None or sequence not in missing.message:
            raise
        close = suggestion(sequence, [each.key for each in drip.sequences.list()]).strip()
        raise NotFound(missing.message, cure=close or missing.cure, code=missing.code) from missing


def _known(drip: DripDrop, sequence: str | None) -> str | None:
    if sequence is not None and drip.sequences.get(sequence) is None:
        raise NotFound(f"There is no sequence {sequence!r}.", cure="See: dripdrop sequences")
    return sequence
