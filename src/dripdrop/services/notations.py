"""What does a text in YAML, TOML or JSON hold?"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.constructor import ConstructorError, RoundTripConstructor
from ruamel.yaml.error import YAMLError
from ruamel.yaml.nodes import ScalarNode

from dripdrop.errors import Finding, Invalid
from dripdrop.rules.document import located
from dripdrop.services.inclusion import PLACEHOLDER, take, take_files
from dripdrop.services.places import json_places, marked, toml_places

NOTATIONS = {".yaml": "yaml", ".yml": "yaml", ".toml": "toml", ".json": "json"}
_PLACE = re.compile(r" ?\(at (?:line (\d+), column (\d+)|end of document)\)$")


@dataclass
class Parsed:
    """The definitions of a text as mappings that know their lines, and what is wrong with the text itself."""

    sources: list[Any] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)


def parse(text: str, notation: str, name: str, folder: Path | None) -> Parsed:
    """What a text holds; its files are taken in from `folder`. Never raises for what is in it."""
    try:
        parsed = _PARSERS[notation](text, name, folder)
    except RecursionError:
        return Parsed([], [Finding("too_large", name, "The text is nested too deeply.", "Make it smaller.")])
    for source in parsed.sources:

        def note(code: str, at: tuple[str | int, ...], message: str, cure: str, source: Any = source) -> None:
            parsed.findings.append(located(source, code, at, message, cure))

        take_files(source, folder, note)
    return parsed


def _yaml(text: str, name: str, folder: Path | None) -> Parsed:
    parsed = Parsed()
    try:
        found: Sequence[Any] = list(_parser(parsed, name, folder).load_all(text))
    except (YAMLError, Invalid, ValueError) as trouble:
        parsed.findings.append(_unreadable(trouble, name))
        return parsed
    parsed.sources = [source for source in found if source is not None]
    return parsed


def _parser(parsed: Parsed, name: str, folder: Path | None) -> YAML:
    """A reader of YAML 1.2 that notes what is wrong and reads on."""

    def note(code: str, node: Any, message: str, cure: str) -> None:
        mark = node.start_mark
        parsed.findings.append(Finding(code, name, message, cure, mark.line + 1, mark.column + 1))

    # A class of its own: constructors of tags are kept on the class, and each file has its own folder.
    class _Constructor(RoundTripConstructor):
        def check_mapping_key(self, node: Any, key_node: Any, mapping: Any, key: Any, value: Any) -> bool:
            if key not in mapping:
                return True
            first = mapping.lc.key(key)[0] + 1
            note("duplicate_key", key_node, f"The key {str(key)!r} stands here and in line {first}.", _ONE)
            return False

    def included(maker: Any, node: Any) -> str:
        text, problem = take(str(getattr(node, "value", "")).strip(), folder)
        if problem is not None:
            note("file", node, *problem)
        return text

    def undefined(maker: Any, node: Any) -> Any:
        note("unknown_tag", node, f"There is no tag {str(node.tag)[:60]}.", "Only `!file name` is known.")
        return node.value if isinstance(node, ScalarNode) else PLACEHOLDER

    _Constructor.add_constructor("!file", included)
    _Constructor.add_constructor(None, undefined)
    parser = YAML(typ="rt", pure=True)
    parser.version = "1.2"
    parser.Constructor = _Constructor
    return parser


_ONE = "Remove one of them."


def _unreadable(trouble: Exception, name: str) -> Finding:
    """One finding for a text that is no YAML: at the place where it stopped being so."""
    mark = getattr(trouble, "problem_mark", None) or getattr(trouble, "context_mark", None)
    problem = str(getattr(trouble, "problem", None) or trouble).strip().splitlines()[0]
    place = (mark.line + 1, mark.column + 1) if mark is not None else (None, None)
    code = "file" if isinstance(trouble, ConstructorError) else "yaml"
    message = f"{problem[:1].upper()}{problem[1:]}.".replace("..", ".")
    return Finding(code, name, message, "Mend the YAML there.", *place)


def _toml(text: str, name: str, folder: Path | None) -> Parsed:
    try:
        value = tomllib.loads(text)
    except tomllib.TOMLDecodeError as trouble:
        problem, place = str(trouble), _PLACE.search(str(trouble))
        where = (int(place[1]), int(place[2])) if place and place[1] else (text.count("\n") + 1, 1)
        message = f"{problem[: place.start()] if place else problem}."
        return Parsed([], [Finding("toml", name, message, "Mend the TOML there.", *where)])
    return Parsed([marked(value, toml_places(text.replace("\r\n", "\n")))] if value else [])


def _json(text: str, name: str, folder: Path | None) -> Parsed:
    if not text.strip():
        return Parsed()
    try:
        value = json.loads(text)
    except json.JSONDecodeError as trouble:
        finding = Finding("json", name, f"{trouble.msg}.", "Mend the JSON there.", trouble.lineno, trouble.colno)
        return Parsed([], [finding])
    places, twice = json_places(text)
    findings = [
        Finding("duplicate_key", name, f"The key {key!r} stands here and in line {a[0] + 1}.", _ONE, b[0] + 1, b[1] + 1)
        for key, a, b in twice
    ]
    return Parsed([marked(value, places)], findings)


_PARSERS = {"yaml": _yaml, "toml": _toml, "json": _json}
