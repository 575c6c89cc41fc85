"""What has a run seen so far?  Each cell is written down as it ends, so that a run that was broken off can go on."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from crash_table.house import ROOT

FILE = ROOT / "build/crash-table.jsonl"


class Kept:
    """The rows of a run; with `go_on` those of the run before it too. Without a file they are remembered only."""

    def __init__(self, file: Path | None = None, *, go_on: bool = False) -> None:
        self._file = file
        self._begun = time.monotonic()
        self._lines: list[dict[str, Any]] = []
        if file is not None:
            file.parent.mkdir(exist_ok=True)
            if go_on and file.exists():
                kept = [json.loads(line) for line in file.read_text("utf-8").splitlines()]
                # What went wrong is tried once more.
                self._lines = [each for each in kept if each["row"]["good"]]
            file.write_text("".join(f"{json.dumps(each)}\n" for each in self._lines), "utf-8")
        self._before = max((each["seconds"] for each in self._lines), default=0.0)
        self._part = 1 + max((each["part"] for each in self._lines), default=0)

    @property
    def rows(self) -> list[dict[str, Any]]:
        """Every row so far, as it ended."""
        return [each["row"] for each in self._lines]

    @property
    def seconds(self) -> float:
        """How long the run has taken, with what went before."""
        return self._before + time.monotonic() - self._begun

    @property
    def parts(self) -> int:
        """How many runs it took to see all of it."""
        return len({each["part"] for each in self._lines})

    def has(self, name: str) -> bool:
        """Whether a cell of that name ended well."""
        return any(row["good"] and name_of(row) == name for row in self.rows)

    def add(self, row: dict[str, Any]) -> None:
        line = {"part": self._part, "seconds": round(self.seconds, 1), "row": row}
        self._lines.append(line)
        if self._file is not None:
            with self._file.open("a", encoding="utf-8") as file:
                file.write(f"{json.dumps(line)}\n")


def name_of(row: Mapping[str, Any]) -> str:
    """What the cell of a row is called."""
    return f"{row['deed']} {row['place']} {row['provider']} {row['on_unknown']}"
