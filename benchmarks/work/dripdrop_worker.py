"""How fast is our own worker?  The real one, through the public face, into a provider that accepts and counts.

As `dripdrop worker` runs it: on uvloop, and with garbage sought less often.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any

import psycopg

from benchmarks.work import dripdrop_stage, meter, sampling
from dripdrop import AsyncDripDrop
from dripdrop.engine import garbage

ENOUGH_TO_MEET_ALL = 2_000  # sends, by which every kind of decoy has come up
LEFT = "select count(*) from dripdrop.execution_queue"
MET = """
select distinct r ->> 'code' from dripdrop.journal j cross join jsonb_array_elements(j.reasons) r
"""


async def prepare(job: dict[str, Any]) -> None:
    """Schema, one sequence, and `rows` people whose first step is due."""
    await dripdrop_stage.build(job)


async def run(job: dict[str, Any]) -> dict[str, Any]:
    """Work for the window's time; with `profile`, say also where the time went."""
    window = meter.Window(job)
    provider = dripdrop_stage.provider_for(job, window)
    drip = dripdrop_stage.open_drip(job, provider)
    if "smtp_port" in job:
        config = {"from": dripdrop_stage.FROM, **dripdrop_stage.SMTP, "port": job["smtp_port"]}
        await drip.adapters.update("sender", config=config)
    meter.ready()
    working = asyncio.create_task(drip.run_worker())
    found: dict[str, Any] = {}
    with garbage.sought_seldom():
        if job.get("profile"):
            with sampling.Sampler() as sampler:
                await window.pass_by()
            found["profile"] = sampler.told()
        else:
            await window.pass_by()
    await _stop(drip, working)
    if dripdrop_stage.KINDS[job.get("kind", "noop")].gated:
        _check_the_gates(job, window.total, provider)
    return window.result(octets=provider.octets, sample=provider.sample, **found)


async def drain(job: dict[str, Any]) -> dict[str, Any]:
    """Work until nobody is left: everybody goes through every step to the end."""
    with psycopg.connect(job["url"], autocommit=True) as connection:
        people = _count(connection, LEFT)
        expected = people * len(dripdrop_stage.KINDS[job["kind"]].timings)
        window = meter.Window(job)
        drip = dripdrop_stage.open_drip(job, dripdrop_stage.provider_for(job, window))
        meter.ready()
        working = asyncio.create_task(drip.run_worker())
        await meter.until(lambda: window.total > 0 or working.done(), 0.002)
        window.begin()
        with garbage.sought_seldom():
            await meter.until(lambda: window.total >= expected or working.done())
            await meter.until(lambda: not _count(connection, LEFT) or working.done())
            window.end()
        await _stop(drip, working)
        done = _count(connection, "select count(*) from dripdrop.enrollments where state = 'completed'")
    if done != people:
        raise RuntimeError(f"{done} of {people} came to the end of the sequence")
    return window.result(people=people)


async def idle(job: dict[str, Any]) -> dict[str, Any]:
    """A worker with nothing to do."""
    return await run(job)


async def serve(job: dict[str, Any]) -> dict[str, Any]:
    """A worker that waits for people until told to stop; answers when each one's message began."""
    provider = dripdrop_stage.provider_for(job)
    drip = dripdrop_stage.open_drip(job, provider)
    working = asyncio.create_task(drip.run_worker())
    await asyncio.sleep(1.0)
    meter.ready()
    await asyncio.to_thread(meter.wait_for_line)
    await _stop(drip, working)
    return {"started": provider.started}


async def enqueue(job: dict[str, Any]) -> dict[str, Any]:
    """People enrolled one at a time, `gap` seconds apart; answers when each call began and returned."""
    drip = dripdrop_stage.open_drip(job, dripdrop_stage.provider_for(job))
    await drip.enroll(dripdrop_stage.SEQUENCE, subscriber=("user", "warm"), data={"telegram": "0"})
    meter.ready()
    asked = {}
    for number in range(job["count"]):
        await asyncio.sleep(job["gap"])
        begin = time.monotonic()
        await drip.enroll(dripdrop_stage.SEQUENCE, subscriber=("user", str(number)), data={"telegram": str(number)})
        asked[str(number)] = (begin, time.monotonic())
    await drip.close()
    return {"asked": asked}


async def enroll(job: dict[str, Any]) -> dict[str, Any]:
    """One call of enroll_many: seconds, and how many were created."""
    drip = dripdrop_stage.open_drip(job, dripdrop_stage.Null("telegram"))
    people = dripdrop_stage.people("noop", 0, job["rows"])
    await drip.enroll_many(dripdrop_stage.SEQUENCE, [{"subscriber": None}])  # refused; connects and imports
    begin = time.perf_counter()
    results = await drip.enroll_many(dripdrop_stage.SEQUENCE, people)
    spent = time.perf_counter() - begin
    await drip.close()
    return {"seconds": spent, "created": sum(each.created for each in results)}


async def _stop(drip: AsyncDripDrop, working: asyncio.Task[Any]) -> None:
    working.cancel()
    await asyncio.gather(working, return_exceptions=True)
    await drip.close()


def _check_the_gates(job: dict[str, Any], sent: int, provider: Any) -> None:
    """Whether every gate has held somebody back, and the letter names its way out."""
    if sent < ENOUGH_TO_MEET_ALL:
        return
    with psycopg.connect(job["url"], autocommit=True) as connection:
        met = {row[0] for row in connection.execute(MET)}
    if passed := [each for each in dripdrop_stage.STOPPED_BY if each not in met]:
        raise RuntimeError(f"nobody was held back by {', '.join(passed)}: not every gate is on")
    if provider.sample and not provider.unsubscribes:
        raise RuntimeError("the letter names no way to unsubscribe")


def _count(connection: psycopg.Connection[Any], query: str) -> int:
    row = connection.execute(query.encode()).fetchone()
    assert row is not None
    return int(row[0])
