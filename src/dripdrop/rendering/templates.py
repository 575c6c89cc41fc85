"""What does this Liquid text say for these variables?"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import lru_cache
from typing import Any, cast

from liquid.builtin.content import ContentNode
from liquid.builtin.output import OutputNode
from liquid.exceptions import LiquidError, LiquidInterrupt, StopRender
from liquid.stringify import to_liquid_string
from liquid.template import BoundTemplate

from dripdrop.rendering.environment import MAX_OUTPUT, Context, environment
from dripdrop.rendering.fast_nodes import Written, bare_path
from dripdrop.rendering.problems import MAX_TEMPLATE, Problem, invalid
from dripdrop.rendering.readable import unreadable

_TOO_LARGE = f"A template may have {MAX_TEMPLATE} characters at most"


class Template:
    """A compiled Liquid text. `render` may be called from any thread."""

    __slots__ = ("_bound", "_escape", "_plain", "_steps", "source")

    def __init__(self, bound: BoundTemplate, escape: bool, source: str) -> None:
        self.source = source
        self._bound = bound
        self._escape = escape
        self._plain = _only_text(bound)
        self._steps = _straight(bound)

    @property
    def plain(self) -> str | None:
        """The whole text, where nothing in it depends on variables."""
        return self._plain

    def filters(self) -> dict[str, list[Any]]:
        """Every filter that is named, and where."""
        return self._bound.analyze(include_partials=False).filters

    def roots(self) -> list[str]:
        """The names that it expects from outside."""
        return sorted(self._bound.analyze(include_partials=False).globals)

    def variables(self) -> dict[str, list[Any]]:
        """Every name that it does not assign itself, dotted as far as it is fixed, and where."""
        found: dict[str, list[Any]] = {}
        for each in self._bound.analyze(include_partials=False).globals.values():
            for one in each:
                name = ".".join(
                    itertools.takewhile(lambda part: isinstance(part, str), cast("list[str]", one.segments))
                )
                found.setdefault(name, []).append(one.span)
        return found

    def render(
        self, variables: Mapping[str, Any], missing: Callable[[str], Any] | None = None, path: str = "template"
    ) -> str:
        """The text for these variables; a variable that is not there is empty and its name goes to `missing`.

        `variables` must hold `now`. Raises `Invalid` (`template`) for whatever goes wrong, with the line.
        """
        if self._plain is not None:
            return self._plain
        straight = self._straight(variables) if self._steps is not None else None
        return self._general(variables, missing, path) if straight is None else straight

    def _straight(self, variables: Mapping[str, Any]) -> str | None:
        """The same text by joining, for a template of text and bare variables; None where a value is not plain."""
        pieces = []
        for step in self._steps or ():
            if isinstance(step, str):
                pieces.append(step)
                continue
            value: Any = variables
            for segment in step:
                if not isinstance(value, dict) or segment not in value:
                    return None
                value = value[segment]
            if type(value) is not str and type(value) is not int:
                return None
            pieces.append(to_liquid_string(value, self._escape))
        text = "".join(pieces)
        return text if len(text) < MAX_OUTPUT // 4 else None

    def _general(self, variables: Mapping[str, Any], missing: Callable[[str], Any] | None, path: str) -> str:
        context = Context(self._bound, globals=variables)
        buffer = Written(limit=MAX_OUTPUT, newline="")
        try:
            for node in self._bound.nodes:
                node.render(context, buffer)
        except (LiquidInterrupt, StopRender):
            pass
        except Exception as trouble:  # a filter may raise anything for data of a shape it did not expect
            raise invalid(problem_of(trouble), path) from None
        if missing is not None:
            for name in sorted(context.missing):
                missing(name)
        return buffer.getvalue()


def compile_template(text: str, *, escape: bool = False, trusted: bool = True, path: str = "template") -> Template:
    """The template of a text; equal texts are compiled once. Raises `Invalid` (`template`) where it cannot be read."""
    if len(text) > MAX_TEMPLATE:
        raise invalid(Problem(_TOO_LARGE), path)
    if problem := _unreadable(text):
        raise invalid(problem, path)
    try:
        return _compiled(text, escape, trusted)
    except (LiquidError, RecursionError) as trouble:
        raise invalid(problem_of(trouble), path) from None


_unreadable = lru_cache(maxsize=4096)(unreadable)


@lru_cache(maxsize=4096)
def _compiled(text: str, escape: bool, trusted: bool) -> Template:
    return Template(environment(escape, trusted).from_string(text), escape, text)


def variables_of(text: str) -> list[tuple[str, int]]:
    """What a template asks of its data, each dotted name with its first line; not what it has a default for.

    A template that cannot be read asks nothing.
    """
    try:
        asked = _compiled(text, False, True).variables()
    except (LiquidError, RecursionError):
        return []
    found = {name: spans[0].index for name, spans in asked.items() if not _with_default(name).search(text)}
    return [(name, text.count("\n", 0, index) + 1) for name, index in found.items()]


def _with_default(name: str) -> re.Pattern[str]:
    return re.compile(rf"\b{re.escape(name)}\b[^{{}}%]*?\|\s*default\b")


def check_template(text: str, *, escape: bool = False, trusted: bool = True) -> list[Problem]:
    """Everything wrong with a template before it is ever used: syntax, and filters that do not exist."""
    if len(text) > MAX_TEMPLATE:
        return [Problem(_TOO_LARGE)]
    if problem := _unreadable(text):
        return [problem]
    try:
        used = _compiled(text, escape, trusted).filters()
    except (LiquidError, RecursionError) as trouble:
        return [problem_of(trouble)]
    known = environment(escape, trusted).filters
    return [
        Problem(f"There is no filter {name!r}", text.count("\n", 0, spans[0].index) + 1)
        for name, spans in used.items()
        if name not in known
    ]


def problem_of(trouble: Exception) -> Problem:
    if isinstance(trouble, RecursionError):
        return Problem("The template is nested too deeply")
    if not isinstance(trouble, LiquidError):
        return Problem(f"The template fails on this data: {type(trouble).__name__}")
    place = None
    with suppress(ValueError):  # an error at the very end of the text
        place = trouble.context()
    message = str(trouble.message or "It cannot be read")[:200]
    return Problem(message[:1].upper() + message[1:], *((place[0], place[1] + 1) if place else ()))


def _only_text(bound: BoundTemplate) -> str | None:
    texts = [node.text for node in bound.nodes if isinstance(node, ContentNode)]
    return "".join(texts) if len(texts) == len(bound.nodes) else None


def _straight(bound: BoundTemplate) -> tuple[str | tuple[str, ...], ...] | None:
    """Text and paths in order, for a template that has no tag and no filter."""
    steps: list[str | tuple[str, ...]] = []
    for node in bound.nodes:
        if isinstance(node, ContentNode):
            steps.append(node.text)
            continue
        path = bare_path(node.expression) if isinstance(node, OutputNode) else None
        if path is None:
            return None
        steps.append(path)
    return tuple(steps)
