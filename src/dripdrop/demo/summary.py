"""What is told at the end: the figures, and what became of some of the people?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
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


def print_summary(console: Console, tally: Tally, rows: Iterable[Row]) -> None:
    """The table of the steps, and the verdict."""
    console.print()
    console.print(_steps(tally, rows))
    console.print()
    if tally.wrong:
        more = len(tally.wrong) - MOST_WRONG
        said = [*tally.wrong[:MOST_WRONG], *([f"... and {more} more."] if more > 0 else [])]
        console.print(Panel("\n".join(said), title="This is not right", border_style="red", expand=False))
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


def _steps(tally: Tally, rows: Iterable[Row]) -> Table:
    wanted: Counter[tuple[str, str]] = Counter()
    for row in rows:
        wanted.update((each.what, each.kind) for each in row.expect if each.kind != "rejected")
    table = Table(box=None, padding=(0, 2), header_style="dim")
    for name in ("", "to arrive", "arrived", "to be refused", "to be skipped"):
        table.add_column(name, justify="right" if name else "left")
    for step in sorted({step for step, _ in wanted}, key=lambda step: -wanted[step, "message"]):
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
