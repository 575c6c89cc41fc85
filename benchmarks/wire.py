"""How often does a client wait for the server?  A relay on the socket that counts each turn of the conversation."""

from __future__ import annotations

import asyncio
import tempfile
import threading
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from psycopg.conninfo import conninfo_to_dict

CHUNK = 1 << 18


class Relay:
    """Stands in for the server's socket; a pipeline counts once, as the client waits once."""

    def __init__(self, url: str) -> None:
        where = conninfo_to_dict(url)
        self._socket = f"{where['host']}/.s.PGSQL.{where['port']}"
        self._folder = tempfile.TemporaryDirectory(prefix="wire-")
        self._ready = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.url = f"postgresql://{where['user']}@/{where['dbname']}?host={self._folder.name}&port={where['port']}"
        self.round_trips = 0
        self._port = where["port"]

    def __enter__(self) -> Relay:
        self._thread.start()
        if not self._ready.wait(10):
            raise OSError("the relay did not begin")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._folder.cleanup()

    def _run(self) -> None:
        path = str(Path(self._folder.name) / f".s.PGSQL.{self._port}")
        self._loop.run_until_complete(asyncio.start_unix_server(self._meet, path))
        self._loop.call_soon(self._ready.set)
        self._loop.run_forever()

    async def _meet(self, client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        server, to_server = await asyncio.open_unix_connection(self._socket)
        turn = _Turn(self)
        with suppress(ConnectionError):
            await asyncio.gather(turn.pass_on(client, to_server, asked=True), turn.pass_on(server, to_client))


class _Turn:
    """Whose word was last on one connection."""

    def __init__(self, relay: Relay) -> None:
        self._relay = relay
        self._asking = False

    async def pass_on(self, source: asyncio.StreamReader, target: asyncio.StreamWriter, *, asked: bool = False) -> None:
        while data := await source.read(CHUNK):
            if asked and not self._asking:
                self._relay.round_trips += 1
            self._asking = asked
            target.write(data)
            await target.drain()
        target.close()
