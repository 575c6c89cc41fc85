"""What happens where workers die?  One cell: a place, a class of provider, and a policy for doubts."""

from __future__ import annotations

import queue
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from crash_table import tales
from crash_table.accounts import Account
from crash_table.fate import PLACES
from crash_table.house import Child, House
from crash_table.scene import PATIENCE, Scene
from crash_table.wire import CLASSES

POLICIES = ("hold", "resend")
AT_ONCE = 4
BATCH = 4
PEOPLE = 40
LONGEST_LIFE = 10.0
LEASE = 1.5
IMPATIENCE = 20.0
AFTERLIFE = 1.5
# A cell in which hardly anybody died says nothing, whatever its account: so much of the target must be reached.
ENOUGH = 2 / 3
# What every worker does at its start, before it holds anything.
LATER = ("claim", "take_over", "sweep", "tidy", "match", "confirm")
# Where a worker comes back, others must still be at what it held: their wire is slow.
SLOW = {"kill": 0.01, "stop": 0.3}


@dataclass(frozen=True, slots=True)
class Cell:
    """`deed` is `kill`, or `stop`: stand still for longer than the lease, and come back."""

    place: str
    kind: str
    on_unknown: str
    deed: str = "kill"
    broken: str | None = None

    @property
    def name(self) -> str:
        return f"{self.deed} {self.place} {self.kind} {self.on_unknown}"


@dataclass(slots=True)
class Result:
    """What one cell saw. `kills` are of those who held a lease or an open attempt; `idle_kills` do not count."""

    cell: Cell
    kills: int = 0
    idle_kills: int = 0
    open_attempts: int = 0
    takeovers: list[float] = field(default_factory=list)
    account: Account | None = None
    seconds: float = 0.0
    problem: str = ""

    @property
    def chosen(self) -> bool:
        """Whether an author chose at least once, for a provider that can neither de-duplicate nor be asked."""
        return self.cell.kind == "neither" and self.cell.on_unknown == "resend"

    @property
    def good(self) -> bool:
        found = self.account
        if self.problem or found is None or found.lost or found.wrong:
            return False
        return self.chosen or not found.duplicates


def every(deeds: tuple[str, ...] = ("kill", "stop")) -> Iterator[Cell]:
    """Each place with each class of provider and each policy."""
    for deed in deeds:
        for place in PLACES if deed == "kill" else ("open.begun", "open.committed", "wire.before", "close.begun"):
            for kind in CLASSES:
                for on_unknown in POLICIES:
                    yield Cell(place, kind, on_unknown, deed)


def run(house: House, cell: Cell, target: int, *, seconds: float = 60.0) -> Result:
    """Kill or stop workers at the place until `target` of them count, let the rest finish, and take the account."""
    begin, result = time.monotonic(), Result(cell)
    manners = tales.MANNERS.get(tales.operation(cell.place))
    scene = Scene(
        house,
        cell.name,
        cell.kind,
        cell.on_unknown,
        manners=manners,
        slow=SLOW[cell.deed],
        tale=tales.tale(cell.place),
    )
    try:
        scene.enroll(PEOPLE)
        # Where the dying is at taking over, the living would be quicker: they come later.
        early = not cell.place.startswith("take_over")
        bounds: dict[str, Any] = {"batch": 10, "in_flight": 20}
        if cell.deed == "kill":
            # They are there to take over, and must not be done before anybody dies.
            bounds = {"batch": 4, "in_flight": 4, "slow": 0.3}
        living = [house.nursery.bear(scene.spec(broken=cell.broken, **bounds))] if early else []
        _Deeds(scene, cell, result, target, begin + seconds).run()
        living.append(house.nursery.bear(scene.spec(broken=cell.broken)))
        # What a broken build leaves behind may never come to an end.
        settled = scene.finish(PATIENCE if cell.broken is None else IMPATIENCE)
        for each in living:
            each.kill(signal.SIGTERM)
            each.ended.wait(5.0)
        result.account = scene.account(settled)
        if result.kills < target * ENOUGH and not result.problem:
            result.problem = f"only {result.kills} of {target} deaths count"
    except Exception as error:
        result.problem = f"{type(error).__name__}: {error}"
    finally:
        scene.close()
    result.seconds = time.monotonic() - begin
    return result


