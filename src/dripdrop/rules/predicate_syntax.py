"""What does this predicate say, word by word?"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from dripdrop.errors import Finding, Invalid
from dripdrop.rules.dates import day_of, instant_of

PLACES = ("enrollment", "sequence", "step", "event", "hook")
MAX_CHARACTERS, MAX_DEPTH, MAX_TERMS = 10_000, 32, 500

Kind: TypeAlias = Literal["text", "number", "boolean", "null", "date", "datetime", "list"]


@dataclass(frozen=True, slots=True)
class Value:
    """What a name is compared to. A list holds values; its kind keeps `1` and `true` apart, which Python does not."""

    kind: Kind
    of: Any


@dataclass(frozen=True, slots=True)
class Comparison:
    """One test: the place that is asked, the way to what is compared there, an operator, and a value."""

    place: str
    path: tuple[str, ...]
    operator: str
    value: Value


@dataclass(frozen=True, slots=True)
class Joined:
    """Two or more terms under `and` or `or`; none of them is joined by the same word."""

    word: Literal["and", "or"]
    terms: tuple[Tree, ...]


Tree: TypeAlias = Comparison | Joined

_TOKEN = re.compile(
    r"""
    (?P<name>[^\W\d]\w*(?:\.[^\W\d]\w*)*)
    | (?P<number>[+-]?(?:[0-9]+(?:\.[0-9]+)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)
    | (?P<text>'[^']*+(?:''[^']*+)*+')
    | (?P<wrong>&&|\|\||[!=]==|<>|=~|=(?!=)|!(?!=)|~|["“”„‘’`'])
    | (?P<sign>==|!=|>=|<=|>|<|::|[()\[\],])
    | (?P<unknown>\S)
    """,
    re.VERBOSE,
)
_CURES = {
    "&&": "Write `and`.",
    "||": "Write `or`.",
    "=": "Write `==`.",
    "===": "Write `==`.",
    "!==": "Write `!=`.",
    "<>": "Write `!=`.",
    "=~": "There are no patterns: compare with `==` or `in`.",
    "~": "There are no patterns: compare with `==` or `in`.",
    "!": "Write the opposite operator, such as `!=` or `not contains`.",
    "'": "Close the text with '; a quote inside of it is written twice: 'it''s'.",
}
_QUOTES = "Put text in single quotes: 'pro'."
_EXAMPLE = "Write it like: plan == 'pro' and (seats > 5 or tags contains 'vip')."
_OPERATORS = ("==", "!=", ">=", "<=", ">", "<", "in", "contains", "not")
_WORDS = {
    cased: word
    for word in ("and", "or", "not", "in", "contains", "true", "false", "nil", "null", "xor")
    for cased in (word, word.upper(), word.capitalize())
}
_CONSTANTS = {
    "true": Value("boolean", True),
    "false": Value("boolean", False),
    "nil": Value("null", None),
    "null": Value("null", None),
}
_UNMEASURED = ("length", "size")


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str
    start: int

    @property
    def word(self) -> str:
        """The keyword or sign that this is; empty for names and values."""
        return _WORDS.get(self.text, "") if self.kind == "name" else self.text if self.kind == "sign" else ""


def read(text: str) -> Tree:
    """The tree of a predicate. Raises `Invalid` (`predicate`) with line, column and cure."""
    if len(text) > MAX_CHARACTERS:
        raise _refusal(f"The predicate is longer than {MAX_CHARACTERS} characters.", "Split it in several.", None)
    return _Reader(text).whole()


class _Reader:
    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens = [_Token(str(each.lastgroup), each.group(), each.start()) for each in _TOKEN.finditer(text)]
        self.tokens.append(_Token("end", "", len(text)))
        self.place = self.depth = self.terms = 0

    @property
    def next(self) -> _Token:
        return self.tokens[self.place]

    def take(self) -> _Token:
        token = self.tokens[self.place]
        self.place += 1
        return token

    def taken(self, word: str) -> bool:
        found = self.next.word == word
        self.place += found
        return found

    def refusal(self, wanted: str, cure: str = _EXAMPLE, at: _Token | None = None) -> Invalid:
        """What is wrong at the next token, or the one that is given."""
        token = at or self.next
        if token.kind == "wrong":
            cure = _CURES.get(token.text, _QUOTES)
        seen = repr(token.text[:40]) if token.text else "the end"
        line, column = self.text.count("\n", 0, token.start) + 1, token.start - self.text.rfind("\n", 0, token.start)
        where = f"line {line}, column {column}" if "\n" in self.text.strip() else f"column {column}"
        return _refusal(f"At {where} of the predicate stands {seen}, and {wanted}.", cure, (line, column))

    def whole(self) -> Tree:
        if self.next.kind == "end":
            raise _refusal("The predicate is empty.", _EXAMPLE, (1, 1))
        found = self.joined("or")
        if self.next.kind != "end":
            raise self.refusal("`and`, `or` or the end is expected", self.cure_between())
        return found

    def joined(self, word: Literal["and", "or"]) -> Tree:
        """Terms under `or`, each of them terms under `and`."""
        terms: list[Tree] = []
        while True:
            term = self.joined("and") if word == "or" else self.factor()
            terms += term.terms if isinstance(term, Joined) and term.word == word else [term]
            if not self.taken(word):
                return Joined(word, tuple(terms)) if len(terms) > 1 else terms[0]

    def factor(self) -> Tree:
        if self.next.word != "(":
            return self.comparison()
        if self.depth == MAX_DEPTH:
            raise self.refusal(f"there are {MAX_DEPTH} open already", "Nest fewer parentheses.")
        self.take()
        self.depth += 1
        if self.next.word == ")":
            raise self.refusal("a comparison is expected within parentheses")
        found = self.joined("or")
        if not self.taken(")"):
            raise self.refusal("`and`, `or` or `)` is expected", self.cure_between())
        self.depth -= 1
        return found

    def cure_between(self) -> str:
        """What to do about a token that stands where a comparison is complete."""
        if self.next.word == "xor":
            return "There is no `xor`: write both cases."
        if self.tokens[self.place - 1].kind == "text":
            return "A quote inside of text is written twice: 'it''s'."
        return _EXAMPLE

    def comparison(self) -> Comparison:
        self.terms += 1
        if self.terms > MAX_TERMS:
            raise self.refusal(f"there are {MAX_TERMS} comparisons already", "Split the predicate in several.")
        place, path = self.name()
        operator = self.operator()
        return Comparison(place, path, operator, self.value(operator))

    def name(self) -> tuple[str, tuple[str, ...]]:
        token = self.next
        if token.word in ("not", "xor"):
            raise self.refusal("a name is expected", "Write the opposite operator, such as `!=` or `not contains`.")
        if token.kind in ("number", "text") or token.word in _CONSTANTS:
            raise self.refusal("a name is expected", "Turn it round: a comparison begins with a name.")
        if token.kind != "name" or token.word:
            raise self.refusal("a name is expected")
        self.take()
        path = tuple(token.text.split("."))
        place = path[0] if len(path) > 1 and path[0] in PLACES else "enrollment"
        path = path[1:] if len(path) > 1 and path[0] in PLACES else path
        if len(path) > 1 and path[-1] in _UNMEASURED:
            cure = "Nothing is counted here: keep the number in the data, under another name."
            raise self.refusal(f"`.{path[-1]}` is not available", cure, token)
        return place, path

    def operator(self) -> str:
        word = self.next.word
        if word not in _OPERATORS:
            alone = self.next.kind == "end" or word in ("and", "or", ")")
            cure = f"Write `{self.tokens[self.place - 1].text} == true`." if alone else _EXAMPLE
            raise self.refusal("an operator is expected: ==, !=, >, >=, <, <=, in, contains or not contains", cure)
        self.take()
        if word != "not":
            return word
        if not self.taken("contains"):
            cure = "Write `!=` for each value, joined by `and`." if self.next.word == "in" else _EXAMPLE
            raise self.refusal("`contains` is expected after `not`", cure)
        return "not contains"

    def value(self, operator: str) -> Value:
        if self.next.word == "[":
            return self.list()
        if operator == "in":
            raise self.refusal("a list is expected", "Write it like: plan in ['pro', 'team'].")
        return self.scalar()

    def list(self) -> Value:
        self.take()
        items: list[Value] = []
        while not self.taken("]"):
            if items and not self.taken(","):
                raise self.refusal("`,` or `]` is expected")
            items.append(self.scalar())
        return Value("list", tuple(items))

    def scalar(self) -> Value:
        token = self.next
        if token.kind == "text":
            return self.quoted()
        if token.kind == "number":
            return Value("number", self.number())
        if token.word in _CONSTANTS:
            self.take()
            return _CONSTANTS[token.word]
        cure = "A list holds no lists: write each value." if token.word == "[" else _QUOTES
        raise self.refusal("a value is expected: text in single quotes, a number, true, false, nil or a list", cure)

    def number(self) -> int | float:
        token = self.next
        plain = token.text.lstrip("+-").isdigit()
        if len(token.text) > 400 or (not plain and math.isinf(float(token.text))):
            raise self.refusal("that is too large", "Write a number that a computer can hold.")
        self.take()
        return int(token.text) if plain else float(token.text)

    def quoted(self) -> Value:
        token = self.take()
        text = token.text[1:-1].replace("''", "'").replace("\\\\", "\\")
        if not self.taken("::"):
            return Value("text", text)
        cast = self.take().text.upper()
        if cast == "DATE" and (day := day_of(text)) is not None:
            return Value("date", day)
        if cast == "DATETIME" and (instant := instant_of(text)) is not None:
            return Value("datetime", instant)
        wanted = f"that is no {cast.lower()}" if cast in ("DATE", "DATETIME") else "`::` is for DATE and DATETIME"
        raise self.refusal(wanted, "Write '2030-03-01'::DATE or '2030-03-01T12:00:00Z'::DATETIME.", token)


def _refusal(message: str, cure: str, place: tuple[int, int] | None) -> Invalid:
    finding = Finding("predicate", "predicate", message, cure, *(place or (None, None)))
    return Invalid(message, cure=cure, code="predicate", findings=[finding])


def write(tree: Tree) -> str:
    """The one way a tree is written: `read` gives it back."""
    if isinstance(tree, Comparison):
        return f"{named(tree)} {tree.operator} {_value(tree.value)}"
    terms = (
        f"({write(term)})" if tree.word == "and" and isinstance(term, Joined) else write(term) for term in tree.terms
    )
    return f" {tree.word} ".join(terms)


def named(comparison: Comparison) -> str:
    """The name that is compared, as it is written."""
    first, *rest = comparison.path
    bare = comparison.place == "enrollment" and first not in _WORDS and not (rest and first in PLACES)
    return ".".join(comparison.path if bare else (comparison.place, *comparison.path))


def _value(value: Value) -> str:
    match value.kind:
        case "text":
            return "'" + str(value.of).replace("\\", "\\\\").replace("'", "''") + "'"
        case "date":
            return f"'{value.of.isoformat()}'::DATE"
        case "datetime":
            return f"'{value.of.isoformat()}'::DATETIME"
        case "list":
            return f"[{', '.join(map(_value, value.of))}]"
        case "null":
            return "nil"
        case "boolean":
            return "true" if value.of else "false"
        case "number":
            return repr(value.of)


def comparisons(tree: Tree) -> Iterator[Comparison]:
    """Every comparison of a tree, from left to right."""
    if isinstance(tree, Comparison):
        yield tree
    else:
        for term in tree.terms:
            yield from comparisons(term)
