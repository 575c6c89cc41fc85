from __future__ import annotations

from typing import Any

import pytest

from dripdrop.rendering.templates import check_template
from dripdrop.rules import validation
from dripdrop.rules.document import SequenceDocument
from dripdrop.rules.reading import read
from dripdrop.services.judging import checks

EMAIL = {"channel": "email", "subject": "Hi", "text": "Hello {{ first_name }}"}
LATER = {**EMAIL, "timing": "in 1 day"}


def document(steps: dict[str, Any], **more: Any) -> SequenceDocument:
    found, findings = read({"sequence": "s", "steps": steps, **more})
    assert findings == []
    assert found is not None
    return found


def codes(steps: dict[str, Any], **more: Any) -> list[str]:
    return [finding.code for finding in validation.findings(document(steps, **more), check_template)]


def test_a_start_that_is_no_step_is_one_mistake() -> None:
    assert codes({"a": EMAIL}, start="b") == ["unknown_goto"]


def test_a_sound_definition_has_no_findings() -> None:
    steps = {
        "a": {**EMAIL, "timezone": "{{ zone }}", "window": [8, 21], "next": [{"goto": "b"}]},
        "b": {**LATER, "when": {"field": "n", "is": "in", "value": [1]}, "on_failure": "continue", "retries": 0},
        "c": {"channel": "webhook", "payload": {"a": ["{{ x | upcase }}"]}, "timing": "in 1 hour"},
    }
    assert codes(steps, timezone="Europe/Vienna", reentry="always") == []


