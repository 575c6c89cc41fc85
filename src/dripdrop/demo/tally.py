"""Did everything come about that the file says, and nothing else?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from dripdrop.demo.people import Row

# A person's id, a step, and what came of it there: `message`, `refused`, or `skip` with its reason.
Deed: TypeAlias = tuple[str, str, str]


@dataclass(slots=True)
class Tally:
    """The figures, and everything about them that is not as it should be, in sentences."""

    people: int
    rejected_rows: int
    expected: int
    sent: int
    received_by_smtp: int
    refused: int
    skipped: int
    duplicates: int
    lost: int
    unknown_after_kill: int
    unknown: int
    by_step: dict[str, int]
    seconds: float = 0.0
    wrong: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """What `--json` prints."""
        return {name: getattr(self, name) for name in self.__slots__ if name != "wrong"}


def expected_deeds(rows: Iterable[Row]) -> set[Deed]:
    """What the file wants to come about, rejected rows left out."""
    return {
        (row.id, each.what, f"skip:{each.why}" if each.kind == "skip" else each.kind)
        for row in rows
        for each in row.expect
        if each.kind != "rejected"
    }


def count(
    rows: list[Row],
    rejected: Mapping[int, str],
    accepted: Mapping[str, int],
    visits: Iterable[Mapping[str, Any]],
    *,
    killed_with: int,
    unknown_after_kill: int,
) -> Tally:
    """Set what came about beside what was expected. `rejected` are reasons by row, `accepted` messages by token."""
    wanted, visits = expected_deeds(rows), list(visits)
    messages = {(person, step, "message") for person, step, _ in (token.split("/") for token in accepted)}
    other = {deed for deed in map(_deed, visits) if deed is not None}
    refused = {deed for deed in other if deed[2] == "refused"}
    states = Counter(visit["state"] for visit in visits)
    tally = Tally(
        people=len(rows),
        rejected_rows=len(rejected),
        expected=len(wanted),
        sent=states["sent"],
        received_by_smtp=sum(accepted.values()),
        refused=len(refused),
        skipped=len(other) - len(refused),
        duplicates=sum(accepted.values()) - len(accepted),
        lost=len(wanted - messages - other),
        unknown_after_kill=unknown_after_kill,
        unknown=states["unknown"],
        by_step=dict(sorted(Counter(step for _, step, _ in messages).items())),
    )
    tally.wrong = [
        *_rows_wrong(rows, rejected),
        *_deeds_wrong(wanted, messages | other),
        *_figures_wrong(tally, states, killed_with),
    ]
    return tally


def _deed(visit: Mapping[str, Any]) -> Deed | None:
    match visit["state"], visit["reason"]:
        case "skipped", why:
            return visit["subscriber_id"], visit["step"], f"skip:{why}"
        case "failed", "bounced":
            return visit["subscriber_id"], visit["step"], "refused"
        case _:
            return None


def _rows_wrong(rows: list[Row], rejected: Mapping[int, str]) -> Iterable[str]:
    for row in rows:
        wanted = next((each.what for each in row.expect if each.kind == "rejected"), None)
        got = rejected.get(row.number)
        if wanted != got:
            yield f"Row {row.number} was {got or 'taken'} and should have been {wanted or 'taken'}."


def _deeds_wrong(wanted: set[Deed], came: set[Deed]) -> Iterable[str]:
    for person, step, kind in sorted(wanted - came):
        yield f"Person {person} should have had {_said(kind)} at {step}, and had not."
    for person, step, kind in sorted(came - wanted):
        yield f"Person {person} had {_said(kind)} at {step}, and should not have."


def _figures_wrong(tally: Tally, states: Mapping[str, int], killed_with: int) -> Iterable[str]:
    if tally.duplicates:
        yield f"{tally.duplicates} messages arrived twice."
    if tally.unknown:
        yield f"{tally.unknown} messages are still in doubt."
    if tally.sent != tally.received_by_smtp:
        yield f"We say that {tally.sent} were sent, and the server that {tally.received_by_smtp} arrived."
    if tally.unknown_after_kill > killed_with:
        yield f"{tally.unknown_after_kill} doubts came of {killed_with} open attempts."
    for state in ("scheduled", "waiting", "claiming", "sending"):
        if states[state]:
            yield f"{states[state]} visits are still {state}."


def _said(kind: str) -> str:
    return {"message": "a message", "refused": "a refusal"}.get(kind, f"a skip ({kind.removeprefix('skip:')})")
