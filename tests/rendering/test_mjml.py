"""Is MJML compiled as its reference does, told of its mistakes, and never a danger?"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from seen import tags, words

from dripdrop.errors import Invalid, MissingExtra
from dripdrop.rendering import mjml
from dripdrop.rendering.html_part import PerMessage, check_markup, html_part
from dripdrop.rendering.templates import Template
from dripdrop.rendering.text_part import text_of, text_template

NOW = datetime(2030, 3, 1, 12, tzinfo=UTC)


def page(column: str, head: str = "") -> str:
    body = f"<mj-body><mj-section><mj-column>{column}</mj-column></mj-section></mj-body>"
    return f"<mjml><mj-head>{head}</mj-head>{body}</mjml>"


def said(template: str, **data: Any) -> str:
    return html_part(template, trusted=False).render({"now": NOW, **data})


def found(template: str) -> list[tuple[str, int | None]]:
    return [(each.code, each.line) for each in check_markup(template)]


@pytest.mark.parametrize(
    "before", ["", " \n", "\ufeff", '<?xml version="1.0"?>\n', "<!-- ours -->", "{% comment %}x{% endcomment %}"]
)
def test_what_begins_with_mjml_is_mjml(before: str) -> None:
    html = said(before + page("<mj-text>Hi {{ name }}</mj-text>"), name="Ann")
    assert html.lstrip("\ufeff <!-ours>\n").startswith(("<!doctype html>", "doctype html"))
    assert "Hi Ann" in html
    assert "<mj-" not in html


def test_html_is_not_mjml() -> None:
    assert not mjml.is_mjml("<p>an <mjml> tag</p>")
    assert said("<p>{{ name }}</p>", name="Ann") == "<p>Ann</p>"


def test_it_is_compiled_once_where_liquid_stands_in_texts_and_attributes() -> None:
    template = page(
        '<mj-text>{% if plan == "pro" %}<b>Pro</b>{% else %}{{ plan }}{% endif %}</mj-text>'
        '<mj-button href="{{ url }}">Go</mj-button>'
        "<mj-table>{% for row in rows %}<tr><td>{{ row.name }}</td></tr>{% endfor %}</mj-table>"
    )
    assert isinstance(html_part(template), Template)
    html = said(template, plan="pro", url="https://x.test/?a=1&b=2", rows=[{"name": "one"}, {"name": "two"}])
    assert "<b>Pro</b>" in html
    assert 'href="https://x.test/?a=1&amp;b=2"' in html
    assert words(html) == ["Pro", "Go", "one", "two"]
    assert found(template) == []


@pytest.mark.parametrize(
    "column",
    ['<mj-image src="a.png" width="{{ width }}px" />', "{% if x %}<mj-text>a</mj-text>{% endif %}<mj-text>b</mj-text>"],
)
def test_it_is_compiled_for_each_message_where_liquid_decides_about_tags(column: str) -> None:
    assert isinstance(html_part(page(column)), PerMessage)
    assert found(page(column)) == [("slow_html", None)]
    assert 'width="99"' in said(page(column), width=99) or "a</div>" in said(page(column), x=True)
    assert "a</div>" not in said(page(column), x=False)


def test_both_ways_say_the_same() -> None:
    once = page("<mj-text><p>{{ name }}</p></mj-text>")
    late = page("{% if true %}<mj-text><p>{{ name }}</p></mj-text>{% endif %}")
    name = "A<b>&\"'</p>"
    assert text_of(said(once, name=name)) == text_of(said(late, name=name)) == name


@pytest.mark.parametrize(
    "place", ["<mj-text>{}</mj-text>", '<mj-button href="{}">x</mj-button>', '<mj-text><a title="{}">x</a></mj-text>']
)
@pytest.mark.parametrize("around", ["{}", "{{% if true %}}{}{{% endif %}}"])
def test_a_persons_data_never_becomes_markup(place: str, around: str) -> None:
    template = page(around.format(place.format("{{ name }}")))
    assert tags(said(template, name="\"><mj-raw><script>x</script></mj-raw>'")) == tags(said(template, name="Ann"))


def test_styles_stand_in_the_tags_and_those_marked_inline_only_there() -> None:
    head = '<mj-style inline="inline">.k{color:red}</mj-style>'
    head += "<mj-style>.k{margin:1px} @media (x){.k{margin:2px}}</mj-style>"
    html = said(page('<mj-text css-class="k">{{ a }}</mj-text>', head), a="x")
    assert "color: red" in html
    assert "margin: 1px" in html
    assert "@media (x)" in html
    assert ".k{color:red}" not in html.replace(" ", "")


def test_a_style_sheet_of_plain_html_is_inlined_and_its_doctype_stays() -> None:
    page = "<!DOCTYPE html PUBLIC '-//W3C//DTD XHTML 1.0'><style>p{color:red} p:hover{color:blue}</style><p>{{ a }}</p>"
    html = said(page, a="<i>")
    assert html.startswith("<!DOCTYPE html PUBLIC '-//W3C//DTD XHTML 1.0'>")
    assert '<p style="color: red;">&lt;i&gt;</p>' in html
    assert "p:hover" in html
    assert isinstance(html_part(page), Template)


def test_no_style_sheet_is_fetched_from_anywhere(tmp_path: Any) -> None:
    (tmp_path / "x.css").write_text("p{color:red}")
    link = f'<link rel="stylesheet" href="{tmp_path}/x.css"><link rel="stylesheet" href="file://{tmp_path}/x.css">'
    assert "color" not in said(f"{link}<style>p{{margin:0}}</style><p>x</p>")


@pytest.mark.parametrize(
    ("template", "wanted"),
    [
        (page("\n<mj-txt>a</mj-txt>"), [("mjml_unknown_tag", 2), ("mjml_stray_text", 2)]),
        (page("<mj-text>\n<p>a</mj-text>"), [("mjml_unclosed_tag", 2)]),
        (page("<mj-text>a"), [("mjml_unclosed_tag", 1)]),
        (page("</mj-text>"), [("mjml_unclosed_tag", 1)]),
        (page("<mj-text>\n\n1 < 2</mj-text>"), [("mjml", 3)]),
        (page("<mj-text align={{ a }}>x</mj-text>"), [("mjml", None)]),
        (page('<mj-include path="/etc/passwd" />'), [("mjml_include", 1)]),
        (page("stray"), [("mjml_stray_text", 1)]),
        (page("<mj-section></mj-section>"), [("mjml_misplaced_tag", 1)]),
        (page("<mj-text>" + "<b>" * 70), [("mjml_too_deep", 1)]),
        (page("<mj-text>" + "<br>" * 20_001), [("mjml_too_large", 1)]),
        ("<mjml></mjml>", [("mjml_unclosed_tag", 1)]),
        (page("", "<mj-html-attributes></mj-html-attributes>"), [("mjml_unknown_tag", 1)]),
        (page("<mj-text>{% if x %}<p>a</p>{% else %}<p>b</p>{% endif %}</mj-text>"), []),
        (page("<mj-text>" + "x" * 512_000 + "</mj-text>"), [("mjml_too_large", None)]),
    ],
)
def test_what_is_wrong_is_told_with_its_line(template: str, wanted: list[tuple[str, int | None]]) -> None:
    assert found(template) == wanted
    assert all(each.cure for each in check_markup(template))


def test_a_message_that_cannot_be_compiled_is_refused_with_the_field() -> None:
    template = page("{% for i in deep %}<mj-raw><div>{% endfor %}")
    with pytest.raises(Invalid) as refused:
        html_part(template, path="welcome.html").render({"now": NOW, "deep": [1] * 70}, None, "welcome.html")
    assert refused.value.code == "mjml_too_deep"
    assert refused.value.findings[0].path == "welcome.html"
    assert "welcome.html, line" in refused.value.message


def test_without_its_packages_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "mrml", None)
    lonely = page("<mj-text>only here {{ a }}</mj-text>")
    with pytest.raises(MissingExtra, match=r"dripdrop-engine\[mjml\]"):
        html_part(lonely)
    assert [(each.code, each.severity) for each in check_markup(lonely)] == [("missing_extra", "error")]


def test_the_text_part_of_mjml_is_what_people_see() -> None:
    template = page(
        "<mj-text><h1>Hi {{ name }}</h1><ul><li>one</li><li>two</li></ul></mj-text>"
        '<mj-button href="{{ url }}">Go on</mj-button><mj-table><tr><td>a</td><td>b</td></tr></mj-table>',
        "<mj-title>A title</mj-title><mj-preview>Peek</mj-preview><mj-style>p{color:red}</mj-style>",
    )
    made = html_part(template)
    assert isinstance(made, Template)
    text = text_template(made.source)
    assert text is not None
    wanted = "Hi {{ name }}\n\n- one\n- two\n\nGo on ({{ url }})\n\na b"
    assert text == wanted
    assert text_of(said(template, name="Ann", url="https://x.test")) == wanted.replace("{{ name }}", "Ann").replace(
        "{{ url }}", "https://x.test"
    )