FIELD = {"field": "plan", "value": "pro"}
FAILING: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("no_entry", {}, {}),
    ("no_entry", {"a": {**EMAIL, "active": False}}, {}),
    ("no_entry", {"a": {**EMAIL, "position": None}}, {}),
    ("duplicate_position", {"a": {**EMAIL, "position": 3}, "b": {**EMAIL, "position": 3}}, {}),
    ("unknown_goto", {"a": {**EMAIL, "next": "nope"}}, {}),
    ("unknown_goto", {"a": EMAIL}, {"start": "nope"}),
    ("loop_without_wait", {"a": {**EMAIL, "next": "a"}}, {}),
    ("loop_without_wait", {"a": {**EMAIL, "next": [{"when": FIELD, "goto": "a"}]}}, {}),
    ("loop_without_wait", {"a": {**EMAIL, "next": "b"}, "b": {**EMAIL, "next": "a"}}, {}),
    ("unreachable_step", {"a": {**EMAIL, "next": "c"}, "b": EMAIL, "c": EMAIL}, {}),
    ("missing_subject", {"a": {"channel": "email", "text": "x"}}, {}),
    ("missing_body", {"a": {"channel": "email", "subject": "x", "html": " "}}, {}),
    ("missing_body", {"a": {"channel": "sms"}}, {}),
    ("missing_body", {"a": {"channel": "slack"}}, {}),
    ("missing_topic", {"a": {"channel": "pubsub", "event": "x"}}, {}),
    ("missing_event", {"a": {"channel": "pubsub", "topic": "x"}}, {}),
    ("missing_channel", {"a": {"subject": "x"}}, {}),
    ("unknown_channel", {"a": {**EMAIL, "channel": "emial"}}, {}),
    ("zone", {"a": {**EMAIL, "timezone": "Mars/Base"}}, {}),
    ("zone", {"a": EMAIL}, {"timezone": "CEST summer"}),
    ("window", {"a": {**EMAIL, "window": [8, 99]}}, {}),
    ("operator", {"a": {**EMAIL, "when": {**FIELD, "is": "=>"}}}, {}),
    ("operator", {"a": {**EMAIL, "next": [{"when": {**FIELD, "is": "~"}, "goto": "end"}]}}, {}),
    ("missing_field", {"a": {**EMAIL, "when": {"field": " ", "value": 1}}}, {}),
    ("missing_value", {"a": {**EMAIL, "when": {"field": "plan"}}}, {}),
    ("empty_when", {"a": {**EMAIL, "when": {"any": []}}}, {}),
    ("template", {"a": {**EMAIL, "subject": "{{ oops"}}, {}),
    ("template", {"a": {**EMAIL, "text": "{{ x | nofilter }}"}}, {}),
    ("template", {"a": {**EMAIL, "headers": {"X-A": "{% if %}"}}}, {}),
    ("delay_not_positive", {"a": {**EMAIL, "timing": {"delay": {"days": -2}}}}, {}),
    ("delay_not_positive", {"a": {**EMAIL, "timing": "in 0 days"}}, {}),
    ("unknown_word", {"a": {**EMAIL, "on_failure": "explode"}}, {}),
    ("unknown_word", {"a": {**EMAIL, "on_unknown": "resned"}}, {}),
    ("unknown_word", {"a": EMAIL}, {"class": "urgent"}),
    ("unknown_word", {"a": EMAIL}, {"reentry": "maybe"}),
    ("timing_phrase", {"a": EMAIL}, {"reentry": {"after": "a while"}}),
    ("retries", {"a": {**EMAIL, "retries": -1}}, {}),
    ("retries", {"a": {**EMAIL, "retries": 1001}}, {}),
    ("short_links", {"a": EMAIL}, {"metadata": {"short_links": 3}}),
    ("unknown_key", {"a": {**EMAIL, "short_links": {"domian": "go.example.org"}}}, {}),
    ("short_links_value", {"a": {**EMAIL, "short_links": {"domain": 3}}}, {}),
    ("short_links_value", {"a": {**EMAIL, "short_links": {"images": "yes"}}}, {}),
    ("short_links_value", {"a": {**EMAIL, "short_links": {"exclude": [3]}}}, {}),
    ("short_links_value", {"a": {**EMAIL, "short_links": {"headers": "x"}}}, {}),
    ("short_links_value", {"a": {**EMAIL, "short_links": {"on_error": "ignore"}}}, {}),
    ("short_links_value", {"a": {**EMAIL, "short_links": {"timeout": 0}}}, {}),
    ("short_links_value", {"a": {**EMAIL, "short_links": {"utm": "x"}}}, {}),
    ("short_links_value", {"a": {**EMAIL, "short_links": {"utm": {"medum": "x"}}}}, {}),
    ("short_links_value", {"a": {**EMAIL, "short_links": {"utm": {"medium": ["x"]}}}}, {}),
    ("short_links_value", {"a": {**EMAIL, "short_links": {"provider": "webhook", "endpoint": "nowhere"}}}, {}),
    ("short_links_value", {"a": {**EMAIL, "short_links": {"provider": "function", "function": "make"}}}, {}),
    ("short_links_pattern", {"a": {**EMAIL, "short_links": {"exclude": ["(a+)+b"]}}}, {}),
    ("two_adapters", {"a": {**EMAIL, "adapter": "x", "adapter_override": "y"}}, {}),
    ("predicate", {"a": {**EMAIL, "when": "plan = 'pro'"}}, {}),
    ("never_holds", {"a": {**EMAIL, "when": "seats > '5'"}}, {}),
    ("never_holds", {"a": {**EMAIL, "when": {"field": "seats", "is": ">", "value": "five"}}}, {}),
    ("unknown_key", {"a": {**EMAIL, "when": {"event": "paid", "config": {"since": "in 1 day"}}}}, {}),
    ("timing_phrase", {"a": {**EMAIL, "when": {"event": "paid", "config": {"within": "soon"}}}}, {}),
    ("missing_event", {"a": {**EMAIL, "when": {"event": " "}}}, {}),
    ("wrong_type", {"a": {**EMAIL, "when": {"event": "paid", "value": "pro"}}}, {}),
    ("missing_value", {"a": {**EMAIL, "when": {"event": "paid", "config": {"field_path": "plan"}}}}, {}),
    ("operator", {"a": {**EMAIL, "when": {"time_window": [9, 17], "is": ">"}}}, {}),
    ("window", {"a": {**EMAIL, "when": {"time_window": {"days": ["someday"]}}}}, {}),
    ("missing_value", {"a": {**EMAIL, "next": {"when": {"hook": "vip"}, "goto": "end"}}}, {}),
    ("missing_event", {"a": {**EMAIL, "timing": {"event": " "}}}, {}),
    ("delay_not_positive", {"a": {**EMAIL, "timing": {"event": "booked", "timeout": "in 0 days"}}}, {}),
    ("timeout_goto", {"a": {**EMAIL, "timing": {"event": "booked", "timeout_goto": "a"}}}, {}),
    ("unknown_goto", {"a": {**EMAIL, "timing": {"event": "booked", "timeout": "in 1 day", "timeout_goto": "b"}}}, {}),
    ("repeat", {"a": {**EMAIL, "repeat": 3}}, {}),
    ("repeat", {"a": {**EMAIL, "timing": {"event": "booked"}, "repeat": True}}, {}),
    ("late", {"a": {**EMAIL, "late": "never"}}, {}),
    ("exit_on", {"a": EMAIL}, {"exit_on": [{"event": " "}]}),
    ("unsupported_here", {"a": {**EMAIL, "concurrency": {"channel": 5}}}, {}),
    ("spintax_unbalanced", {"a": {**EMAIL, "spintax": True, "subject": "{Hi|Hello"}}, {}),
    ("locale", {"a": {**EMAIL, "locales": {"german language": {"subject": "Servus"}}}}, {}),
    ("locale_subject", {"a": {**EMAIL, "locales": {"de": {"text": "Servus"}}}}, {}),
    ("variant_weight", {"a": {**EMAIL, "variants": [{"weight": 0, "subject": "One"}]}}, {}),
    ("variant_weight", {"a": {**EMAIL, "variants": [{"weight": -1, "subject": "One"}, {"subject": "Two"}]}}, {}),
    ("duplicate_variant", {"a": {**EMAIL, "variants": [{"name": "x"}, {"name": "x"}]}}, {}),
    ("variant_hidden", {"a": {**EMAIL, "variants": [{"subject": "B"}], "locales": {"de": {"subject": "C"}}}}, {}),
    ("missing_body", {"a": {**EMAIL, "locales": {"de": {"subject": "x", "text": " "}}}}, {}),
    ("template", {"a": {**EMAIL, "locales": {"de": {"subject": "{{ oops"}}}}, {}),
    ("template", {"a": {**EMAIL, "variants": [{"subject": "{{ oops"}]}}, {}),
    ("template", {"a": {**EMAIL, "spintax": True, "text": "{a{% if x %}|b{% endif %}}"}}, {}),
    ("unsupported_here", {"a": EMAIL}, {"mode": "outbound"}),
    ("unknown_hook", {"a": {**EMAIL, "when": {"hook": "score", "is": ">", "value": 5}}}, {}),
    ("too_many_steps", {f"s{n}": LATER for n in range(1001)}, {}),
]


