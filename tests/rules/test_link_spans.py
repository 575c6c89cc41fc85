"""Links are found where a browser's tokenizer finds them, and nothing beside them is touched."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from html5lib._tokenizer import HTMLTokenizer
from html5lib.constants import tokenTypes
from hypothesis import example, given
from hypothesis import strategies as st

from dripdrop.rules.link_spans import Span, in_html, in_text, replaced

BLANKS = "".join(map(chr, range(0x21)))
NO_LINKS = {"base", "link", "use", "image", "feimage"}
# Pieces that tear at each other: quotes that are not closed, names without values, tags in tags, raw text, comments.
PIECES = st.sampled_from(
    [
        "<a href=", "<A HREF =", "<a\thref\n=\r\n", "<area/href=", "<v:rect href=", "<link href=", "<base href=",
        "<a ", "<img src=", "<p title=", " href=", " HREF=", " href", " src", " data-href=", "='", '="', "=", "'", '"',
        ">", "/>", "</a>", "</", "<", "</a href='x'>", "<!--", "-->", "--!>", "<!-->", "<!--->", "<!doctype html>",
        "<?php ", "<![CDATA[", "]]>", "<style>", "</style>", "</style ", "<textarea>", "</textarea>", "<title>",
        "</TITLE>", "<script>var a</script>", "https://a.example/?b=1&amp;c=2", "http://x", "//x", "mailto:a@x.example",
        "?a=1&copy=2&reg;=3&lt", "&#x41;&#66", "&notit;", "&notin;", "&", "&amp", "\u00e9", " ", "\n", "text", "/", "`",
    ]
)  # fmt: skip
HTML = st.lists(PIECES, max_size=30).map("".join)


def by_html5lib(html: str, attribute: str) -> Iterator[str]:
    """The attribute of each start tag, by a tokenizer that somebody else wrote from the same standard."""
    tokenizer = HTMLTokenizer(html)
    for token in tokenizer:
        if token["type"] != tokenTypes["StartTag"]:
            continue
        if attribute in token["data"] and not (attribute == "href" and token["name"] in NO_LINKS):
            yield token["data"][attribute]
        raw = {"textarea": "rcdata", "title": "rcdata", "style": "rawtext", "script": "scriptData"}.get(token["name"])
        if raw:
            tokenizer.state = getattr(tokenizer, f"{raw}State")


@given(html=HTML)
@example(html="<a href=http://x/ href='second'>")
@example(html="<a href='https://a.example>never closed <a href=x>")
@example(html="<a ='x' =href=y href=z>")
def test_an_href_is_found_where_another_tokenizer_finds_it(html: str) -> None:
    expected = [each.translate({9: None, 10: None, 13: None}).strip(BLANKS) for each in by_html5lib(html, "href")]
    found = [span.url for span in in_html(html)]
    assert [url for url in found if url] == [url for url in expected if url]


@given(html=HTML)
def test_sources_are_found_only_when_asked_for(html: str) -> None:
    asked = in_html(html, sources=True)
    expected = [url for url in by_html5lib(html, "src") if url.strip(BLANKS)]
    assert len([span for span in asked if span.url]) == len([span for span in in_html(html) if span.url]) + len(
        expected
    )


@given(
    html=HTML, short=st.sampled_from(["https://s.example/l/abc", "https://s.example/?a=1&b=2", "https://s.example/'x'"])
)
def test_everything_outside_the_links_stays_as_it_is(html: str, short: str) -> None:
    spans = in_html(html)
    made = replaced(html, spans, {span.url: short for span in spans})
    after = in_html(made)
    assert [span.url for span in after] == [short] * len(spans)
    assert outside(made, [whole(new, old) for new, old in zip(after, spans, strict=True)]) == outside(
        html, [(span.start, span.end) for span in spans]
    )


def whole(new: Span, old: Span) -> tuple[int, int]:
    """A link that had no quotes was given some."""
    return (new.start - 1, new.end + 1) if old.kind == "bare" else (new.start, new.end)


def outside(text: str, spans: list[tuple[int, int]]) -> list[str]:
    ends = [0, *(end for span in spans for end in span), len(text)]
    return [text[start:end] for start, end in zip(ends[::2], ends[1::2], strict=True)]


@given(html=HTML)
def test_without_a_replacement_it_is_the_same_text(html: str) -> None:
    assert replaced(html, in_html(html), {}) is html


@pytest.mark.parametrize(
    ("html", "urls"),
    [
        ('<a href="https://a.example/?x=1&amp;y=2">', ["https://a.example/?x=1&y=2"]),
        ("<a href=https://a.example/?x=1&copy=2>", ["https://a.example/?x=1&copy=2"]),
        ("<a href='\n https://a.example/\n b '>", ["https://a.example/ b"]),
        ("<script>document.write('<a href=\"https://a.example\">')</script>", []),
        ("<style>a[href='https://a.example'] {}</style>", []),
        ("<!-- <a href='https://a.example'> -->", []),
        ("<link rel=stylesheet href=https://a.example/a.css><base href=https://a.example>", []),
        ("<img src=https://a.example/a.png>", []),
        ("<plaintext><a href=https://a.example>", []),
        ("<a href>", []),
        ("<a href href=https://a.example>", []),
        ("< a href=https://a.example>", []),
    ],
)  # fmt: skip
def test_what_is_a_link(html: str, urls: list[str]) -> None:
    assert [span.url for span in in_html(html)] == urls


def test_a_link_without_quotes_gets_some() -> None:
    html = "<p>Go <a href=https://a.example/?x&y class=b>there</a></p>"
    made = replaced(html, in_html(html), {"https://a.example/?x&y": "https://s.example/l/1"})
    assert made == '<p>Go <a href="https://s.example/l/1" class=b>there</a></p>'


@pytest.mark.parametrize(
    ("text", "urls"),
    [
        ("See https://a.example/b.", ["https://a.example/b"]),
        ("(https://a.example)", ["https://a.example"]),
        ("(see https://a.example/b_(c)), or not", ["https://a.example/b_(c)"]),
        ("[x](https://a.example/?q=1). <https://b.example>!", ["https://a.example/?q=1", "https://b.example"]),
        ('"HTTPS://A.example"; http://b.example?!...', ["HTTPS://A.example", "http://b.example"]),
        ("<https://a.example|here>", ["https://a.example"]),
        ("https://a.example/?u=https://b.example", ["https://a.example/?u=https://b.example"]),
        ("xhttps://a.example", []),
        (r"https://a\.example/markdown", []),
        ("mailto:a@example.org ftp://a.example", []),
        ("\u00abhttps://a.example/\u00e9\u00bb", ["https://a.example/\u00e9"]),
    ],
)
def test_an_address_in_a_text_ends_before_its_punctuation(text: str, urls: list[str]) -> None:
    assert [span.url for span in in_text(text)] == urls


@given(
    before=st.sampled_from(["", "See ", "(", "\u201c", "a\n", "<"]),
    path=st.from_regex(r"[a-z0-9/_-]{0,12}", fullmatch=True),
    after=st.text(alphabet=".,;:!?)]}", max_size=8),
    rest=st.sampled_from(["", " and more", "\u201d", "\n", ">"]),
)
def test_punctuation_after_an_address_is_kept_outside(before: str, path: str, after: str, rest: str) -> None:
    text = f"{before}https://a.example/{path}{after}{rest}"
    spans = in_text(text)
    made = replaced(text, spans, {f"https://a.example/{path}": "https://s.example/l/1"})
    assert made == f"{before}https://s.example/l/1{after}{rest}"


def test_a_long_row_of_brackets_takes_no_time() -> None:
    text = f"https://a.example/{'(' * 200_000}{')' * 400_000}"
    (span,) = in_text(text)
    assert span.end == len(text) - 200_000
