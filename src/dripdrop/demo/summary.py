"""What is told at the end: the figures, and what became of some of the people?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from rich.console import Console
from rich.padding import Padding
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from dripdrop.app import DripDrop
from dripdrop.demo.people import Row
from dripdrop.demo.story import moment, plural
from dripdrop.demo.tally import Tally
from dripdrop.operations.explaining import Entry

MOST_WRONG = 10
REMARKABLE: dict[str, Callable[[Row], bool]] = {
    "who was asleep when the week began": lambda row: row.data["timezone"] == "America/Los_Angeles",
    "whose mailbox does not exist": lambda row: row.email.endswith("@nobody.example"),
    "who unsubscribed": lambda row: row.happens.startswith("unsubscribes"),
    "who created a sequence": lambda row: row.happens.startswith("creates"),
    "who complained": lambda row: row.happens.startswith("complains"),
}


def print_summary(console: Console, tally: Tally, rows: Iterable[Row], steps: Iterable[str]) -> None:
    """The table of the steps, in their order, and the verdict."""
    console.print()
    console.print(_table(tally, rows, steps))
    console.print()
    if tally.wrong:
        more = len(tally.wrong) - MOST_WRONG
        shown = [*tally.wrong[:MOST_WRONG], *([f"... and {more} more."] if more > 0 else [])]
        console.print(Panel("\n".join(shown), title="This is not right", border_style="red", expand=False))
        return
    said = (
        f"{tally.received_by_smtp:,} messages had to arrive, and {tally.received_by_smtp:,} did.\n"
        f"None twice. None lost. None in doubt.\n"
        f"{plural(tally.refused, 'address', 'addresses')} refused, {plural(tally.skipped, 'step')} skipped, "
        f"{plural(tally.rejected_rows, 'row')} rejected: each as the file said.\n"
        f"A week in {tally.seconds:.0f} seconds."
    )
    console.print(Panel(said, border_style="green", expand=False))


def print_people(console: Console, drip: DripDrop, chosen: Mapping[str, Row]) -> None:
    """What `dripdrop explain` says of some people; `chosen` names each by what is remarkable."""
    console.print()
    console.print(Text("What became of ...", style="bold"))
    for remarkable, row in chosen.items():
        found = drip.explain(subscriber=("user", row.id), sequence="trial")
        console.print()
        console.print(Text.assemble((f"{row.name}, {remarkable}", "bold")))
        console.print(Padding(Text(found.sentence), (0, 0, 0, 2)))
        console.print(Padding(_entries(found.entries, row.data["timezone"]), (0, 0, 0, 2)))


def remarkable(people: Mapping[str, Row], doubts: Iterable[tuple[str, str]]) -> dict[str, Row]:
    """Some people to whom something happened; `doubts` are (id, how it was settled)."""
    found: dict[str, Row] = {}
    settled = {way: person for person, way in reversed(list(doubts))}
    for way, what in (("sent", "whose message was in doubt and had arrived"), ("resend", "whose message had not")):
        if way in settled:
            found[what] = people[settled[way]]
    for what, holds in REMARKABLE.items():
        row = next(filter(holds, people.values()), None)
        if row is not None:
            found[what] = row
    return found


def _table(tally: Tally, rows: Iterable[Row], steps: Iterable[str]) -> Table:
    wanted: Counter[tuple[str, str]] = Counter()
    for row in rows:
        wanted.update((each.what, each.kind) for each in row.expect if each.kind != "rejected")
    table = Table(box=None, padding=(0, 2), header_style="dim")
    for name in ("", "to arrive", "arrived", "to be refused", "to be skipped"):
        table.add_column(name, justify="right" if name else "left")
    for step in steps:
        figures = [wanted[step, "message"], tally.by_step.get(step, 0), wanted[step, "refused"], wanted[step, "skip"]]
        table.add_row(step, *(str(each) if each else "·" for each in figures))
    return table


def _entries(entries: Iterable[Entry], zone: str) -> Table:
    """The journal on the person's own clock."""
    try:
        place, named = ZoneInfo(zone), zone
    except (ZoneInfoNotFoundError, ValueError):
        place, named = ZoneInfo("Etc/UTC"), "UTC"
    table = Table(box=None, padding=(0, 2, 0, 0), show_header=False)
    for each in entries:
        table.add_row(Text(moment(each.at.astimezone(place)), style="cyan"), _said(each))
    table.add_row("", Text(f"(times in {named})", style="dim"))
    return table


def _said(entry: Entry) -> Text:
    if entry.event == "attempt":
        outcome = entry.detail["outcome"] or "no answer"
        why = f" ({entry.reason})" if entry.reason else ""
        return Text(f"attempt {entry.detail['number']}: {outcome}{why}", style="dim")
    said = str(entry.detail["said"])
    return Text(f"{said}, because {entry.reason}" if entry.reason else said)
