"""Does every file, function and module stay small enough to be read in one go?"""

from __future__ import annotations

import ast

import pytest
from tree import Module, modules, statements

LINES = 400
FUNCTION = 40
PUBLIC = 12
# These are lists by nature: one name a fact.
LISTS = {
    "": "the front door",
    "errors": "every exception on one page",
    "contracts": "every extension point on one page",
    "testing.contracts.broken": "one provider a defect",
}

every_module = pytest.mark.parametrize("module", modules(), ids=lambda module: module.place)


def length(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines of the body and its signature: not the docstring, which may say as much as is useful."""
    first = function.body[0]
    documented = (
        isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str)
    )
    docstring = (first.end_lineno or 0) - first.lineno + 1 if documented else 0
    return (function.end_lineno or 0) - function.lineno + 1 - docstring


def public_names(module: Module) -> list[str]:
    names = [
        node.name
        for node in module.tree.body
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)) and not node.name.startswith("_")
    ]
    commands = {
        function.name
        for function in module.functions()
        if any(".command" in ast.unparse(mark) or ".group" in ast.unparse(mark) for mark in function.decorator_list)
    }
    # A store module is the Python face of its .sql file: a function for each statement, and those come on top.
    faces = {name.split(".")[1] for name, statement in statements().items() if statement.path.stem == module.path.stem}
    return sorted(set(names) - commands - faces)


@every_module
def test_a_module_begins_with_the_question_it_answers(module):
    said = ast.get_docstring(module.tree)
    assert said, f"{module.place} has no docstring"
    first = said.split("\n\n")[0].replace("\n", " ").strip()
    assert first[0].isupper(), f"{module.place}: {first}"
    assert first[-1] in "?.!:)", f"{module.place}: {first}"


@every_module
def test_a_file_is_short(module):
    assert module.text.count("\n") <= LINES, f"{module.place} has {module.text.count(chr(10))} lines"


@every_module
def test_a_function_is_short(module):
    long = [f"{f.name}: {length(f)} lines" for f in module.functions() if length(f) > FUNCTION]
    assert long == []


@every_module
def test_a_module_offers_few_names(module):
    if module.name not in LISTS:
        names = public_names(module)
        assert len(names) <= PUBLIC, f"{module.place} offers {len(names)}: {', '.join(names)}"


@every_module
def test_no_comment_tells_history_or_promises(module):
    words = ("todo", "fixme", "xxx:", "hack:", "noqa: all", "for now", "as before", "previously", "used to ")
    lines = [
        f"{module.place}:{number}: {line.strip()}"
        for number, line in enumerate(module.text.splitlines(), 1)
        if "#" in line and any(word in line.split("#", 1)[1].lower() for word in words)
    ]
    assert lines == []


def test_most_functions_are_short():
    lengths = sorted(length(function) for module in modules() for function in module.functions())
    assert lengths[len(lengths) // 2] <= 12, "half of all functions should take a dozen lines at most"
