"""Does docs/errors.md list every code that an error or a finding can have, and no other?"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache

import pytest
from tree import ROOT, Module, last_name, modules

from dripdrop import plugins
from dripdrop.cli.root import SECTIONS
from dripdrop.store import catalogue

PAGE = ROOT / "docs" / "errors.md"
ROW = re.compile(r"^\| (`[^|]*) \| ([^|]*) \| ([^|]*) \|$", re.MULTILINE)
CODE = re.compile(r"[a-z*][a-z0-9_*]*")
# What a code that is put together can come to.
PUT_TOGETHER = {
    "plugins.unknown_*": {f"unknown_{kind}" for kind in plugins.KINDS},
    "rules.checks.content.missing_*": {"missing_topic", "missing_event"},
    "rules.checks.paths.duplicate_*": {"duplicate_key", "duplicate_position"},
    "store.catalogue.*_*": {f"{how}_{kind}" for how in ("missing", "different") for kind in catalogue.KINDS},
    "store.catalogue.extra_*": {f"extra_{kind}" for kind in catalogue.KINDS},
}


def parameters(function: ast.AST) -> list[str]:
    assert isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef))
    return [each.arg for each in (*function.args.posonlyargs, *function.args.args) if each.arg not in ("self", "cls")]


@cache
def takers() -> dict[str, set[int]]:
    """Whatever takes a `code` by position, by its bare name -> the places; a class is called like its __init__."""
    found: dict[str, set[int]] = {"Finding": {0}}
    for module in modules():
        for function in module.functions():
            if "code" in (names := parameters(function)):
                owner = module.parents[function]
                made = function.name == "__init__" and isinstance(owner, ast.ClassDef)
                found.setdefault(owner.name if made else function.name, set()).add(names.index("code"))  # type: ignore[attr-defined]
    return found


def handed_over(module: Module) -> Iterator[ast.expr]:
    """What is given as a code: to an error, a finding or a helper that makes one, by name or by position."""
    for call in module.calls():
        yield from (keyword.value for keyword in call.keywords if keyword.arg == "code")
        places = takers().get(last_name(call.func), ())
        yield from (call.args[place] for place in places if place < len(call.args))
    for function in module.functions():
        defaults = reversed(list(zip(reversed(function.args.args), reversed(function.args.defaults), strict=False)))
        yield from (default for parameter, default in defaults if parameter.arg == "code")


def written_down(module: Module) -> Iterator[ast.expr]:
    """What is called `code`: by assignment, or in a mapping that has a `cure` too."""
    for node in module.nodes:
        if isinstance(node, ast.Assign) and len(node.targets) == 1:
            yield from assigned(node.targets[0], node.value)
        elif isinstance(node, ast.Dict):
            keys = [key.value if isinstance(key, ast.Constant) else None for key in node.keys]
            if {"code", "cure"} <= set(keys):
                yield node.values[keys.index("code")]


def assigned(target: ast.expr, value: ast.expr) -> Iterator[ast.expr]:
    if isinstance(value, ast.IfExp):
        yield from assigned(target, value.body)
        yield from assigned(target, value.orelse)
    elif isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
        for each, part in zip(target.elts, value.elts, strict=True):
            yield from assigned(each, part)
    elif isinstance(target, ast.Name) and target.id == "code":
        yield value


def spelled(node: ast.expr) -> str | None:
    """The code as it is written, `unknown_*` where it is put together; None for a variable or a sentence."""
    if isinstance(node, ast.JoinedStr):
        parts = [part.value if isinstance(part, ast.Constant) else "*" for part in node.values]
        node = ast.Constant("".join(str(part) for part in parts))
    if isinstance(node, ast.Constant) and isinstance(node.value, str) and CODE.fullmatch(node.value):
        return node.value
    return None


def named(module: Module) -> Iterator[str]:
    """The codes of one file; what is put together comes as all it can be."""
    for node in (*handed_over(module), *written_down(module)):
        code = spelled(node)
        if code is not None:
            yield from PUT_TOGETHER[f"{module.name}.{code}"] if "*" in code else {code}


@cache
def codes() -> dict[str, str]:
    """Every code of the source -> a file."""
    return {code: module.place for module in modules() for code in named(module)}


@cache
def rows() -> list[tuple[str, str, str]]:
    return ROW.findall(PAGE.read_text("utf-8"))


@cache
def listed() -> list[str]:
    return [code for row in rows() for code in re.findall(r"`([^`]+)`", row[0])]


@pytest.mark.parametrize("code", sorted(codes()))
def test_a_code_stands_in_the_docs(code):
    assert code in listed(), f"{code} of {codes()[code]} is not in {PAGE.name}"


def test_the_docs_list_no_code_that_nobody_raises():
    assert sorted(set(listed()) - set(codes())) == []


def test_a_code_is_listed_once():
    assert sorted(listed()) == sorted(set(listed()))


def test_each_line_says_what_it_means_and_what_to_do():
    assert [codes for codes, meaning, cure in rows() if not meaning.strip() or not cure.strip()] == []
    assert len(rows()) == PAGE.read_text("utf-8").count("\n| `"), "a line of a table has not three cells"


def test_a_command_that_is_named_as_a_cure_exists():
    told = set(re.findall(r"`dripdrop ([a-z-]+)", PAGE.read_text("utf-8")))
    assert {"setup", "apply"} <= told
    assert told - {name for section in SECTIONS.values() for name in section} == set()


def test_the_search_finds_every_way_to_give_a_code():
    assert {"Finding", "finding", "note", "refuse", "Bad"} <= set(takers())
    ways = {"zone", "not_text", "two_adapters", "sequence_key", "old_schema", "new_schema", "usage", "not_found"}
    assert ways <= set(codes())
    assert {"unknown_provider", "extra_table", "missing_recipient"} <= set(codes())
