from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import uuid4
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dripdrop.errors import Invalid
from dripdrop.rendering.problems import MAX_TEMPLATE
from dripdrop.rendering.render import addresses, render
from dripdrop.rendering.templates import check_template, compile_template
from dripdrop.rendering.text_part import text_of, text_template
from dripdrop.rules import mail
from dripdrop.rules.definition import Immediate, Step, Version
from dripdrop.rules.message import Address, Chat, Email, Message, Sms, Webhook, digest

NOW = datetime(2030, 3, 1, 12, tzinfo=UTC)
ANN = {"email": "ann@example.org", "first_name": "Ann", "sms": "+436641234567"}
SYSTEM = {"subscriber_id": "42", "subscriber_type": "user", "enrollment_id": "e-1"}


def step(channel: str, template: dict[str, Any], **more: Any) -> Step:
    return Step(uuid4(), "welcome", "Welcome", channel, 1, Immediate(), template, **more)


def made(one: Step, data: dict[str, Any] | None = None, tenant: str = "", config: Any = None, **more: Any) -> Message:
    version = Version(uuid4(), uuid4(), "trial", "Trial", tenant, 1, "active", "lifecycle", (one,), (), config or {})
    return render(one, version, data=ANN if data is None else data, system=SYSTEM, now=NOW, **more)


def email(template: dict[str, Any], data: dict[str, Any] | None = None, **more: Any) -> Email:
    message = made(step("email", {"subject": "Hi", "text": "x", **template}), data, **more)
    assert isinstance(message, Email)
    return message


def code(one: Step, data: dict[str, Any] | None = None, **more: Any) -> str:
    with pytest.raises(Invalid) as refused:
        made(one, data, **more)
    assert refused.value.cure
    return refused.value.code


def say(text: str, *, escape: bool = False, trusted: bool = True, **variables: Any) -> str:
    return compile_template(text, escape=escape, trusted=trusted).render({"now": NOW, **variables})


# Templates


def test_html_is_escaped_and_text_is_not() -> None:
    message = email({"subject": "{{ x }}", "html": "<p>{{ x }}</p>", "text": "{{ x }}"}, {**ANN, "x": "<b>&"})
    assert message.html == "<p>&lt;b&gt;&amp;</p>"
    assert (message.subject, message.text) == ("<b>&", "<b>&")


def test_raw_html_is_for_trusted_authors_only() -> None:
    assert say("{{ x | raw }}", escape=True, x="<b>") == "<b>"
    with pytest.raises(Invalid):
        say("{{ x | safe }}", escape=True, trusted=False, x="<b>")
    assert [each.message for each in check_template("{{ x | safe }}", trusted=False)] == ["There is no filter 'safe'"]


def test_what_is_missing_is_empty_and_told_by_name() -> None:
    heard: list[str] = []
    email({"text": "{{ a }}{{ b.c }}{{ d | default: 'x' }}{% if e %}{% endif %}{{ first_name }}"}, missing=heard.append)
    assert heard == ["a", "b.c"]


def test_time_is_business_time_everywhere() -> None:
    assert say("{{ now | date: '%Y-%m-%d' }} {{ 'now' | date: '%H' }} {{ 'today' | date: '%d' }}") == "2030-03-01 12 01"
    assert say("{{ '09:30' | date: '%Y-%m-%d %H:%M' }}") == "2030-03-01 09:30"
    assert say("{{ 0 | date: '%Y %H' }}") == "1970 00"
    assert email({"text": "{{ now_iso8601 }} {{ today }}"}).text == "2030-03-01T12:00:00+00:00 2030-03-01"


def test_values_print_as_the_reference_prints_them() -> None:
    assert say("{{ a }} {{ b }} {{ c }} {{ d }}", a=5.0, b=True, c=None, d=["x", 1]) == "5.0 true  x1"
    assert say("<%= x %> {{ user.name }} {{ list.size }}", user={"name": "Ann"}, list=[1, 2]) == "<%= x %> Ann 2"