@pytest.mark.parametrize(("code", "steps", "more"), FAILING)
def test_each_problem_has_its_code_and_a_cure(code: str, steps: dict[str, Any], more: dict[str, Any]) -> None:
    found = validation.findings(document(steps, **more), check_template)
    assert code in [finding.code for finding in found]
    assert all(finding.cure and finding.message.endswith(".") for finding in found)


def test_short_links_of_our_own_need_an_address() -> None:
    asking = document({"a": {**EMAIL, "short_links": True}})
    found = validation.findings(asking, checks=validation.Checks(public=False))
    assert [(finding.code, finding.severity) for finding in found] == [("short_links_address", "warning")]
    for value in (False, {"domain": "go.example.org"}, {"provider": "webhook", "endpoint": "https://s.example"}):
        fine = document({"a": {**EMAIL, "short_links": value}})
        assert validation.findings(fine, checks=validation.Checks(public=False)) == []


def test_two_steps_of_one_key_are_told_apart_when_they_come_from_objects() -> None:
    one = document({"a": EMAIL})
    twice = SequenceDocument("s", "S", (*one.steps, *one.steps))
    assert "duplicate_key" in [finding.code for finding in validation.findings(twice)]


WARNED: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("inactive_goto", {"a": {**EMAIL, "next": "b"}, "b": {**LATER, "active": False}, "c": LATER}, {}),
    ("inactive_goto", {"a": {**EMAIL, "active": False}, "b": LATER}, {"start": "a"}),
    ("never_taken", {"a": {**EMAIL, "next": ["b", {"when": FIELD, "goto": "end"}]}, "b": LATER}, {}),
    ("dead_end", {"a": {**EMAIL, "next": "b"}, "b": {**LATER, "position": None}}, {}),
    ("missing_recipient", {"a": {"channel": "sms", "body": "Hi"}}, {"variables": ["first_name"]}),
    ("unknown_variable", {"a": EMAIL}, {"variables": ["firstname", "email"]}),
    ("unknown_variable", {"a": EMAIL, "b": {**LATER, "text": "{{ first_nmae }}"}, "c": LATER}, {}),
    ("unknown_variable", {"a": {**EMAIL, "when": "pln == 'pro'"}}, {"variables": ["first_name", "plan", "email"]}),
    ("no_unsubscribe", {"a": {**EMAIL, "unsubscribe": False}}, {"class": "marketing"}),
]


