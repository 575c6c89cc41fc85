"""Which definitions stand in these files and folders?"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.constructor import ConstructorError, DuplicateKeyError, RoundTripConstructor
from ruamel.yaml.error import YAMLError

from dripdrop.errors import Finding, Invalid
from dripdrop.rules.document import SequenceDocument
from dripdrop.rules.reading import read

SUFFIXES = (".yaml", ".yml")
MAX_SOURCE_BYTES = 2_000_000
MAX_FILE_BYTES = 500_000
MAX_FILES = 1_000
MAX_BRACKETS = 200
_BRACKET = re.compile(r"[\[\]{}]")
_CURE = "Mend the YAML there."


@dataclass(frozen=True, slots=True)
class Loaded:
    """One document of a file: `document` is None where it cannot be read at all; `findings` say why."""

    file: str
    document: SequenceDocument | None
    findings: list[Finding]


def load_paths(paths: Sequence[str | Path]) -> list[Loaded]:
    """Every document of files and folders (their .yaml and .yml files, by name); never raises for what is in them."""
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
            found += sorted(each for each in path.rglob("*") if each.suffix in SUFFIXES and each.is_file())
        elif path.is_file():
            found.append(path)
        else:
            raise Invalid(f"There is no file {path}.", cure="Name a .yaml file or a folder.", code="no_such_file")
    if len(found) > MAX_FILES:
        raise Invalid(f"There are more than {MAX_FILES} files.", cure="Name a smaller folder.", code="too_large")
    return found


def load_file(path: Path) -> list[Loaded]:
    """Every document of one file."""
    text, problem = _text(path, MAX_SOURCE_BYTES)
    if problem is not None:
        return [Loaded(str(path), None, [problem])]
    return load_text(text, name=str(path), folder=path.parent)


def load_text(text: str, *, name: str = "document", folder: Path | None = None) -> list[Loaded]:
    """Every document of a YAML text; `!file` is only possible with a folder that it must stay in."""
    if len(text) > MAX_SOURCE_BYTES or _depth(text) > MAX_BRACKETS:
        message = "The text is too large, or nested too deeply."
        return [Loaded(name, None, [Finding("too_large", name, message, "Split it.")])]
    parser = _parser(folder)
    try:
        sources = [source for source in parser.load_all(text) if source is not None]
    except (YAMLError, Invalid, RecursionError, ValueError) as trouble:
        return [Loaded(name, None, [_unreadable(trouble, name)])]
    return [_loaded(source, name) for source in sources] or [_empty(name)]


def _depth(text: str) -> int:
    """How many brackets are open at once: the parser's time grows with the square of it."""
    deepest = depth = 0
    for bracket in _BRACKET.findall(text):
        depth = depth + 1 if bracket in "[{" else max(depth - 1, 0)
        deepest = max(deepest, depth)
    return deepest


def _loaded(source: Any, name: str) -> Loaded:
    document, findings = read(source)
    return Loaded(name, document, [in_file(each, name) for each in findings])


def in_file(finding: Finding, name: str) -> Finding:
    """The finding with its file named, where there is one."""
    return finding if name == "document" else replace(finding, path=f"{name}: {finding.path}")


def _empty(name: str) -> Loaded:
    return Loaded(name, None, [Finding("empty", name, "There is no definition in it.", "Begin with `sequence:`.")])


def _parser(folder: Path | None) -> YAML:
    parser = YAML(typ="rt", pure=True)
    parser.version = "1.2"
    # A class of its own: constructors of tags are kept on the class, and each file has its own folder.
    parser.Constructor = type("_Constructor", (RoundTripConstructor,), {})
    parser.Constructor.add_constructor("!file", lambda maker, node: _included(maker, node, folder))
    return parser


def _included(maker: Any, node: Any, folder: Path | None) -> str:
    """The text of a file beside the definition: no other folder, no link out of it, not too large."""
    name = str(getattr(node, "value", "")).strip()
    if folder is None:
        raise _refused(node, "`!file` is not possible here.", "Write the text itself.")
    home = folder.resolve()
    wanted = (home / name).resolve()
    if not name or Path(name).is_absolute() or not wanted.is_relative_to(home):
        raise _refused(node, f"The file {name!r} is outside of the definition's folder.", "Move it into that folder.")
    text, problem = _text(wanted, MAX_FILE_BYTES)
    if problem is not None:
        raise _refused(node, problem.message.replace(str(wanted), name), problem.cure)
    return text


def _refused(node: Any, message: str, cure: str) -> ConstructorError:
    return ConstructorError(None, None, f"{message} {cure}", node.start_mark)


def _text(path: Path, most: int) -> tuple[str, Finding | None]:
    try:
        if not path.is_file():
            return "", Finding("no_such_file", str(path), f"There is no file {path}.", "Check its name.")
        if path.stat().st_size > most:
            return "", Finding("too_large", str(path), f"{path} has more than {most} bytes.", "Make it smaller.")
        return path.read_text("utf-8"), None
    except (OSError, UnicodeDecodeError) as trouble:
        message = f"{path} cannot be read: {type(trouble).__name__}."
        return "", Finding("unreadable_file", str(path), message, "It must be a readable UTF-8 file.")


def _unreadable(trouble: Exception, name: str) -> Finding:
    """One finding for a text that is no YAML: at the place where it stopped being so."""
    if isinstance(trouble, RecursionError):
        return Finding("too_large", name, "The text is nested too deeply.", "Make it smaller.")
    mark = getattr(trouble, "problem_mark", None) or getattr(trouble, "context_mark", None)
    problem = str(getattr(trouble, "problem", None) or trouble).strip().splitlines()[0]
    place = (mark.line + 1, mark.column + 1) if mark is not None else (None, None)
    if isinstance(trouble, DuplicateKeyError):
        key = problem.partition('"')[2].partition('"')[0]
        return Finding("duplicate_key", name, f"The key {key!r} stands there twice.", "Remove one of them.", *place)
    code = "file" if isinstance(trouble, ConstructorError) else "yaml"
    return Finding(code, name, f"{problem[:1].upper()}{problem[1:]}.".replace("..", "."), _CURE, *place)


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
