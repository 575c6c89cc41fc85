from __future__ import annotations

from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest

from dripdrop.rules.definition import Condition, Delay, Transition, Version
from dripdrop.rules.document import SequenceDocument, canonical, digest, document_of
from dripdrop.rules.reading import read

TRIAL: dict[str, Any] = {
    "sequence": "trial_onboarding",
    "name": "Trial onboarding",
    "exit_on": ["cancelled"],
    "class": "marketing",
    "steps": {
        "welcome": {
            "channel": "email",
            "subject": "Welcome, {{ first_name }}",
            "html": "<p>Hi</p>",
            "next": [
                {"when": {"field": "plan", "is": "==", "value": "pro"}, "goto": "pro_tips"},
                {"when": {"any": [{"field": "seats", "is": ">", "value": 5}]}, "goto": None},
                {"goto": "nudge"},
            ],
        },
        "nudge": {
            "channel": "email",
            "timing": "in 3 days",
            "when": {"field": "days", "is": ">", "value": 0},
            "subject": "Still there?",
            "text": "...",
            "retries": 3,
            "on_failure": "continue",
            "config": {"recipient_key": "work_email"},
        },
        "pro_tips": {"channel": "sms", "body": "Hi"},
    },
}


def document(source: Any) -> SequenceDocument:
    found, findings = read(source)
    assert findings == []
    assert found is not None
    return found


def problems(source: Any) -> list[tuple[str, str]]:
    return [(each.code, each.path) for each in read(source)[1]]


def test_a_definition_becomes_the_final_types() -> None:
    found = document(TRIAL)
    assert [step.key for step in found.steps] == ["welcome", "nudge", "pro_tips"]
    assert [step.position for step in found.steps] == [1, 2, 3]
    nudge = found.steps[1]
    assert nudge.timing == Delay(3, "days", "in 3 days")
    assert nudge.conditions == (Condition("enrollment_data", "days", ">", 0),)
    assert nudge.config == {"retries": 3, "on_failure": "continue", "recipient_key": "work_email"}
    assert [(way.origin, way.target, way.mode) for way in found.transitions] == [
        ("welcome", "pro_tips", "all"),
        ("welcome", None, "any"),
        ("welcome", "nudge", "always"),
    ]


def test_the_canonical_form_is_read_back_without_loss() -> None:
    found = document(TRIAL)
    assert canonical(found) == TRIAL
    assert document(canonical(found)) == found


def test_other_ways_of_writing_say_the_same() -> None:
    listed = {**TRIAL, "steps": [{"key": key, **step} for key, step in TRIAL["steps"].items()]}
    assert document(listed) == document(TRIAL)
    short = {"sequence": "S ", "steps": {"a": {"channel": "sms", "body": "x", "next": "b"}, "b": {"channel": "sms"}}}
    assert document(short).key == "s"
    assert document(short).transitions == (Transition("a", "b"),)
    for spelled in ({"delay": "3 days"}, {"delay": {"days": 3}}, {"delay": 3, "unit": "days"}, " In 3  DAYS"):
        one = {"sequence": "s", "steps": {"a": {"channel": "sms", "timing": spelled}}}
        assert document(one).steps[0].timing == Delay(3, "days", "in 3 days")


def test_end_is_the_end_unless_a_step_is_called_so() -> None:
    steps = {"a": {"channel": "sms", "next": "end"}}
    assert document({"sequence": "s", "steps": steps}).transitions == (Transition("a", None),)
    steps["end"] = {"channel": "sms"}
    assert document({"sequence": "s", "steps": steps}).transitions == (Transition("a", "end"),)


def test_defaults_reach_every_step_that_can_use_them() -> None:
    source = {
        "sequence": "s",
        "defaults": {"from": "Team <team@example.org>", "retries": 2, "on_failure": "continue"},
        "steps": {
            "a": {"channel": "email", "retries": 9},
            "b": {"channel": "sms", "body": "x", "on_failure": None},
        },
    }
    found = document(source)
    assert found.steps[0].template == {"from": "Team <team@example.org>"}
    assert found.steps[0].config == {"retries": 9, "on_failure": "continue"}
    assert found.steps[1].template == {"body": "x"}
    assert found.steps[1].config == {"retries": 2, "on_failure": None}
    assert document(canonical(found)) == found


def test_a_way_in_with_conditions() -> None:
    source = {**TRIAL, "start": [{"when": {"field": "plan", "value": "pro"}, "goto": "pro_tips"}, "welcome"]}
    entries = [way for way in document(source).transitions if way.origin is None]
    assert [way.target for way in entries] == ["pro_tips", "welcome"]
    assert document({**TRIAL, "start": "nudge"}).config["start"] == "nudge"


def test_the_references_names_are_understood() -> None:
    config = {"max_retries": 3, "on_max_retry": "continue", "quiet_hours": {"start": 8, "end": 20}}
    found = document({"sequence": "s", "steps": {"a": {"channel": "sms", "config": config}}})
    assert found.steps[0].config == {"retries": 2, "on_exhausted": "continue", "window": {"start": 8, "end": 20}}