@pytest.mark.parametrize(("code", "steps", "more"), WARNED)
def test_what_is_probably_wrong_is_a_warning(code: str, steps: dict[str, Any], more: dict[str, Any]) -> None:
    found = validation.findings(document(steps, **more), checks=checks())
    assert [(each.code, each.severity) for each in found] == [(code, "warning")]


def test_marketing_needs_a_public_address_for_its_links() -> None:
    found = validation.findings(document({"a": EMAIL}, **{"class": "marketing"}), checks=checks(public=False))
    assert [each.code for each in found] == ["no_unsubscribe"]


@pytest.mark.parametrize(
    ("steps", "more"),
    [
        ({"a": {**EMAIL, "text": "{{ plan_1 }} {{ item }}"}, "b": {**LATER, "text": "{{ plan_2 }}"}}, {}),
        ({"a": {**EMAIL, "text": "{{ nick | default: 'you' }} {{ today }} {{ step_key }}"}}, {"variables": ["email"]}),
        ({"a": {**EMAIL, "text": "{% for y in email %}{{ y }}{% endfor %}"}}, {"variables": ["email"]}),
        ({"a": {**EMAIL, "text": "{% assign x = 1 %}{{ x }}"}}, {"variables": ["email"]}),
        ({"a": {**EMAIL, "text": "{{ own }}", "config": {"template_variables": {"own": 1}}}}, {"variables": ["email"]}),
        ({"a": {**EMAIL, "text": "{{ name.short }}", "to": "x@example.org"}}, {"variables": ["name.short"]}),
    ],
)  # fmt: skip
def test_a_variable_that_is_provided_is_not_warned_of(steps: dict[str, Any], more: dict[str, Any]) -> None:
    assert validation.findings(document(steps, **more), checks=checks()) == []


ON_THE_WIRE: list[tuple[str, dict[str, Any]]] = [
    ("address", {"to": "ann"}),
    ("address", {"to": ["{{ email }}", "ann@"]}),
    ("address", {"from": "Team team@example.org>"}),
    ("address", {"cc": "a@example.org, b"}),
    ("header_name", {"headers": {"X Kind": "a"}}),
    ("header_reserved", {"headers": {"Subject": "a"}}),
    ("header_twice", {"headers": {"X-Kind": "a", "x-kind": "b"}}),
    ("header_injection", {"headers": {"X-Kind": "a\nBcc: b@example.org"}}),
    ("attachment", {"attachments": [{"filename": "a.txt"}]}),
    ("attachment", {"attachments": [{"filename": "a.txt", "content": "x", "base64": "eA=="}]}),
    ("attachment", {"attachments": [{"filename": "a.txt", "base64": "?"}]}),
    ("unknown_word", {"channel": "webhook", "method": "PSOT"}),
]


@pytest.mark.parametrize(("code", "fields"), ON_THE_WIRE)
def test_what_could_not_go_on_the_wire_is_refused_before(code: str, fields: dict[str, Any]) -> None:
    assert codes({"a": {**EMAIL, **fields}}) == [code]


def test_addresses_headers_and_attachments_that_are_fine() -> None:
    fields = {
        "to": '"Ann, of X" <ann@example.org>, {{ email }}',
        "from": "Team <team@example.org>",
        "headers": {"X-Kind": "drip", "X-Id": "{{ id }}"},
        "attachments": [{"filename": "a.txt", "base64": "eA=="}, {"filename": "b.txt", "content": "{{ b }}"}],
    }
    assert codes({"a": {**EMAIL, **fields}}) == []


def test_a_round_that_waits_and_a_guarded_end_are_fine() -> None:
    assert codes({"a": {**EMAIL, "next": "b"}, "b": {**LATER, "next": "a"}}) == []


def test_an_unreachable_step_is_a_warning_only() -> None:
    found = validation.findings(document({"a": {**EMAIL, "next": "end"}, "b": EMAIL}))
    assert [finding.severity for finding in found] == ["warning"]
    assert validation.errors(found) == []


def test_a_step_behind_a_policy_of_going_on_is_reachable() -> None:
    assert codes({"a": {**EMAIL, "next": "end", "on_exhausted": "continue"}, "b": EMAIL}) == []


def test_a_channel_of_the_hosts_own_is_known_when_it_says_so() -> None:
    steps = document({"a": {"channel": "pigeon", "text": "coo"}})
    assert validation.findings(steps, channels=("email", "pigeon")) == []


def test_a_thousand_hasty_steps_are_judged_quickly() -> None:
    steps = {f"s{n}": EMAIL for n in range(1000)}
    assert codes(steps) == []
