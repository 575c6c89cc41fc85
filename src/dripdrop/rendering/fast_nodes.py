"""How is text that is printed as it stands written without a detour?

Most of what a template prints is its own text and bare variables that hold texts. These nodes write the same as
python-liquid's own, which do everything else; tests compare the two.
"""

from __future__ import annotations

import re
from io import StringIO
from typing import Any, TextIO

from liquid import RenderContext, escape
from liquid.builtin.expressions import FilteredExpression, Path
from liquid.builtin.output import Output, OutputNode
from liquid.exceptions import OutputStreamLimitError
from liquid.expression import Expression
from liquid.output import LimitedStringIO
from liquid.stringify import to_liquid_string
from liquid.token import Token

_ESCAPED = re.compile("[&<>'\"]")
_write = StringIO.write


class Written(LimitedStringIO):
    """What a template has written so far, limited in bytes; of ASCII text there are as many as characters."""

    def write(self, text: str) -> int:
        self.size += len(text) if text.isascii() else len(text.encode())
        if self.size > self.limit:
            raise OutputStreamLimitError("output stream limit reached", token=None)
        return _write(self, text)


class FastOutputNode(OutputNode):
    """`{{ ... }}`, with a text written at once and escaped only where there is something to escape."""

    __slots__ = ("_path",)

    def __init__(self, token: Token, expression: Expression) -> None:
        super().__init__(token, expression)
        path = bare_path(expression)
        self._path: list[object] | None = list(path) if path else None

    def render_to_output(self, context: RenderContext, buffer: TextIO) -> int:
        value: Any
        if self._path is not None:
            value = context.get(self._path, token=self.token)
        else:
            value = self.expression.evaluate(context)
        if type(value) is not str:
            return buffer.write(to_liquid_string(value, context.autoescape))
        return buffer.write(escape(value) if context.autoescape and _ESCAPED.search(value) else value)


def bare_path(expression: Any) -> tuple[str, ...] | None:
    """The names of a variable that is printed as it is, with no filter and no index; None for everything else."""
    if type(expression) is not FilteredExpression or expression.filters or type(expression.left) is not Path:
        return None
    segments = expression.left.path
    names = tuple(each for each in segments if isinstance(each, str))
    return names if len(names) == len(segments) else None


class FastOutput(Output):
    """The pseudo tag of these nodes."""

    node_class = FastOutputNode
