"""Which of its alternatives does a text take for this seed?

`{Hi|Hello}` is a group of two. Groups may stand in groups; a backslash before a brace or a pipe takes its meaning away;
a pair of braces without a pipe is just that. Spaces stay, an empty alternative counts for nothing. In HTML only words
are looked at: never what stands inside of `<...>`, a comment, a style or a script.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from dripdrop.rules.definition import Step
from dripdrop.rules.markup import Piece, line_of, pieces

MAX_DEPTH = 20
MAX_GROUPS = 1_000
PICKS = "_picks"

NEVER = frozenset(
    ("to", "cc", "bcc", "from", "reply_to", "chat_id", "url", "method", "topic", "event", "media_urls", "headers",
     "attachments")
)  # fmt: skip

_SIGNS = re.compile(r"\\++|[{|}]")
_AS_LIQUID = {"{": "{{ '{' }}", "}": "{{ '}' }}"}

Kind: TypeAlias = Literal["{", "|", "}", "text", "escaped"]


class Escaped(str):
    """A sign that means nothing."""

    __slots__ = ()


@dataclass(slots=True)
class Group:
    """The alternatives of a group that begins at `at`, each a list of texts and further groups."""

    number: int
    at: int
    options: list[list[Node]]

    @property
    def alternatives(self) -> list[list[Node]]:
        return [option for option in self.options if option]


Node: TypeAlias = "str | Group"


@dataclass(frozen=True, slots=True)
class Spun:
    """A text with its alternatives as Liquid, and how many each group has: what a pick is taken from."""

    text: str
    groups: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Trouble:
    """What is wrong with the groups of a text, and where (from 1)."""

    code: str
    message: str
    line: int
    column: int


def expand(text: str, seed: object, *, html: bool = False) -> str:
    """The text with one alternative of each group; always the same for the same seed.

    A text whose braces do not match is returned as it is: `problems` says where. Liquid is left alone.
    """
    read = _parse(text, html)
    if isinstance(read, Trouble):
        return text
    tree, groups = read
    chosen = picks(seed, tuple(len(each.alternatives) for each in groups))
    return "".join(_expanded(tree, chosen))


def spins(step: Step, name: str, value: Any) -> bool:
    """Whether a field of the step is written with alternatives: never one that says where a message goes."""
    own = step.config.get("spintax") or (step.config.get("template_variation") or {}).get("spintax")
    # A text that is JSON has braces of its own.
    is_json = isinstance(value, str) and step.channel in ("webhook", "pubsub")
    return bool(own) and name not in NEVER and not is_json


def problems(text: str, *, html: bool = False) -> list[Trouble]:
    """`spintax_unbalanced`, `spintax_too_large` and, which is only a warning, `spintax_empty`."""
    read = _parse(text, html)
    if isinstance(read, Trouble):
        return [read]
    empty = [each.at for each in read[1] if len(each.alternatives) < len(each.options)]
    message = "A group has an empty alternative, which is never taken"
    return [_trouble(text, at, message, code="spintax_empty") for at in empty]


def as_liquid(text: str, name: str = PICKS, *, html: bool = False) -> Spun:
    """The template whose alternatives are chosen by the list of numbers in the variable `name`.

    They are chosen before values are put in, so that braces and pipes in a person's data mean nothing.
    """
    read = _parse(text, html)
    if isinstance(read, Trouble):
        return Spun(text)
    tree, groups = read
    return Spun("".join(_written(tree, name)), tuple(len(each.alternatives) for each in groups))


def picks(seed: object, groups: tuple[int, ...]) -> list[int]:
    """A number for each group, below the number of its alternatives: as good as by chance, and never another."""
    return [_number(f"{seed}:{place}") % count if count else 0 for place, count in enumerate(groups)]


def _number(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()[:8], "big")


def _trouble(text: str, at: int, message: str, *, code: str) -> Trouble:
    return Trouble(code, message, *line_of(text, at))


def _expanded(tree: list[Node], chosen: list[int]) -> Iterator[str]:
    for node in tree:
        if isinstance(node, str):
            yield node
        elif node.alternatives:
            yield from _expanded(node.alternatives[chosen[node.number]], chosen)


def _written(tree: list[Node], name: str) -> Iterator[str]:
    for node in tree:
        if isinstance(node, Escaped):
            # As it stands it could become Liquid together with what is beside it.
            yield _AS_LIQUID.get(node, node)
        elif isinstance(node, str):
            yield node
        elif len(node.alternatives) == 1:
            yield from _written(node.alternatives[0], name)
        elif node.alternatives:
            yield f"{{% case {name}[{node.number}] %}}"
            for place, option in enumerate(node.alternatives):
                said = "".join(_written(option, name))
                # Liquid says nothing at all where a branch holds nothing but spaces.
                yield f"{{% when {place} %}}" + (said if said.strip() else f"{{{{ '{said}' }}}}")
            yield "{% endcase %}"


def _parse(text: str, html: bool) -> tuple[list[Node], list[Group]] | Trouble:
    """The tree of a text, and its groups in the order in which they are closed."""
    stack: list[list[list[Node]]] = [[[]]]
    opened: list[int] = []
    groups: list[Group] = []
    for kind, said, at in _signs(text, html):
        if kind == "{":
            if len(opened) == MAX_DEPTH or len(groups) == MAX_GROUPS:
                return _trouble(text, at, "There are too many alternatives", code="spintax_too_large")
            opened.append(at)
            stack.append([[]])
        elif kind == "|" and opened:
            stack[-1].append([])
        elif kind == "}":
            if not opened:
                return _trouble(text, at, "A brace closes nothing", code="spintax_unbalanced")
            _shut(stack, opened.pop(), groups)
        else:
            stack[-1][-1].append(said)
    if opened:
        return _trouble(text, opened[-1], "A brace is never closed", code="spintax_unbalanced")
    return stack[0][0], groups


def _shut(stack: list[list[list[Node]]], at: int, groups: list[Group]) -> None:
    options = stack.pop()
    if len(options) == 1:
        stack[-1][-1] += ["{", *options[0], "}"]
        return
    groups.append(Group(len(groups), at, options))
    stack[-1][-1].append(groups[-1])


def _signs(text: str, html: bool) -> Iterator[tuple[Kind, str, int]]:
    """Braces and pipes that mean something, and all that stands between them."""
    for piece in pieces(text, html=html):
        if piece.liquid or piece.context != "words":
            yield "text", piece.text, piece.at
        else:
            yield from _signs_of(piece)


def _signs_of(piece: Piece) -> Iterator[tuple[Kind, str, int]]:
    text, begin = piece.text, 0
    for found in _SIGNS.finditer(text):
        sign, after = found[0], text[found.end() : found.end() + 1]
        if found.start() < begin or (sign[0] == "\\" and (not after or after not in "{|}")):
            continue  # a sign that is said already, or backslashes that stand before none
        if found.start() > begin:
            yield "text", text[begin : found.start()], piece.at + begin
        begin = found.end()
        if sign[0] != "\\":
            yield sign, sign, piece.at + found.start()  # type: ignore[misc]
            continue
        if len(sign) > 1:
            yield "text", "\\" * (len(sign) // 2), piece.at + found.start()
        if len(sign) % 2:
            yield "escaped", Escaped(after), piece.at + begin
            begin += 1
    if begin < len(text):
        yield "text", text[begin:], piece.at + begin
