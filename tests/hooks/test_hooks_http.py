"""What an endpoint is asked, what its answer means, and what becomes of one in trouble."""

from __future__ import annotations

import base64
import json
from typing import Any
from urllib.parse import unquote, urlsplit
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dripdrop.contracts import HttpRequest, HttpResponse, MaybeSent, NotSent
from dripdrop.errors import Invalid
from dripdrop.hooks.asking import Hooks
from dripdrop.hooks.calls import Gate, Permanent, Temporary
from dripdrop.hooks.http import LARGEST_BODY, Endpoints
from dripdrop.hooks.python import Modules
from dripdrop.plugins import Plugins
from dripdrop.rendering import wire
from dripdrop.rules.answers import Answered, Broken, Unavailable
from dripdrop.rules.urls import blocked
from dripdrop.store.hooks import Hook
from dripdrop.telemetry import Telemetry

HOSTILE = [
    '", "admin": true, "x": "',
    "}\n{",
    "\\",
    '\\"',
    "line\r\nbreak\ttab\x01",
    "</script>",
    "{{ email }}{% for %}",
    "\ue0000\ue001",
    "ünïcödé 🙂 \u2028",
    "../../admin",
    "..",
    "a/b?c=d&e#f",
    "%2e%2e%2f",
    "@evil.example.com",
    " ",
    "0",
    "null",
]


