"""How does an answer look: pretty to people, JSON to programs?"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields, is_dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

from dripdrop.errors import DripDropError

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.console import Console
    from rich.table import Table

_WIDTH = 180  # columns where nobody's terminal sets them


def console(*, stderr: bool = False) -> Console:
    """Where to print; a pipe gets wide lines and no colours."""
    from rich.console import Console

    stream = sys.stderr if stderr else sys.stdout
    return Console(file=stream, highlight=False, width=None if stream.isatty() else _WIDTH)


def table(columns: Sequence[str], rows: Iterable[Sequence[Any]], *, empty: str = "Nothing.") -> Any:
    """A table of plain texts; numbers stand to the right; `empty` is said where there are no rows."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    listed = [list(row) for row in rows]
    if not listed:
        return Text(empty, style="dim")
    made: Table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold", show_edge=False)
    for place, name in enumerate(columns):
        number = all(isinstance(row[place], int) and not isinstance(row[place], bool) for row in listed)
        unbroken = any(isinstance(row[place], (UUID, datetime)) for row in listed)
        made.add_column(name, justify="right" if number else "left", no_wrap=unbroken, overflow="fold")
    for row in listed:
        made.add_row(*(Text(cell(value)) for value in row))
    return made


def pairs(rows: Iterable[tuple[str, Any]]) -> Any:
    """Facts of one thing, a line each; those without a value are left out."""
    from rich.table import Table
    from rich.text import Text

    made = Table.grid(padding=(0, 2))
    made.add_column(style="bold", no_wrap=True)
    made.add_column(overflow="fold")
    for name, value in rows:
        if value not in (None, "", (), {}, []):
            made.add_row(name, Text(cell(value)))
    return made


def cell(value: Any) -> str:
    """One value as people read it."""
    match value:
        case None:
            return "–"
        case bool():
            return "yes" if value else "no"
        case datetime():
            return when(value)
        case Mapping():
            return ", ".join(f"{key}={cell(each)}" for key, each in value.items())
        case list() | tuple():
            return ", ".join(map(cell, value))
        case _:
            return str(value)


def when(at: datetime | None) -> str:
    """A time to the minute in UTC: `2030-03-01 09:00 UTC`; `–` where there is none."""
    return "–" if at is None else f"{at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def distance(at: datetime, now: datetime) -> str:
    """How far away a time is: `in 2 days`, `3 hours ago`, `now`."""
    left = abs(at - now)
    if left < timedelta(minutes=1):
        return "now"
    minutes = int(left.total_seconds() // 60)
    unit, size = next((unit, size) for unit, size in (("day", 1440), ("hour", 60), ("minute", 1)) if minutes >= size)
    number = minutes // size
    said = f"{number} {unit}{'s' * (number != 1)}"
    return f"in {said}" if at > now else f"{said} ago"


def plain(value: Any) -> Any:
    """The value as JSON can hold it; what a dataclass keeps out of its repr is left out here too."""
    if is_dataclass(value) and not isinstance(value, type):
        return {each.name: plain(getattr(value, each.name)) for each in fields(value) if each.repr}
    if isinstance(value, DripDropError):
        return value.as_dict()
    if isinstance(value, Mapping):
        return {str(key): plain(each) for key, each in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(each) for each in value]
    if isinstance(value, datetime):
        return value.isoformat()
    if value is None or isinstance(value, (str, int, float, bool)):
        return value
    return str(value)


def write_json(value: Any) -> None:
    """One JSON document on standard output."""
    import orjson

    sys.stdout.write(orjson.dumps(plain(value), option=orjson.OPT_INDENT_2).decode() + "\n")
    sys.stdout.flush()


def note(text: str) -> None:
    """A remark beside the answer, on standard error."""
    from rich.text import Text

    console(stderr=True).print(Text(text, style="dim"))


@contextmanager
def progress(what: str, total: int | None, *, silent: bool) -> Iterator[Callable[[int], None]]:
    """A bar on a terminal's standard error, and nothing anywhere else; call what it gives with the number done."""
    if silent or not sys.stderr.isatty():
        yield lambda done: None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=total)
        yield lambda done: bar.update(task, completed=done)
