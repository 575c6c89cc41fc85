"""What arrived?  The other side of the wire, in a process of its own that nothing here kills.

One line of JSON a request over a unix socket. A `deliver` is counted the moment that it is accepted, whether or not
anybody is still there to hear the answer; what a de-duplicating provider has seen under a key it does not count again.
How it fails is a matter of the message: a digest of its key and of how often it came picks from the cell's `manners`.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections import Counter, defaultdict
from contextlib import suppress
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any

from crash_table.postman import Postman

MANNERS = ("refuse", "reset_before", "reset_after", "hang_before", "hang_after")


@dataclass(slots=True)
class Cell:
    """What one cell's provider does, and what has arrived there."""

    dedupe: bool = False
    manners: dict[str, float] = field(default_factory=dict)
    slow: float = 0.0
    seen: dict[str, str] = field(default_factory=dict)
    arrived: Counter[str] = field(default_factory=Counter)
    tries: Counter[str] = field(default_factory=Counter)
    changed: int = 0
    postman: Postman | None = None

    def take(self, told: dict[str, Any]) -> None:
        """The message is in the person's hands."""
        key = told["key"]
        if key in self.seen:
            self.changed += self.seen[key] != told["content"]
            if self.dedupe:
                return
        self.seen[key] = told["content"]
        self.arrived[told["id"]] += 1
        if self.postman is not None:
            self.postman.take(told, self.arrived[told["id"]])

    def manner(self, key: str) -> str | None:
        """How this try of this message fails, if it does; a message that failed twice is taken."""
        self.tries[key] += 1
        if not self.manners or self.tries[key] > 2:
            return None
        share = int.from_bytes(blake2b(f"{key}/{self.tries[key]}".encode(), digest_size=4).digest()) / 2**32
        for name, part in self.manners.items():
            if share < part:
                return name
            share -= part
        return None


class Receiver:
    """Serves deliveries, questions, and the conductor who asks for the count."""

    def __init__(self) -> None:
        self.cells: defaultdict[str, Cell] = defaultdict(Cell)

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while line := await reader.readline():
                answer = await self._answer(json.loads(line), reader)
                if answer is None:
                    writer.transport.abort()
                    return
                writer.write(json.dumps(answer).encode() + b"\n")
        writer.close()

    async def _answer(self, told: dict[str, Any], reader: asyncio.StreamReader) -> dict[str, Any] | None:
        cell = self.cells[told["cell"]]
        match told["op"]:
            case "deliver":
                return await self._deliver(cell, told, reader)
            case "find":
                return {"found": told["key"] in cell.seen}
            case "cell":
                self.cells[told["cell"]] = Cell(told["dedupe"], told.get("manners") or {}, told.get("slow") or 0.0)
                return {}
            case "count":
                return {"arrived": cell.arrived, "changed": cell.changed}
            case "post":
                cell.postman = Postman(told["folder"], told["path"])
                return {}
            case "receipts":
                man = cell.postman
                return {"answered": man.answered, "pending": man.pending, "tries": man.tries} if man else {}
            case "forget":
                if (gone := self.cells.pop(told["cell"], None)) is not None and gone.postman is not None:
                    gone.postman.end()
                return {}
        return {"error": "unknown"}

    async def _deliver(self, cell: Cell, told: dict[str, Any], reader: asyncio.StreamReader) -> dict[str, Any] | None:
        manner = cell.manner(told["key"])
        if manner == "refuse":
            return {"refused": True}
        if manner == "reset_before":
            return None
        if manner == "hang_before":
            await reader.read()
            return None
        cell.take(told)
        if manner == "reset_after":
            return None
        if manner == "hang_after":
            await reader.read()
            return None
        if cell.slow:
            await asyncio.sleep(cell.slow)
        return {"accepted": True}


async def serve(path: str) -> None:
    """Serve at `path` until the input ends."""
    loop, ended = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(sys.stdin.fileno(), lambda: None if os.read(sys.stdin.fileno(), 64) else ended.set())
    server = await asyncio.start_unix_server(Receiver().talk, path)
    print("ready", flush=True)
    await ended.wait()
    server.close()


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1]))
