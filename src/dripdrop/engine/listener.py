"""How does the dispatcher hear that something is due now?"""

from __future__ import annotations

import asyncio
import logging

import psycopg

from dripdrop.store.enrollments import CHANNEL

_LOG = logging.getLogger("dripdrop.engine")


async def listen(url: str, wake: asyncio.Event, stopping: asyncio.Event) -> None:
    """LISTEN on a connection of its own; lost ones are made again, and a missed wake-up is found by the tick."""
    pause = 0.5
    while not stopping.is_set():
        try:
            async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
                await connection.execute(f"listen {CHANNEL}".encode())
                pause = 0.5
                wake.set()
                async for _ in connection.notifies():
                    wake.set()
        except psycopg.Error as error:
            _LOG.debug("listening again in %.1f s: %s", pause, error)
        try:
            await asyncio.wait_for(stopping.wait(), pause)
        except TimeoutError:
            pause = min(pause * 2, 30.0)
