"""Which of our migrations do a host's own migration files wrap already, and what comes last among those files?"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dripdrop.errors import Conflict, Invalid
from dripdrop.store import schema as schemas


@dataclass(frozen=True, slots=True)
class Wrapped:
    """A host's migration file: its name and the constants it assigns, at the top or in its class `Migration`."""

    name: str
    values: Mapping[str, Any]

    def numbers(self, schema: str) -> tuple[int, ...]:
        """The numbers of ours that it wraps for a schema."""
        return tuple(self.values.get("DRIPDROP_MIGRATIONS", ())) if self.values.get("DRIPDROP_SCHEMA") == schema else ()


def files(folder: Path) -> list[Wrapped]:
    """Every Python file of a folder, by name; none is imported, so nothing of the host runs."""
    return [
        Wrapped(path.stem, dict(_constants(path))) for path in sorted(folder.glob("*.py")) if path.stem != "__init__"
    ]


def unwrapped(there: Iterable[Wrapped], schema: str) -> tuple[int, ...]:
    """The numbers that no file wraps yet, lowest first; raises Conflict where there are none."""
    wrapped = {number: file.name for file in there for number in file.numbers(schema)}
    missing = tuple(migration.number for migration in schemas.migrations() if migration.number not in wrapped)
    if not missing:
        raise Conflict(
            f"{wrapped[schemas.newest()]} wraps migration {schemas.newest()} of {schema} already.",
            cure="There is nothing to write: run your migrations.",
        )
    return missing


def _constants(path: Path) -> Iterator[tuple[str, Any]]:
    try:
        tree = ast.parse(path.read_text("utf-8"), str(path))
    except (SyntaxError, UnicodeDecodeError) as trouble:
        raise Invalid(f"{path} cannot be read: {trouble}.", cure="Mend that file first.") from trouble
    inner = [node.body for node in tree.body if isinstance(node, ast.ClassDef) and node.name == "Migration"]
    for statement in (*tree.body, *(each for body in inner for each in body)):
        match statement:
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                yield name, _literal(value)
            case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value):
                yield name, _literal(value)


def _literal(node: ast.expr) -> Any:
    """The value of a constant expression; of a list, those members that are constant; else None."""
    if isinstance(node, ast.List | ast.Tuple):
        return tuple(value for value in map(_literal, node.elts) if value is not None)
    try:
        return ast.literal_eval(node)
    except (ValueError, TypeError):
        return None