def test_the_shortcut_for_plain_templates_says_what_liquid_says() -> None:
    for value in ("<b>", 5, 5.0, True, None, ["a"], {"k": 1}, "", 10**30):
        for escape in (False, True):
            plain = say("a {{ x.y }} b", escape=escape, x={"y": value})
            assert plain == say("a {{ x.y | default: x.y, allow_false: true }} b", escape=escape, x={"y": value})


@pytest.mark.parametrize("text", ["{% include 'x' %}", "{% render 'x' %}", "{{name", "{% if %}"])
def test_what_is_no_template_is_refused_with_its_line(text: str) -> None:
    with pytest.raises(Invalid) as refused:
        compile_template(f"one\n{text}", path="welcome.text")
    assert refused.value.code == "template"
    (finding,) = refused.value.findings
    assert (finding.path, finding.line) == ("welcome.text", 2)
    assert check_template(f"one\n{text}")[0].line == 2


@pytest.mark.parametrize(
    "text",
    [
        "{% for i in (1..100000000) %}{% endfor %}",
        "{% for i in (1..1000000000000) offset: 999999999 limit: 1 %}{% endfor %}",
        "{% for i in (1..200) %}{% for j in (1..200) %}{{ j }}{% endfor %}{% endfor %}",
        "{% for i in (1..15000) %}{% endfor %}{% for i in (1..15000) %}{% endfor %}",
        "{% tablerow i in (1..100000000) %}{% endtablerow %}",
        "{{ (1..1000000000) | join: 'x' }}",
        "{{ (1..1000000000) | reverse | size }}",
        "{% assign s = 'aaaaaaaaaa' %}{% for i in (1..60) %}{% assign s = s | append: s %}{% endfor %}",
        "{% assign s = 'aaaaaaaaaa' | " + " | ".join(["replace: 'a', 'aaaaaaaaaa'"] * 12) + " %}",
        "{% assign n = 9 %}{% for i in (1..60) %}{% assign n = n | times: n %}{% endfor %}",
        "{{ 1 | divided_by: 0 }}",
        "{{ many | join: big }}",
        "{% if a %}" * 200 + "{% endif %}" * 200,
        "{{ 'x' | nofilter }}",
        "x" * (MAX_TEMPLATE + 1),
    ],
)
def test_a_template_that_asks_too_much_is_refused_soon(text: str) -> None:
    with pytest.raises(Invalid) as refused:
        say(text, big="x" * 5000, many=["x"] * 5000)
    assert refused.value.code == "template"


@given(st.text(alphabet=" ab0{}%|-_.:/\"'\n", max_size=60))
def test_any_text_is_rendered_or_refused(text: str) -> None:
    try:
        assert isinstance(say(text, a="x"), str)
    except Invalid as refused:
        assert refused.code == "template"


def test_later_variables_win_and_data_never_overrides_the_system() -> None:
    own = step("email", {"subject": "s", "text": TEXT}, config={"template_variables": {"plan": "own"}})
    data = {**ANN, "subscriber_id": "evil", "step_key": "evil", "now_iso8601": "evil", "score": 1, "plan": "data"}
    message = made(own, data, tenant="acme", answers={"score": 99, "plan": "hook"})
    assert isinstance(message, Email)
    assert message.text == "42 welcome trial acme 99 own"


TEXT = "{{ subscriber_id }} {{ step_key }} {{ sequence_key }} {{ tenant_key }} {{ score }} {{ plan }}"


def test_the_event_that_was_waited_for_has_a_name_of_its_own() -> None:
    assert email({"text": "{{ event.plan }}"}, {**ANN, "event": "data"}, event={"plan": "pro"}).text == "pro"
    assert email({"text": "{{ event }}"}, {**ANN, "event": "data"}).text == "data"


# Messages


