"""Which Liquid do templates speak, and how far may they go?"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime
from functools import cache, wraps
from typing import Any, TextIO

from dateutil import parser as dates  # type: ignore[import-untyped]
from liquid import Environment, Markup, RenderContext, Undefined
from liquid.builtin.tags.for_tag import ForLoop, ForNode, ForTag
from liquid.builtin.tags.tablerow_tag import TablerowNode, TablerowTag
from liquid.exceptions import (
    BreakLoop,
    ContinueLoop,
    FilterArgumentError,
    LoopIterationLimitError,
    OutputStreamLimitError,
)
from liquid.filter import with_context, with_environment

from dripdrop.rendering.fast_nodes import FastOutput, Written

MAX_OUTPUT = 2_000_000
MAX_VALUE = 1_000_000
MAX_ITERATIONS = 20_000
MAX_BITS = 4_096

_NOT_GIVEN = object()


class Missing(Undefined):
    """A variable that is not there: empty text, and noted by name when it is printed."""

    __slots__ = ("sink",)

    def __init__(self, name: str, sink: set[str], **more: Any) -> None:
        super().__init__(name, **more)
        self.sink = sink

    def __str__(self) -> str:
        self.sink.add(self.name)
        return ""


class Context(RenderContext):
    """A render context that counts every iteration and notes what was missing."""

    __slots__ = ("iterations", "missing")

    def __init__(self, *positional: Any, **named: Any) -> None:
        super().__init__(*positional, **named)
        self.iterations = 0
        self.missing: set[str] = set()

    def get(self, path: list[object], *, token: Any, default: object = _NOT_GIVEN) -> object:
        value: object = None
        try:
            value = self.scope[path[0]]  # type: ignore[index]
            for segment in path[1:]:
                if type(value) is dict and isinstance(segment, str) and segment in value:
                    value = value[segment]
                else:
                    value = self.get_item(value, segment)
        except (KeyError, TypeError, IndexError):
            if default is not _NOT_GIVEN:
                return default
            return Missing(".".join(map(str, path)), self.missing, token=token)
        return value

    def get_buffer(self, buf: TextIO | None = None) -> Written:
        """What a part of the template is written into: line ends stay as they are."""
        carried = buf.size if isinstance(buf, Written) else 0
        return Written(limit=MAX_OUTPUT - carried, newline="")

    def raise_for_loop_limit(self, length: int = 1) -> None:
        self.iterations += length
        if self.iterations > MAX_ITERATIONS:
            raise LoopIterationLimitError(f"more than {MAX_ITERATIONS} iterations", token=None)


class _BoundedForNode(ForNode):
    """Python would walk a long range up to its offset before the limit on iterations is asked.

    Its parts are asked for once, not in each iteration, and the variable's name is a plain text: python-liquid's own
    compares itself in Python at each look.
    """

    __slots__ = ()

    def render_to_output(self, context: RenderContext, buffer: TextIO) -> int:
        _refuse_long_range(self.expression.iterable.evaluate(context))
        if context.disabled_tags or self.block.blank:
            return super().render_to_output(context, buffer)
        items, length = self.expression.evaluate(context)
        if not length:
            return self.default.render(context, buffer) if self.default else 0
        name = str.__str__(self.expression.identifier)
        over = f"{name}-{self.expression.iterable}"
        forloop = ForLoop(name=over, it=items, length=length, parentloop=context.parentloop())
        namespace: dict[str, object] = {"forloop": forloop, name: None}
        written, parts = 0, [node.render_to_output for node in self.block.nodes]
        with context.loop(namespace, forloop):
            for item in forloop:
                namespace[name] = item
                try:
                    for part in parts:
                        written += part(context, buffer)
                except ContinueLoop:
                    continue
                except BreakLoop:
                    break
        return written


class _BoundedFor(ForTag):
    node_class = _BoundedForNode


class _BoundedTablerowNode(TablerowNode):
    __slots__ = ()

    def render_to_output(self, context: RenderContext, buffer: TextIO) -> int:
        _refuse_long_range(self.expression.iterable.evaluate(context))
        return super().render_to_output(context, buffer)


class _BoundedTablerow(TablerowTag):
    node_class = _BoundedTablerowNode


class _Liquid(Environment):
    block_nesting_limit = 30
    context_depth_limit = 60
    local_namespace_limit = MAX_VALUE * 2
    output_stream_limit = MAX_OUTPUT


@cache
def environment(escape: bool, trusted: bool) -> Environment:
    """The Liquid of a field: escaping for HTML; `safe` and `raw` only where the author is trusted."""
    return fresh(escape, trusted)


def fresh(escape: bool, trusted: bool) -> Environment:
    """An environment that may be changed further.

    There are no loaders and no `include` or `render`; `now`, `today` and `"now" | date` are business time.
    """
    liquid = _Liquid(autoescape=escape)
    for name in ("include", "render"):
        del liquid.tags[name]
    liquid.add_tag(FastOutput)
    liquid.add_tag(_BoundedFor)
    liquid.add_tag(_BoundedTablerow)
    safe = liquid.filters.pop("safe")
    if trusted:
        liquid.filters.update(safe=safe, raw=safe)
    liquid.filters.update(replace=_replace, join=_join(liquid.filters["join"]), date=_date)
    for name, function in list(liquid.filters.items()):
        liquid.add_filter(name, _bounded(function))
    return liquid


def _bounded(function: Callable[..., Any]) -> Callable[..., Any]:
    """What a filter takes and gives stays small: only the whole output is limited by Liquid itself."""

    @wraps(function)
    def checked(value: Any, *args: Any, **named: Any) -> Any:
        _refuse_large(value)
        for argument in args:
            _refuse_large(argument)
        result = function(value, *args, **named)
        _refuse_large(result)
        return result

    for mark in ("with_context", "with_environment"):
        if getattr(function, mark, False):
            setattr(checked, mark, True)
    return checked


def _refuse_large(value: Any) -> None:
    if isinstance(value, str):
        if len(value) > MAX_VALUE:
            raise OutputStreamLimitError(f"a text of more than {MAX_VALUE} characters", token=None)
    elif isinstance(value, range):
        _refuse_long_range(value)
    elif isinstance(value, int) and value.bit_length() > MAX_BITS:
        raise FilterArgumentError("a number that is too large", token=None)
    elif isinstance(value, list) and len(value) > MAX_VALUE:
        raise OutputStreamLimitError(f"a list of more than {MAX_VALUE} items", token=None)


def _refuse_long_range(value: object) -> None:
    if isinstance(value, range) and value.stop - value.start > MAX_ITERATIONS:
        raise LoopIterationLimitError(f"more than {MAX_ITERATIONS} iterations", token=None)


def _replace(value: Any, old: Any, new: Any = "") -> str:
    text, was, becomes = (each if isinstance(each, str) else _text(each) for each in (value, old, new))
    if len(text) + text.count(was) * len(becomes) > MAX_VALUE:
        raise OutputStreamLimitError(f"a text of more than {MAX_VALUE} characters", token=None)
    return text.replace(was, becomes)


def _join(join: Callable[..., Any]) -> Callable[..., Any]:
    @with_environment
    @wraps(join)
    def checked(value: Any, separator: Any = " ", *, environment: Environment) -> Any:
        length = len(value) if isinstance(value, (list, tuple, range)) else 1
        if isinstance(separator, str) and length * len(separator) > MAX_VALUE:
            raise OutputStreamLimitError(f"a text of more than {MAX_VALUE} characters", token=None)
        return join(value, separator, environment=environment)

    return checked


def _text(value: Any) -> str:
    return "" if value is None else str(value)


@with_context
def _date(value: Any, form: Any, *, context: RenderContext) -> Any:
    """`date` whose now is business time and whose numbers are UTC, whatever the machine thinks."""
    if isinstance(value, Undefined):
        return _text(value)
    if isinstance(form, Undefined) or not form:
        return _text(value)
    now = context.scope["now"]
    moment = _moment(value, now if isinstance(now, datetime) else datetime(1970, 1, 1, tzinfo=UTC))
    if moment is None:
        return _text(value)
    text = str(form)[:200].replace("%s", str(int(moment.timestamp())))
    shown = moment.strftime(text.encode("utf-8", "surrogatepass").decode("utf-8", "replace"))
    return Markup(shown) if context.autoescape and isinstance(form, Markup) else shown


def _moment(value: Any, now: datetime) -> datetime | None:
    if isinstance(value, datetime):
        return value
    if isinstance(value, date):
        return datetime(value.year, value.month, value.day, tzinfo=UTC)
    if value in ("now", "today"):
        return now
    try:
        if isinstance(value, bool) or not isinstance(value, (int, float, str)):
            return None
        if not isinstance(value, str) or value.isdigit():
            return datetime.fromtimestamp(int(value), UTC)
        read: datetime = dates.parse(value[:100], default=now.replace(hour=0, minute=0, second=0, microsecond=0))
        return read
    except (ValueError, OverflowError, OSError):
        return None
