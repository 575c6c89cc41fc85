"""Who takes the letters?  An SMTP server that counts what it accepts; standard library only."""

from __future__ import annotations

import asyncio
from typing import Any

from benchmarks.work import meter

END = b"\r\n.\r\n"
SAID = {
    b"EHLO": b"250-sink.example.com\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 SIZE 10485760\r\n",
    b"HELO": b"250 sink.example.com\r\n",
    b"MAIL": b"250 2.1.0 sender ok\r\n",
    b"RCPT": b"250 2.1.5 recipient ok\r\n",
    b"DATA": b"354 go on\r\n",
    b"NOOP": b"250 2.0.0 ok\r\n",
    b"RSET": b"250 2.0.0 ok\r\n",
}


class Count:
    """Of all connections."""

    messages = 0
    octets = 0


class Sink(asyncio.Protocol):
    """One connection: lines until DATA, then octets until the lone dot."""

    transport: Any

    def __init__(self, count: Count) -> None:
        self.count = count
        self.buffer = b""
        self.in_data = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.transport.write(b"220 sink.example.com ESMTP\r\n")

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        while self._message() if self.in_data else self._line():
            pass

    def _line(self) -> bool:
        line, found, rest = self.buffer.partition(b"\r\n")
        if not found:
            return False
        self.buffer = rest
        verb = line[:4].upper()
        if verb == b"QUIT":
            self.transport.write(b"221 2.0.0 bye\r\n")
            self.transport.close()
            return False
        self.in_data = verb == b"DATA"
        self.transport.write(SAID.get(verb, b"502 5.5.1 not here\r\n"))
        return True

    def _message(self) -> bool:
        text, found, rest = self.buffer.partition(END)
        if not found:
            return False
        self.buffer, self.in_data = rest, False
        self.count.messages += 1
        self.count.octets += len(text)
        self.transport.write(b"250 2.0.0 taken\r\n")
        return True


async def serve(job: dict[str, Any]) -> dict[str, int]:
    """Listen until told to stop; how many messages were taken, and their octets."""
    count = Count()
    server = await asyncio.get_running_loop().create_server(lambda: Sink(count), "127.0.0.1", job["port"])
    meter.ready()
    await asyncio.to_thread(meter.wait_for_line)
    server.close()
    return {"messages": count.messages, "octets": count.octets}
