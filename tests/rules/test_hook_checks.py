"""Which hooks of a definition are not there, or cannot be called, and where is that said?"""

from __future__ import annotations

import sys
import types

import pytest

from dripdrop.hooks.python import Modules
from dripdrop.plugins import Plugins
from dripdrop.rendering import wire
from dripdrop.rules import reading
from dripdrop.rules.checks.common import Checks
from dripdrop.rules.checks.hooks import hooks
from dripdrop.services import judging

STEP = {"channel": "email", "subject": "Hi", "text": "Hi"}
SCORE = {"hook": "score", "is": ">", "value": 70}


def found(checks: Checks | None = None, **said):
    document, _ = reading.read({"sequence": "s", "steps": {"one": {**STEP, **said.pop("step", {})}}, **said})
    assert document is not None
    return [(each.code, each.path) for each in hooks(document, checks or Checks())]


@pytest.fixture
def modules(monkeypatch):
    class Host:
        hooks = ("score",)

        def handle_hook(self, name, enrollment, context):
            return 1

    class Open:
        def handle_hook(self, name, enrollment, context):
            return 1

    module = types.ModuleType("host_of_checks")
    vars(module).update(Host=Host, Open=Open, Nothing=object)
    monkeypatch.setitem(sys.modules, "host_of_checks", module)
    return Modules(Plugins(installed=lambda group: []))


def test_a_hook_that_nobody_answers():
    assert found(step={"when": SCORE}) == [("unknown_hook", "steps.one.when")]


def test_it_is_found_in_branches_entries_lists_and_predicates():
    ways = [{"when": {"all": [{"field": "a", "is": "==", "value": 1}, SCORE]}, "goto": "end"}]
    assert found(step={"next": ways}) == [("unknown_hook", "steps.one.next[0].when.all[1]")]
    assert found(start=[{"when": SCORE, "goto": "one"}]) == [("unknown_hook", "start[0].when")]
    assert found(step={"when": "hook.score > 70 and plan == 'pro'"}) == [("unknown_hook", "steps.one.when")]


def test_an_http_hook_answers_its_key():
    assert found(http_hooks={"score": {"url": "https://crm.example.com/"}}, step={"when": SCORE}) == []


def test_a_hook_that_the_sequence_has_already_answers():
    assert found(Checks(http_hooks=("score",)), step={"when": SCORE}) == []


def test_a_module_may_answer_any_name_unless_it_names_them(modules):
    known = Checks(hooks=modules.problem)
    assert found(known, hooks="host_of_checks:Open", step={"when": SCORE}) == []
    assert found(known, hooks="host_of_checks:Host", step={"when": SCORE}) == []
    other = {"hook": "seats", "is": ">", "value": 5}
    assert found(known, hooks="host_of_checks:Host", step={"when": other}) == [("unknown_hook", "steps.one.when")]


@pytest.mark.parametrize(
    "reference",
    ["no_such_module_at_all:X", "host_of_checks:Missing", "host_of_checks:Nothing", "host_of_checks", "x y"],
)
def test_a_module_that_cannot_answer_is_said_once(modules, reference):
    known = Checks(hooks=modules.problem)
    assert found(known, hooks=reference, step={"when": SCORE}) == [("hook_module", "hooks")]


def test_without_the_hosts_code_a_module_is_not_judged():
    assert found(hooks="no_such_module_at_all:X", step={"when": SCORE}) == []


@pytest.mark.parametrize(
    ("said", "code", "path"),
    [
        ({"url": "http://crm.example.com/"}, "url_blocked", "http_hooks.score.url"),
        ({"url": "https://{{ host }}/"}, "hook_url", "http_hooks.score.url"),
        ({"url": "https://a.example/", "timeout_ms": 0}, "out_of_range", "http_hooks.score.timeout_ms"),
        (
            {"url": "https://a.example/", "auth": {"bearer": "t0ken"}},
            "hook_secret_in_clear",
            "http_hooks.score.auth.bearer",
        ),
        ({"url": "https://a.example/{{ x"}, "template", "http_hooks.score.url"),
        (
            {"url": "https://a.example/", "body_template": "{{ x | bogus }}"},
            "template",
            "http_hooks.score.body_template",
        ),
        (
            {"url": "https://a.example/", "body_template": "{% capture x %}{% endcapture %}"},
            "template",
            "http_hooks.score.body_template",
        ),
        ({"url": "https://a.example/", "bogus": 1}, "unknown_key", "http_hooks.score.bogus"),
    ],
)
def test_an_http_hook_that_cannot_be_called_is_said_at_its_place(said, code, path):
    assert found(judging.checks(), http_hooks={"score": said}) == [(code, path)]


def test_values_may_be_written_as_json():
    assert wire.check("{{ x | json }}", "body_template") == []


def test_a_key_stands_there_once():
    url = {"url": "https://a.example/"}
    assert found(http_hooks={"score": url, "SCORE": url}) == [("duplicate_key", "http_hooks.SCORE")]


def test_http_allow_names_what_may_be_called():
    url = {"url": "http://localhost:9/"}
    assert found(judging.checks(http_allow=["localhost:9"]), http_hooks={"score": url}) == []
