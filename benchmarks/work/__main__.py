"""Runs one phase of one script: `python -m benchmarks.work <script> <phase> JSON`; answers with one JSON line."""

from __future__ import annotations

import asyncio
import importlib
import json
import sys
from collections.abc import Coroutine
from typing import Any

from benchmarks.work import meter


def _finish(work: Coroutine[Any, Any, Any]) -> Any:
    try:
        import uvloop
    except ImportError:
        return asyncio.run(work)
    return uvloop.run(work)


def main() -> None:
    meter.die_with_parent()
    script, phase, job = sys.argv[1:]
    answer = getattr(importlib.import_module(f"benchmarks.work.{script}"), phase)(json.loads(job))
    print(json.dumps(_finish(answer) if asyncio.iscoroutine(answer) else answer), flush=True)


main()
