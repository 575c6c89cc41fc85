"""How is what was found kept?  As one JSON file from which the page and the picture can be made again."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.contest import Book
from benchmarks.sides import Sample

RESULTS = Path(__file__).parent / "results" / "latest.json"


def save(path: Path, book: Book, facts: dict[str, Any]) -> None:
    """Write everything; letters and timelines of single runs are left out."""
    samples = {
        group: {name: [_bare(each) for each in runs] for name, runs in sides.items()}
        for group, sides in book.samples.items()
    }
    found = {
        "facts": facts,
        "samples": samples,
        "single": book.single,
        "details": book.details,
        "absent": book.absent,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(found, indent=1) + "\n", "utf-8")


def load(path: Path) -> tuple[Book, dict[str, Any]]:
    """The book and the facts of a run that was saved."""
    found = json.loads(path.read_text("utf-8"))
    samples = {
        group: {name: [Sample(**each) for each in runs] for name, runs in sides.items()}
        for group, sides in found["samples"].items()
    }
    return Book(samples, found["single"], found["details"], found["absent"]), found["facts"]


def _bare(sample: Sample) -> dict[str, Any]:
    kept = ("wal_bytes", "rows_written", "rss_mb")
    detail = {name: sample.detail[name] for name in kept if name in sample.detail}
    return {**asdict(sample), "detail": detail}
