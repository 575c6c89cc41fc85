"""A real worker process is killed, or stopped and let go on, at a boundary of its work; another one finishes.

An idempotent receiver gets each message once. At one that can neither de-duplicate nor be asked, exactly the attempts
that were open are held for a person.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import pytest
from tests.engine.victim import SETTINGS, Wire

from dripdrop import AsyncDripDrop
from dripdrop.operations import keeping

ROOT = Path(__file__).parents[2]
DEADLINE = 20.0
PEOPLE = 40
DOCUMENT = {
    "sequence": "onboarding",
    "name": "Onboarding",
    "steps": {"welcome": {"channel": "email", "subject": "Welcome", "text": "Hello {{ name }}"}},
}


class Receiver:
    """What arrives at the provider. While it is `mute`, it takes messages and answers nobody."""

    def __init__(self) -> None:
        self.arrived: list[dict[str, Any]] = []
        self.reached: list[str] = []
        self.mute = False
        self.changed = asyncio.Condition()
        self.port = 0

    async def __aenter__(self) -> Receiver:
        self.server = await asyncio.start_server(self._talk, "127.0.0.1", 0)
        self.port = self.server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *raised: object) -> None:
        self.server.close()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        told = json.loads(await reader.readline() or b"{}")
        async with self.changed:
            if "reached" in told:
                self.reached.append(told["reached"])
            elif told:
                self.arrived.append(told)
            self.changed.notify_all()
        if self.mute and "reached" not in told:
            await reader.read()  # until the other end is gone
        else:
            writer.write(b"\n")
        writer.close()

    async def until(self, holds: Callable[[], bool]) -> None:
        async with self.changed, asyncio.timeout(DEADLINE):
            await self.changed.wait_for(holds)

    def kept(self, *, dedupe: bool) -> Counter[str]:
        """How often each message is in a person's hands; one that de-duplicates keeps one of a key."""
        if dedupe:
            return Counter({each["key"]: each["id"] for each in self.arrived}.values())
        return Counter(each["id"] for each in self.arrived)


class Scene:
    """A sequence with people in it, a victim to come, and the worker that finishes."""

    def __init__(self, url: str, receiver: Receiver, doubt: str) -> None:
        self.url, self.receiver, self.doubt = url, receiver, doubt
        self.drip = AsyncDripDrop(url, plugins=[Wire(receiver.port, doubt)], config=SETTINGS)

    async def begin(self, people: int) -> None:
        await self.drip.adapters.create(
            "main", channel="email", provider="wire", is_default=True, config={"from": "a@example.com"}
        )
        await self.drip.sequences.apply(DOCUMENT)
        rows = [
            {"subscriber": ("user", each), "data": {"email": f"p{each}@example.org", "name": str(each)}}
            for each in range(people)
        ]
        assert all(each.created for each in await self.drip.enroll_many("onboarding", rows))

    @asynccontextmanager
    async def victim(self, boundary: str) -> AsyncIterator[asyncio.subprocess.Process]:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.engine.victim", self.url, str(self.receiver.port), self.doubt, boundary,
            cwd=ROOT, env={**os.environ, "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}"},
        )  # fmt: skip
        try:
            yield process
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()

    def ask(self, text: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.url, autocommit=True) as connection:
            return connection.execute(text.encode()).fetchall()

    def held(self) -> int:
        return int(self.ask("select count(*) from dripdrop.execution_queue where worker_id is not null")[0][0])

    def open_attempts(self) -> set[UUID]:
        return {key for (key,) in self.ask("select execution_id from dripdrop.delivery_attempts where outcome is null")}

    def states(self) -> Counter[str]:
        return Counter(state for (state,) in self.ask("select state::text from dripdrop.step_executions"))

    def unknown(self) -> set[UUID]:
        return {key for (key,) in self.ask("select id from dripdrop.execution_queue where state = 'unknown'")}

    def records(self) -> list[Any]:
        """Everything that is kept of messages and people."""
        tables = ("enrollments", "execution_queue", "execution_history", "delivery_attempts", "journal", "message_keys")
        return [self.ask(f"select t::text from dripdrop.{table} t order by 1") for table in tables]

    async def take_over(self) -> None:
        """Work until nobody holds anything: the dead one's lease has to run out."""
        async with asyncio.timeout(DEADLINE):
            await self.drip.run_due()
            while self.held():
                await asyncio.sleep(0.05)
                await self.drip.run_due()

    async def finish(self) -> None:
        """The same, and all that falls due within hours."""
        await self.take_over()
        now = await self.drip._worker.runtime().database.run(keeping.time)
        await self.drip.drain(until=now + timedelta(hours=2))


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with Receiver() as receiver:
        yield receiver


