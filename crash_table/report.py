"""How is the table told?  `docs/crash-table.md`, one JSON object, and a line a cell while it runs."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeAlias

from crash_table.house import ROOT
from crash_table.kept import name_of
from crash_table.wire import CLASSES

PAGE = ROOT / "docs/crash-table.md"
Line: TypeAlias = Mapping[str, Any]
_HEAD = """# Crash table

Written by `make crash-table`; nothing here was typed by hand.

"""
_READING = """
## How to read it

Real workers, forked from one parent that has imported everything, work on a real PostgreSQL and hand each message to a
receiver: a process of its own that is never killed, and counts. Every cell has a database of its own, in which some
hundred people are led through a sequence of three steps by several workers at once. Each victim is ended by SIGKILL, at
its own hand, at the place that the cell is named after. **A kill counts only if that process held a lease or an open
attempt at that moment**; who died with empty hands, or never came to its place, is not in these figures.

When a cell's kills are done the living finish. A person settles what is still in doubt by looking at what arrived, and
every message that the sequence promised is set beside what the receiver counted.

- *Duplicates*: messages that arrived more than once. *Lost*: promised, and never arrived.
- *In doubt*: held for a person, because the provider can neither de-duplicate nor be asked (or was asked in vain) and
  the step says `on_unknown: hold`. Nothing of it is resent blindly.
- *Takeover*: seconds from a worker's death until the last row that it held was in other hands. The lease, which runs
  from a worker's last heartbeat, is {lease} s here and 60 s by default.
- Where the step says `on_unknown: resend` and the provider can neither de-duplicate nor be asked, the author has chosen
  *at least once*. What arrived twice there is marked `*` and counted apart.

What a place is called: an operation is `begun`, or has asked everything and is `uncommitted`, or has `committed` and
nobody knows of it yet.

| Place | Where a worker dies |
|---|---|
| `claim`, `open`, `close` | the three transactions of a message |
| `gate`, `render` | before a claimed message is looked at, after it is made |
| `wire.before`, `.during`, `.answered` | the attempt is open: nothing has left, all has left, it is accepted |
| `take_over` | what the dead held is taken over |
| `doubt` | an answer that got lost (every second one does there) is noted, asked about, settled |
| `leave_advance`, `advance` | a hook decides the way on: the outcome is written and a row left; the answer is written |
| `ask_hook.before`, `.during`, `.answered` | the hook is asked in the host's code, outside every transaction |
| `time_out` | a wait for an event has run out |
| `track`, `track_many` | the host tracks events in a provider's code, while its attempt is open |
| `sweep`, `tidy` | waits are looked at once more; partitions are made and the dead forgotten |
| `receive` | a provider's receipt is taken in by the web application of the worker's own process |
| `match`, `take_in`, `confirm` | receipts are taken up, applied, and end doubts |

In the cells of waits each wait must end exactly once, and by its event if that came in time. In those of receipts the
provider posts `delivered` of every message, and of a fifth that a copy bounced, again and again until it is answered
2xx; each must be there as exactly one event, and each bounce as exactly one suppression.

`stop` cells: a worker stands still (SIGSTOP) until its lease has run out and others have all that it held, and comes
back (*takeover* counts from where it stopped). Everything that it writes is refused by its tokens, and right before the
wire it compares a clock that counts suspension with its last confirmed heartbeat. **The gap that remains**: between
that look and the provider's socket lie a few microseconds in which the machine could be suspended once more. No clock
can close it, only the provider's own de-duplication can.

