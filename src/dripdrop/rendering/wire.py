"""What does a template say in a URL or in the body of a call, whatever the values in it are?

A value never changes the shape of what it is put into. In JSON its place decides: inside quotes it is escaped text,
outside it is a whole JSON value (a text gets its quotes, a list or a map comes whole). In a URL and in a form it is
percent-encoded. So the template is written once with marks where values stand, and each mark is then filled.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import cache, lru_cache
from typing import Any, TextIO
from urllib.parse import quote
from xml.sax.saxutils import escape

import orjson
from liquid import Environment, RenderContext, Undefined
from liquid.builtin.output import Output, OutputNode
from liquid.builtin.tags.echo_tag import EchoNode, EchoTag
from liquid.exceptions import LiquidError, LiquidInterrupt, StopRender
from liquid.template import BoundTemplate

from dripdrop.errors import Invalid
from dripdrop.rendering.environment import MAX_OUTPUT, Context, fresh
from dripdrop.rendering.fast_nodes import Written
from dripdrop.rendering.problems import MAX_TEMPLATE, Problem, invalid
from dripdrop.rendering.templates import problem_of

_MARK = re.compile("\ue000([0-9]+)\ue001")
_RESERVED = re.compile("[\ue000\ue001]")
_QUOTES = re.compile(r'\\.|"', re.DOTALL)
_DOTS = re.compile(r"(?:\.|%2e){1,2}", re.IGNORECASE)
# They write values as text of their own, or look at the text that was written so far.
_WITHOUT = ("capture", "cycle", "decrement", "ifchanged", "increment", "tablerow")


class Json(str):
    """A text that is JSON already: what the filter `json` gives."""

    __slots__ = ()


def url(template: str, variables: Mapping[str, Any], path: str = "url") -> str:
    """The URL for these values, each percent-encoded; raises `Invalid` (`template`).

    A value cannot step out of its segment: a path that holds `.` or `..` as a segment is refused.
    """
    text = _filled(template, variables, path, _percent)
    inside = re.split(r"[?#]", text.partition("://")[2], maxsplit=1)[0]
    if any(_DOTS.fullmatch(segment) for segment in inside.split("/")[1:]):
        raise invalid(Problem("The path of the URL holds a segment of dots"), path)
    return text


def body(template: str, variables: Mapping[str, Any], content_type: str, path: str = "body_template") -> bytes:
    """The body for these values, escaped as its content type asks; raises `Invalid` (`template`).

    JSON (also the default), `application/x-www-form-urlencoded` and XML have their own escaping; in any other type
    values stand as they are.
    """
    kind = content_type.partition(";")[0].strip().lower()
    if kind == "application/json" or kind.endswith("+json") or not kind:
        return _json_body(template, variables, path)
    if kind == "application/x-www-form-urlencoded":
        return _encoded(_filled(template, variables, path, _percent), path)
    if kind.endswith(("/xml", "+xml")):
        return _encoded(_filled(template, variables, path, lambda value: escape(text_of(value), {'"': "&quot;"})), path)
    return _encoded(_filled(template, variables, path, text_of), path)


def text_of(value: Any) -> str:
    """A value as text: lists and maps as JSON, nothing as nothing."""
    if value is None or isinstance(value, Undefined):
        return ""
    if isinstance(value, str):
        return str(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    return _json(value) if isinstance(value, (Mapping, list, tuple, range)) else str(value)


def check(template: str, path: str) -> list[Problem]:
    """What is wrong with such a template before it is ever used."""
    try:
        found = _compiled(template).analyze(include_partials=False).filters
    except Invalid as error:
        return [Problem(error.message.rstrip("."), error.findings[0].line if error.findings else None)]
    except (LiquidError, RecursionError) as trouble:
        return [problem_of(trouble)]
    known = _environment().filters
    return [
        Problem(f"There is no filter {name!r}", template.count("\n", 0, spans[0].index) + 1)
        for name, spans in found.items()
        if name not in known
    ]


def _json_body(template: str, variables: Mapping[str, Any], path: str) -> bytes:
    pieces, values = _written(template, variables, path)
    out: list[str] = []
    quoted = False
    for place, piece in enumerate(pieces):
        if place % 2 == 0:
            out.append(piece)
            quoted = _quoted(piece, quoted, path)
        else:
            value = values[int(piece)]
            said = _json(text_of(value))[1:-1] if quoted else _whole(value)
            out.append(said)
    done = _encoded("".join(out), path)
    try:
        orjson.loads(done)
    except orjson.JSONDecodeError:
        raise invalid(Problem("What it says is no JSON"), path) from None
    return done


def _quoted(text: str, quoted: bool, path: str) -> bool:
    """Whether the end of a text stands inside a JSON string."""
    end = 0
    for match in _QUOTES.finditer(text):
        quoted ^= match[0] == '"'
        end = match.end()
    if "\\" in text[end:]:
        raise invalid(Problem("A backslash stands before a value"), path)
    return quoted


def _whole(value: Any) -> str:
    return str(value) if isinstance(value, Json) else _json(None if isinstance(value, Undefined) else value)


def _json(value: Any) -> str:
    try:
        return orjson.dumps(value, default=_default, option=orjson.OPT_NON_STR_KEYS).decode()
    except (TypeError, RecursionError):
        raise invalid(Problem("A value cannot be written as JSON"), "body_template") from None


def _default(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    return list(value) if isinstance(value, (set, frozenset, range)) else str(value)


def _percent(value: Any) -> str:
    return quote(text_of(value), safe="", errors="replace")


def _filled(template: str, variables: Mapping[str, Any], path: str, say: Callable[[Any], str]) -> str:
    pieces, values = _written(template, variables, path)
    return "".join(say(values[int(piece)]) if place % 2 else piece for place, piece in enumerate(pieces))


def _encoded(text: str, path: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise invalid(Problem("A text holds half a character"), path) from None


def _written(template: str, variables: Mapping[str, Any], path: str) -> tuple[list[str], list[Any]]:
    """The text split at its marks, and the values they stand for."""
    try:
        bound = _compiled(template)
    except (LiquidError, RecursionError) as trouble:
        raise invalid(problem_of(trouble), path) from None
    context = _Collecting(bound, globals=variables)
    buffer = Written(limit=MAX_OUTPUT, newline="")
    try:
        for node in bound.nodes:
            node.render(context, buffer)
    except (LiquidInterrupt, StopRender):
        pass
    except Exception as trouble:  # a filter may raise anything for data of a shape it did not expect
        raise invalid(problem_of(trouble), path) from None
    return _MARK.split(buffer.getvalue()), context.values


class _Collecting(Context):
    """A context that keeps the values whose marks were written."""

    __slots__ = ("values",)

    def __init__(self, *positional: Any, **named: Any) -> None:
        super().__init__(*positional, **named)
        self.values: list[Any] = []

    def mark(self, value: Any) -> str:
        self.values.append(value)
        return f"\ue000{len(self.values) - 1}\ue001"


class _MarkedOutputNode(OutputNode):
    __slots__ = ()

    def render_to_output(self, context: RenderContext, buffer: TextIO) -> int:
        assert isinstance(context, _Collecting)
        return buffer.write(context.mark(self.expression.evaluate(context)))


class _MarkedOutput(Output):
    node_class = _MarkedOutputNode


class _MarkedEchoNode(EchoNode):
    __slots__ = ()

    render_to_output = _MarkedOutputNode.render_to_output


class _MarkedEcho(EchoTag):
    node_class = _MarkedEchoNode


@cache
def _environment() -> Environment:
    liquid = fresh(False, False)
    for name in _WITHOUT:
        liquid.tags.pop(name, None)
    liquid.add_tag(_MarkedOutput)
    liquid.add_tag(_MarkedEcho)
    liquid.add_filter("json", lambda value: Json(_whole(value)))
    return liquid


@lru_cache(maxsize=1024)
def _compiled(template: str) -> BoundTemplate:
    if len(template) > MAX_TEMPLATE:
        raise Invalid("The template is too long.", cure=f"{MAX_TEMPLATE} characters at most.", code="template")
    if _RESERVED.search(template):
        raise Invalid("U+E000 and U+E001 cannot be used here.", cure="Remove them.", code="template")
    return _environment().from_string(template)
