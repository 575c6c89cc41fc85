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
        self.rows: list[dict[str, Any]] = []
        self._file = file
        self._begun = time.monotonic()
        self._before = 0.0
        if file is None:
            return
        file.parent.mkdir(exist_ok=True)
        if go_on and file.exists():
            lines = [json.loads(line) for line in file.read_text("utf-8").splitlines()]
            # What went wrong is tried once more.
            self.rows = [each["row"] for each in lines if each["row"]["good"]]
            self._before = max((each["seconds"] for each in lines), default=0.0)
        file.write_text("".join(f"{self._line(each)}\n" for each in self.rows), "utf-8")

    @property
    def seconds(self) -> float:
        """How long the run has taken, with what went before."""
        return self._before + time.monotonic() - self._begun

    def has(self, name: str) -> bool:
        """Whether a cell of that name ended well."""
        return any(row["good"] and name_of(row) == name for row in self.rows)

    def add(self, row: dict[str, Any]) -> None:
        self.rows.append(row)
        if self._file is not None:
            with self._file.open("a", encoding="utf-8") as file:
                file.write(f"{self._line(row)}\n")

    def _line(self, row: Mapping[str, Any]) -> str:
        return json.dumps({"seconds": round(self.seconds, 1), "row": row})


def name_of(row: Mapping[str, Any]) -> str:
    """What the cell of a row is called."""
    return f"{row['deed']} {row['place']} {row['provider']} {row['on_unknown']}"