def test_an_email_whole() -> None:
    message = email(
        {
            "to": "{{ boss }} <{{ boss_email }}>",
            "cc": "a@example.org, {{ nobody }}",
            "reply_to": "help@example.org",
            "headers": {"X-Plan": "{{ first_name }}"},
            "attachments": [{"filename": "{{ first_name }}.txt", "content": "Hi {{ first_name }}"}],
            "subject": "Two\n lines",
        },
        {**ANN, "boss": "Smith, John", "boss_email": "john@example.org"},
        default_from="Team <team@example.org>",
        message_id="x.1@example.org",
        unsubscribe_url="https://app.example.org/u/t",
        unsubscribe_mailto="stop@example.org",
    )
    assert message.to == (Address("john@example.org", "Smith, John"),)
    assert message.cc == (Address("a@example.org"),)
    assert message.sender == Address("team@example.org", "Team")
    assert message.subject == "Two lines"
    assert message.attachments[0].content == b"Hi Ann"
    assert message.headers == (
        ("X-Plan", "Ann"),
        ("List-Unsubscribe", "<https://app.example.org/u/t>, <mailto:stop@example.org>"),
        ("List-Unsubscribe-Post", "List-Unsubscribe=One-Click"),
    )
    assert (message.date, message.message_id) == (NOW, "x.1@example.org")
    assert b"Subject: Two lines" in mail.build(message, boundary_seed="x")


def test_a_persons_data_can_add_no_recipient() -> None:
    evil = {**ANN, "name": "x@evil.test, Ann"}
    assert email({"to": "{{ name }} <{{ email }}>"}, evil).to == (Address("ann@example.org", "x@evil.test, Ann"),)
    for address in ("a@example.org, b@example.org", "a@example.org\r\nBcc: b@example.org"):
        assert code(step("email", {"subject": "s", "text": "x"}), {"email": address}) in ("address", "header_injection")


def test_unsubscribe_headers_only_where_they_belong() -> None:
    url = {"unsubscribe_url": "https://app.example.org/u/t"}
    assert email({}, config={"class": "transactional"}, **url).headers == ()
    own = step("email", {"subject": "s", "text": "x"}, config={"unsubscribe": False})
    assert made(own, **url).headers == ()  # type: ignore[union-attr]
    written = {"headers": {"list-unsubscribe": "<mailto:me@example.org>"}}
    assert email(written, **url).headers == (("list-unsubscribe", "<mailto:me@example.org>"),)
    plain = email({}, unsubscribe_url="http://localhost/u/t").headers
    assert [name for name, _ in plain] == ["List-Unsubscribe"]
    assert email({"text": "{{ unsubscribe_url }}"}, **url).text == "https://app.example.org/u/t"


def test_the_text_part_is_made_from_the_html() -> None:
    one = step(
        "email", {"subject": "s", "html": "<h1>Hi {{ first_name }}</h1><p>A &amp; <a href='{{ url }}'>B</a></p>"}
    )
    message = made(one, {**ANN, "url": "https://x.test/?a=1&b=2", "first_name": "A<n>n"})
    assert isinstance(message, Email)
    assert message.text == "Hi A<n>n\n\nA & B (https://x.test/?a=1&b=2)"


def test_rendering_twice_gives_the_same_digest() -> None:
    one = step("email", {"subject": "s", "html": "<p>{{ now }} {{ first_name }}</p>"})
    assert digest(made(one)) == digest(made(one))


def test_a_changed_draft_is_compiled_anew() -> None:
    one = step("sms", {"body": "one"})
    two = Step(one.id, one.key, one.name, "sms", 1, Immediate(), {"body": "two"})
    assert [made(each).body for each in (one, two, one)] == ["one", "two", "one"]  # type: ignore[union-attr]


