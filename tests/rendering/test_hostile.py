"""Do hostile templates and data do no harm: an error with a code or a safe message, soon, and in little memory?"""

from __future__ import annotations

import multiprocessing
import resource
import time
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest
from hostile import CASES

from dripdrop.errors import DripDropError
from dripdrop.rendering.render import render
from dripdrop.rules import mail
from dripdrop.rules.definition import Immediate, Step, Version
from dripdrop.rules.message import Email

SECONDS = 20.0  # of the processor: what does harm takes hours, and the machine may be busy
MEGABYTES = 400
CHILD = multiprocessing.get_context("fork")


def rendered(name: str) -> tuple[str, Any]:
    """(code, None) or ('', the message) of a tenant's template."""
    case = CASES[name]
    fields = {"subject": "Hi", **case.fields}
    step = Step(uuid4(), "hello", "Hello", "email", 1, Immediate(), fields, config=case.config)
    version = Version(uuid4(), uuid4(), "trial", "Trial", "acme", 1, "active", "lifecycle", (step,))
    data = {"email": "ann@example.org", **case.data}
    system = {"subscriber_id": "42", "enrollment_id": "e-1", "execution_id": "x-1"}
    try:
        message = render(
            step,
            version,
            data=data,
            system=system,
            now=datetime(2030, 3, 1, tzinfo=UTC),
            message_id="a@b",
            default_from="t@example.org",
        )
        assert isinstance(message, Email)
        mail.build(message, boundary_seed="x")
    except DripDropError as refused:
        assert refused.cure
        return refused.code, None
    return "", message


def child(name: str, answers: Any) -> None:
    """Render in a process that a crash, or too much memory, only ends itself."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    begin = time.process_time()
    code, message = rendered(name)
    case = CASES[name]
    fine = code in case.wanted if code else case.safe is not None and bool(case.safe(message))
    used = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    answers.send((fine, code or "a message", time.process_time() - begin, used))


@pytest.mark.parametrize("name", CASES)
def test_no_harm_is_done_by(name: str) -> None:
    answers, end = CHILD.Pipe(duplex=False)
    process = CHILD.Process(target=child, args=(name, end))
    process.start()
    end.close()
    try:
        assert answers.poll(60), "it takes for ever"
        fine, outcome, seconds, megabytes = answers.recv()
    except EOFError:
        process.join(10)
        pytest.fail(f"the process died: {process.exitcode}")
    finally:
        process.kill()
        process.join()
    assert fine, outcome
    assert seconds < SECONDS
    assert megabytes < MEGABYTES


def test_there_are_fifty() -> None:
    assert len(CASES) >= 50
