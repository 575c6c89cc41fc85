"""What may stand in the definition of an HTTP hook, and what is said of one that cannot be called."""

from __future__ import annotations

import pytest

from dripdrop.rules import http_hooks
from dripdrop.rules.http_hooks import HttpHook, has_fixed_host, secrets_in_clear, variable, written

URL = "https://crm.example.com/score"


def problems(key="score", **said):
    return [(each.code, each.path) for each in http_hooks.read(key, {"url": URL, **said})[2]]


def test_a_url_is_enough():
    hook, auth, found = http_hooks.read(" Score Lead ", {"url": URL})
    assert found == []
    assert auth == {}
    assert hook == HttpHook(key="score_lead", name="Score lead", url=URL)
    assert (hook.method, hook.timeout_ms, hook.retry_count, hook.response_type) == ("POST", 5000, 2, "json")


def test_everything_can_be_said():
    said = {
        "name": "Score",
        "description": "How warm?",
        "method": "put",
        "url": URL,
        "timeout_ms": 30_000,
        "retry_count": 5,
        "auth": {"basic": {"username": "u", "password": "p:w"}},
        "headers": {"X-Team": "growth"},
        "body_template": "{}",
        "response_path": "data[0]",
        "response_type": "number",
        "active": False,
    }
    hook, auth, found = http_hooks.read("score", said)
    assert found == []
    assert (hook.method, hook.auth_type, auth) == ("PUT", "basic", {"username": "u", "password": "p:w"})


def test_what_is_written_is_read_back_the_same():
    hook, _, _ = http_hooks.read("score", {"url": URL, "method": "GET", "headers": {"X-A": "b"}, "retry_count": 0})
    assert http_hooks.read("score", written(hook))[0] == hook
    assert written(hook) == {"url": URL, "method": "GET", "headers": {"X-A": "b"}, "retry_count": 0}


@pytest.mark.parametrize(
    ("said", "found"),
    [
        ({"url": None}, ("missing_url", "url")),
        ({"url": "  "}, ("missing_url", "url")),
        ({"url": 5}, ("missing_url", "url")),
        ({"url": "{{ url }}"}, ("hook_url", "url")),
        ({"url": "https://{{ host }}/x"}, ("hook_url", "url")),
        ({"url": "https://crm.example.com{{ x }}/"}, ("hook_url", "url")),
        ({"url": "crm.example.com/x"}, ("hook_url", "url")),
        ({"url": "http://crm.example.com/x"}, ("url_blocked", "url")),
        ({"url": "https://127.0.0.1/x"}, ("url_blocked", "url")),
        ({"url": "https://user:pw@crm.example.com/"}, ("url_blocked", "url")),
        ({"timeout_ms": 0}, ("out_of_range", "timeout_ms")),
        ({"timeout_ms": 30_001}, ("out_of_range", "timeout_ms")),
        ({"timeout_ms": True}, ("out_of_range", "timeout_ms")),
        ({"retry_count": -1}, ("out_of_range", "retry_count")),
        ({"retry_count": 6}, ("out_of_range", "retry_count")),
        ({"method": "TRACE"}, ("unknown_word", "method")),
        ({"response_type": "xml"}, ("unknown_word", "response_type")),
        ({"body_template": {"a": 1}}, ("wrong_type", "body_template")),
        ({"active": "yes"}, ("wrong_type", "active")),
        ({"headers": ["X-A"]}, ("wrong_type", "headers")),
        ({"headers": {"X A": "b"}}, ("hook_header", "headers.X A")),
        ({"headers": {"X-A": "b\r\nX-B: c"}}, ("hook_header", "headers.X-A")),
        ({"headers": {"Host": "evil"}}, ("hook_header", "headers.Host")),
        ({"headers": {"X-A": "☃"}}, ("hook_header", "headers.X-A")),
        ({"auth": "bearer"}, ("hook_auth", "auth")),
        ({"auth": {"digest": {}}}, ("hook_auth", "auth")),
        ({"auth": {"bearer": "a", "basic": {}}}, ("hook_auth", "auth")),
        ({"auth": {"bearer": ""}}, ("hook_auth", "auth.bearer")),
        ({"auth": {"bearer": "a\r\nb"}}, ("hook_auth", "auth.bearer")),
        ({"auth": {"bearer": "☃"}}, ("hook_auth", "auth.bearer")),
        ({"auth": {"basic": {"username": "u"}}}, ("hook_auth", "auth.basic")),
        ({"auth": {"basic": {"username": "u:v", "password": "p"}}}, ("hook_auth", "auth.basic")),
        ({"auth": {"header": {"name": "X Y", "value": "v"}}}, ("hook_auth", "auth.header")),
        ({"auth": {"header": {"name": "Host", "value": "v"}}}, ("hook_auth", "auth.header")),
        ({"timeout": 5}, ("unknown_key", "timeout")),
    ],
)
def test_what_cannot_be_called_is_told_at_its_place(said, found):
    assert problems(**said) == [found]


@pytest.mark.parametrize("key", ["", "-x", "ä", "a/b", "x" * 201])
def test_a_key_that_is_none(key):
    assert problems(key) == [("hook_key", "key")]


def test_every_problem_is_told_at_once():
    assert len(problems("", url=None, timeout_ms=0, method="X", auth={"x": 1}, headers=[], bogus=1)) == 7


def test_what_http_allow_names_may_be_called():
    assert http_hooks.read("x", {"url": "http://localhost:8080/x"}, allow=("localhost:8080",))[2] == []


@pytest.mark.parametrize("url", ["https://a.example/{{ x }}", "https://a.example?x={{ y }}", "https://a.example", URL])
def test_a_host_that_stands_in_the_text_is_fixed(url):
    assert has_fixed_host(url)


@pytest.mark.parametrize(
    "url", ["{% if x %}https://a.example/{% endif %}", "https://a.{{ x }}/", "https://a.example{% if x %}/{% endif %}"]
)
def test_any_other_host_is_not(url):
    assert not has_fixed_host(url)


def test_a_secret_of_a_document_is_the_name_of_a_variable():
    assert variable("${CRM_TOKEN}") == "CRM_TOKEN"
    assert [variable(each) for each in ("t0ken", "$CRM", "${}", "x${A}", "${A}${B}", "${1A}")] == [None] * 6


@pytest.mark.parametrize(
    ("said", "paths"),
    [
        ({"auth": {"bearer": "${T}"}}, []),
        ({"auth": {"basic": {"username": "me", "password": "${P}"}}}, []),
        ({"auth": {"header": {"name": "X-Key", "value": "${K}"}}}, []),
        ({"auth": {"bearer": "t0ken"}}, ["auth.bearer"]),
        ({"auth": {"basic": {"username": "me", "password": "pw"}}}, ["auth.basic"]),
        ({"auth": {"header": {"name": "X-Key", "value": "k"}}}, ["auth.header"]),
        ({"headers": {"Authorization": "Bearer x"}}, ["headers.Authorization"]),
        ({"headers": {"X-Api-Key": "k"}}, ["headers.X-Api-Key"]),
    ],
)
def test_a_secret_in_clear_is_seen(said, paths):
    hook, auth, _ = http_hooks.read("score", {"url": URL, **said})
    found = list(secrets_in_clear(hook, auth))
    assert [each.path for each in found] == paths
    assert {each.code for each in found} <= {"hook_secret_in_clear"}
    assert "t0ken" not in str(found)
