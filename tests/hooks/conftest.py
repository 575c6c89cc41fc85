"""Whom the hooks of these tests are asked about."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest

from dripdrop.plugins import Plugins
from dripdrop.rules.answers import Subject
from dripdrop.rules.definition import Immediate, Step, Version

NOON = datetime(2030, 3, 4, 12, tzinfo=UTC)
MakeSubject = Callable[..., Subject]


@pytest.fixture
def make_subject() -> MakeSubject:
    def make(module: str | None = "host", now: datetime = NOON, **data: Any) -> Subject:
        step = Step(uuid4(), "welcome", "Welcome", "email", 1, Immediate(), {"subject": "Hi", "text": "Hi"})
        version = Version(
            uuid4(), uuid4(), "onboarding", "Onboarding", "", 1, "active", "lifecycle", (step,), hook_module=module
        )
        said = {"email": "ann@example.org", **data}
        enrollment = {"id": str(uuid4()), "subscriber_type": "user", "subscriber_id": "42", "data": said}
        return Subject(uuid4(), "", version, step, enrollment, {**said, "now": now}, now)

    return make


@pytest.fixture
def subject(make_subject: MakeSubject) -> Subject:
    return make_subject()


@pytest.fixture
def plugins() -> Plugins:
    return Plugins(installed=lambda group: [])


def later(subject: Subject, **span: Any) -> Subject:
    """The same person, asked about later."""
    from datetime import timedelta

    return replace(subject, now=subject.now + timedelta(**span))
