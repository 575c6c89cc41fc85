"""Where are the links of this HTML or text?

HTML is read as browsers tokenize it (WHATWG, "Tokenization") and never written anew: whoever replaces spans leaves
every other character as it was.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape, unescape
from html.entities import html5
from typing import Literal

# What such an element holds is text, whatever it looks like, up to an end tag of the same name.
_RAW = frozenset({"script", "style", "textarea", "title", "xmp", "iframe", "noembed", "noframes", "plaintext"})
# Nobody clicks on these: they load something, or say what relative addresses are relative to.
_NO_LINKS = frozenset({"base", "link", "use", "image", "feimage"})
_MARKUP = re.compile(r"<(?:(!--)|([!?]|/(?![A-Za-z]))|(/?)([A-Za-z][^\t\n\f\r />]*))")
_COMMENT_END = re.compile(r"--!?>")
_BLANK = re.compile(r"[\t\n\f\r ]*")
_BETWEEN = re.compile(r"[\t\n\f\r /]*")
_NAME = re.compile(r"=?[^\t\n\f\r />=]*")
_BARE = re.compile(r"[^\t\n\f\r >]*")
_REFERENCE = re.compile(r"&(?:#[0-9]+;?|#[xX][0-9A-Fa-f]+;?|[A-Za-z][A-Za-z0-9]*;?)")
_BREAKS = re.compile(r"[\t\n\r]")
_BLANKS = "".join(map(chr, range(0x21)))
_TEXT_URL = re.compile(r"(?<![A-Za-z0-9])https?://[^\s<>\"'`|\u2018\u2019\u201c\u201d\u00ab\u00bb]+", re.IGNORECASE)
_TRAILING = ".,;:!?)]}"
_OPENINGS = {")": "(", "]": "[", "}": "{"}


@dataclass(frozen=True, slots=True)
class Span:
    """A link that stands at [start, end). `url` is what it means there: references decoded, blanks around it left out.

    `kind` says how it is written: in plain text, in an attribute between quotes, or in one without them.
    """

    start: int
    end: int
    url: str
    kind: Literal["text", "quoted", "bare"] = "text"


def in_html(html: str, *, sources: bool = False) -> list[Span]:
    """Every `href` of what can be clicked, in order; with `sources` every `src` too.

    Of two attributes of one name the first counts. Comments and raw text (script, style, title) hold no links, and a
    tag that is never closed is none.
    """
    found: list[Span] = []
    at = 0
    while (mark := _MARKUP.search(html, at)) is not None:
        comment, other, close, name = mark.groups()
        at = mark.end()
        if comment:
            at = _past_comment(html, at)
        elif other:
            at = html.find(">", at) + 1 or len(html)
        else:
            name = name.lower()
            wanted = {"href": name not in _NO_LINKS, "src": sources} if not close else {}
            spans, at = _tag(html, at, wanted)
            found += spans
            if name in _RAW and not close:
                at = _past_raw(html, at, name)
    return found


def in_text(text: str) -> list[Span]:
    """Every http(s) address of a text, in order, without the punctuation that follows it.

    A closing bracket belongs to an address that opened it: `https://en.wikipedia.org/wiki/Drip_(band)`.
    """
    found = []
    for each in _TEXT_URL.finditer(text):
        url = _without_trailing(each.group())
        if "\\" not in url:  # escaped for some markup: it does not mean what it says
            found.append(Span(each.start(), each.start() + len(url), url))
    return found


def replaced(text: str, spans: Sequence[Span], by: Mapping[str, str]) -> str:
    """The text with other links where `by` names one; all else stays as it is, to the character."""
    pieces, at = [], 0
    for span in spans:
        new = by.get(span.url)
        if new is not None:
            pieces += [text[at : span.start], _written(new, span)]
            at = span.end
    return "".join([*pieces, text[at:]]) if pieces else text


def _written(url: str, span: Span) -> str:
    if span.kind == "text":
        return url
    return escape(url) if span.kind == "quoted" else f'"{escape(url)}"'


def _tag(html: str, at: int, wanted: Mapping[str, bool]) -> tuple[list[Span], int]:
    """The wanted attributes of the tag whose name ends at `at`, and where the tag ends."""
    found: list[Span] = []
    seen: set[str] = set()
    while (at := _end(_BETWEEN, html, at)) < len(html):
        if html[at] == ">":
            return found, at + 1
        begin, at = at, _end(_NAME, html, at)
        name = html[begin:at].lower()
        first = name not in seen
        seen.add(name)
        after = _end(_BLANK, html, at)
        if html[after : after + 1] != "=":
            continue
        start, end, at = _value(html, _end(_BLANK, html, after + 1))
        if at > len(html):
            break
        if first and wanted.get(name):
            found.append(Span(start, end, _meant(html[start:end]), "quoted" if at > end else "bare"))
    return [], len(html)


def _value(html: str, at: int) -> tuple[int, int, int]:
    """Where an attribute's value begins and ends, and where to read on (past the end: a quote is never closed)."""
    quote = html[at : at + 1]
    if quote and quote in "\"'":
        end = html.find(quote, at + 1)
        return (at + 1, end, end + 1) if end >= 0 else (at, at, len(html) + 1)
    end = _end(_BARE, html, at)
    return at, end, end


def _past_comment(html: str, at: int) -> int:
    for abrupt in (">", "->"):
        if html.startswith(abrupt, at):
            return at + len(abrupt)
    end = _COMMENT_END.search(html, at)
    return end.end() if end else len(html)


def _past_raw(html: str, at: int, name: str) -> int:
    end = re.compile(rf"</{name}(?=[\t\n\f\r />])", re.IGNORECASE).search(html, at) if name != "plaintext" else None
    return end.start() if end else len(html)


def _end(pattern: re.Pattern[str], text: str, at: int) -> int:
    found = pattern.match(text, at)
    return found.end() if found else at


def _meant(value: str) -> str:
    """What an attribute's value says, cleaned as browsers clean an address."""
    return _BREAKS.sub("", _REFERENCE.sub(_decoded, value) if "&" in value else value).strip(_BLANKS)


def _decoded(found: re.Match[str]) -> str:
    text = found.group()
    if text[1] == "#":
        return unescape(text)
    if text.endswith(";") and text[1:] in html5:
        return html5[text[1:]]
    # `&copy=1` is a parameter, not a sign: without its semicolon a name counts only where nothing of a name follows.
    name = text[1:]
    follows = found.string[found.end() : found.end() + 1]
    return html5[name] if name in html5 and follows != "=" else text


def _without_trailing(url: str) -> str:
    balance = {closing: url.count(closing) - url.count(opening) for closing, opening in _OPENINGS.items()}
    end = len(url)
    while url[end - 1] in _TRAILING:
        last = url[end - 1]
        if last in balance:
            if balance[last] <= 0:
                break
            balance[last] -= 1
        end -= 1
    return url[:end]