class Wire:
    """A sender that answers from a list and keeps what it was asked to send."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.sent: list[HttpRequest] = []
        self.timeouts: list[float] = []

    async def send(self, request: HttpRequest, *, timeout: float, max_bytes: int = 0) -> HttpResponse:
        self.sent.append(request)
        self.timeouts.append(timeout)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    def headers(self) -> dict[str, str]:
        return {name.lower(): value for name, value in self.sent[-1].headers}


class Naps:
    def __init__(self) -> None:
        self.taken: list[float] = []

    async def __call__(self, seconds: float) -> None:
        self.taken.append(seconds)


def said(body: Any = {"score": 85}, status: int = 200, **headers: str) -> HttpResponse:  # noqa: B006
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return HttpResponse(status, {name.replace("_", "-"): value for name, value in headers.items()}, raw)


def a_hook(**more: Any) -> Hook:
    given: dict[str, Any] = {"key": "score", "name": "Score", "url": "https://crm.example.com/score", "retry_count": 0}
    return Hook(id=uuid4(), sequence_id=uuid4(), sequence_key="onboarding", tenant_key="", **{**given, **more})


async def ask(subject, hook, *answers, auth=(), naps=None, gate=None):
    sender = Wire(*answers)
    endpoints = Endpoints(sender, wire, sleep=naps or Naps())
    return await endpoints.ask(hook, dict(auth), subject, gate or Gate()), sender


async def trouble(subject, hook, *answers, **more):
    sender = Wire(*answers)
    naps = more.pop("naps", Naps())
    with pytest.raises((Temporary, Permanent)) as found:
        await Endpoints(sender, wire, sleep=naps).ask(hook, {}, subject, more.pop("gate", Gate()))
    return found.value, sender


@pytest.mark.parametrize(
    ("kind", "path", "body", "value"),
    [
        ("json", None, b'{"a": [1, {"b": null}]}', {"a": [1, {"b": None}]}),
        ("json", "data.score", b'{"data": {"score": 7}}', 7),
        ("json", "$.data.scores[1].value", b'{"data": {"scores": [{}, {"value": 3}]}}', 3),
        ("json", "scores.0", b'{"scores": [9]}', 9),
        ("json", "[0]", b"[5]", 5),
        ("json", "nowhere.at.all", b'{"data": 1}', None),
        ("json", "a[7]", b'{"a": [1]}', None),
        ("json", None, b"false", False),
        ("text", None, "grün".encode(), "grün"),
        ("text", "plan", b'{"plan": "pro"}', "pro"),
        ("text", "seats", b'{"seats": 5}', "5"),
        ("number", None, b"85", 85),
        ("number", None, b" 85 \n", 85),
        ("number", None, b'"85"', 85),
        ("number", None, b"85.5", 85.5),
        ("number", None, b"-1e3", -1000.0),
        ("number", "score", b'{"score": "85"}', 85),
        ("boolean", None, b"true", True),
        ("boolean", None, b"FALSE", False),
        ("boolean", "ok", b'{"ok": "True"}', True),
    ],
)
async def test_an_answer_is_read_by_its_type_and_path(subject, kind, path, body, value):
    found, _ = await ask(subject, a_hook(response_type=kind, response_path=path), said(body))
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("kind", "path", "body", "reason"),
    [
        ("json", None, b"<html>", "not_json"),
        ("json", None, b"", "not_json"),
        ("json", "a..b", b"{}", "response_path"),
        ("json", "a[x]", b"{}", "response_path"),
        ("number", None, b"many", "not_a_number"),
        ("number", None, b"true", "not_a_number"),
        ("number", None, b"NaN", "not_a_number"),
        ("number", None, b"1e999", "not_a_number"),
        ("number", "score", b"{}", "not_a_number"),
        ("number", None, b"", "not_a_number"),
        ("boolean", None, b"1", "not_a_boolean"),
        ("boolean", None, b"yes", "not_a_boolean"),
        ("text", "plan", b"{}", "not_text"),
        ("json", None, b'"' + b"x" * LARGEST_BODY + b'"', "too_large"),
    ],
)
async def test_an_answer_of_another_kind_is_broken(subject, kind, path, body, reason):
    found, _ = await trouble(subject, a_hook(response_type=kind, response_path=path), said(body))
    assert isinstance(found, Permanent)
    assert found.reason == reason


@pytest.mark.parametrize("status", [200, 201, 202, 226])
async def test_every_2xx_is_an_answer(subject, status):
    assert (await ask(subject, a_hook(), said(status=status)))[0] == {"score": 85}


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308, 400, 401, 403, 404, 405, 409, 410, 422, 451])
async def test_what_is_refused_is_asked_once_and_stands(subject, status):
    found, sender = await trouble(subject, a_hook(retry_count=5), said(status=status, location="https://10.0.0.1/"))
    assert isinstance(found, Permanent)
    assert found.reason == f"http_{status}"
    assert len(sender.sent) == 1


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504, 599])
async def test_what_may_pass_is_asked_again_and_then_waits(subject, status):
    found, sender = await trouble(subject, a_hook(retry_count=3), said(status=status))
    assert isinstance(found, Temporary)
    assert found.reason == f"http_{status}"
    assert len(sender.sent) == 4


async def test_two_failures_and_then_an_answer(subject):
    naps = Naps()
    value, sender = await ask(
        subject, a_hook(retry_count=2), said(status=503), MaybeSent("ReadError"), said(), naps=naps
    )
    assert value == {"score": 85}
    assert len(sender.sent) == 3
    assert naps.taken == [0.1, 0.2]


async def test_every_retry_carries_the_same_key(subject):
    _, sender = await ask(subject, a_hook(retry_count=2), said(status=503), said(status=503), said())
    keys = {dict(request.headers)["idempotency-key"] for request in sender.sent}
    assert keys == {f"{subject.execution_id}:score"}


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (NotSent("timeout"), "timeout"),
        (MaybeSent("timeout"), "timeout"),
        (NotSent("host_unresolvable"), "connection"),
        (NotSent("ConnectError"), "connection"),
        (MaybeSent("ReadError"), "connection"),
    ],
)
async def test_a_connection_in_trouble_is_temporary(subject, error, reason):
    found, sender = await trouble(subject, a_hook(retry_count=1), error)
    assert isinstance(found, Temporary)
    assert (found.reason, found.strike, len(sender.sent)) == (reason, True, 2)


async def test_retry_after_is_waited_for_within_the_budget(subject):
    naps = Naps()
    value, _ = await ask(subject, a_hook(retry_count=1), said(status=429, retry_after="2"), said(), naps=naps)
    assert value == {"score": 85}
    assert naps.taken == [2.0]


async def test_retry_after_beyond_the_budget_is_handed_on(subject):
    naps = Naps()
    found, sender = await trouble(subject, a_hook(retry_count=5), said(status=429, retry_after="120"), naps=naps)
    assert isinstance(found, Temporary)
    assert (found.retry_after, len(sender.sent), naps.taken) == (120.0, 1, [])


@pytest.mark.parametrize(
    ("timeout_ms", "retries", "budget"),
    [(5000, 2, 15.0), (5000, 0, 5.0), (30000, 0, 30.0), (30000, 5, 30.0), (1, 5, 0.006)],
)
def test_the_budget_is_the_calls_together_and_thirty_seconds_at_most(timeout_ms, retries, budget):
    assert a_hook(timeout_ms=timeout_ms, retry_count=retries).budget == pytest.approx(budget)


async def test_the_budget_ends_the_retries(subject, monkeypatch):
    """Six calls of 30 s each would be three minutes; the second begins with what is left, and there is no third."""
    from dripdrop import clock

    time = [0.0]
    monkeypatch.setattr(clock, "monotonic", lambda: time[0])

    class Slow(Wire):
        async def send(self, request, *, timeout, max_bytes=0):
            self.sent.append(request)
            self.timeouts.append(timeout)
            time[0] += min(timeout, 20.0)
            raise MaybeSent("timeout")

    async def nap(seconds):
        time[0] += seconds

    sender = Slow()
    with pytest.raises(Temporary):
        await Endpoints(sender, wire, sleep=nap).ask(a_hook(timeout_ms=30_000, retry_count=5), {}, subject, Gate())
    assert [round(each, 1) for each in sender.timeouts] == [30.0, 9.9]
    assert time[0] <= 30.0


async def test_a_gate_that_shuts_ends_the_retries(subject):
    gate = Gate()
    for _ in range(4):
        gate.struck(subject.now)
    _, sender = await trouble(subject, a_hook(retry_count=5), MaybeSent("timeout"), gate=gate)
    assert len(sender.sent) == 1


async def test_a_blocked_url_is_broken_and_told(make_subject):
    heard: list[Any] = []
    telemetry = Telemetry(lambda value: value)
    telemetry.listen(heard.append, "hook.url_blocked")

    class Guard:
        async def send(self, request, **given):
            blocked("private_address", "It points into a private network.")

    hook = a_hook()

    async def defined(version):
        return [hook]

    hooks = Hooks(Modules(Plugins(installed=lambda group: [])), telemetry, Endpoints(Guard(), wire), defined)
    assert await hooks.ask(["score"], make_subject()) == Broken("score", "blocked_private_address")
    assert [each.metadata["reason"] for each in heard] == ["private_address"]
    assert heard[0].metadata["http_hook_id"] == str(hook.id)


def hooks_with(*rows, sender=None):
    async def defined(version):
        return rows

    class Host:
        name = "host"

        def handle_hook(self, name, enrollment, context):
            return "the module's"

    plugins = Plugins([Host()], installed=lambda group: [])
    return Hooks(Modules(plugins), Telemetry(lambda value: value), Endpoints(sender or Wire(said(7)), wire), defined)


async def test_a_name_is_an_http_hook_before_it_is_one_of_the_module(make_subject):
    hooks = hooks_with(a_hook())
    assert await hooks.ask(["score", "plan"], make_subject()) == Answered({"score": 7, "plan": "the module's"})


async def test_a_hook_that_was_switched_off_leaves_its_name_to_the_module(make_subject):
    assert await hooks_with(a_hook(active=False)).ask(["score"], make_subject()) == Answered({"score": "the module's"})


async def test_without_a_module_a_hook_that_was_switched_off_delays(make_subject):
    answer = await hooks_with(a_hook(active=False)).ask(["score"], make_subject(module=None))
    assert answer == Unavailable("score", "inactive", 60.0)


async def test_a_database_that_is_away_delays(make_subject, caplog):
    async def defined(version):
        raise OSError("no database")

    hooks = Hooks(Modules(Plugins()), Telemetry(lambda value: value), Endpoints(Wire(said()), wire), defined)
    assert await hooks.ask(["score"], make_subject()) == Unavailable("score", "internal_error", 30.0)


class TestAuth:
    async def header(self, subject, kind, auth):
        _, sender = await ask(subject, a_hook(auth_type=kind), said(), auth=auth)
        return sender.headers()

    async def test_none_sends_no_credentials(self, subject):
        assert "authorization" not in await self.header(subject, "none", {})

    async def test_bearer(self, subject):
        assert (await self.header(subject, "bearer", {"token": "t0ken"}))["authorization"] == "Bearer t0ken"

    async def test_basic(self, subject):
        found = await self.header(subject, "basic", {"username": "Aladdin", "password": "open sesame"})
        # The example of RFC 7617.
        assert found["authorization"] == "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="

    async def test_basic_in_utf_8(self, subject):
        found = await self.header(subject, "basic", {"username": "test", "password": "123£"})
        assert found["authorization"] == "Basic dGVzdDoxMjPCow=="
        assert base64.b64decode(found["authorization"][6:]).decode() == "test:123£"

    async def test_header(self, subject):
        assert (await self.header(subject, "header", {"name": "X-Api-Key", "value": "k"}))["x-api-key"] == "k"

    async def test_credentials_that_are_gone_are_broken(self, subject):
        found, sender = await trouble(subject, a_hook(auth_type="bearer"), said())
        assert (found.reason, sender.sent) == ("no_credentials", [])

    async def test_credentials_come_last_and_once(self, subject):
        hook = a_hook(auth_type="bearer", headers={"AUTHORIZATION": "Bearer other", "Idempotency-Key": "x"})
        _, sender = await ask(subject, hook, said(), auth={"token": "t"})
        names = [name.lower() for name, _ in sender.sent[0].headers]
        assert sorted(names) == ["authorization", "idempotency-key"]
        assert sender.headers()["authorization"] == "Bearer t"


class TestRequest:
    async def test_a_body_has_its_content_type(self, subject):
        _, sender = await ask(subject, a_hook(body_template='{"email": {{ email }}}'), said())
        assert sender.headers()["content-type"] == "application/json"
        assert json.loads(sender.sent[0].body) == {"email": "ann@example.org"}

    async def test_no_body_has_none(self, subject):
        _, sender = await ask(subject, a_hook(method="GET"), said())
        assert sender.sent[0].body == b""
        assert "content-type" not in sender.headers()

    async def test_headers_are_sent_as_they_are(self, subject):
        _, sender = await ask(subject, a_hook(headers={"X-Team": "{{ email }}"}), said())
        assert sender.headers()["x-team"] == "{{ email }}"

    async def test_a_form_is_encoded_as_one(self, make_subject):
        hook = a_hook(
            body_template="email={{ email }}&note={{ note }}",
            headers={"Content-Type": "application/x-www-form-urlencoded"},
        )
        _, sender = await ask(make_subject(note="a&admin=1"), hook, said())
        assert sender.sent[0].body == b"email=ann%40example.org&note=a%26admin%3D1"

    async def test_xml_is_escaped(self, make_subject):
        hook = a_hook(body_template='<p n="{{ n }}">{{ n }}</p>', headers={"Content-Type": "text/xml"})
        _, sender = await ask(make_subject(n='"><admin/>'), hook, said())
        assert sender.sent[0].body == b'<p n="&quot;&gt;&lt;admin/&gt;">&quot;&gt;&lt;admin/&gt;</p>'

    @pytest.mark.parametrize(
        "url", ["https://{{ host }}/x", "https://crm.{{ zone }}/x", "{{ url }}", "https://crm.example.com{{ x }}/y"]
    )
    async def test_a_persons_data_never_choose_the_host(self, make_subject, url):
        data = {
            "host": "evil.example.com",
            "zone": "evil.example.com",
            "x": ".evil.example.com",
            "url": "https://e.com/",
        }
        found, sender = await trouble(make_subject(**data), a_hook(url=url), said())
        assert (found.reason, sender.sent) == ("hook_url", [])


class TestHostileValues:
    """A value never changes the shape of what it is put into."""

    @pytest.mark.parametrize("value", HOSTILE)
    async def test_in_a_json_string(self, make_subject, value):
        hook = a_hook(body_template='{"name": "Dear {{ name }}!", "role": "user"}')
        _, sender = await ask(make_subject(name=value), hook, said())
        assert json.loads(sender.sent[0].body) == {"name": f"Dear {value}!", "role": "user"}

    @pytest.mark.parametrize("value", [*HOSTILE, 5, 5.5, True, None, ["a", '"'], {"k": '"}'}, {}])
    async def test_as_a_json_value(self, make_subject, value):
        hook = a_hook(body_template='{"name": {{ name }}, "again": {{ name | json }}, "role": "user"}')
        _, sender = await ask(make_subject(name=value), hook, said())
        assert json.loads(sender.sent[0].body) == {"name": value, "again": value, "role": "user"}

    @pytest.mark.parametrize("value", [each for each in HOSTILE if each != ".."])
    async def test_in_a_path_and_a_query(self, make_subject, value):
        hook = a_hook(url="https://crm.example.com/people/{{ id }}/score?of={{ id }}&role=user")
        _, sender = await ask(make_subject(id=value), hook, said())
        parts = urlsplit(sender.sent[0].url)
        assert parts.netloc == "crm.example.com"
        assert [unquote(each) for each in parts.path.split("/")] == ["", "people", value, "score"]
        assert [unquote(each) for each in parts.query.split("&")] == [f"of={value}", "role=user"]
        assert parts.query.count("&") == 1
        assert parts.fragment == ""

    @pytest.mark.parametrize("value", ["..", "."])
    async def test_dots_that_would_step_out_of_the_path_are_refused(self, make_subject, value):
        hook = a_hook(url="https://crm.example.com/people/{{ id }}/score")
        found, sender = await trouble(make_subject(id=value), hook, said())
        assert (found.reason, sender.sent) == ("template", [])

    def test_a_backslash_before_a_value_is_refused(self):
        with pytest.raises(Invalid):
            wire.body('{"a": "\\{{ a }}"}', {"a": '"', "now": None}, "application/json")

    def test_what_is_no_json_in_the_end_is_refused(self):
        with pytest.raises(Invalid):
            wire.body('{"a": {{ a }}', {"a": 1, "now": None}, "application/json")

    @pytest.mark.parametrize(
        "tag", ["{% capture x %}y{% endcapture %}", "{% include 'x' %}", "{% cycle 'a' %}", "{{ a"]
    )
    def test_tags_that_write_for_themselves_do_not_exist(self, tag):
        with pytest.raises(Invalid):
            wire.body(tag, {"now": None}, "text/plain")
        assert wire.check(tag, "body_template")

    def test_logic_works(self):
        text = '{"all": [{% for each in all %}{{ each }}{% unless forloop.last %},{% endunless %}{% endfor %}]}'
        assert json.loads(wire.body(text, {"all": [1, '"', None], "now": None}, "")) == {"all": [1, '"', None]}

    @given(st.recursive(st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(), st.lists, max_leaves=5))
    def test_every_value_comes_back_whole(self, value):
        try:
            json.dumps(value, ensure_ascii=False).encode()
        except UnicodeEncodeError:
            return
        body = wire.body('{"v": {{ v }}, "t": "{{ t }}"}', {"v": value, "t": str(value), "now": None}, "")
        assert json.loads(body) == {"v": value, "t": str(value)}
