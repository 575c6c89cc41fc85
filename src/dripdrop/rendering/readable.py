"""Can this text be read as Liquid in a time that grows with its length?

The lexer looks for the end of everything that begins: a few thousand beginnings without an end take it minutes.
"""

from __future__ import annotations

import re

from dripdrop.rendering.problems import Problem
from dripdrop.rules.markup import line_of, pieces

MAX_BLANKS = 100
# For each the lexer looks whether it begins a range.
MAX_BRACKETS = 100

_BEGINS = re.compile(r"\{[{%]")
_TAKEN_WHOLE = re.compile(r"\{%-?\s*(?:raw|comment|doc)\b")
_VERBATIM = re.compile(r"\{%-?\s*(raw|doc)\b")


def unreadable(text: str) -> Problem | None:
    """What begins and never ends, if anything does; the lexer would refuse it too."""
    closed = {"{{": text.rfind("}}"), "{%": text.rfind("%}")}
    for piece in pieces(text):
        if not piece.liquid:
            for found in _BEGINS.finditer(piece.text):
                if piece.at + found.start() > closed[found[0]]:
                    wanted = "}}" if found[0] == "{{" else "%}"
                    return _problem(text, piece.at + found.start(), f"Expected {wanted!r}, found end of file")
        elif piece.liquid == "output" and len(piece.text) > MAX_BLANKS and not piece.text.strip("{}- \t\r\n\f\v"):
            return _problem(text, piece.at, "An expression is empty")
        elif piece.text.count("(") > MAX_BRACKETS and not _TAKEN_WHOLE.match(piece.text):
            return _problem(text, piece.at, f"There are more than {MAX_BRACKETS} brackets in it")
        elif (verbatim := _VERBATIM.match(piece.text)) and f"end{verbatim[1]}" not in piece.text:
            return _problem(text, piece.at, f"There is no 'end{verbatim[1]}'")
    return None


def _problem(text: str, at: int, message: str) -> Problem:
    return Problem(message, *line_of(text, at))