def test_other_channels() -> None:
    assert made(step("sms", {"body": "Hi {{ first_name }}", "from": "+1555"})) == Sms(
        "+436641234567", "Hi Ann", "+1555"
    )
    hook = step("webhook", {"payload": {"a": ["{{ first_name }}", 5]}, "headers": {"X-A": "1"}})
    assert made(hook) == Webhook({"a": ["Ann", 5]}, None, "POST", (("X-A", "1"),))
    assert made(step("webhook", {"payload": '{"n": 1}', "url": "https://x.test/{{ first_name }}"})) == Webhook(
        {"n": 1}, "https://x.test/Ann"
    )
    assert made(step("slack", {"text": "x", "blocks": [{"t": "{{ first_name }}"}]})) == Chat(
        None, "x", {"blocks": [{"t": "Ann"}]}
    )
    assert made(step("telegram", {"text": "x", "chat_id": "7"})) == Chat("7", "x")
    assert made(step("telegram", {"text": "x"}), {"telegram": 7}) == Chat("7", "x")
    assert made(step("whatsapp", {"payload": {"template": {"name": "t"}}}), {"whatsapp": "+43"}) == Chat(
        "+43", "", {"template": {"name": "t"}}
    )
    assert made(step("pubsub", {"topic": "t", "event": "e"})) == Chat("t", "", {"event": "e", "payload": {}})
    assert made(step("pigeon", {"text": "coo", "to": "roof"})) == Chat("roof", "coo")


@pytest.mark.parametrize(
    ("channel", "template", "wanted"),
    [
        ("email", {"text": "x"}, "missing_subject"),
        ("email", {"subject": " {{ nothing }} ", "text": "x"}, "missing_subject"),
        ("email", {"subject": "s"}, "empty_body"),
        ("email", {"subject": "s", "text": " "}, "empty_body"),
        ("email", {"subject": "s", "text": "x", "attachments": [{"content": "x"}]}, "attachment"),
        ("email", {"subject": "s", "text": "x", "to": "not an address"}, "address"),
        ("sms", {"body": ""}, "empty_body"),
        ("sms", {"body": "x" * 1601}, "sms_too_long"),
        ("webhook", {"url": "{{ nothing }}"}, "missing_url"),
        ("webhook", {"payload": "no json"}, "payload"),
        ("webhook", {"payload": [1]}, "payload"),
        ("pubsub", {"event": "e"}, "missing_topic"),
        ("pubsub", {"topic": "t"}, "missing_event"),
        ("slack", {"text": ""}, "empty_body"),
        ("telegram", {"text": "x"}, "missing_chat_id"),
        ("whatsapp", {"text": "x"}, "missing_recipient"),
        ("whatsapp", {"to": "+43"}, "empty_body"),
    ],
)
def test_a_message_that_its_channel_cannot_carry(channel: str, template: dict[str, Any], wanted: str) -> None:
    assert code(step(channel, template)) == wanted


def test_nobody_to_send_to_and_the_limit_of_a_step() -> None:
    assert code(step("email", {"subject": "s", "text": "x"}), {}) == "missing_recipient"
    assert code(step("sms", {"body": "x"}), {}) == "missing_recipient"
    assert code(step("sms", {"body": "xx"}, config={"sms_max_chars": 1})) == "sms_too_long"


def test_a_template_that_is_a_function() -> None:
    one = step("sms", {"module": "app.mails", "function": "hello"}, template_type="module", config={"a": 1})

    def resolve(module: str, function: str) -> Any:
        def write(person: Any, answers: Any, settings: Any) -> Any:
            said = (module, function, person["data"]["first_name"], person["id"], answers["score"], settings["a"])
            return {"body": " ".join(map(str, said))}

        return write

    def broken(module: str, function: str) -> Any:
        raise RuntimeError

    assert made(one, resolve=resolve, answers={"score": 7}) == Sms("+436641234567", "app.mails hello Ann e-1 7 1")
    assert code(one) == "template_module"
    assert code(one, resolve=broken) == "template_module"
    assert code(one, resolve=lambda m, f: lambda *a: "text") == "template_module"


# Addresses


def used(one: Step, data: dict[str, Any]) -> Any:
    version = Version(uuid4(), uuid4(), "trial", "Trial", "", 1, "active", "lifecycle", (one,))
    return addresses(one, data, version=version, system=SYSTEM, now=NOW)


