"""How is the demo told to whoever watches it?"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from datetime import datetime

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from dripdrop.clock import monotonic

_STATES = {"alive": ("●", "green"), "killed": ("✗", "red"), "starting": ("○", "dim")}


class Story:
    """A line for each thing that happens; on a terminal also a picture of where it stands, below."""

    def __init__(self, *, aside: bool, totals: Mapping[str, int]) -> None:
        """`aside` tells it on standard error; `totals` are how many messages are expected of each step."""
        self.console = Console(stderr=aside, highlight=False)
        self.began = monotonic()
        self.totals = totals
        self._now: datetime | None = None
        self._received: Mapping[str, int] = {}
        self._workers: Mapping[str, str] = {}
        self._live = Live(console=self.console, get_renderable=self._picture, refresh_per_second=8, transient=True)

    def __enter__(self) -> Story:
        if self.console.is_terminal:
            self._live.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._live.stop()

    def rest(self) -> None:
        """The picture goes; what is told from now on stands alone."""
        self._live.stop()

    @property
    def seconds(self) -> float:
        """How long it has taken so far."""
        return monotonic() - self.began

    def tell(self, text: str, *, style: str = "") -> None:
        """One thing that happened, with the virtual time at which it did."""
        when = f"{moment(self._now):<12}" if self._now else ""
        self.console.print(Text.assemble((when, "cyan"), (text, style)), soft_wrap=True)

    def show(self, now: datetime, received: Mapping[str, int], workers: Mapping[str, str]) -> None:
        """Where it stands: virtual time, messages taken by the server of each step, the workers' states."""
        if self._now is None or now.date() > self._now.date():
            self.console.print(Text(f"\n{now:%A, %-d %B %Y}", style="bold"))
        self._now, self._received, self._workers = now, received, workers

    def _picture(self) -> Group:
        head = Text("")
        if self._now is not None:
            head = Text(f"{self._now:%A %-d %B %Y, %H:%M} UTC   ", style="bold cyan")
        for name, state in self._workers.items():
            sign, colour = _STATES[state]
            head.append(f"{sign} {name}  ", style=colour)
        head.append(f"{self.seconds:4.0f} s", style="dim")
        bars = Table.grid(padding=(0, 2))
        for step, total in self.totals.items():
            done = self._received.get(step, 0)
            bars.add_row(
                step,
                ProgressBar(total, done, width=40, complete_style="cyan", finished_style="green"),
                f"{done} of {total}",
            )
        return Group(Text(""), head, bars)


def moment(at: datetime) -> str:
    """`Mon 09:00`."""
    return f"{at:%a %H:%M}"


def say(sentence: str) -> None:
    """Something that went wrong, on standard error."""
    print(sentence, file=sys.stderr, flush=True)


def plural(number: int, noun: str, nouns: str | None = None) -> str:
    """`1 person`, `2 people`."""
    return f"{number} {noun if number == 1 else nouns or noun + 's'}"


def listed(parts: Sequence[str]) -> str:
    """`a, b and c`."""
    return " and ".join(filter(None, (", ".join(parts[:-1]), parts[-1]))) if parts else ""
