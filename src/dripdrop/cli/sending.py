"""Does a step's message arrive?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from dripdrop.cli import output, values
from dripdrop.cli.options import Writing
from dripdrop.cli.session import Session, with_session
from dripdrop.cli.subject import suggesting
from dripdrop.errors import NotFound, Unavailable

if TYPE_CHECKING:
    from collections.abc import Callable

    from dripdrop.app import DripDrop

_DATA = click.option(
    "--data", multiple=True, metavar="K=V|JSON", help="The person's data: key=text, key:=JSON, or JSON."
)


def _step(function: Callable[..., Any]) -> Callable[..., Any]:
    function = click.option("--sequence", metavar="KEY", help="The sequence, where STEP is a bare key.")(function)
    return click.argument("step", metavar="STEP")(function)


@click.command("send-test", cls=Writing)
@_step
@click.option("--to", required=True, metavar="ADDRESS", help="Where to send it.")
@_DATA
@with_session
def send_test(session: Session, step: str, to: str, sequence: str | None, data: tuple[str, ...]) -> None:
    """Send one step's message for real, outside every enrollment. STEP is sequence.step, or a step with --sequence."""
    from dripdrop.rules.outcome import Accepted

    drip, facts = session.drip, values.mapping(data, "--data")
    key, sequence = named(drip, step, sequence)
    if session.dry_run:
        message = drip.preview(key, sequence=sequence, data={"email": to, "phone": to, **facts})
        session.done({"message": message, "dry_run": True}, f"{sequence}.{key} would be sent to {to}.")
        return
    outcome = drip.send_test(key, sequence=sequence, to=to, data=facts)
    if not isinstance(outcome, Accepted):
        what = type(outcome).__name__.lower()
        detail = output.cell({**outcome.detail}) or "no detail"
        raise Unavailable(
            f"{sequence}.{key} was not accepted for {to}: {what} ({detail}).",
            cure="Check the adapter: dripdrop adapters test NAME",
            code="test_not_sent",
        )
    session.done({"outcome": "accepted", "accepted": outcome}, f"{sequence}.{key} was accepted for {to}.")


def named(drip: DripDrop, step: str, sequence: str | None) -> tuple[str, str]:
    """(step key, sequence key); raises NotFound with what was probably meant."""
    from dripdrop.cli.options import suggestion

    if sequence is None:
        sequence, dot, step = step.partition(".")
        if not dot:
            raise click.UsageError("Write STEP as sequence.step, or add --sequence.")
    with suggesting(drip, sequence):
        if drip.sequences.get(sequence) is None:
            raise NotFound(f"There is no sequence {sequence!r}.", cure="See: dripdrop sequences")
        version = drip.sequences.active_version(sequence)
    if version is None:
        raise NotFound(
            f"The sequence {sequence} has no active version.", cure="dripdrop apply FILE", code="no_active_version"
        )
    keys = [each.key for each in version.steps]
    if step not in keys:
        raise NotFound(
            f"{sequence} has no step {step!r}.", cure=suggestion(step, keys).strip() or f"It has: {', '.join(keys)}."
        )
    return step, sequence
