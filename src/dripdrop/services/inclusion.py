"""What stands in the files that a definition takes in?"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

from dripdrop.errors import Finding
from dripdrop.rules.keys import FILE_KEYS

MAX_FILE_BYTES = 500_000

# What a file said, or what is wrong with it and what to do.
Taken: TypeAlias = tuple[str, tuple[str, str] | None]
Note: TypeAlias = Callable[[str, tuple[str | int, ...], str, str], None]

# What stands in their place, so that the rest of a definition can still be judged.
PLACEHOLDER = "..."
_HOSTS_OWN = frozenset({"payload", "metadata", "config", "match", "headers", "http_hooks"})


def take(name: str, folder: Path | None) -> Taken:
    """The text of a file beside the definition: in no other folder, behind no link out of it, not too large."""
    if folder is None:
        return PLACEHOLDER, ("A file cannot be taken in here.", "Write the text itself.")
    home = folder.resolve()
    try:
        wanted = (home / name).resolve()
    except (OSError, ValueError):
        return PLACEHOLDER, (f"{name!r} is no name of a file.", "Check its name.")
    if not name or Path(name).is_absolute() or not wanted.is_relative_to(home):
        return PLACEHOLDER, (f"The file {name!r} is outside of the definition's folder.", "Move it into that folder.")
    text, problem = text_of(wanted, MAX_FILE_BYTES)
    if problem is not None:
        return PLACEHOLDER, (problem.message.replace(str(wanted), name), problem.cure)
    return text, None


def take_files(node: Any, folder: Path | None, note: Note) -> None:
    """Put the text of `html_file: welcome.html` and its like in the place of the name, in the mapping itself."""
    _take_files(node, folder, note, (), set())


def _take_files(node: Any, folder: Path | None, note: Note, at: tuple[str | int, ...], seen: set[int]) -> None:
    # An alias stands for the same mapping again, and may stand in itself.
    if not isinstance(node, (list, dict)) or id(node) in seen:
        return
    seen.add(id(node))
    if isinstance(node, list):
        for place, each in enumerate(node):
            _take_files(each, folder, note, (*at, place), seen)
    else:
        for key in [key for key in node if key in FILE_KEYS]:
            _replace(node, key, folder, note, (*at, key))
        for key, each in node.items():
            if key not in _HOSTS_OWN:
                _take_files(each, folder, note, (*at, key), seen)


def _replace(node: Any, key: str, folder: Path | None, note: Note, at: tuple[str | int, ...]) -> None:
    name, field = node[key], FILE_KEYS[key]
    if field in node:
        note("duplicate_key", at, f"`{field}` and `{key}` exclude each other.", "Keep one of them.")
    elif not isinstance(name, str) or not name.strip():
        note("file", at, f"`{key}` names no file.", "Write its name, such as welcome.html.")
    else:
        node[field], problem = take(str(name), folder)
        marks = getattr(node, "lc", None)
        if marks is not None and key in (marks.data or {}):
            marks.data[field] = marks.data[key]
        if problem is not None:
            note("file", at, *problem)
    del node[key]


def text_of(path: Path, most: int) -> tuple[str, Finding | None]:
    """What a file says, or the finding that tells why it cannot be read."""
    try:
        if not path.is_file():
            return "", Finding("no_such_file", str(path), f"There is no file {path}.", "Check its name.")
        if path.stat().st_size > most:
            return "", Finding("too_large", str(path), f"{path} has more than {most} bytes.", "Make it smaller.")
        return path.read_text("utf-8"), None
    except (OSError, UnicodeDecodeError) as trouble:
        message = f"{path} cannot be read: {type(trouble).__name__}."
        return "", Finding("unreadable_file", str(path), message, "It must be a readable UTF-8 file.")
