"""How does the far side tell what became of its messages?  By webhooks, again and again until one is answered 2xx."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

SECRET = b"wire"
SIGNATURE = "x-wire-signature"
AT_ONCE = 3
PAUSE = 0.1
PATIENCE = 2.0
BOUNCES = 5


def signature(body: bytes) -> str:
    """What the provider signs a request with."""
    return hmac.new(SECRET, body, hashlib.sha256).hexdigest()


class Postman:
    """Receipts of one cell: `delivered` of every message, and of each fifth that a copy of it bounced.

    Whoever of the host's processes is found at home gets them, each behind a socket in `folder`.
    """

    def __init__(self, folder: str, path: str) -> None:
        self._folder = Path(folder)
        self._path = path
        self._due: deque[dict[str, Any]] = deque()
        self._under_way = 0
        self._turn = 0
        self._messages = 0
        self.answered: list[dict[str, Any]] = []
        self.tries = 0
        self._tasks = [asyncio.ensure_future(self._go_round()) for _ in range(AT_ONCE)]

    @property
    def pending(self) -> int:
        """How many receipts nobody has answered yet."""
        return len(self._due) + self._under_way

    def take(self, told: Mapping[str, Any], arrival: int) -> None:
        """A message has arrived, for the `arrival`th time."""
        name = f"{told['id']}:{arrival}"
        self._due.append({"event": "delivered", "event_id": f"{name}:delivered", "message": told["id"]})
        self._messages += 1
        if self._messages % BOUNCES == 0:
            bounce = {"event": "bounced", "recipient": f"copy-{told['id']}-{arrival}@example.net"}
            self._due.append({**bounce, "event_id": f"{name}:bounced", "message": told["id"]})

    def end(self) -> None:
        for each in self._tasks:
            each.cancel()

    async def _go_round(self) -> None:
        while True:
            if not self._due:
                await asyncio.sleep(PAUSE / 2)
                continue
            receipt = self._due.popleft()
            self._under_way += 1
            self.tries += 1
            good = False
            with suppress(OSError, asyncio.IncompleteReadError, TimeoutError):
                async with asyncio.timeout(PATIENCE):
                    good = await self._post(json.dumps({"events": [receipt]}).encode())
            self._under_way -= 1
            if good:
                self.answered.append(receipt)
            else:
                self._due.append(receipt)
                await asyncio.sleep(PAUSE)

    async def _post(self, body: bytes) -> bool:
        reader, writer = await self._connected()
        try:
            head = (
                f"POST {self._path} HTTP/1.1\r\nHost: example.org\r\nContent-Type: application/json\r\n"
                f"{SIGNATURE}: {signature(body)}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
            )
            writer.write(head.encode() + body)
            await writer.drain()
            status = (await reader.readuntil(b"\r\n")).split(b" ")[1]
            return status.startswith(b"2")
        finally:
            writer.close()

    async def _connected(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Somebody at home, by turns; the dead leave their sockets behind."""
        doors = sorted(self._folder.glob("*.sock"))
        self._turn += 1
        for number in range(len(doors)):
            with suppress(OSError):
                return await asyncio.open_unix_connection(str(doors[(self._turn + number) % len(doors)]))
        raise ConnectionRefusedError("nobody is at home")
