"""Which worker is to be killed?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

# The server keeps a slow message for a second: one that is younger will be on the wire for a while.
YOUNG_SECONDS = 0.7
SLOW = ("slow.example", "sleepy.example")


def doomed(rows: Sequence[Mapping[str, Any]], arrived: Mapping[str, int], *, choosy: bool) -> str | None:
    """The name of the worker with the most young slow messages; a choosy one wants both sorts of them."""
    waiting: Counter[str] = Counter()
    taken: Counter[str] = Counter()
    for row in rows:
        domain = row["recipient"].rpartition("@")[2]
        if row["seconds"] < YOUNG_SECONDS and domain in SLOW:
            (taken if row["token"] in arrived else waiting)[row["name"]] += 1
    for name, _ in (waiting + taken).most_common():
        if not choosy or (waiting[name] and taken[name]):
            return name
    return None