`fail` cells: nobody dies, the provider does: it refuses, breaks off or hangs, before or after it has accepted.
`database` and `connection`: the postmaster or a backend is killed (the server restarts at once), or every connection is
cut. `calamity`: the ground gives way; what this machine cannot do is said in the cell.
"""
_BESIDES = {"waits": "waits for an event", "receipts": "receipts by webhook"}
_COLUMNS = (
    ("deed", "deed"), ("place", "place"), ("provider", "provider"), ("on_unknown", "on_unknown"), ("kills", "counted"),
    ("open_attempts", "open attempts"), ("messages", "messages"), ("duplicates", "duplicates"), ("lost", "lost"),
    ("unknown", "in doubt"), ("takeover_p50", "takeover p50"), ("takeover_max", "max"),
)  # fmt: skip


def summary(rows: Sequence[dict[str, Any]], seconds: float, parts: int = 1) -> dict[str, Any]:
    """The one object of `--json`. `duplicates` leaves out those that an author chose, which are counted apart.

    `parts` are the runs that it took: more than one where some were broken off, and gone on with.
    """
    chosen = [row for row in rows if row["chosen"]]
    others = [row for row in rows if not row["chosen"]]
    return {
        "kills": sum(row["kills"] for row in rows if row["deed"] == "kill" and row["place"] != "database"),
        "database_kills": sum(row["kills"] for row in rows if row["place"] == "database"),
        "cuts": sum(row["kills"] for row in rows if row["deed"] == "cut"),
        "stops": sum(row["kills"] for row in rows if row["deed"] == "stop"),
        "messages": sum(row["messages"] for row in rows),
        "waits": _sum(rows, "waits"),
        "receipts": _sum(rows, "receipts"),
        "duplicates": _sum(others, "duplicates"),
        "chosen_duplicates": _sum(chosen, "duplicates"),
        "lost": _sum(rows, "lost"),
        "unknown": _sum(rows, "unknown"),
        "open_attempts": _sum(rows, "open_attempts"),
        "takeover_max": max((row["takeover_max"] or 0.0 for row in rows), default=None),
        "bad_cells": [f"{name_of(row)}: {row['problem']}" for row in rows if not row["good"]],
        "fewest_kills": min((row["kills"] for row in rows if row["deed"] == "kill"), default=0),
        "cells": rows,
        "seconds": round(seconds, 1),
        "parts": parts,
    }  # fmt: skip


def _sum(rows: Iterable[Line], name: str) -> int:
    return sum(row[name] or 0 for row in rows)


def write(found: Mapping[str, Any], version: str, settings: Mapping[str, Any]) -> None:
    """The page."""
    killed = [row for row in found["cells"] if row["deed"] == "kill"]
    parts = [
        _HEAD,
        _found(found, version),
        _READING.format(lease=settings["lease_seconds"]),
        "\n## By class of provider and policy\n\n",
        _totals(found["cells"], _class_and_policy, "provider, on_unknown"),
        "\n## By place\n\n",
        _totals(killed, lambda row: f"`{row['place']}`", "place"),
        "\n## Every cell\n\n",
        _table(found["cells"]),
    ]
    PAGE.write_text("".join(parts), "utf-8")


def _found(found: Mapping[str, Any], version: str) -> str:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    broken = f", in {found['parts']} parts: it was broken off, and gone on with" if found["parts"] > 1 else ""
    told = [f"{found[name]:,} {what}" for name, what in _BESIDES.items() if found[name]]
    beside = f"{' and '.join(told)} are in the account. " if told else ""
    bad = "".join(f"- **not good**: {each}\n" for each in found["bad_cells"])
    return (
        f"**{found['kills']:,} workers and {found['database_kills']} databases were killed, {found['cuts']} times all "
        f"lines were cut, and {found['stops']} workers stood still; {found['messages']:,} messages were promised: "
        f"{found['lost']} lost, {found['duplicates']} sent twice, {found['unknown']:,} held for a person** "
        f"({found['chosen_duplicates']:,} arrived twice where the author had chosen that). {beside}The fewest counted "
        f"kills of a cell: {found['fewest_kills']}.\n\n"
        f"PostgreSQL {version}, Python {platform.python_version()}, {platform.system()} {platform.machine()}, "
        f"{os.cpu_count()} cores, {memory:.0f} GB; {found['seconds'] / 60:.0f} minutes{broken}.\n{bad}"
    )


def _class_and_policy(row: Line) -> str:
    return f"{row['provider']}, {row['on_unknown']}{' *' if row['chosen'] else ''}"


def _totals(rows: Sequence[Line], key: Callable[[Line], str], title: str) -> str:
    """Sums of all rows of each key; the takeover is the median of the cells' medians, and the longest of all."""
    groups: dict[str, list[Line]] = {}
    for row in rows:
        groups.setdefault(key(row), []).append(row)
    lines = [
        f"| {title} | cells | counted | messages | duplicates | lost | in doubt | takeover p50 | max |",
        "|---|" + "---:|" * 8,
    ]
    for name, some in groups.items():
        p50 = sorted(row["takeover_p50"] for row in some if row["takeover_p50"] is not None)
        longest = max((row["takeover_max"] for row in some if row["takeover_max"] is not None), default=None)
        chosen, other = ([row for row in some if row["chosen"] is each] for each in (True, False))
        twice = " + ".join(
            [str(_sum(other, "duplicates"))] * bool(other) + [f"{_sum(chosen, 'duplicates')} *"] * bool(chosen)
        )
        cells = [
            len(some), _sum(some, "kills"), _sum(some, "messages"), twice, _sum(some, "lost"), _sum(some, "unknown"),
            p50[len(p50) // 2] if p50 else None, longest,
        ]  # fmt: skip
        lines.append(f"| {name} | " + " | ".join(_said(each) for each in cells) + " |")
    return "\n".join(lines) + "\n"


def _table(rows: Iterable[Line]) -> str:
    lines = [
        "| " + " | ".join(title for _, title in _COLUMNS) + " |",
        "|" + "---|" * 4 + "---:|" * (len(_COLUMNS) - 4),
    ]
    order = {kind: number for number, kind in enumerate(CLASSES)}
    deeds = ("kill", "stop", "fail", "cut", "calamity")
    first = {place: number for number, place in reversed(list(enumerate(row["place"] for row in rows)))}
    for row in sorted(rows, key=lambda row: (deeds.index(row["deed"]), first[row["place"]], order[row["provider"]])):
        twice = row["duplicates"]
        said = {**row, "duplicates": f"{twice} *" if row["chosen"] and twice is not None else twice}
        lines.append("| " + " | ".join(_said(said[name]) for name, _ in _COLUMNS) + " |")
    return "\n".join(lines) + "\n"


def _said(value: Any) -> str:
    return "" if value is None else str(value)


def line(row: Line) -> str:
    """What is printed when a cell is done."""
    verdict = "ok" if row["good"] else f"BAD {row['problem']}"
    return (
        f"{name_of(row):48} {row['kills']:4} counted {row['open_attempts']:5} open "
        f"{row['messages']:6} messages  dup {row['duplicates']} lost {row['lost']} doubt {row['unknown']} "
        f"takeover {row['takeover_p50']}/{row['takeover_max']} s  {row['seconds']} s  {verdict}"
    )
