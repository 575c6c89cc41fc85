"""A worker in a process of its own, to be killed or stopped at a boundary: `python -m tests.engine.victim ...`.

Its provider hands each message to the test over a socket, and the boundary itself is told there too.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from dripdrop import Accepted, AsyncDripDrop, Idempotent, Neither
from dripdrop.engine.dispatcher import Dispatcher
from dripdrop.engine.worker import Worker
from dripdrop.rules.message import Delivery
from dripdrop.rules.outcome import OnDoubt, Outcome

DOUBTS: Mapping[str, OnDoubt] = {"idempotent": Idempotent(timedelta(hours=24)), "neither": Neither()}
SETTINGS: Mapping[str, Any] = {
    "encryption_key": "a2tra2tra2tra2tra2tra2tra2tra2tra2tra2tra2s=",
    "lease_seconds": 1.5,
    "heartbeat_seconds": 0.3,
    "adapter_timeout_seconds": 1.0,
    "quiet_hours_default": False,
    "virtual_clock": True,
}


class Wire:
    """A provider whose messages go to the test's receiver, and whose answer is the receiver's."""

    channel, name = "email", "wire"

    def __init__(self, port: int, doubt: str) -> None:
        self.port = port
        self.on_doubt = DOUBTS[doubt]

    def validate_credentials(self, credentials: Mapping[str, Any]) -> list[tuple[str, str]]:
        return []

    async def deliver(self, delivery: Delivery, config: Mapping[str, Any]) -> Outcome:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            told = {"key": delivery.idempotency_key, "id": str(delivery.id), "by": os.getpid()}
            writer.write(json.dumps(told).encode() + b"\n")
            await reader.readline()
        finally:
            writer.close()
        return Accepted(str(delivery.id))


class Halting:
    """Tells the test that a boundary is reached, and stays there."""

    def __init__(self, port: int) -> None:
        self.port = port

    def tell(self, what: str) -> None:
        with socket.create_connection(("127.0.0.1", self.port)) as line:
            line.sendall(json.dumps({"reached": what}).encode() + b"\n")
            line.recv(10)

    def for_good(self) -> None:
        self.tell("boundary")
        while True:
            signal.pause()

    def until_continued(self) -> None:
        self.tell("boundary")
        os.kill(os.getpid(), signal.SIGSTOP)


def arrange(boundary: str, worker: Worker, wire: Wire, halt: Halting) -> None:
    match boundary:
        case "claimed":
            start = Dispatcher.start

            def stop_at_start(self: Dispatcher, judged: Sequence[Any]) -> None:
                if judged:
                    halt.for_good()
                start(self, judged)

            Dispatcher.start = stop_at_start  # type: ignore[method-assign]
        case "opened":

            async def before_the_wire(*given: Any, **more: Any) -> Any:
                halt.for_good()

            worker.runtime.speaker.send = before_the_wire  # type: ignore[method-assign]
        case "stopped before the wire":
            begin = worker.start

            async def begin_and_wrap() -> Dispatcher:
                dispatcher = await begin()
                carry_out = dispatcher.opens._carry_out

                async def and_stop(items: Sequence[Any]) -> Sequence[Any]:
                    results = await carry_out(items)
                    halt.until_continued()
                    settling.append(asyncio.create_task(tell_when_settled(dispatcher, halt)))
                    return results

                dispatcher.opens._carry_out = and_stop
                return dispatcher

            worker.start = begin_and_wrap  # type: ignore[method-assign]
        case "stopped on the wire":
            deliver = wire.deliver

            async def deliver_and_stop(delivery: Delivery, config: Mapping[str, Any]) -> Outcome:
                outcome = await deliver(delivery, config)
                halt.until_continued()
                assert worker.dispatcher is not None
                settling.append(asyncio.create_task(tell_when_settled(worker.dispatcher, halt)))
                return outcome

            wire.deliver = deliver_and_stop  # type: ignore[method-assign]


settling: list[asyncio.Task[None]] = []


async def tell_when_settled(dispatcher: Dispatcher, halt: Halting) -> None:
    await dispatcher.settled()
    await asyncio.get_running_loop().run_in_executor(None, halt.tell, "settled")


async def main(url: str, port: str, doubt: str, boundary: str) -> None:
    wire, halt = Wire(int(port), doubt), Halting(int(port))
    drip = AsyncDripDrop(url, plugins=[wire], config=SETTINGS)
    worker = Worker(drip._worker.runtime(), name="victim")
    arrange(boundary, worker, wire, halt)
    await worker.run()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