@pytest.fixture
async def make_scene(database_url: str, receiver: Receiver) -> AsyncIterator[Callable[..., Any]]:
    made: list[Scene] = []

    async def make(doubt: str, people: int = PEOPLE) -> Scene:
        scene = Scene(database_url, receiver, doubt)
        made.append(scene)
        await scene.begin(people)
        return scene

    yield make
    for each in made:
        await each.drip.close()


async def kill(scene: Scene, boundary: str) -> None:
    """A worker dies at this boundary, by SIGKILL."""
    receiver = scene.receiver
    receiver.mute = boundary in ("one taken", "many taken")
    async with scene.victim(boundary) as process:
        if boundary == "one taken":
            await receiver.until(lambda: len(receiver.arrived) >= 1)
        elif boundary == "many taken":
            # As many as a provider that can neither de-duplicate nor be asked gets connections.
            await receiver.until(lambda: len(receiver.arrived) >= 10)
        else:
            await receiver.until(lambda: "boundary" in receiver.reached)
        process.send_signal(signal.SIGKILL)
        assert await process.wait() == -signal.SIGKILL
    receiver.mute = False


@pytest.mark.parametrize("boundary", ["claimed", "opened", "one taken", "many taken"])
async def test_an_idempotent_receiver_gets_each_message_once_after_a_kill(
    make_scene: Callable[..., Any], boundary: str
) -> None:
    scene = await make_scene("idempotent", 1 if boundary == "one taken" else PEOPLE)
    await kill(scene, boundary)
    people = int(scene.ask("select count(*) from dripdrop.enrollments")[0][0])
    assert scene.held() > 0, "the worker died with its hands empty"
    await scene.finish()
    kept = scene.receiver.kept(dedupe=True)
    assert (len(kept), set(kept.values())) == (people, {1}), "somebody got nothing, or something twice"
    assert scene.states() == {"sent": people}


@pytest.mark.parametrize("boundary", ["claimed", "opened", "one taken", "many taken"])
async def test_exactly_the_open_attempts_are_held_where_nobody_can_tell(
    make_scene: Callable[..., Any], boundary: str
) -> None:
    scene = await make_scene("neither", 1 if boundary == "one taken" else PEOPLE)
    await kill(scene, boundary)
    people = int(scene.ask("select count(*) from dripdrop.enrollments")[0][0])
    on_the_wire = scene.open_attempts()
    assert bool(on_the_wire) == (boundary != "claimed")
    await scene.finish()

    assert scene.unknown() == on_the_wire
    expected = {"sent": people - len(on_the_wire), "unknown": len(on_the_wire)}
    assert scene.states() == {state: count for state, count in expected.items() if count}

    got = scene.receiver.kept(dedupe=False)
    for execution in sorted(on_the_wire):
        await scene.drip.executions.resolve(execution, as_="sent" if str(execution) in got else "resend")
    await scene.finish()
    kept = scene.receiver.kept(dedupe=False)
    assert (len(kept), set(kept.values())) == (people, {1})
    assert scene.states() == {"sent": people}


@pytest.mark.parametrize("doubt", ["idempotent", "neither"])
@pytest.mark.parametrize("boundary", ["stopped before the wire", "stopped on the wire"])
async def test_a_worker_that_wakes_after_its_lease_sends_nothing_and_writes_nothing(
    make_scene: Callable[..., Any], boundary: str, doubt: str
) -> None:
    scene = await make_scene(doubt, 1)
    receiver = scene.receiver
    async with scene.victim(boundary) as process:
        await receiver.until(lambda: "boundary" in receiver.reached)
        (on_the_wire,) = scene.open_attempts()
        await scene.finish()
        assert scene.states() == ({"sent": 1} if doubt == "idempotent" else {"unknown": 1})
        before, arrived = scene.records(), list(receiver.arrived)
        assert {each["by"] for each in arrived} == senders(process.pid, boundary, doubt)

        process.send_signal(signal.SIGCONT)
        await receiver.until(lambda: "settled" in receiver.reached)
        assert receiver.arrived == arrived
        assert scene.records() == before
    kept = receiver.kept(dedupe=doubt == "idempotent")
    assert kept == ({} if (boundary, doubt) == ("stopped before the wire", "neither") else {str(on_the_wire): 1})


def senders(victim: int, boundary: str, doubt: str) -> set[int]:
    """Who had put something on the wire before the stopped one went on."""
    sent = {victim} if boundary == "stopped on the wire" else set()
    return sent | ({os.getpid()} if doubt == "idempotent" else set())
