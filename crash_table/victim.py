"""What does a worker of the crash table run?  The real worker, with a fate."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from typing import Any

from crash_table import breakage, fate, host, tales, wire
from dripdrop import AsyncDripDrop
from dripdrop.engine import dispatcher, matcher, worker
from dripdrop.engine.worker import Worker

SETTINGS: Mapping[str, Any] = {
    "encryption_key": "a2tra2tra2tra2tra2tra2tra2tra2tra2tra2tra2s=",
    "lease_seconds": 1.5,
    "heartbeat_seconds": 0.3,
    "adapter_timeout_seconds": 1.0,
    "quiet_hours_default": False,
    "virtual_clock": True,
    # A bounce suppresses its address, and that is counted; the sequence goes on, and that is counted too.
    "feedback_ends": (),
}
# What the server spends on a connection is most of what a victim costs.
CONNECTIONS = 3
OFTEN = 0.25


def run(spec: Mapping[str, Any]) -> None:
    """Work as `spec` says, until its fate or a signal ends it."""
    for name in ("dripdrop", "psycopg"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    ending = fate.Fate(spec.get("place"), spec.get("hit", 1), stop=spec.get("stop", False))
    fate.arrange(ending)
    breakage.arrange(spec.get("broken"))
    # Small bites: a worker that dies takes a few rows with it, and leaves some for the next one to die with.
    dispatcher.BATCH = worker.BATCH = spec.get("batch", dispatcher.BATCH)
    worker.IN_FLIGHT = spec.get("in_flight", worker.IN_FLIGHT)
    if spec.get("hasty"):
        dispatcher.TICK = worker.TICK = worker.SETTLE_SECONDS = worker.TIDY_SECONDS = matcher.SETTLE_SECONDS = OFTEN
    asyncio.run(_work(spec, ending))


async def _work(spec: Mapping[str, Any], ending: fate.Fate) -> None:
    provider = wire.Wire(spec["receiver"], spec["cell"], spec["kind"], ending.pass_by, slow=spec.get("slow", 0.0))
    drip = AsyncDripDrop(spec["url"], plugins=[provider], config=SETTINGS)
    drip.plugins.register("hooks", tales.HOOKS, host.Hooks(ending.pass_by))
    around = host.Host(drip, spec["tale"])
    provider.afterwards = around.accepted
    runtime = drip._worker.runtime()
    runtime.database.size = CONNECTIONS
    listening = asyncio.create_task(around.listen(spec["door"].format(spec["name"])))
    await Worker(runtime, name=spec["name"]).run()
    listening.cancel()
