"""Which templates and data would do harm, if they could?"""

# A table: one line each.
# ruff: noqa: E501

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from seen import tags

HTML = "<p>{{ name }}</p>"
EVIL = "<script>alert(1)</script>"
MEGA = 1_000_000


@dataclass(frozen=True)
class Case:
    """Fields of an e-mail and a person's data; `wanted` are codes that are right, `safe` judges a message that came."""

    fields: dict[str, Any]
    data: dict[str, Any] = field(default_factory=dict)
    wanted: tuple[str, ...] = ("template",)
    safe: Callable[[Any], bool] | None = None
    config: dict[str, Any] = field(default_factory=dict)


class Loud:
    """An object that does something when it is looked at."""

    secret = "s3cret"

    def __str__(self) -> str:
        raise RuntimeError("looked at")

    def __call__(self) -> str:
        return "called"


class Endless(dict[str, Any]):
    """A mapping that has everything, again."""

    def __getitem__(self, name: str) -> Any:
        return self


def text(template: str, /, *, wanted: tuple[str, ...] = ("template",), safe: Any = None, **data: Any) -> Case:
    return Case({"text": template}, data, wanted, safe)


def page(template: str, /, *, wanted: tuple[str, ...] = ("template",), safe: Any = None, **data: Any) -> Case:
    return Case({"html": template}, data, wanted, safe)


def mjml(column: str) -> str:
    return f"<mjml><mj-body><mj-section><mj-column>{column}</mj-column></mj-section></mj-body></mjml>"


def cyclic() -> list[Any]:
    ring: list[Any] = []
    ring.append(ring)
    return ring


def deep(levels: int) -> Any:
    value: Any = "x"
    for _ in range(levels):
        value = [value]
    return value


def comes(message: Any) -> bool:
    """Whatever it says, it can be sent."""
    return bool(message.text)


def shown(message: Any) -> bool:
    """There is HTML."""
    return "<" in message.html


def only(*names: str) -> Callable[[Any], bool]:
    """One tag, with these attributes and no other."""
    return lambda message: [found for _, found in tags(message.html)] == [sorted(names)]


def says(*words: str) -> Callable[[Any], bool]:
    return lambda message: all(word in (message.text or "") for word in words)


def no_markup(message: Any) -> bool:
    return "<script" not in message.html


def one_line(message: Any) -> bool:
    return "\n" not in message.subject and "\r" not in message.subject and not message.bcc


LOOP = "{% for i in (1..15000) %}"
DOUBLE = "{% assign s = s | append: s %}"

