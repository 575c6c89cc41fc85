"""Where in a TOML or JSON text does each part of its value stand?

Both scanners are given texts that the standard library has read already, so they only look for where things begin.
"""

from __future__ import annotations

import re
import tomllib
from bisect import bisect_right
from collections.abc import Mapping
from json.decoder import scanstring  # type: ignore[attr-defined]
from typing import Any, TypeAlias

Path: TypeAlias = tuple[str | int, ...]
Place: TypeAlias = tuple[int, int]

_QUIET = re.compile(r"(?:[ \t\r\n]+|#[^\n]*)*")
_BARE = re.compile(r"[A-Za-z0-9_-]+")
_TEXT = re.compile(r'"""(?:\\.|[^\\])*?"{3,5}|\'\'\'.*?\'{3,5}|"(?:\\.|[^"\\])*"|\'[^\']*\'', re.DOTALL)
_WORD = re.compile(r"[^,\]}\s#]+(?: \d\d:[^,\]}\s#]+)?")


class Marks:
    """The places of a mapping's keys or a list's items, from 0, as the YAML reader tells them."""

    def __init__(self, line: int, col: int, data: dict[Any, Place]) -> None:
        self.line, self.col, self.data = line, col, data

    def key(self, name: Any) -> Place:
        return self.data[name]

    item = key


class MarkedMapping(dict[str, Any]):
    """A mapping that knows where it stands."""

    lc: Marks


class MarkedList(list[Any]):
    """A list that knows where it stands."""

    lc: Marks


def marked(value: Any, places: Mapping[Path, Place], at: Path = ()) -> Any:
    """The value in containers that know where each of their parts stands."""
    if not isinstance(value, (dict, list)):
        return value
    entries = list(value.items() if isinstance(value, dict) else enumerate(value))
    inner = [(key, marked(each, places, (*at, key))) for key, each in entries]
    made: Any = MarkedMapping(inner) if isinstance(value, dict) else MarkedList(each for _, each in inner)
    known = {key: places[*at, key] for key, _ in entries if (*at, key) in places}
    made.lc = Marks(*places.get(at, (0, 0)), known)
    return made


class _Scanner:
    def __init__(self, text: str) -> None:
        self.text, self.here = text, 0
        self.lines = [0, *(found.end() for found in re.finditer("\n", text))]
        self.places: dict[Path, Place] = {(): (0, 0)}
        self.twice: list[tuple[str, Place, Place]] = []

    def place(self, offset: int) -> Place:
        line = bisect_right(self.lines, offset) - 1
        return line, offset - self.lines[line]

    def note(self, at: Path, offset: int) -> None:
        self.places.setdefault(at, self.place(offset))

    def quiet(self) -> str:
        """Pass over what says nothing; answers the next character, '' at the end."""
        found = _QUIET.match(self.text, self.here)
        self.here = found.end() if found else self.here
        return self.text[self.here : self.here + 1]

    def listed(self, at: Path) -> None:
        self.here += 1
        place = 0
        while self.quiet() not in ("]", ""):
            if self.text[self.here] == ",":
                self.here += 1
                continue
            self.note((*at, place), self.here)
            self.value((*at, place))
            place += 1
        self.here += 1

    def value(self, at: Path) -> None:
        match self.quiet():
            case "[":
                self.listed(at)
            case "{":
                self.mapped(at)
            case _:
                found = _TEXT.match(self.text, self.here) or _WORD.match(self.text, self.here)
                self.here = found.end() if found else self.here + 1

    def mapped(self, at: Path) -> None:
        raise NotImplementedError


class _Json(_Scanner):
    def mapped(self, at: Path) -> None:
        self.here += 1
        while self.quiet() not in ("}", ""):
            if self.text[self.here] == ",":
                self.here += 1
                continue
            begin = self.here
            name, self.here = scanstring(self.text, begin + 1)
            if (*at, name) in self.places:
                self.twice.append((name, self.places[*at, name], self.place(begin)))
            self.note((*at, name), begin)
            self.quiet()
            self.here += 1  # the colon
            self.value((*at, name))
        self.here += 1


class _Toml(_Scanner):
    def whole(self) -> None:
        table: Path = ()
        counts: dict[Path, int] = {}
        while first := self.quiet():
            begin = self.here
            if first != "[":
                self.entry(table)
                continue
            several = self.text.startswith("[[", begin)
            self.here += 2 if several else 1
            table = self.within(self.names(), counts)
            if several:
                counts[table] = counts.get(table, -1) + 1
                table = (*table, counts[table])
            for length in range(len(table)):
                self.note(table[: length + 1], begin)
            self.here = self.text.index("]", self.here) + (2 if several else 1)

    def within(self, names: list[str], counts: Mapping[Path, int]) -> Path:
        """The path of a header: a table in a list of tables is the last of them so far."""
        at: Path = ()
        for place, name in enumerate(names):
            at = (*at, name)
            if place < len(names) - 1 and at in counts:
                at = (*at, counts[at])
        return at

    def entry(self, table: Path) -> None:
        begin = self.here
        at = table
        for name in self.names():
            at = (*at, name)
            self.note(at, begin)
        self.quiet()
        self.here += 1  # the equals sign
        self.value(at)

    def mapped(self, at: Path) -> None:
        self.here += 1
        while self.quiet() not in ("}", ""):
            if self.text[self.here] == ",":
                self.here += 1
                continue
            self.entry(at)
        self.here += 1

    def names(self) -> list[str]:
        found: list[str] = []
        while True:
            self.quiet()
            word = _BARE.match(self.text, self.here) or _TEXT.match(self.text, self.here)
            if word is None:
                return found
            self.here = word.end()
            found.append(word[0] if word[0][0] not in "\"'" else tomllib.loads(f"k = {word[0]}")["k"])
            if self.quiet() != ".":
                return found
            self.here += 1


def toml_places(text: str) -> dict[Path, Place]:
    """The place of every key and item of a TOML text, from 0."""
    scanner = _Toml(text)
    scanner.whole()
    return scanner.places


def json_places(text: str) -> tuple[dict[Path, Place], list[tuple[str, Place, Place]]]:
    """The place of every key and item of a JSON text, from 0; and each key that stands twice, with both places."""
    scanner = _Json(text)
    scanner.quiet()
    scanner.note((), scanner.here)
    scanner.value(())
    return scanner.places, scanner.twice
