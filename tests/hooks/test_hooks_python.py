"""What a host's hook module answers, and what becomes of one that raises, hangs or answers nonsense."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
import types
from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest
from tests.hooks.conftest import later

import dripdrop
from dripdrop.hooks.asking import LARGEST_ANSWER, Hooks
from dripdrop.hooks.calls import STRIKES, Temporary
from dripdrop.hooks.python import Modules
from dripdrop.plugins import Plugins
from dripdrop.rules.answers import Answered, Broken, Unavailable
from dripdrop.telemetry import Telemetry


class Host:
    """A hook module whose one function a test chooses."""

    name = "host"

    def __init__(self, answer: Any) -> None:
        self.answer = answer
        self.asked: list[str] = []

    def handle_hook(self, name, enrollment, context):
        self.asked.append(name)
        return self.answer(name, enrollment, context)


class AsyncHost(Host):
    async def handle_hook(self, name, enrollment, context):
        self.asked.append(name)
        return await self.answer(name, enrollment, context)


def hooks_of(host: Any, *, timeout: float = 5.0, most: int = 20, telemetry: Telemetry | None = None) -> Hooks:
    plugins = Plugins([("hooks", "host", host)], installed=lambda group: [])
    return Hooks(Modules(plugins), telemetry or Telemetry(lambda value: value), timeout=timeout, most=most)


def raising(error: BaseException):
    def answer(*given):
        raise error

    return answer


async def test_a_blocking_hook_answers_from_a_thread_of_its_own(subject):
    host = Host(lambda name, enrollment, context: {"of": name, "thread": threading.current_thread().name})
    answer = await hooks_of(host).ask(["score"], subject)
    assert answer == Answered({"score": {"of": "score", "thread": "dripdrop-hook"}})


async def test_an_async_hook_answers_on_the_loop(subject):
    async def answer(name, enrollment, context):
        await asyncio.sleep(0)
        return threading.current_thread() is threading.main_thread()

    assert await hooks_of(AsyncHost(answer)).ask(["score"], subject) == Answered({"score": True})


async def test_a_hook_sees_the_person_and_the_step(make_subject):
    host = Host(
        lambda name, enrollment, context: [enrollment["data"]["plan"], context["step"]["key"], context["vars"]["plan"]]
    )
    answer = await hooks_of(host).ask(["plan"], make_subject(plan="pro"))
    assert answer == Answered({"plan": ["pro", "welcome", "pro"]})


async def test_the_context_gives_none_for_what_it_lacks(subject):
    host = Host(lambda name, enrollment, context: [context["weather"], context.get("weather"), context["tenant"]])
    assert await hooks_of(host).ask(["x"], subject) == Answered({"x": [None, None, None]})


async def test_what_a_hook_writes_into_the_data_does_not_reach_the_message(make_subject):
    def answer(name, enrollment, context):
        enrollment["data"]["tags"].append("spoiled")
        context["vars"]["tags"].append("spoiled")

    subject = make_subject(tags=["new"])
    await hooks_of(Host(answer)).ask(["x"], subject)
    assert subject.enrollment["data"]["tags"] == subject.variables["tags"] == ["new"]


class TransportError(Exception):
    """As httpx names it."""


class OperationalError(Exception):
    """As every database driver names it."""


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (dripdrop.HookUnavailable("crm_down", retry_after=90), "crm_down"),
        (dripdrop.HookUnavailable("the CRM says ann@example.org is locked"), "unavailable"),
        (ConnectionRefusedError(111, "refused"), "ConnectionRefusedError"),
        (TimeoutError(), "TimeoutError"),
        (OSError("no route"), "OSError"),
        (TransportError(), "TransportError"),
        (OperationalError(), "OperationalError"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
async def test_an_outage_delays(subject, error, reason):
    answer = await hooks_of(Host(raising(error))).ask(["score"], subject)
    assert answer == Unavailable("score", reason, 90.0 if reason == "crm_down" else None)


@pytest.mark.parametrize("error", [KeyError("plan"), ValueError("ann@example.org"), SystemExit(3), StopIteration()])
@pytest.mark.parametrize("kind", [Host, AsyncHost])
async def test_a_mistake_stands_and_only_its_class_is_told(subject, error, kind, caplog):
    heard: list[Any] = []
    telemetry = Telemetry(lambda value: value)
    telemetry.listen(heard.append, "hook.*")

    async def awaited(*given):
        raise error

    host = kind(awaited if kind is AsyncHost else raising(error))
    answer = await hooks_of(host, telemetry=telemetry).ask(["score"], subject)
    # A coroutine cannot raise StopIteration: Python makes a RuntimeError of it.
    name = "RuntimeError" if kind is AsyncHost and isinstance(error, StopIteration) else type(error).__name__
    assert answer == Broken("score", name)
    assert [each.metadata["exception"] for each in heard if each.name == "dripdrop.hook.exception"] == [name]
    assert "ann@example.org" not in repr(heard) + caplog.text


async def test_a_blocking_hook_that_hangs_is_left_behind(subject):
    release = threading.Event()
    host = Host(lambda *given: release.wait(30))
    try:
        answer = await hooks_of(host, timeout=0.05).ask(["score"], subject)
        assert answer == Unavailable("score", "timeout", None)
    finally:
        release.set()


async def test_an_async_hook_is_cancelled_at_the_limit(subject):
    ended = asyncio.Event()

    async def answer(*given):
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    assert await hooks_of(AsyncHost(answer), timeout=0.05).ask(["score"], subject) == Unavailable("score", "timeout")
    await asyncio.wait_for(ended.wait(), 5)


async def test_an_async_hook_that_will_not_be_cancelled_holds_up_nobody(subject):
    release = asyncio.Event()

    async def answer(*given):
        while not release.is_set():
            try:
                await release.wait()
            except asyncio.CancelledError:
                continue

    assert await hooks_of(AsyncHost(answer), timeout=0.05).ask(["score"], subject) == Unavailable("score", "timeout")
    release.set()


async def test_threads_left_behind_are_counted_and_no_more_are_made():
    release = threading.Event()
    host = Host(lambda *given: release.wait(30))
    modules = Modules(Plugins([("hooks", "host", host)], installed=lambda group: []), per_hook=2, threads=3)

    async def reason(name: str) -> str:
        with pytest.raises(Temporary) as found:
            await modules.ask("host", name, {}, {}, timeout=0.05)
        return found.value.reason

    try:
        assert [await reason("score") for _ in range(3)] == ["timeout", "timeout", "busy"]
        assert [await reason("plan") for _ in range(2)] == ["timeout", "busy"]
        assert len(host.asked) == 3
    finally:
        release.set()


async def test_a_process_ends_although_a_hook_hangs():
    script = """
