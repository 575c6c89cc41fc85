"""How does a worker come to sit on another host?  A network namespace, a wire to it, the database behind the wire."""

from __future__ import annotations

import selectors
import socket
import subprocess
import threading
from contextlib import suppress
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from crash_table.house import House
from crash_table.scene import WORKER

NAME = "crash-far"
OURS, THEIRS = "10.217.0.1", "10.217.0.2"
TIMEOUTS = "connect_timeout=2&keepalives_idle=1&keepalives_interval=1&keepalives_count=2&tcp_user_timeout=2000"


class Far:
    """Another host. `command` runs a program there; `tear` and `heal` are done to the wire."""

    def __init__(self, house: House) -> None:
        self.command = ["ip", "netns", "exec", NAME]
        self.close()
        self._ip("netns", "add", NAME)
        self._ip("link", "add", "crash0", "type", "veth", "peer", "name", "crash1", "netns", NAME)
        self._ip("addr", "add", f"{OURS}/30", "dev", "crash0")
        self._ip("link", "set", "crash0", "up")
        self._ip("-n", NAME, "addr", "add", f"{THEIRS}/30", "dev", "crash1")
        self._ip("-n", NAME, "link", "set", "crash1", "up")
        self._gate = _Gate(house.server.url)

    _gate: _Gate | None = None

    def url_of(self, url: str) -> str:
        """The same database, through the wire."""
        assert self._gate is not None
        path = urlsplit(url).path
        return f"postgresql://postgres@{OURS}:{self._gate.port}{path}?application_name={WORKER}&{TIMEOUTS}"

    def tear(self) -> None:
        self._ip("link", "set", "crash0", "down")

    def heal(self) -> None:
        self._ip("link", "set", "crash0", "up")

    def close(self) -> None:
        if self._gate is not None:
            self._gate.close()
        subprocess.run(["ip", "link", "del", "crash0"], check=False, capture_output=True)
        subprocess.run(["ip", "netns", "del", NAME], check=False, capture_output=True)

    @staticmethod
    def _ip(*words: str) -> None:
        subprocess.run(["ip", *words], check=True, capture_output=True)


class _Gate:
    """Passes what arrives by TCP on to the server's unix socket, and back."""

    def __init__(self, url: str) -> None:
        query = parse_qs(urlsplit(url).query)
        self._path = str(Path(query["host"][0]) / f".s.PGSQL.{query['port'][0]}")
        self._listener = socket.create_server((OURS, 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                caller, _ = self._listener.accept()
                threading.Thread(target=self._carry, args=(caller,), daemon=True).start()

    def _carry(self, caller: socket.socket) -> None:
        with caller, socket.socket(socket.AF_UNIX) as server, suppress(OSError):
            server.connect(self._path)
            other = {caller: server, server: caller}
            with selectors.DefaultSelector() as selector:
                for each in other:
                    selector.register(each, selectors.EVENT_READ)
                while True:
                    for key, _ in selector.select():
                        each = key.fileobj
                        assert isinstance(each, socket.socket)
                        piece = each.recv(65536)
                        if not piece:
                            return
                        other[each].sendall(piece)
