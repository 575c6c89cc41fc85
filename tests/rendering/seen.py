"""What would a reader of HTML see in it?"""

from __future__ import annotations

from html.parser import HTMLParser

HIDDEN = ("head", "style", "script", "title")


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, list[str]]] = []
        self.words: list[str] = []
        self.hidden = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, sorted(name for name, _ in attrs)))
        self.hidden += tag in HIDDEN

    def handle_endtag(self, tag: str) -> None:
        self.hidden -= tag in HIDDEN

    def handle_data(self, data: str) -> None:
        if not self.hidden:
            self.words.extend(data.split())


def tags(html: str) -> list[tuple[str, list[str]]]:
    """Every tag in order, with the names of its attributes; what stands in comments is none."""
    reader = _Reader()
    reader.feed(html)
    return reader.tags


def words(html: str) -> list[str]:
    """Every visible word."""
    reader = _Reader()
    reader.feed(html)
    return reader.words
