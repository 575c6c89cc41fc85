"""Is this MJML, what in it would go wrong, and which HTML is it?"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches

from dripdrop.errors import MissingExtra
from dripdrop.rendering.problems import MAX_TEMPLATE, Problem, refused
from dripdrop.rules.markup import line_of, pieces

MAX_DEPTH = 64
MAX_TAGS = 20_000

_LEADING = re.compile(r"\ufeff|<\?xml[^>]*>")
_ROOT = re.compile(r"<mjml[\s>/]", re.IGNORECASE)
_TAG = re.compile(r"<(/?)([a-zA-Z][\w:.-]*)")
_INLINE = re.compile(
    r"""<mj-style\b[^<>]*?\binline\s*=\s*["']inline["'][^<>]*>(.*?)</mj-style\s*>""", re.DOTALL | re.IGNORECASE
)
_DOCTYPE = re.compile(r"\s*<!doctype[^>]*>", re.IGNORECASE)
_POSITION = re.compile(r"position (\d+)")

_COLUMN = (
    "mj-accordion", "mj-button", "mj-carousel", "mj-divider", "mj-image", "mj-navbar", "mj-raw", "mj-social",
    "mj-spacer", "mj-table", "mj-text",
)  # fmt: skip
# What may stand in what, as the documentation of MJML says; () takes any HTML.
CHILDREN: Mapping[str, tuple[str, ...]] = {
    "mjml": ("mj-head", "mj-body", "mj-raw"),
    "mj-head": ("mj-attributes", "mj-breakpoint", "mj-font", "mj-preview", "mj-raw", "mj-style", "mj-title"),
    "mj-body": ("mj-hero", "mj-raw", "mj-section", "mj-wrapper"),
    "mj-wrapper": ("mj-hero", "mj-raw", "mj-section"),
    "mj-section": ("mj-column", "mj-group", "mj-raw"),
    "mj-group": ("mj-column", "mj-raw"),
    "mj-column": _COLUMN,
    "mj-hero": _COLUMN,
    "mj-accordion": ("mj-accordion-element", "mj-raw"),
    "mj-accordion-element": ("mj-accordion-text", "mj-accordion-title", "mj-raw"),
    "mj-carousel": ("mj-carousel-image",),
    "mj-navbar": ("mj-navbar-link", "mj-raw"),
    "mj-social": ("mj-raw", "mj-social-element"),
    **dict.fromkeys(("mj-font", "mj-breakpoint", "mj-divider", "mj-image", "mj-spacer", "mj-carousel-image"), ("",)),
    **dict.fromkeys(
        (
            "mj-accordion-text",
            "mj-accordion-title",
            "mj-button",
            "mj-navbar-link",
            "mj-preview",
            "mj-raw",
            "mj-social-element",
            "mj-style",
            "mj-table",
            "mj-text",
            "mj-title",
        ),
        (),
    ),
}
_ANYWHERE_IN = {"mj-attributes": (*CHILDREN, "mj-all", "mj-class")}
_VOID = frozenset(
    ("area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "param", "source", "track", "wbr")
)
_CURE = "Mend the MJML: https://documentation.mjml.io names its tags."


def is_mjml(text: str) -> bool:
    """Whether an HTML field is MJML: it begins with `<mjml`, whatever comments stand before it."""
    for piece in pieces(text, html=True):
        if piece.context == "tag" and not piece.text.startswith("<?"):
            return _ROOT.match(piece.text) is not None
        if piece.context == "words" and (
            piece.liquid == "output" or (piece.text.strip("\ufeff \t\r\n") and not piece.liquid)
        ):
            return False
    return False


def problems(text: str) -> list[Problem]:
    """Everything in a text of MJML, Liquid or not, that would break it or be dropped, each with its line.

    `mjml`, `mjml_too_large`, `mjml_too_deep`, `mjml_unclosed_tag`, `mjml_unknown_tag`, `mjml_include`; as warnings
    `mjml_misplaced_tag` and `mjml_stray_text`. Time grows with the length.
    """
    if len(text) > MAX_TEMPLATE:
        return [_problem("mjml_too_large", f"MJML may have {MAX_TEMPLATE} characters at most", text, None)]
    return list(_Scan(text).found())


def structured(text: str) -> bool:
    """Whether Liquid decides which tags of MJML there are: then it must be rendered before it is compiled."""
    scan = _Scan(text)
    for _ in scan.found():
        pass
    return scan.structured


def to_html(text: str, path: str = "html") -> tuple[str, str]:
    """The HTML of a text of MJML, and the styles that are to be inlined and do not stay in it.

    Raises `Invalid` (`mjml`, or the code of the first of `problems`) with the line, and `MissingExtra`.
    """
    wrong = [each for each in problems(text) if each.severity == "error"]
    if wrong:
        raise refused(wrong, path)
    try:
        import mrml
    except ImportError:
        raise MissingExtra("MJML", "mjml") from None
    styles = "\n".join(found[1] for found in _INLINE.finditer(text))
    lean = _LEADING.sub("", _INLINE.sub("", text), count=2)
    try:
        html = mrml.to_html(lean).content
    except OSError as trouble:
        raise refused([_told(lean, str(trouble))], path) from None
    except BaseException as trouble:
        if type(trouble).__name__ != "PanicException":
            raise
        raise refused([Problem("The MJML cannot be compiled", code="mjml", cure=_CURE)], path) from None
    return _DOCTYPE.sub("<!doctype html>", html, count=1), styles


def _told(text: str, message: str) -> Problem:
    place = _POSITION.search(message)
    line = line_of(text, int(place[1]))[0] if place else None
    return Problem(
        f"The MJML cannot be compiled: {message.partition(' in root')[0][:100]}", line, None, "mjml", cure=_CURE
    )


def _problem(code: str, message: str, text: str, at: int | None, cure: str = _CURE, severity: str = "error") -> Problem:
    line, column = line_of(text, at) if at is not None else (None, None)
    return Problem(message, line, column, code, severity, cure)


@dataclass(slots=True)
class _Open:
    name: str
    at: int
    # Where Liquid decides what is between the tags, they need not match on paper.
    liquid: bool = False


@dataclass(slots=True)
class _Scan:
    """Reads tag after tag; what is open stands on a stack that cannot grow beyond MAX_DEPTH."""

    text: str
    open: list[_Open] = field(default_factory=list)
    tags: int = 0
    body: bool = False
    structured: bool = False

    def found(self) -> Iterator[Problem]:
        for tag, at, liquid in self._read():
            if liquid:
                self._meets(liquid)
                continue
            if not tag.startswith("<"):
                yield from self._words(tag, at)
                continue
            self.tags += 1
            if self.tags > MAX_TAGS:
                yield self._says("mjml_too_large", f"There are more than {MAX_TAGS} tags", at)
                return
            parsed = _TAG.match(tag)
            if parsed is None:
                continue
            name = parsed[2].lower()
            yield from self._close(name, at) if parsed[1] else self._begin(name, at, tag.endswith("/>"))
            if len(self.open) > MAX_DEPTH:
                yield self._says("mjml_too_deep", f"Tags are nested more than {MAX_DEPTH} levels deep", at)
                return
        for each in self.open[::-1]:
            if not each.liquid:
                yield self._says("mjml_unclosed_tag", f"<{each.name}> is never closed", each.at)
        if not self.body:
            yield self._says("mjml_unclosed_tag", "There is no <mj-body>", 0)

    def _meets(self, liquid: str) -> None:
        self.structured = self.structured or not self._inside_html()
        for each in self.open if liquid == "block" else ():
            each.liquid = True

    def _read(self) -> Iterator[tuple[str, int, str]]:
        """Tags whole, words, and Liquid that stands between tags."""
        tag, at = "", 0
        for piece in pieces(self.text, html=True):
            if piece.begins or piece.context != "tag":
                if tag:
                    yield tag, at, ""
                tag = ""
            if piece.context == "tag":
                tag, at = tag + ("x" if piece.liquid else piece.text), at if tag else piece.at
            elif piece.context == "words":
                yield piece.text, piece.at, piece.liquid
        if tag:
            yield tag, at, ""

    def _begin(self, name: str, at: int, closed: bool) -> Iterator[Problem]:
        self.body = self.body or name == "mj-body"
        if not self._inside_html():
            yield from self._placed(name, at)
        if not closed and not (name in _VOID and self._inside_html()):
            self.open.append(_Open(name, at))

    def _inside_html(self) -> bool:
        """Whether any HTML may stand here."""
        return any(CHILDREN.get(each.name, ("",)) == () for each in self.open)

    def _placed(self, name: str, at: int) -> Iterator[Problem]:
        parent = self.open[-1].name if self.open else ""
        allowed = _ANYWHERE_IN.get(parent) or CHILDREN.get(parent, ("mjml",) if not parent else None)
        if allowed is None or name in allowed:
            return
        if name == "mj-include":
            cure = "Write the included part itself, or use !file in the definition."
            yield self._says("mjml_include", "<mj-include> is not possible", at, cure)
        elif name in CHILDREN:
            cure = f"In <{parent}> there may be: {', '.join(filter(None, allowed)) or 'nothing'}."
            message = f"<{name}> does not belong into <{parent}>" if parent else f"<{name}> stands outside of <mjml>"
            yield self._says("mjml_misplaced_tag", message, at, cure, "warning")
        else:
            near = get_close_matches(name, CHILDREN, 1, 0.6)
            cure = f"Did you mean <{near[0]}>?" if near else "Put HTML into <mj-text>, <mj-table> or <mj-raw>."
            yield self._says("mjml_unknown_tag", f"MJML has no tag <{name[:60]}>: it would be dropped", at, cure)

    def _close(self, name: str, at: int) -> Iterator[Problem]:
        if self.open and self.open[-1].name == name:
            self.open.pop()
            return
        depth = next((n for n, each in enumerate(reversed(self.open)) if each.name == name), None)
        if depth is None:
            if name not in _VOID and not any(each.liquid for each in self.open):
                yield self._says("mjml_unclosed_tag", f"</{name[:60]}> closes nothing", at)
            return
        for each in self.open[-depth:]:
            if not each.liquid:
                yield self._says(
                    "mjml_unclosed_tag", f"<{each.name[:60]}> is not closed before </{name[:60]}>", each.at
                )
        del self.open[-depth - 1 :]

    def _words(self, words: str, at: int) -> Iterator[Problem]:
        if (sign := words.find("<")) >= 0 and self._inside_html():
            yield self._says("mjml", "A < begins no tag", at + sign, "Write &lt; where it is text.")
        if self.open and not words.isspace() and not self._inside_html():
            parent = self.open[-1].name
            cure = "Put it into <mj-text>."
            yield self._says("mjml_stray_text", f"Text in <{parent[:60]}> is no part of MJML", at, cure, "warning")

    def _says(self, code: str, message: str, at: int, cure: str = _CURE, severity: str = "error") -> Problem:
        return _problem(code, message, self.text, at, cure, severity)
