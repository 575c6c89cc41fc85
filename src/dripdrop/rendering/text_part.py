"""How does this HTML read as plain text?"""

from __future__ import annotations

import re
from html.parser import HTMLParser

_SKIPPED = frozenset({"style", "script", "head", "title", "template", "svg", "noscript", "select", "object"})
_BLOCKS = frozenset(
    {
        "address",
        "article",
        "aside",
        "blockquote",
        "center",
        "dd",
        "div",
        "dl",
        "dt",
        "fieldset",
        "figure",
        "footer",
        "form",
        "h1",
        "h2",
        "h3",
        "h4",
        "h5",
        "h6",
        "header",
        "main",
        "nav",
        "ol",
        "p",
        "pre",
        "section",
        "table",
        "tr",
        "ul",
    }
)
_APART = frozenset({"blockquote", "h1", "h2", "h3", "h4", "h5", "h6", "hr", "ol", "p", "pre", "table", "ul"})
_VOID = frozenset(
    {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"}
)
_HIDDEN = re.compile(r"display\s*:\s*none|mso-hide\s*:\s*all", re.IGNORECASE)
_SPACE = re.compile(r"[ \t\r\n\f\u00a0]+")
_INVISIBLE = dict.fromkeys(map(ord, "\u00ad\u034f\u200b\u200c\u200d\u2060\ufeff"))
_LIQUID = re.compile(r"\{\{.*?\}\}|\{%.*?%\}", re.DOTALL)
_HELD = re.compile("\ue000(\\d+)[\ue001\ue002]")
_MARKING = re.compile(r"\|\s*(?:safe|raw|newline_to_br)\b")
_ESCAPING = re.compile(r"\|\s*escape(?:_once)?\b")
_LINE_END = re.compile(r"[ \t]+\n")
_EMPTY_LINES = re.compile(r"\n{3,}")


def text_of(html: str) -> str:
    """The words of an HTML document, with links in brackets, list marks and paragraphs; the same for the same HTML."""
    reader = _Reader()
    reader.feed(html)
    reader.close()
    return tidy("".join(reader.pieces))


def tidy(text: str) -> str:
    """At most one empty line in a row, none at the ends."""
    return _EMPTY_LINES.sub("\n\n", _LINE_END.sub("\n", text)).strip()


def text_template(html: str) -> str | None:
    """The Liquid template of the text part, made from the template of the HTML, so that it is converted only once.

    None where a filter writes markup or the template's text cannot be told from its tags: convert each message then.
    """
    if _MARKING.search(html) or "\ue000" in html:
        return None
    held: list[str] = []

    def hold(found: re.Match[str]) -> str:
        held.append(found.group())
        # Tags are no text: they may stand between paragraphs without making one.
        return f"\ue000{len(held) - 1}{chr(0xE001) if found.group().startswith('{{') else chr(0xE002)}"

    text = text_of(_LIQUID.sub(hold, html))
    # What HTML needs escaped is read as it stands in plain text.
    return _HELD.sub(lambda found: _ESCAPING.sub("", held[int(found.group(1))]), text)


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.pieces: list[str] = []
        self.open: list[str] = []
        self.skipping = 0
        self.links: list[tuple[str, int]] = []
        self.lists: list[int | None] = []
        self.preformatted = 0

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        given = dict(attributes)
        hidden = tag in _SKIPPED or "hidden" in given or bool(_HIDDEN.search(given.get("style") or ""))
        if tag not in _VOID and (self.skipping or hidden):
            self.skipping += 1
            self.open.append(tag)
            return
        if self.skipping or hidden:
            return
        self._enter(tag, given)

    def _enter(self, tag: str, given: dict[str, str | None]) -> None:
        if tag == "br":
            self._line()
        elif tag == "hr":
            self._paragraph()
            self.pieces.append("-" * 20)
            self._paragraph()
        elif tag == "img":
            self._words((given.get("alt") or "").strip())
        elif tag == "a":
            self.links.append(((given.get("href") or "").strip(), len(self.pieces)))
        elif tag == "li":
            self._item()
        elif tag in ("ul", "ol"):
            self.lists.append(1 if tag == "ol" else None)
        elif tag == "pre":
            self.preformatted += 1
        elif tag in ("td", "th") and self.pieces and not self.pieces[-1].endswith((" ", "\n")):
            self.pieces.append(" ")
        if tag in _APART and (tag not in ("ul", "ol") or len(self.lists) == 1):
            self._paragraph()
        elif tag in _BLOCKS:
            self._line(soft=True)

    def handle_endtag(self, tag: str) -> None:
        if self.skipping:
            self._leave_skipped(tag)
            return
        if tag == "a" and self.links:
            self._link(*self.links.pop())
        elif tag in ("ul", "ol") and self.lists:
            self.lists.pop()
        elif tag == "pre" and self.preformatted:
            self.preformatted -= 1
        if tag in _APART and not self.lists:
            self._paragraph()
        elif tag in _BLOCKS:
            self._line(soft=True)

    def _leave_skipped(self, tag: str) -> None:
        if tag in self.open:
            while self.open:
                self.skipping -= 1
                if self.open.pop() == tag:
                    break

    def handle_data(self, data: str) -> None:
        if self.skipping:
            return
        self.pieces.append(data) if self.preformatted else self._words(data)

    def _words(self, data: str) -> None:
        text = _SPACE.sub(" ", data.translate(_INVISIBLE))
        before = self.pieces[-1][-1:] if self.pieces else "\n"
        if before in (" ", "\n", ""):
            text = text.lstrip(" ")
        if text:
            self.pieces.append(text)

    def _line(self, soft: bool = False) -> None:
        if not (soft and (not self.pieces or self.pieces[-1].endswith("\n"))):
            self.pieces.append("\n")

    def _paragraph(self) -> None:
        if self.pieces:
            self.pieces.append("\n\n")

    def _item(self) -> None:
        self._line(soft=True)
        count = self.lists[-1] if self.lists else None
        self.pieces.append("  " * max(len(self.lists) - 1, 0) + ("- " if count is None else f"{count}. "))
        if count is not None:
            self.lists[-1] = count + 1

    def _link(self, href: str, begin: int) -> None:
        label = "".join(self.pieces[begin:]).strip()
        target = href.removeprefix("mailto:")
        if href and not href.startswith(("#", "javascript:")) and target != label:
            self.pieces.append(f" ({target})" if label else target)
