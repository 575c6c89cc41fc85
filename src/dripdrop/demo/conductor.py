"""How does the demo go from the first row of the file to the last figure?"""

from __future__ import annotations

import json
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from dripdrop.clock import monotonic
from dripdrop.demo import people, tally, watching
from dripdrop.demo.people import Row
from dripdrop.demo.processes import Trouble, WorkerProcess
from dripdrop.demo.stage import CONNECTIONS, Stage, build, definitions
from dripdrop.demo.story import Story, listed, plural, say
from dripdrop.demo.summary import print_people, print_summary, remarkable
from dripdrop.demo.tally import Tally
from dripdrop.demo.victims import doomed
from dripdrop.demo.week import HAPPENINGS, Life, beginning
from dripdrop.rules.zones import find_zone

PAUSE = 0.02
# After so long nothing is on the wire any more, however slow its worker is to say so.
WIRE_SECONDS = 2.5
# Nothing at all has come about for so long: something is stuck.
STUCK_SECONDS = 45.0
KILL_SECONDS = 20.0
CHOOSY_SECONDS = 5.0
REJECTIONS = {
    "missing_address": "without an address",
    "broken_address": "with one that is none",
    "duplicate_row": "that were there already",
}


def conduct(*, as_json: bool, keep: bool, folder: Path | str | None, database: str | None) -> int:
    """Play the demo; see `dripdrop.demo.run`."""
    rows = people.read()
    expected = Counter(step for _, step, kind in tally.expected_deeds(rows) if kind == "message")
    totals = {step.key: expected[step.key] for document in definitions() for step in document.steps}
    try:
        with _interruptible(), Story(aside=as_json, totals=totals) as story:
            story.tell("A fresh PostgreSQL, two sequences, an SMTP server that is not ours")
            with build(folder, keep=keep, database=database) as stage:
                result = Demo(stage, story, rows).play()
            if keep:
                story.console.print(f"Everything is still there: {stage.folder}", soft_wrap=True)
    except Trouble as trouble:
        say(f"The demo came to a halt. {trouble}")
        return 1
    except KeyboardInterrupt:
        say("Stopped. Every process of the demo has ended.")
        return 130
    if as_json:
        print(json.dumps(result.as_dict()), flush=True)
    return 1 if result.wrong else 0


