"""How do sides meet?  Each round runs all of a group once, in an order that is reversed every time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from benchmarks import figures
from benchmarks.children import Failed, call
from benchmarks.sides import Ring, Sample, Script, Side
from benchmarks.targets import RATIOS, Row


@dataclass(slots=True)
class Book:
    """What was found: samples by group and side, single figures, and why something is missing."""

    samples: dict[str, dict[str, list[Sample]]] = field(default_factory=dict)
    single: dict[str, float] = field(default_factory=dict)
    details: dict[str, Any] = field(default_factory=dict)
    absent: dict[str, str] = field(default_factory=dict)

    def ratio(self, row: Row) -> figures.Ratio | str:
        """The ratio of a row of the table, or why there is none."""
        group = self.samples.get(row.group, {})
        for name in (row.ours, row.theirs):
            if name in self.absent:
                return f"{name}: {self.absent[name]}"
            if not group.get(name):
                return f"{name} did not run"
        return figures.Ratio(
            tuple(each.rate for each in group[row.ours]), tuple(each.rate for each in group[row.theirs])
        )

    def ratios(self) -> dict[str, figures.Ratio | str]:
        return {row.key: self.ratio(row) for row in RATIOS}


def hold(group: str, sides: Sequence[Side], rounds: int, ring: Ring, book: Book, say: Callable[[str], None]) -> None:
    """Run a group's rounds into the book; a side that fails is left out of the rest, with its reason."""
    found: dict[str, list[Sample]] = book.samples.setdefault(group, {})
    known = {side.name: side for side in sides}
    for number in range(rounds):
        for name in figures.order(list(known), number):
            if name in book.absent:
                continue
            try:
                sample = ring.run(known[name])
            except Failed as reason:
                book.absent[name] = str(reason)
                found.pop(name, None)
                say(f"{group}, round {number + 1}: {name} fails: {reason}")
                continue
            found.setdefault(name, []).append(sample)
            say(f"{group}, round {number + 1}: {name} {sample.rate:,.0f}/s")


def count_journeys(book: Book) -> None:
    """How many people a second go through the whole sequence, where its side ran."""
    if runs := book.samples.get("one process", {}).get("three"):
        book.single["three_enrollments_per_second"] = median(
            each.rate * each.detail["people"] / each.total for each in runs
        )


def compare_letters(book: Book, sides: Sequence[Side]) -> None:
    """Whether every side sent the letter that the template makes; one that sent another is left out.

    The plain text is compared where the side has one of its own: django-drip-campaigns strips it from the HTML.
    """
    reference = {side.name: side for side in sides if isinstance(side, Script)}.get("plain_handler")
    for name, samples in book.samples.get("letter", {}).items():
        sent = next((each.detail["sample"] for each in samples if each.detail.get("sample")), None)
        if reference is None or sent is None:
            book.absent[name] = "no letter of its was seen, so nothing shows that it sent the same"
            continue
        wanted = call(reference.python, "plain_handler", "letter_of", {"to": sent["to"]}, 30)
        if wrong := [part for part in sent if sent[part] != wanted[part]]:
            book.absent[name] = f"it sent another {', '.join(wrong)}"
