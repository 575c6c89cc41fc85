"""A Redis that says what it heard, and goes wrong when it is told to."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager


class Server:
    """Answers every command as a Redis would; `publish` says how PUBLISH is answered: bytes, "lost" or "hangs"."""

    def __init__(self, publish=b":1\r\n"):
        self.publish = publish
        self.heard = []
        self.connections = 0

    async def serve(self, reader, writer):
        self.connections += 1
        try:
            while head := await reader.readline():
                words = []
                for _ in range(int(head[1:])):
                    size = int((await reader.readline())[1:])
                    words.append((await reader.readexactly(size + 2))[:-2].decode())
                self.heard.append(words)
                answer = self.publish if words[0] == "PUBLISH" else _ANSWERS.get(words[0], b"+OK\r\n")
                if answer == "hangs":
                    await reader.read()
                    return
                if answer == "lost":
                    return
                writer.write(answer)
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            return
        finally:
            writer.close()


_ANSWERS = {"PING": b"+PONG\r\n", "HELLO": b"-ERR unknown command\r\n"}


@asynccontextmanager
async def running(server):
    """(port) while the server runs."""
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    try:
        yield listening.sockets[0].getsockname()[1]
    finally:
        listening.close()