CASES: dict[str, Case] = {
    # loops
    "a loop of a hundred million": text("{% for i in (1..100000000) %}{% endfor %}"),
    "a loop over a range that data makes": text("{% for i in (1..n) %}x{% endfor %}", n=10**12),
    "loops in loops": text("{% for i in (1..999) %}{% for j in (1..999) %}{{ j }}{% endfor %}{% endfor %}"),
    "one loop after another": text(f"{LOOP}{{% endfor %}}" * 3),
    "a loop with a far offset": text("{% for i in (1..999999999999) offset: 99999999999 limit: 1 %}{% endfor %}"),
    "a table of a hundred million cells": text("{% tablerow i in (1..100000000) %}x{% endtablerow %}"),
    "a table of loops": text("{% tablerow i in (1..900) cols: 1 %}{% for j in (1..900) %}x{% endfor %}{% endtablerow %}"),
    "a loop over ten megabytes of letters": text("{% for c in s %}{{ c }}{% endfor %}", safe=comes, s="x" * 10 * MEGA),
    "a loop over a million things": text("{% for i in many %}{{ i }}{% endfor %}", many=list(range(MEGA))),
    # growth
    "doubling by assign": text("{% assign s = 'xxxxxxxxxx' %}" + DOUBLE * 60),
    "doubling in a loop": text("{% assign s = 'x' %}{% for i in (1..99) %}" + DOUBLE + "{% endfor %}"),
    "doubling by capture": text("{% capture s %}x{% endcapture %}" + "{% capture s %}{{ s }}{{ s }}{% endcapture %}" * 40),
    "doubling by replace": text("{{ 'aaaaaaaaaa' " + "| replace: 'a', 'aaaaaaaaaa' " * 20 + "}}"),
    "doubling by join": text("{{ many | join: big }}", many=["x"] * 9_999, big="y" * 9_999),
    "doubling by concat": text("{% assign l = many %}" + "{% assign l = l | concat: l %}" * 40, many=list(range(100))),
    "a number that grows": text("{% assign n = 9 %}{% for i in (1..99) %}{% assign n = n | times: n %}{% endfor %}"),
    "a number of a million digits": text("{{ n | plus: 1 }}", n=10**100_000),
    "names by the hundred thousand": text(LOOP + "{% assign x = x | append: 'yyyyyyyyyyyyyyyyyyyy' %}{% endfor %}{{ x | size }}", safe=says("300000")),
    "output without end": text(LOOP + "x" * 1_000 + "{% endfor %}"),
    # filters
    "ten megabytes through a filter": text("{{ s | upcase }}", s="x" * 10 * MEGA),
    "ten megabytes as they are": text("{{ s }}", s="x" * 10 * MEGA),
    "ten megabytes escaped": page(HTML, name="<" * 10 * MEGA),
    "ten megabytes without tags": text("{{ s | strip_html }}", s="<" * 10 * MEGA),
    "a split into a million": text("{{ s | split: ',' | size }}", safe=comes, s="," * MEGA),
    "tags that are never closed": text("{{ s | strip_html | size }}", safe=says(), s="<a" * 200_000),
    "scripts that are never closed": text("{{ s | strip_html | size }}", safe=says(), s="<script" * 60_000),
    "words by the million": text("{{ s | truncatewords: 999999 | size }}", safe=says(), s="a " * 400_000),
    "truncated to more than there is": text("{{ 'x' | truncate: 99999999999999999999 }}", safe=says("x")),
    "padding by a wild date": text("{{ 'now' | date: '" + "%9999999Y" * 20 + "' }}", safe=lambda m: len(m.text) < MEGA, wanted=("empty_body",)),
    "a date format of ten thousand parts": text("{{ 'now' | date: f }}", safe=lambda m: len(m.text) < MEGA, f="%c" * 10_000),
    "a date that never was": text("{{ d | date: '%Y' }}", safe=says("99999999999999"), d="99999999999999"),
    "a date with a NUL": text("{{ 'now' | date: f }}", safe=comes, f="%Y\0%m"),
    "sorting what cannot be compared": text("{{ l | sort }}", l=[1, "a", None, {}], safe=comes),
    "slicing far away": text("{{ 'abc' | slice: 99999999999, 99999999999 }}.", safe=says(".")),
    "dividing by nothing": text("{{ 1 | divided_by: 0 }}"),
    "decoding what is no base64": text("{{ s | base64_decode }}", s="\xff\xfe~~~"),
    "a pattern that explodes": text("{{ s | replace: '(a+)+$', 'b' }}", safe=says("aaa"), s="a" * 50_000 + "!"),
    # nesting and files
    "two hundred ifs": text("{% if a %}" * 200 + "{% endif %}" * 200),
    "ranges by the hundred thousand": text("{{ " + "(" * 200_000 + " }}"),
    "blanks by the half million": text("{{" + " " * 500_000 + "}}"),
    "brackets a hundred thousand deep": text("{{ a" + "[" * 100_000 + "0" + "]" * 100_000 + " }}"),
    "braces by the half million": text("{{" * 250_000),
    "tags by the half million": text("{%" * 250_000),
    "raw without end": text("{% raw %}" * 50_000),
    "conditions without end": text("{% if " + "a or " * 50_000 + "a %}x{% endif %}", safe=comes, a=1),
    "a file included": text("{% include '/etc/passwd' %}"),
    "a file rendered": text("{% render '/etc/passwd' %}"),
    "a layout": text("{% layout 'x' %}{% block a %}{% endblock %}"),
    "data that is ten thousand levels deep": text("{{ x }}", x=deep(10_000)),
    "data that holds itself": text("{{ x }}{{ x | join: ',' }}{{ x | flatten }}", x=cyclic()),
    # reaching out
    "the class of a value": text("{{ x.__class__ }}{{ x.__class__.__mro__ }}{{ x['__init__'] }}.", safe=lambda m: m.text == ".", x="s"),
    "the secret of an object": text("{{ x.secret }}.", safe=lambda m: "s3cret" not in m.text, x=Loud()),
    "an object that raises": text("{{ x }}", x=Loud()),
    "a mapping that has everything": text("{{ x.a.b.c.d }}", safe=lambda m: len(m.text) < MEGA, x=Endless(a=1)),
    "keys of every kind": text("{{ x | json }}{{ x.size }}{% for p in x %}{{ p[0] }}{% endfor %}", safe=comes, x={1: 2, None: 3, (1,): 4, "a b": 5}),
    "a cycle of a hundred thousand": text(LOOP + "{% cycle 'a', 'b', x %}{% endfor %}{{ x }}", safe=comes, x="y" * 50),
    "the time of this machine": text("{{ 'now' | date: '%Y' }} {{ 'today' | date: '%Y' }}", safe=says("2030 2030")),
    # markup
    "a script for a name": page(HTML, safe=no_markup, name=EVIL),
    "a script for a name, marked safe": page("{{ name | raw }}", name=EVIL),
    "an attribute that ends early": page("<a title='{{ name }}' href=\"{{ name }}\">x</a>", safe=only("title", "href"), name="x' onclick='y\" onclick=\"z"),
    "an address that runs a script": page('<a href="{{ url }}">x</a>', safe=only("href"), url='javascript:"onclick=alert(1)'),
    "escaped twice and back": page("{{ name | escape | url_decode }}{{ name | append: name }}{{ name | newline_to_br }}", safe=no_markup, name=EVIL),
    "markup by way of capture": page("{% capture x %}{{ name }}{% endcapture %}{{ x }}{{ x | append: name }}", safe=no_markup, name=EVIL),
    "markup by way of join": page("{{ l | join: name }}", safe=no_markup, l=["a", "b"], name=EVIL),
    "markup by way of replace": page("{{ 'x' | replace: 'x', name }}{{ '<i>x</i>' | replace: 'x', name }}", safe=no_markup, name=EVIL),
    "html a hundred thousand levels deep": page("<style>p{color:red}</style>" + "<div>" * 90_000, safe=shown),
    "bold a hundred thousand levels deep": page("<style>p{color:red}</style>" + "<b>" * 100_000, safe=shown),
    "a style sheet against a forest": page("<style>" + ":not(.a){color:red}" * 9_000 + "</style>" + "<i></i>" * 30_000, safe=shown),
    "a style sheet from elsewhere": page("<link rel=stylesheet href=/etc/passwd><style>@import 'file:///etc/passwd';p{}</style><p>x", safe=lambda m: "root:" not in m.html),
    # MJML
    "mjml a hundred thousand levels deep": page("<mjml><mj-body>" + "<mj-section>" * 40_000, wanted=("mjml_too_deep",)),
    "mjml texts a hundred thousand levels deep": page(mjml("<mj-text>" + "<b>" * 100_000), wanted=("mjml_too_deep",)),
    "mjml that grows deep with its data": page(mjml("{% for i in l %}<mj-raw><div>{% endfor %}"), wanted=("mjml_too_deep",), l=[0] * 9_000),
    "mjml with a million attributes": page("<mjml><mj-body><mj-section " + "a='b' " * MEGA + "/></mj-body></mjml>"),
    "mjml with a hundred thousand attributes": page("<mjml><mj-body><mj-section " + "a='b' " * 80_000 + "/></mj-body></mjml>", safe=shown),
    "mjml that includes a file": page(mjml("<mj-include path='/etc/passwd' />"), wanted=("mjml_include",)),
    "mjml of quotes": page(mjml("<mj-text a=" + "'\"" * 100_000), wanted=("mjml_unclosed_tag", "mjml")),
    "mjml with a script for a name": page(mjml("<mj-text>{{ name }}</mj-text>"), safe=no_markup, name=EVIL),
    "mjml with tags for a name": page(mjml("{% if 1 %}<mj-text>{{ name }}</mj-text>{% endif %}"), safe=lambda m: "<mj-" not in m.html, name="</mj-text><mj-raw>x</mj-raw>"),
    # headers and signs
    "a second recipient in an address": Case({"to": "{{ a }}", "text": "x"}, {"a": "a@example.org\r\nBcc: b@example.org"}, ("address", "header_injection")),
    "a list for an address": Case({"to": "{{ a }}", "text": "x"}, {"a": "a@example.org, b@example.org"}, ("address",)),
    "a header in a subject": Case({"subject": "{{ s }}", "text": "x"}, {"s": "Hi\r\nBcc: b@example.org"}, (), one_line),
    "a header in a name": Case({"to": "{{ n }} <a@example.org>", "text": "x"}, {"n": "Ann\r\nBcc: b@example.org"}, ("address", "header_injection"), one_line),
    "a header in a reply address": Case({"reply_to": "{{ n }}", "text": "x"}, {"n": "a@example.org\nX: y"}, ("address", "header_injection")),
    "a header in a sender": Case({"from": "{{ n }}", "text": "x"}, {"n": "a@example.org\nX: y"}, ("address", "header_injection")),
    "a header in a header": Case({"headers": {"X-Name": "{{ n }}"}, "text": "x"}, {"n": "a\r\nBcc: b@example.org"}, ("header_injection",)),
    "a header's name in a header": Case({"headers": {"X-A: b\r\nBcc": "x"}, "text": "x"}, {}, ("header_injection", "header_name")),
    "a NUL": text("{{ n }}", safe=comes, n="a\0b"),
    "half of a character": text("{{ n | upcase }} {{ n }}", wanted=("template",), safe=comes, n="a\ud800b"),
    "half of a character in html": page(HTML, wanted=("template", "not_encodable"), safe=comes, name="\udfff"),
    "writing backwards": text("{{ n }}", safe=says("\u202e"), n="\u202egpj.exe"),
    "marks on a letter by the hundred thousand": text("{{ n | upcase | size }}", safe=says(), n="a" + "\u0301" * 200_000),
    "signs that grow by being capital": text("{{ n | upcase | size }}", safe=says(), n="\u0390" * 300_000),
    # alternatives
    "braces in a name": Case({"text": "{Hi|Hi} {{ n }}"}, {"n": "{a|b} }{"}, (), says("Hi {a|b} }{"), {"spintax": True}),
    "alternatives without end": Case({"text": "{a|" * 100_000}, {}, (), lambda m: m.text.startswith("{a|"), {"spintax": True}),
    "alternatives in alternatives": Case({"text": "{a|" * 19 + "b" + "}" * 19}, {}, (), lambda m: m.text in "ab", {"spintax": True}),
}  # fmt: skip
