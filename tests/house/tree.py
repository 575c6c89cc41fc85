"""What does the source look like, to a test?  Modules with their syntax, statements with their parameters."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
SRC = ROOT / "src" / "dripdrop"

_PLACE = re.compile(r"%\((\w+)\)[sbt]")
_NAME = re.compile(r"^-- name: (\w+)\s*$", re.MULTILINE)
_COMMENT = re.compile(r"--[^\n]*")


@dataclass(frozen=True)
class Module:
    """One file of the package; `name` is dotted, without the leading `dripdrop.`; the front door is ''."""

    path: Path

    @property
    def name(self) -> str:
        parts = self.path.relative_to(SRC).with_suffix("").parts
        return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)

    @property
    def folder(self) -> str:
        parts = self.path.relative_to(SRC).parts
        return parts[0] if len(parts) > 1 else ""

    @property
    def place(self) -> str:
        return str(self.path.relative_to(ROOT))

    @cached_property
    def text(self) -> str:
        return self.path.read_text("utf-8")

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.text, self.place)

    @cached_property
    def nodes(self) -> tuple[ast.AST, ...]:
        # Walked once: a dozen tests ask every module.
        return tuple(ast.walk(self.tree))

    @cached_property
    def parents(self) -> dict[ast.AST, ast.AST]:
        return {child: node for node in self.nodes for child in ast.iter_child_nodes(node)}

    @cached_property
    def imported(self) -> dict[str, str]:
        """Local name -> dotted name of what it stands for, as far as the package itself goes."""
        names: dict[str, str] = {}
        for node in self.nodes:
            if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "dripdrop":
                prefix = (node.module or "").removeprefix("dripdrop").lstrip(".")
                for alias in node.names:
                    names[alias.asname or alias.name] = f"{prefix}.{alias.name}".lstrip(".")
        return names

    def functions(self) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
        return (node for node in self.nodes if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)))

    def calls(self) -> Iterator[ast.Call]:
        return (node for node in self.nodes if isinstance(node, ast.Call))

    def dotted(self, node: ast.expr) -> str | None:
        """`enrollments.pause` as `store.enrollments.pause`: what a name in this file stands for in the package."""
        if isinstance(node, ast.Attribute):
            owner = self.dotted(node.value)
            return owner and f"{owner}.{node.attr}"
        if isinstance(node, ast.Name):
            return self.imported.get(node.id, f"{self.name}.{node.id}")
        return None


def last_name(function: ast.expr) -> str:
    """`pause` of `enrollments.pause`; nothing where what is called has no name of its own."""
    if isinstance(function, ast.Attribute):
        return function.attr
    return function.id if isinstance(function, ast.Name) else ""


@cache
def modules() -> tuple[Module, ...]:
    return tuple(Module(path) for path in sorted(SRC.rglob("*.py")))


@dataclass(frozen=True)
class Statement:
    """One named statement of a .sql file; `name` is `aggregate.statement`."""

    name: str
    text: str
    path: Path

    @property
    def bare(self) -> str:
        return _COMMENT.sub("", self.text)

    @property
    def params(self) -> frozenset[str]:
        return frozenset(_PLACE.findall(self.bare))

    @property
    def numbered(self) -> str:
        """The text as the server takes it: $1, $2 ... in the place of names."""
        names = sorted(self.params)
        return _PLACE.sub(lambda place: f"${names.index(place[1]) + 1}", self.bare).replace("%%", "%").rstrip("; \n")

    def tables(self) -> set[str]:
        """The tables and views of ours that it names."""
        return set(re.findall(r"\b(?:from|join|into|update|using|table|only|,)\s+dripdrop\.(\w+)", self.bare))


@cache
def statements() -> dict[str, Statement]:
    found: dict[str, Statement] = {}
    for path in sorted(SRC.rglob("*.sql")):
        if path.parent.name != "migrations":
            pieces = _NAME.split(path.read_text("utf-8"))
            for name, text in zip(pieces[1::2], pieces[2::2], strict=True):
                assert f"{path.stem}.{name}" not in found, f"two statements are called {path.stem}.{name}"
                found[f"{path.stem}.{name}"] = Statement(f"{path.stem}.{name}", text.strip(), path)
    return found


def tracked() -> list[Path]:
    """Every file that belongs to the project: what .gitignore leaves."""
    import subprocess

    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    try:
        listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    except (OSError, subprocess.CalledProcessError):
        hidden = {".git", "build", "dist", "__pycache__"}
        return [
            path
            for path in ROOT.rglob("*")
            if path.is_file() and not any(part in hidden or part[0] == "." for part in path.relative_to(ROOT).parts)
        ]
    return [path for name in listed.split("\0") if name and (path := ROOT / name).is_file()]