class _Deeds:
    """Keeps a few victims alive at a time, and looks at what each of them held when it ended."""

    def __init__(self, scene: Scene, cell: Cell, result: Result, target: int, until: float) -> None:
        self.scene, self.cell, self.result, self.target, self.until = scene, cell, result, target, until
        self.ended: queue.SimpleQueue[Child] = queue.SimpleQueue()
        self.alive: dict[str, tuple[Child, float]] = {}
        self.dead: dict[str, float] = {}
        # Whoever lived too long without coming to its place was ended by us, and does not count.
        self.cut_short: set[str] = set()
        # Of those who stand still: what they held and since when, since when others have it, since when they are back.
        self.stood: dict[str, tuple[int, int]] = {}
        self.stood_at: dict[str, float] = {}
        self.gone: dict[str, float] = {}
        self.back: dict[str, float] = {}
        self.number = 0

    def run(self) -> None:
        while self.result.kills < self.target and time.monotonic() < self.until:
            self._keep_supplied()
            while len(self.alive) < min(AT_ONCE, self.target - self.result.kills):
                self._bear()
            self._look()
        for child, _ in self.alive.values():
            child.kill()
        self._await_takeovers()

    def _bear(self) -> None:
        self.number += 1
        # Whoever dies while it claims, or at a loop's turn, must hold something of an earlier claim.
        hit = 1 + self.number % 3 + 2 * (tales.operation(self.cell.place) in LATER)
        child = self.scene.house.nursery.bear(
            self.scene.spec(
                place=self.cell.place,
                hit=hit,
                stop=self.cell.deed == "stop",
                batch=BATCH,
                in_flight=BATCH * 2,
                broken=self.cell.broken,
                hasty=tales.hasty(self.cell.place),
            ),
            self.ended,
        )
        self.alive[child.name] = (child, time.monotonic())

    def _look(self) -> None:
        try:
            child = self.ended.get(timeout=0.05)
        except queue.Empty:
            self._watch()
            return
        there = self.alive.pop(child.name, None)
        if there is None:
            return
        held, open_attempts = self.scene.held([child.name]).get(child.name, (0, 0))
        if self.cell.deed == "stop":
            held, open_attempts = self.stood.pop(child.name, (0, 0)) if child.name in self.back else (0, 0)
        if child.died_of == signal.SIGKILL and held and child.name not in self.cut_short:
            self.result.kills += 1
            self.result.open_attempts += open_attempts
            if self.cell.deed == "kill":
                self.dead[child.name] = child.ended_at
        else:
            self.result.idle_kills += 1
            if child.status is not None and child.status > 0:
                self.result.problem = self.result.problem or f"a victim ended with status {child.status}"

    def _watch(self) -> None:
        now = time.monotonic()
        for name in self._released(list(self.dead)):
            self.result.takeovers.append(now - self.dead.pop(name))
        for child, since in list(self.alive.values()):
            if self.cell.deed == "stop" and self._bring_back(child, now):
                continue
            if now - since > LONGEST_LIFE:
                self.cut_short.add(child.name)
                child.kill()

    def _bring_back(self, child: Child, now: float) -> bool:
        """Who stands still is left so until others have all that it held; then it may write what it likes, and dies."""
        name = child.name
        if name in self.back:
            if now > self.back[name] + AFTERLIFE:
                child.kill()
            return True
        if not child.stands():
            return False
        held = self.scene.held([name]).get(name, (0, 0))
        if name not in self.stood:
            self.stood[name], self.stood_at[name] = held, now
        if not self.stood[name][0]:
            self.cut_short.add(name)
            child.kill()
        elif not held[0]:
            if name not in self.gone:
                self.gone[name] = now
                self.result.takeovers.append(now - self.stood_at[name])
            # The others are at it in different ways by then: they have just taken over, claimed it, sent it.
            if now > self.gone[name] + 0.1 * (len(self.gone) % 4):
                self.back[name] = now
                child.kill(signal.SIGCONT)
        return True

    def _released(self, names: list[str]) -> list[str]:
        held = self.scene.held(names) if names else {}
        return [name for name in names if not held.get(name, (0, 0))[0]]

    def _keep_supplied(self) -> None:
        if self.scene.live()["due"] < PEOPLE:
            self.scene.enroll(PEOPLE)

    def _await_takeovers(self) -> None:
        until = time.monotonic() + 10 * LEASE
        while self.dead and time.monotonic() < until and not self.cell.place.startswith("take_over"):
            self._watch()
            time.sleep(0.05)


def told(result: Result) -> dict[str, Any]:
    """A row of the table."""
    found, takeovers = result.account, sorted(result.takeovers)
    return {
        "deed": result.cell.deed,
        "place": result.cell.place,
        "provider": result.cell.kind,
        "on_unknown": result.cell.on_unknown,
        "kills": result.kills,
        "idle_kills": result.idle_kills,
        "open_attempts": result.open_attempts,
        "messages": found.expected if found else 0,
        "waits": found.waits if found else 0,
        "receipts": found.receipts if found else 0,
        "duplicates": found.duplicates if found else None,
        "lost": found.lost if found else None,
        "unknown": found.unknown if found else None,
        "takeover_p50": round(takeovers[len(takeovers) // 2], 2) if takeovers else None,
        "takeover_max": round(takeovers[-1], 2) if takeovers else None,
        "seconds": round(result.seconds, 1),
        "good": result.good,
        "chosen": result.chosen,
        "problem": result.problem or (found.wrong if found else ""),
    }
