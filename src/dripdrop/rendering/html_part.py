"""Which HTML does an e-mail's template become, and can the work be done once for everybody?

MJML is compiled and styles are inlined on the template itself, with its Liquid held, where that says the same as doing
it on each message. Whether it does is tried on samples. Otherwise it is done on each message, which is slower.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, TypeAlias

from dripdrop.errors import Finding, Invalid, MissingExtra
from dripdrop.rendering import inlining, mjml
from dripdrop.rendering.holding import hold
from dripdrop.rendering.problems import Problem
from dripdrop.rendering.templates import Template, compile_template
from dripdrop.rules.markup import pieces

MAX_SAMPLES = 8
Finish: TypeAlias = Callable[[str, str], str]

# A loop around rows stands before the body that a parser opens at the first of them.
_BEFORE_BODY = re.compile(r"((?:<!--xlq\d*x\d+q-->\s*)+)<tbody>")
_NO_ROWS = re.compile(r"<tbody>\s*</tbody>")
_AT_END = re.compile(r"\s+(?=</div>)")
_LITERAL = re.compile(r"""'([^']*)'|"([^"]*)"|\b(\d{1,9})\b""")
_LOOPED = re.compile(r"\b(?:for|tablerow)\s+\w+\s+in\s+([\w.]+)")
_NOW = datetime(2030, 3, 1, 12, tzinfo=UTC)


class PerMessage:
    """A template whose HTML is worked on after rendering, message by message."""

    __slots__ = ("_finish", "_source")

    def __init__(self, source: Template, finish: Finish) -> None:
        self._source = source
        self._finish = finish

    def variables(self) -> Iterable[str]:
        """Every name that it does not assign itself."""
        return self._source.variables()

    def render(
        self, variables: Mapping[str, Any], missing: Callable[[str], Any] | None = None, path: str = "template"
    ) -> str:
        """The HTML for these variables; raises `Invalid` as rendering and compiling do."""
        return self._finish(self._source.render(variables, missing, path), path)


def html_part(text: str, *, trusted: bool = True, path: str = "html", inlined: bool = True) -> Template | PerMessage:
    """The template of an HTML field, which escapes what is put in; equal texts are worked on once.

    Raises `Invalid` (`template`, `mjml` and its kin) with the line, `MissingExtra` for MJML without its packages.
    """
    source = compile_template(text, escape=True, trusted=trusted, path=path)
    finish = _finishing(text, inlined)
    if finish is None:
        return source
    return _worked_once(text, trusted, finish) or PerMessage(source, finish)


def check_markup(text: str, *, trusted: bool = True) -> list[Problem]:
    """Everything wrong with the markup of an HTML field; where it must be worked on for each message, a warning."""
    wrong = mjml.problems(text) if mjml.is_mjml(text) else []
    finish = _finishing(text, True)
    if any(each.severity == "error" for each in wrong) or finish is None:
        return wrong
    try:
        if _worked_once(text, trusted, finish) is None:
            wrong += _always_wrong(text, trusted, finish) or [_slow(text)]
    except MissingExtra as lacking:
        severity = "error" if mjml.is_mjml(text) else "warning"
        wrong.append(Problem(lacking.message.rstrip("."), None, None, lacking.code, severity, lacking.cure))
    except Invalid:  # its Liquid cannot be read, which another check says
        pass
    return wrong


def _finishing(text: str, inlined: bool) -> Finish | None:
    """What is done to the HTML of this template, if anything."""
    if mjml.is_mjml(text):
        return _from_mjml
    return _inlined if inlined and inlining.has_styles(text) else None


def _from_mjml(text: str, path: str) -> str:
    html, styles = mjml.to_html(text, path)
    return inlining.inline(html, styles)


def _inlined(html: str, path: str) -> str:
    try:
        return inlining.inline(html)
    except MissingExtra:  # the styles stay in the head, and `validate` says so
        return html


@lru_cache(maxsize=1024)
def _worked_once(text: str, trusted: bool, finish: Finish) -> Template | None:
    """The template of the finished HTML, where finishing before rendering says the same as after."""
    source = compile_template(text, escape=True, trusted=trusted)
    held = hold(text)
    if finish is _from_mjml and mjml.structured(text):
        return None
    try:
        worked = _BEFORE_BODY.sub(r"<tbody>\1", finish(held.text, "html"))
        made = compile_template(held.release(worked), escape=True, trusted=trusted)
    except Invalid:
        return None
    return made if not held.parts or _agree(source, made, finish, text) else None


def _agree(source: Template, made: Template, finish: Finish, text: str) -> bool:
    compared = 0
    for sample in samples(source, text):
        try:
            late = finish(source.render(sample), "html")
        except Invalid:
            continue  # no message comes of it either way
        try:
            early = made.render(sample)
        except Invalid:
            return False
        if _plain_form(early) != _plain_form(late):
            return False
        compared += 1
    return compared > 0


def _plain_form(html: str) -> str:
    # Space at the end of a block is shown by nobody, and goes where Liquid stood there.
    return _AT_END.sub("", _NO_ROWS.sub("", inlining.normal(html)))


def samples(source: Template, text: str) -> list[dict[str, Any]]:
    """Data to try a template on: nothing, names, markup, a number, and whatever it compares with."""
    blocks = [piece.text for piece in pieces(text) if piece.liquid == "block"]
    literals = [a or b or c for block in blocks for a, b, c in _LITERAL.findall(block)]
    values = dict.fromkeys(["Ann", "A<b>&\"'\u00fc", "7", *literals])
    roots = source.roots()
    looped = {path.split(".")[0] for block in blocks for path in _LOOPED.findall(block)}
    made: list[dict[str, Any]] = [{"now": _NOW}]
    for value in list(values)[: MAX_SAMPLES - 1]:
        one = _Anything(value)
        made.append({"now": _NOW, **{name: [one, one] if name in looped else one for name in roots}})
    return made


class _Anything(dict[str, Any]):
    """A value that is this text under any name."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text = text

    def __missing__(self, name: str) -> _Anything:
        return self

    def __str__(self) -> str:
        return self.text

    def __eq__(self, other: object) -> bool:
        return str(other) == self.text

    def __hash__(self) -> int:  # type: ignore[override]
        return hash(self.text)

    def __bool__(self) -> bool:
        return True


def _always_wrong(text: str, trusted: bool, finish: Finish) -> list[Problem]:
    """What is wrong with each message, whatever its data."""
    source = compile_template(text, escape=True, trusted=trusted)
    found: list[Problem] = []
    for sample in samples(source, text):
        try:
            finish(source.render(sample), "html")
        except Invalid as trouble:
            found = found or [_problem_of(each) for each in trouble.findings]
        else:
            return []
    return found


def _slow(text: str) -> Problem:
    cure = "Let {% if %} and {% for %} stand inside of <mj-text>, <mj-table> and other texts; or leave it, it works."
    if not mjml.is_mjml(text):
        cure = "Let no style and no tag depend on Liquid; or leave it, it works."
    message = "Its HTML is made for each message anew, which takes milliseconds"
    return Problem(message, code="slow_html", severity="warning", cure=cure)


def _problem_of(finding: Finding) -> Problem:
    message = finding.message.partition(" (html")[0].rstrip(".")
    return Problem(message, finding.line, finding.column, finding.code, finding.severity, finding.cure)