import asyncio, threading
from dripdrop.hooks.python import Modules
from dripdrop.plugins import Plugins
class Host:
    name = "host"
    def handle_hook(self, *given): threading.Event().wait()
async def main():
    try:
        await Modules(Plugins([Host()], installed=lambda group: [])).ask("host", "x", {}, {}, timeout=0.05)
    except Exception as error:
        print(error)
asyncio.run(main())
"""
    home = os.pathsep.join(sys.path)
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        env={**os.environ, "PYTHONPATH": home},
    )
    assert done.stdout.strip() == "timeout"


async def test_one_that_hangs_is_soon_answered_for_at_once(make_subject):
    release = threading.Event()
    host = Host(lambda name, *given: release.wait(30) if name == "hangs" else 1)
    hooks = hooks_of(host, timeout=0.05)
    try:
        for _ in range(STRIKES):
            assert await hooks.ask(["hangs"], make_subject()) == Unavailable("hangs", "timeout")
        for _ in range(50):
            answer = await hooks.ask(["hangs"], make_subject())
            assert isinstance(answer, Unavailable)
            assert (answer.reason, answer.retry_after) == ("resting", 10.0)
        assert host.asked == ["hangs"] * STRIKES
        hooks._timeout = 30.0
        assert await hooks.ask(["well"], make_subject()) == Answered({"well": 1})
    finally:
        release.set()


async def test_after_a_rest_one_call_finds_out_whether_the_trouble_is_over(make_subject):
    well = threading.Event()
    release = threading.Event()
    host = Host(lambda *given: 7 if well.is_set() else release.wait(30))
    hooks = hooks_of(host, timeout=0.05)
    try:
        for _ in range(STRIKES):
            await hooks.ask(["score"], make_subject())
        still = await hooks.ask(["score"], later(make_subject(), seconds=11))
        assert still == Unavailable("score", "timeout")
        meanwhile = await hooks.ask(["score"], later(make_subject(), seconds=12))
        assert isinstance(meanwhile, Unavailable)
        assert meanwhile.reason == "resting"
        well.set()
        hooks._timeout = 30.0
        assert await hooks.ask(["score"], later(make_subject(), seconds=60)) == Answered({"score": 7})
        assert await hooks.ask(["score"], later(make_subject(), seconds=60)) == Answered({"score": 7})
    finally:
        release.set()


async def test_only_so_many_calls_of_one_hook_are_under_way(make_subject):
    running, highest = 0, 0

    async def answer(*given):
        nonlocal running, highest
        running += 1
        highest = max(highest, running)
        await asyncio.sleep(0)
        running -= 1
        return 1

    hooks = hooks_of(AsyncHost(answer), most=4)
    answers = await asyncio.gather(*(hooks.ask(["score"], make_subject()) for _ in range(60)))
    assert answers == [Answered({"score": 1})] * 60
    assert highest == 4


async def test_who_stands_in_line_too_long_is_told_busy(make_subject, monkeypatch):
    monkeypatch.setattr("dripdrop.hooks.calls.SECONDS_IN_LINE", 0.05)
    release = asyncio.Event()

    async def answer(*given):
        await release.wait()
        return 1

    hooks = hooks_of(AsyncHost(answer), most=1)
    first = asyncio.ensure_future(hooks.ask(["score"], make_subject()))
    await asyncio.sleep(0)
    second = await hooks.ask(["score"], make_subject())
    release.set()
    assert (await first, second) == (Answered({"score": 1}), Unavailable("score", "busy", 3.0))


async def test_a_visit_asks_once_whichever_row_stands_for_it(subject):
    host = Host(lambda *given: 7)
    hooks = hooks_of(host)
    for row in (subject, replace(subject, execution_id=uuid4())):
        assert await hooks.ask(["score"], row) == Answered({"score": 7})
    assert len(host.asked) == 1
    await hooks.ask(["score"], replace(subject, enrollment={**subject.enrollment, "visit": 2}))
    assert len(host.asked) == 2


async def test_a_person_asks_once_and_another_one_asks_again(make_subject):
    host = Host(lambda *given: 7)
    hooks = hooks_of(host)
    ann, bob = make_subject(), make_subject()
    for _ in range(3):
        assert await hooks.ask(["score"], ann) == Answered({"score": 7})
    await hooks.ask(["score"], bob)
    assert len(host.asked) == 2
    await hooks.ask(["score"], later(ann, minutes=6))
    assert len(host.asked) == 3


async def test_trouble_is_kept_only_for_a_moment(subject):
    answers = iter([raising(OSError()), lambda *given: 7])
    host = Host(lambda *given: next(answers)(*given))
    hooks = hooks_of(host)
    first = await hooks.ask(["score"], subject)
    assert await hooks.ask(["score"], subject) == first == Unavailable("score", "OSError")
    assert await hooks.ask(["score"], later(subject, seconds=3)) == Answered({"score": 7})


async def test_several_are_asked_side_by_side_and_the_broken_one_decides(subject):
    met = threading.Barrier(3, timeout=20)

    def answer(name, *given):
        met.wait()
        if name == "down":
            raise OSError
        if name == "broken":
            raise KeyError
        return 1

    hooks = hooks_of(Host(answer))
    assert await hooks.ask(["good", "down", "broken"], subject) == Broken("broken", "KeyError")


async def test_nobody_asked_is_nothing_answered(subject):
    assert await hooks_of(Host(None)).ask([], subject) == Answered({})


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (object(), "not_plain"),
        (float("nan"), "not_plain"),
        ("half \ud800", "not_plain"),
        ("nul \x00", "not_plain"),
        ("x" * (LARGEST_ANSWER + 1), "too_large"),
        (10**40, "not_plain"),
    ],
    ids=["object", "nan", "surrogate", "nul", "large", "huge"],
)
async def test_an_answer_that_json_cannot_hold_is_none(subject, value, reason):
    assert await hooks_of(Host(lambda *given: value)).ask(["score"], subject) == Broken("score", reason)


async def test_a_module_is_found_by_import_and_made_once(make_subject, monkeypatch):
    made = []

    class Onboarding:
        def __init__(self):
            made.append(self)

        def handle_hook(self, name, enrollment, context):
            return len(made)

    module = types.ModuleType("host_hooks")
    module.Onboarding = Onboarding  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "host_hooks", module)
    hooks = Hooks(Modules(Plugins(installed=lambda group: [])), Telemetry(lambda value: value))
    for _ in range(2):
        assert await hooks.ask(["x"], make_subject("host_hooks:Onboarding")) == Answered({"x": 1})


@pytest.mark.parametrize(
    ("reference", "reason"),
    [
        (None, "unknown_hook"),
        ("", "unknown_hook"),
        ("no_such_module_anywhere:Hooks", "unknown_module"),
        ("json:Nothing", "unknown_attribute"),
        ("subprocess:Popen", "missing_handle_hook"),
        ("os:system", "missing_handle_hook"),
        ("not a name", "unknown_module"),
        ("../etc:x", "unknown_module"),
    ],
)
async def test_a_module_that_is_none_is_broken_and_never_called(make_subject, reference, reason):
    hooks = Hooks(Modules(Plugins(installed=lambda group: [])), Telemetry(lambda value: value))
    assert await hooks.ask(["x"], make_subject(reference)) == Broken("x", reason)