def test_every_address_that_is_really_used() -> None:
    plain = step("email", {"subject": "s"})
    assert used(plain, {"email": " Ann <Ann@Example.org>"}) == (("email", "ann@example.org"),)
    assert used(plain, {}) == ()
    key = step("email", {"subject": "s"}, config={"recipient_key": "work"})
    assert used(key, {"work": "w@example.org", "email": "x@example.org"}) == (("email", "w@example.org"),)
    many = step("email", {"to": "{{ boss }}", "cc": "Team <T@example.org>", "bcc": "a@example.org, {{ boss }}"})
    assert used(many, {"boss": "b@example.org", "email": "x@example.org"}) == (
        ("email", "b@example.org"),
        ("email", "t@example.org"),
        ("email", "a@example.org"),
    )
    copied = step("email", {"cc": "c@example.org"})
    assert used(copied, {"email": "x@example.org"}) == (("email", "x@example.org"), ("email", "c@example.org"))
    assert used(step("sms", {"body": "x"}), {"sms": "+43 664 1234567"}) == (("sms", "+436641234567"),)
    assert used(step("webhook", {}), {"webhook": "x"}) == ()


def test_the_addresses_are_those_of_the_message() -> None:
    one = step("email", {"subject": "s", "text": "x", "to": "{{ boss }}", "cc": "c@example.org"})
    data = {"boss": "b@example.org"}
    message = made(one, data)
    assert isinstance(message, Email)
    assert [each.email for each in (*message.to, *message.cc)] == [address for _, address in used(one, data)]


# The text part


def test_html_as_text() -> None:
    html = """<html><head><title>No</title><style>p {}</style></head><body>
      <div style="display:none">Preheader</div>
      <h1>Hello&nbsp;Ann</h1><p>One<br>two   <b>three</b></p>
      <ul><li>a</li><li>b <ol><li>c</li></ol></li></ul>
      <table><tr><td>x</td><td>y</td></tr><tr><td>z</td></tr></table><hr>
      <a href="https://x.test">https://x.test</a> <a href="mailto:a@b.test">a@b.test</a> <a href="#top">up</a>
      <img alt="Logo" src="x.png"><script>bad()</script><pre>  kept
  so</pre></body></html>"""
    assert text_of(html).splitlines() == [
        "Hello Ann", "", "One", "two three", "", "- a", "- b", "  1. c", "", "x y", "z", "", "-" * 20, "",
        "https://x.test a@b.test up Logo", "", "  kept", "  so",
    ]  # fmt: skip


def test_a_loop_in_the_template_is_a_loop_in_its_text() -> None:
    template = text_template(
        "<ul>{% for i in items %}<li>{{ i | escape }}</li>{% endfor %}</ul>{% if a <b %}x{% endif %}"
    )
    assert template is not None
    assert say(template, items=["a<", "b"], a=1, b=2).split() == ["-", "a<", "-", "b", "x"]


def test_markup_from_a_filter_is_converted_message_by_message() -> None:
    assert text_template("<p>{{ x | newline_to_br }}</p>") is None
    one = step("email", {"subject": "s", "html": "<p>{{ x | raw }}</p><table>{% if x %}</table>{% endif %}"})
    message = made(one, {**ANN, "x": "a<br>b"})
    assert isinstance(message, Email)
    assert message.text == "a\nb"


@given(st.text(alphabet="<>/abp {}%&;\"'=!-\n", max_size=80))
def test_any_html_has_a_text(html: str) -> None:
    assert isinstance(text_of(html), str)
    text_template(html)


def test_the_hour_that_a_clock_shows_twice_is_told_apart() -> None:
    """Moments come in the zone of the database's session."""
    one = step("email", {"subject": "Hi", "text": "{{ now_iso8601 }}"})
    version = Version(uuid4(), uuid4(), "trial", "Trial", "", 1, "active", "lifecycle", (one,))
    said = []
    for hour in (0, 1):
        now = datetime(2030, 10, 27, hour, 30, tzinfo=UTC).astimezone(ZoneInfo("Europe/Vienna"))
        message = render(one, version, data=ANN, system=SYSTEM, now=now)
        assert isinstance(message, Email)
        said.append(message.text)
    assert said == ["2030-10-27T02:30:00+02:00", "2030-10-27T02:30:00+01:00"]