@pytest.mark.parametrize(
    ("source", "wanted"),
    [
        ([], ("not_a_mapping", "document")),
        ({"steps": {}}, ("sequence_key", "sequence")),
        ({"sequence": "-x", "steps": {}}, ("sequence_key", "sequence")),
        ({"sequence": "s", "stesp": {}}, ("unknown_key", "stesp")),
        ({"sequence": "s", "steps": {"a": {"subjekt": "x"}}}, ("unknown_key", "steps.a.subjekt")),
        ({"sequence": "s", "defaults": {"retires": 2}}, ("unknown_key", "defaults.retires")),
        ({"sequence": "s", "steps": 5}, ("wrong_type", "steps")),
        ({"sequence": "s", "steps": {"a": "x"}}, ("wrong_type", "steps.a")),
        ({"sequence": "s", "steps": {"a": {"channel": 5}}}, ("wrong_type", "steps.a.channel")),
        ({"sequence": "s", "steps": {"a": {"active": "no"}}}, ("wrong_type", "steps.a.active")),
        ({"sequence": "s", "steps": {"a": {"position": "1"}}}, ("wrong_type", "steps.a.position")),
        ({"sequence": "s", "defaults": {"retries": "2"}}, ("wrong_type", "defaults.retries")),
        ({"sequence": "s", "config": {"pool": 5}}, ("wrong_type", "config.pool")),
        ({"sequence": 5}, ("sequence_key", "sequence")),
        ({"sequence": "s", "steps": {"a": {"subject": 2024}}}, ("wrong_type", "steps.a.subject")),
        ({"sequence": "s", "steps": {"a": {"to": ["a@b.c", 5]}}}, ("wrong_type", "steps.a.to[1]")),
        ({"sequence": "s", "steps": {"a": {"retries": True}}}, ("wrong_type", "steps.a.retries")),
        ({"sequence": "s", "steps": {"a": {"config": {"late": 5}}}}, ("wrong_type", "steps.a.config.late")),
        ({"sequence": "s", "defaults": {"attachments": [{}]}}, ("missing_key", "defaults.attachments[0]")),
        ({"sequence": "s", "steps": {"a": {"timing": {"event": "", "x": 1}}}}, ("unknown_key", "steps.a.timing.x")),
        ({"sequence": "s", "start": [{"goto": "a", "priority": "1"}]}, ("wrong_type", "start[0].priority")),
        ({"sequence": "s", "steps": {"a": {"when": {"field": 5}}}}, ("wrong_type", "steps.a.when.field")),
        ({"sequence": "s", "exit_on": [5]}, ("wrong_type", "exit_on[0]")),
        ({"sequence": "s", "steps": [{"channel": "sms"}]}, ("step_key", "steps[0]")),
        ({"sequence": "s", "steps": [{"key": "a"}, {"key": "a"}]}, ("duplicate_key", "steps[1]")),
        ({"sequence": "s", "steps": {"a": {"timing": "soon"}}}, ("timing_phrase", "steps.a.timing")),
        ({"sequence": "s", "steps": {"a": {"timing": {"delay": "soon"}}}}, ("timing_phrase", "steps.a.timing")),
        ({"sequence": "s", "steps": {"a": {"timing": "@reboot"}}}, ("timing_phrase", "steps.a.timing")),
        ({"sequence": "s", "steps": {"a": {"template": "nope"}}}, ("template_module", "steps.a.template")),
        ({"sequence": "s", "steps": {"a": {"next": [5]}}}, ("wrong_type", "steps.a.next[0]")),
        ({"sequence": "s", "steps": {"a": {"next": [{"when": None}]}}}, ("missing_goto", "steps.a.next[0]")),
        ({"sequence": "s", "steps": {"a": {"when": [1]}}}, ("wrong_type", "steps.a.when")),
        ({"sequence": "s", "steps": {"a": {"when": {"is": 5}}}}, ("missing_field", "steps.a.when")),
        (
            {"sequence": "s", "steps": {"a": {"when": {"all": [{"any": []}]}}}},
            ("nested_when", "steps.a.when.all[0]"),
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_said_with_its_place(source: Any, wanted: tuple[str, str]) -> None:
    assert wanted in problems(source)


def test_an_unknown_key_brings_a_suggestion() -> None:
    (finding,) = read({"sequence": "s", "steps": {"a": {"chanel": "sms"}}})[1]
    assert finding.cure == "Did you mean 'channel'?"


def test_all_problems_come_at_once() -> None:
    source = {"sequence": "!", "steps": {"a": {"timing": "soon", "subjekt": 1}, "b": {"next": [5]}}}
    assert len(problems(source)) == 4


def test_a_definition_that_contains_itself_is_refused() -> None:
    loop: dict[str, Any] = {"sequence": "s"}
    loop["metadata"] = loop
    assert problems(loop) == [("too_large", "document")]
    bomb: list[Any] = ["x"]
    for _ in range(30):
        bomb = [bomb, bomb]
    assert problems({"sequence": "s", "metadata": {"x": bomb}}) == [("too_large", "document")]


@pytest.mark.parametrize("value", ["a\x00b", "\ud800", 2**70, float("inf"), object(), {"a\x00": 1}])
def test_what_json_or_postgres_cannot_hold_is_refused(value: Any) -> None:
    assert problems({"sequence": "s", "metadata": {"x": value}}) == [("not_plain", "metadata.x")]


def test_a_digest_changes_with_the_content_and_not_with_name_or_order_of_keys() -> None:
    found = document(TRIAL)
    assert digest(document({**TRIAL, "name": "Other", "metadata": {"a": 1}})) == digest(found)
    assert digest(document(dict(reversed(list(TRIAL.items()))))) == digest(found)
    other = {**TRIAL, "steps": {**TRIAL["steps"], "pro_tips": {"channel": "sms", "body": "Hello"}}}
    assert digest(document(other)) != digest(found)
    swapped = {**TRIAL, "steps": dict(reversed(list(TRIAL["steps"].items())))}
    assert digest(document(swapped)) != digest(found)


def test_a_stored_version_is_the_same_document() -> None:
    found = document(TRIAL)
    steps = tuple(replace(step, id=uuid4()) for step in found.steps)
    version = Version(
        uuid4(), uuid4(), found.key, found.name, "", 1, "active", "lifecycle", steps, found.transitions, found.config
    )
    assert document_of(version) == found
