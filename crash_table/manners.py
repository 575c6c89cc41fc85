"""What happens where the provider fails: before it takes a message, during, and after?"""

from __future__ import annotations

import signal
import time

from crash_table.cells import Cell, Result
from crash_table.house import House
from crash_table.receiver import MANNERS
from crash_table.scene import Scene

PEOPLE = 150
SHARE = 0.3


def run(house: House, manner: str, kind: str, on_unknown: str) -> Result:
    """A third of all tries fails in this manner; nobody is killed. `kills` stays 0."""
    assert manner in MANNERS
    begin, result = time.monotonic(), Result(Cell(manner, kind, on_unknown, "fail"))
    scene = Scene(house, result.cell.name, kind, on_unknown, manners={manner: SHARE})
    try:
        scene.enroll(PEOPLE)
        workers = [house.nursery.bear(scene.spec()) for _ in range(2)]
        settled = scene.finish()
        for each in workers:
            each.kill(signal.SIGTERM)
            each.ended.wait(10.0)
        result.account = scene.account(settled)
    except Exception as error:
        result.problem = f"{type(error).__name__}: {error}"
    finally:
        scene.close()
    result.seconds = time.monotonic() - begin
    return result