class Demo:
    """One performance."""

    def __init__(self, stage: Stage, story: Story, rows: list[Row]) -> None:
        self.stage = stage
        self.story = story
        self.rows = rows
        self.enrolled: dict[str, Row] = {}
        self.rejected: dict[int, str] = {}
        self.wire: frozenset[UUID] = frozenset()
        self.off_the_wire: set[UUID] = set()
        self.doubts: dict[UUID, tuple[str, str]] = {}
        self.seen_in_doubt: dict[UUID, float] = {}
        self.today: date | None = None
        self.told: Counter[str] = Counter()

    def play(self) -> Tally:
        """From Monday to Sunday; then the figures."""
        stage, story = self.stage, self.story
        monday = beginning(stage.run(lambda now: watching.time(now)))
        self.drive(monday)
        stage.start_workers()
        self.wait_for_workers()
        self.enroll()
        self.kill(self.victim())
        life = Life(stage.drip, stage.url, stage.settings)
        for happening in HAPPENINGS:
            self.drive(monday + happening.after)
            number = life.happen(happening, self.enrolled.values(), stage.mailroom)
            story.tell(happening.said.format(number))
        self.drive(None)
        story.tell("Nobody is left to write to")
        return self.conclude()

    def enroll(self) -> None:
        """Everybody in the file into the trial, and whoever pays gets a receipt."""
        good = [row for row in self.rows if row.trouble is None]
        self.rejected = {row.number: row.trouble for row in self.rows if row.trouble is not None}
        results = self.stage.drip.enroll_many("trial", map(_newcomer, good))
        for row, result in zip(good, results, strict=True):
            if result.error is not None:
                self.rejected[row.number] = result.error.code
            else:
                self.enrolled[row.id] = row
        paying = [row for row in self.enrolled.values() if row.data["plan"] == "pro"]
        self.stage.drip.enroll_many("receipt", map(_newcomer, paying))
        reasons = Counter(self.rejected.values())
        told = listed([f"{number} {REJECTIONS.get(reason, reason)}" for reason, number in reasons.most_common()])
        lost = sum(find_zone(row.data["timezone"]) is None for row in self.enrolled.values())
        self.story.tell(
            f"{len(self.rows)} rows: {len(self.enrolled)} people are enrolled, {len(self.rejected)} rejected"
        )
        self.story.tell(f"rejected: {told}")
        self.story.tell(
            f"{plural(lost, 'person', 'people')} in zones that do not exist: the sequence's own counts for them"
        )

    def victim(self) -> WorkerProcess:
        """A worker with slow messages on the wire: best of all some that arrived and some that did not yet."""
        began = monotonic()
        while (waited := monotonic() - began) < KILL_SECONDS:
            rows = self.stage.run(watching.on_the_wire)
            self.watch()
            found = doomed(rows, self.stage.mailroom.accepted, choosy=waited < CHOOSY_SECONDS)
            for worker in self.stage.workers:
                if found is not None and found.endswith(f":{worker.pid}"):
                    return worker
            time.sleep(PAUSE / 2)
        raise Trouble(f"No worker had a slow message on the wire in {KILL_SECONDS:.0f} seconds.")

    def kill(self, worker: WorkerProcess) -> None:
        """Kill it, and note what it had in its hands."""
        worker.kill()
        held = self.stage.run(lambda now: watching.held(now, worker.pid))
        self.wire = frozenset(execution for execution, state in held.items() if state == "sending")
        self.off_the_wire = set(self.wire)
        self.watch()
        self.story.tell(
            f"{worker.name} is killed (SIGKILL) with {len(held)} executions in its hands, "
            f"{len(self.wire)} of them on the wire",
            style="red",
        )
        if not self.wire:
            raise Trouble(f"{worker.name} was killed, and had nothing on the wire.")

    def drive(self, until: datetime | None) -> None:
        """Let the workers work and time move on, up to a moment; or until nothing is left to do."""
        still, since = self.stage.mailroom.size, monotonic()
        while True:
            settled = self.settle()
            jump = self.stage.run(lambda now: watching.move_on(now, until)) if settled else None
            self.watch(jump.now if jump else None)
            if jump is not None and jump.over:
                return
            idle = jump is not None and not jump.busy
            if idle or self.stage.mailroom.size != still:
                still, since = self.stage.mailroom.size, monotonic()
            if monotonic() - since > STUCK_SECONDS:
                raise Trouble(f"Nothing has moved for {STUCK_SECONDS:.0f} seconds; {self.stage.where_it_stands()}")
            if not idle:
                time.sleep(PAUSE)

    def settle(self) -> bool:
        """What nobody can tell is looked up in the server's log; False while some of it may still be on the wire."""
        found = self.stage.run(watching.in_doubt)
        if not found:
            return True
        for row in found:
            self.seen_in_doubt.setdefault(row["id"], monotonic())
        # The killed worker sends no more. A living one that was taken for dead may have a message on the wire still.
        if any(each["id"] not in self.off_the_wire and self._seen_for(each["id"]) < WIRE_SECONDS for each in found):
            return False
        self.stage.mailroom.come_to_rest()
        arrived = 0
        for row in found:
            way = "sent" if self.stage.mailroom.accepted[row["token"]] else "resend"
            arrived += way == "sent"
            self.doubts[row["id"]] = (row["subscriber_id"], way)
            self.stage.drip.executions.resolve(row["id"], as_=way)
            self.off_the_wire.discard(row["id"])
            del self.seen_in_doubt[row["id"]]
        self.watch()
        self.story.tell(
            f"{plural(len(found), 'message')} in doubt: held, not resent blindly. By the server's log {arrived} "
            f"arrived and {len(found) - arrived} did not; executions resolve settles them",
            style="yellow",
        )
        return True

    def _seen_for(self, execution: UUID) -> float:
        return monotonic() - self.seen_in_doubt[execution]

    def watch(self, now: datetime | None = None) -> None:
        """Look at the processes, and show where it stands."""
        self.stage.look()
        at = now or self.stage.run(watching.time)
        if self.today is not None and at.date() > self.today:
            self.close_of_day()
        self.today = at.date()
        states = {each.name: "killed" if each.killed else "alive" for each in self.stage.workers}
        self.story.show(at, self.stage.mailroom.by_step, states)

    def close_of_day(self) -> None:
        """What the server made of the day."""
        mailroom = self.stage.mailroom
        now = Counter(taken=len(mailroom.accepted), refused=len(mailroom.refused), stalled=len(mailroom.stalled))
        day, self.told = now - self.told, now
        if day:
            more = {"refused": "{} refused (550)", "stalled": "{} stalled (451) and taken at the second try"}
            said = [
                plural(day["taken"], "message") + " taken",
                *(more[key].format(day[key]) for key in more if day[key]),
            ]
            self.story.tell(f"the server's day: {listed(said)}")

    def wait_for_workers(self) -> None:
        """Return when all have registered."""
        until = monotonic() + STUCK_SECONDS
        while self.stage.run(watching.alive) < len(self.stage.workers):
            self.stage.look()
            if monotonic() > until:
                raise Trouble(f"The workers did not start; {self.stage.where_it_stands()}")
            time.sleep(PAUSE)
        self.watch()
        self.story.tell(f"{len(self.stage.workers)} workers, {CONNECTIONS} connections each")

    def conclude(self) -> Tally:
        """The figures, told."""
        stage, story = self.stage, self.story
        self.watch()
        result = tally.count(
            self.rows,
            self.rejected,
            stage.mailroom.accepted,
            stage.run(watching.deeds),
            killed_with=len(self.wire),
            unknown_after_kill=len(self.wire & self.doubts.keys()),
        )
        result.seconds = round(story.seconds, 1)
        self.close_of_day()
        story.rest()
        print_people(story.console, stage.drip, remarkable(self.enrolled, self.doubts.values()))
        print_summary(story.console, result, self.rows, story.totals)
        return result


def _newcomer(row: Row) -> dict[str, Any]:
    return {"subscriber": ("user", row.id), "data": row.data}


@contextmanager
def _interruptible() -> Iterator[None]:
    """SIGTERM ends it as Ctrl-C does: with everything taken down."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
