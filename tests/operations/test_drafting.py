"""Can a draft be changed part by part, and nothing that is published?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from desk import NOW, Desk

from dripdrop.errors import Conflict, IllegalMove, Invalid, NotFound
from dripdrop.operations import authoring, drafting
from dripdrop.rules.definition import Condition, Delay, Step
from dripdrop.store.scope import GLOBAL
from dripdrop.store.sequences import Edition

DOCUMENT: dict[str, Any] = {
    "sequence": "trial",
    "steps": {
        "hello": {"channel": "email", "subject": "Hi", "text": "Hello.", "next": "nudge"},
        "nudge": {"channel": "sms", "timing": "in 1 day", "body": "Still there?", "when": "plan == 'pro'"},
    },
}


@pytest.fixture
def desk(database_url: str) -> Iterator[Desk]:
    with psycopg.connect(database_url, autocommit=True) as connection:
        yield Desk(connection)


@pytest.fixture
def draft(desk: Desk) -> Edition:
    applied = desk.do(authoring.apply(NOW, GLOBAL, DOCUMENT))
    return desk.do(authoring.clone_version(NOW, GLOBAL, applied.version))


def step(desk: Desk, draft: Edition, key: str) -> Step:
    return next(each for each in desk.do(authoring.steps(NOW, GLOBAL, draft)) if each.key == key)


def test_what_is_given_changes_and_the_rest_stays(desk: Desk, draft: Edition) -> None:
    nudge = step(desk, draft, "nudge")
    changed = desk.do(drafting.update_step(NOW, GLOBAL, nudge, timing="in 3 days", config={"retries": 2}, active=False))
    assert changed == step(desk, draft, "nudge")
    assert (changed.id, changed.timing, changed.active) == (nudge.id, Delay(3, "days", "in 3 days"), False)
    assert changed.template == {"body": "Still there?"}
    assert changed.config == {"retries": 2}
    assert changed.conditions == (Condition("predicate", "plan == 'pro'"),)


def test_a_template_is_given_whole(desk: Desk, draft: Edition) -> None:
    hello = step(desk, draft, "hello")
    changed = desk.do(drafting.update_step(NOW, GLOBAL, hello.id, channel="sms", template="Hello there."))
    assert (changed.channel, changed.template) == ("sms", {"body": "Hello there."})


def test_a_step_goes_with_the_ways_to_it(desk: Desk, draft: Edition) -> None:
    desk.do(drafting.remove_step(NOW, GLOBAL, step(desk, draft, "nudge")))
    found = desk.do(authoring.version(NOW, GLOBAL, "trial", draft.number))
    assert [each.key for each in found.steps] == ["hello"]
    assert found.transitions == ()
    again = desk.do(drafting.add_step(NOW, GLOBAL, draft, key="nudge", channel="sms", template="Hi", position=2))
    assert again.key == "nudge"


def test_what_cannot_be_is_refused(desk: Desk, draft: Edition) -> None:
    hello = step(desk, draft, "hello")
    for given, error, code in (
        ({"position": 2}, Conflict, "step_taken"),
        ({"timing": "soon"}, Invalid, "timing_phrase"),
        ({"config": {"retries": "x"}}, Invalid, "step"),
        ({"template": {"subject": 5}}, Invalid, "step"),
        ({"adapter": "nobody"}, Invalid, "step"),
    ):
        with pytest.raises(error) as refused:
            desk.do(drafting.update_step(NOW, GLOBAL, hello, **given))
        assert refused.value.code == code
    assert step(desk, draft, "hello") == hello


def test_nothing_that_is_published_changes(desk: Desk, draft: Edition) -> None:
    (published, *_) = desk.do(authoring.version(NOW, GLOBAL, "trial", 1)).steps
    for operation in (
        drafting.update_step(NOW, GLOBAL, published, name="x"),
        drafting.remove_step(NOW, GLOBAL, published),
    ):
        with pytest.raises(IllegalMove) as refused:
            desk.do(operation)
        assert refused.value.code == "version_published"


def test_a_step_that_is_gone_is_not_found(desk: Desk, draft: Edition) -> None:
    hello = step(desk, draft, "hello")
    desk.do(drafting.remove_step(NOW, GLOBAL, hello))
    with pytest.raises(NotFound):
        desk.do(drafting.remove_step(NOW, GLOBAL, hello))
