"""Which definitions stand in these files and folders?"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from dripdrop.errors import Finding, Invalid
from dripdrop.rules.document import SequenceDocument
from dripdrop.rules.reading import read
from dripdrop.services.inclusion import MAX_FILE_BYTES, text_of
from dripdrop.services.notations import NOTATIONS, parse

__all__ = ["MAX_FILE_BYTES", "Loaded", "documents", "files", "in_file", "load_file", "load_paths", "load_text"]

MAX_SOURCE_BYTES = 2_000_000
MAX_FILES = 1_000
MAX_BRACKETS = 200
_BRACKET = re.compile(r"[\[\]{}]")
# A folder may hold JSON and TOML of other kinds: theirs has no such key.
_SEQUENCE = re.compile(r"""^[\s{]*["']?sequence["']?\s*[=:]""", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Loaded:
    """One document of a file: `document` is None where it cannot be read at all; `findings` say why."""

    file: str
    document: SequenceDocument | None
    findings: list[Finding]


def load_paths(paths: Sequence[str | Path]) -> list[Loaded]:
    """Every document of files and folders, by name; never raises for what is in them.

    In a folder all .yaml and .yml files are looked at, and those .toml and .json files that have a key `sequence`.
    """
    loaded = [each for path in files(paths) for each in load_file(path)]
    return _without_doubles(loaded)


def documents(loaded: Sequence[Loaded]) -> list[SequenceDocument]:
    """The documents; raises `Invalid` (`cannot_read`) with every problem of every file when there is one."""
    problems = [finding for each in loaded for finding in each.findings]
    if problems:
        shown = " ".join(str(problem) for problem in problems[:3])
        raise Invalid(f"{len(problems)} problem(s). {shown}", code="cannot_read", findings=problems)
    return [each.document for each in loaded if each.document is not None]


def files(paths: Sequence[str | Path]) -> list[Path]:
    """The files that paths name, folders opened; raises `Invalid` (`no_such_file`)."""
    found: list[Path] = []
    for path in map(Path, paths):
        if path.is_dir():
            found += sorted(each for each in path.rglob("*") if each.is_file() and _is_definition(each))
        elif path.is_file():
            found.append(path)
        else:
            raise Invalid(f"There is no file {path}.", cure="Name a .yaml file or a folder.", code="no_such_file")
    if len(found) > MAX_FILES:
        raise Invalid(f"There are more than {MAX_FILES} files.", cure="Name a smaller folder.", code="too_large")
    return found


def _is_definition(path: Path) -> bool:
    notation = NOTATIONS.get(path.suffix.lower())
    if notation in (None, "yaml"):
        return notation is not None
    text, problem = text_of(path, MAX_SOURCE_BYTES)
    return problem is None and _SEQUENCE.search(text) is not None


def load_file(path: Path) -> list[Loaded]:
    """Every document of one file; what is neither .toml nor .json is YAML."""
    text, problem = text_of(path, MAX_SOURCE_BYTES)
    if problem is not None:
        return [Loaded(str(path), None, [problem])]
    return load_text(text, name=str(path), folder=path.parent, notation=NOTATIONS.get(path.suffix.lower(), "yaml"))


def load_text(text: str, *, name: str = "document", folder: Path | None = None, notation: str = "yaml") -> list[Loaded]:
    """Every document of a text in `yaml`, `toml` or `json`; files are only taken in from a folder, and stay in it."""
    if len(text) > MAX_SOURCE_BYTES or _depth(text) > MAX_BRACKETS:
        message = "The text is too large, or nested too deeply."
        return [Loaded(name, None, [Finding("too_large", name, message, "Split it.")])]
    parsed = parse(text, notation, name, folder)
    if not parsed.sources:
        return [Loaded(name, None, parsed.findings or [_empty(name)])]
    loaded = []
    for place, source in enumerate(parsed.sources):
        document, findings = read(source)
        ahead = parsed.findings if place == 0 else []
        loaded.append(Loaded(name, document, [in_file(each, name) for each in (*ahead, *findings)]))
    return loaded


def _depth(text: str) -> int:
    """How many brackets are open at once: the parser's time grows with the square of it."""
    deepest = depth = 0
    for bracket in _BRACKET.findall(text):
        depth = depth + 1 if bracket in "[{" else max(depth - 1, 0)
        deepest = max(deepest, depth)
    return deepest


def in_file(finding: Finding, name: str) -> Finding:
    """The finding with its file named, where there is one."""
    return finding if name in ("document", finding.path) else replace(finding, path=f"{name}: {finding.path}")


def _empty(name: str) -> Finding:
    return Finding("empty", name, "There is no definition in it.", "Begin with `sequence:`.")


def _without_doubles(loaded: list[Loaded]) -> list[Loaded]:
    """The same with a finding at every second definition of one key: the last would quietly win."""
    seen: dict[str, str] = {}
    checked = []
    for each in loaded:
        key = each.document.key if each.document is not None else ""
        if key and key in seen:
            assert each.document is not None
            message = f"The sequence {key!r} stands in {seen[key]} already."
            double = each.document.finding("duplicate_sequence", ("sequence",), message, "Remove one of them.")
            each = replace(each, findings=[*each.findings, in_file(double, each.file)])
        seen.setdefault(key, each.file)
        checked.append(each)
    return checked
