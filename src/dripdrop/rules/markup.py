"""Which parts of a template are words, and which are Liquid, tags, comments or styles?"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, TypeAlias

Liquid: TypeAlias = Literal["", "output", "block"]
Context: TypeAlias = Literal["words", "tag", "comment", "style"]

_OPENING = re.compile(r"\{[{%]")
# No brace stands in an expression outside its quotes: `{{a|b}|{c|d}}` is no Liquid.
_OUTPUT = re.compile(r"""\{\{(?:[^{}"']|"[^"]*+"|'[^']*+')*+\}\}""")
_VERBATIM = re.compile(r"\{%-?\s*(raw|comment|doc)\b")
_VERBATIM_ENDS = {name: re.compile(rf"\{{%-?\s*end{name}\b[^%]*+%\}}") for name in ("raw", "comment", "doc")}
_TAG_BEGINS = re.compile(r"<(?=[a-zA-Z/!?])")
_NAME = re.compile(r"<([a-zA-Z][\w:.-]*)")
_IN_TAG = re.compile(r"""[>"']""")
# What stands in them is not read by people, and braces belong to it.
_STYLES = ("style", "script", "mj-style")
_STYLE_ENDS = {name: re.compile(rf"</{name}\b", re.IGNORECASE) for name in _STYLES}


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a template from `at` on: one Liquid expression or block tag whole, or text of one context.

    `begins` marks the text that a tag or comment of the markup begins with.
    """

    text: str
    at: int
    liquid: Liquid = ""
    context: Context = "words"
    begins: bool = False


def pieces(text: str, *, html: bool = False) -> Iterator[Piece]:
    """The parts in order; joined they are the text. Time grows with the length, whatever the text is."""
    if not html:
        for at, part, liquid in _split(text):
            yield Piece(part, at, liquid)
        return
    reader = _Reader()
    for at, part, liquid in _split(text):
        if liquid:
            yield Piece(part, at, liquid, reader.context)
        else:
            yield from reader.read(part, at)


def line_of(text: str, at: int) -> tuple[int, int]:
    """Line and column of an offset, both from 1."""
    return text.count("\n", 0, at) + 1, at - text.rfind("\n", 0, at)


def _split(text: str) -> Iterator[tuple[int, str, Liquid]]:
    """Liquid, and what is none."""
    begin = place = 0
    never: set[str] = set()
    while (opening := _OPENING.search(text, place)) is not None:
        at = opening.start()
        # `{{{ name }}` is a brace and an expression.
        if text.startswith("{{{", at):
            place = at + 1
            continue
        block = text[at + 1] == "%"
        end = _block_end(text, at, never) if block else _output_end(text, at)
        if end is None:
            place = at + 1
            continue
        if at > begin:
            yield begin, text[begin:at], ""
        yield at, text[at:end], "block" if block else "output"
        begin = place = end
    if begin < len(text):
        yield begin, text[begin:], ""


def _output_end(text: str, at: int) -> int | None:
    found = _OUTPUT.match(text, at)
    return found.end() if found else None


def _block_end(text: str, at: int, never: set[str]) -> int | None:
    """Where a block tag ends; one that takes its content as it stands ends with its other half.

    `never` remembers what is not found from here on, so that nothing is looked for twice.
    """
    closed = -1 if "%}" in never else text.find("%}", at)
    if closed < 0:
        never.add("%}")
        return None
    verbatim = _VERBATIM.match(text, at)
    if verbatim is None or verbatim[1] in never:
        return closed + 2
    other = _VERBATIM_ENDS[verbatim[1]].search(text, closed)
    if other is None:
        never.add(verbatim[1])
    return other.end() if other else closed + 2


class _Reader:
    """Follows tags, quotes, comments and styles from one part of a text to the next."""

    __slots__ = ("_name", "_quote", "context")

    def __init__(self) -> None:
        self.context: Context = "words"
        self._quote = ""
        self._name = ""

    def read(self, text: str, at: int) -> Iterator[Piece]:
        place = 0
        while place < len(text):
            context, begins = self.context, False
            if context == "words":
                opening = _TAG_BEGINS.search(text, place)
                end = opening.start() if opening else len(text)
                if end == place:
                    begins, end = True, self._open(text, place)
                    context = "comment" if text.startswith("<!--", place) else "tag"
            else:
                end = self._close(text, place)
            if end > place:
                yield Piece(text[place:end], at + place, "", context, begins)
            place = end

    def _open(self, text: str, place: int) -> int:
        if text.startswith("<!--", place):
            self.context = "comment"
            return self._close(text, place + 4)
        name = _NAME.match(text, place)
        self._name = name[1].lower() if name else ""
        self.context = "tag"
        return self._close(text, place + 1)

    def _close(self, text: str, place: int) -> int:
        """The place after this context's end; the end of the text where it goes on behind it."""
        match self.context:
            case "comment":
                found = text.find("-->", place)
                self.context = "words" if found >= 0 else "comment"
                return found + 3 if found >= 0 else len(text)
            case "style":
                ending = _STYLE_ENDS[self._name].search(text, place)
                self.context = "words" if ending else "style"
                return ending.start() if ending else len(text)
            case "tag" | "words":
                return self._close_tag(text, place)

    def _close_tag(self, text: str, place: int) -> int:
        while place < len(text):
            if self._quote:
                place = text.find(self._quote, place) + 1
                if place == 0:
                    return len(text)
                self._quote = ""
            sign = _IN_TAG.search(text, place)
            if sign is None:
                return len(text)
            place = sign.end()
            if sign[0] == ">":
                self.context = "style" if self._name in _STYLES and text[place - 2] != "/" else "words"
                return place
            self._quote = sign[0]
        return place
