"""Is every flow carried out?  One that is only called does nothing, and says nothing."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache

import pytest
from tree import Module, modules

# These would swallow a flow and look busy.
NOT_RUNNERS = {
    "len",
    "list",
    "tuple",
    "set",
    "bool",
    "str",
    "repr",
    "print",
    "dict",
    "any",
    "all",
    "isinstance",
    "sorted",
}
PASSES_ON = (ast.IfExp, ast.Starred)


def makes_flow(function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    returns = function.returns
    if isinstance(returns, ast.Constant) and isinstance(returns.value, str):
        returns = ast.parse(returns.value, mode="eval").body
    name = returns.value if isinstance(returns, ast.Subscript) else returns
    return (isinstance(name, ast.Name) and name.id == "Flow") or (
        isinstance(name, ast.Attribute) and name.attr == "Flow"
    )


@cache
def flows() -> frozenset[str]:
    """The dotted names of everything that makes a flow: functions, and methods under their class."""
    found = set()
    for module in modules():
        for function in module.functions():
            if makes_flow(function):
                owner = module.parents[function]
                middle = f"{owner.name}." if isinstance(owner, ast.ClassDef) else ""
                found.add(f"{module.name}.{middle}{function.name}")
    return frozenset(found)


@cache
def holders(module: Module) -> dict[str, str]:
    """Names of this module that hold an object of a class of ours: `SQL = Statements(...)`."""
    found = {}
    for node in module.tree.body:
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call) and isinstance(node.targets[0], ast.Name):
            kind = module.dotted(node.value.func)
            if kind is not None:
                found[f"{module.name}.{node.targets[0].id}"] = kind
    return found


def called(module: Module, call: ast.Call) -> str | None:
    name = module.dotted(call.func)
    if name is None or "." not in name:
        return name
    owner, method = name.rsplit(".", 1)
    if owner == f"{module.name}.self":
        return next(
            (flow for flow in flows() if flow.startswith(f"{module.name}.") and flow.endswith(f".{method}")), name
        )
    return f"{holders(module).get(owner, owner)}.{method}"


def carried_out(module: Module, call: ast.Call) -> bool:
    node: ast.AST = call
    above = module.parents[node]
    while isinstance(above, PASSES_ON):
        node, above = above, module.parents[above]
    if isinstance(above, (ast.YieldFrom, ast.Return, ast.Lambda)):
        return True
    if isinstance(above, ast.keyword):
        above = module.parents[above]
    return isinstance(above, ast.Call) and not (isinstance(above.func, ast.Name) and above.func.id in NOT_RUNNERS)


def forgotten(module: Module) -> Iterator[str]:
    for call in module.calls():
        if called(module, call) in flows() and not carried_out(module, call):
            yield f"{module.place}:{call.lineno}: {ast.unparse(call.func)}(...) is made and not carried out"


def test_the_search_finds_the_flows_there_are():
    assert {"store.statements.Statements.all", "store.enrollments.pause", "operations.enrolling.pause"} <= flows()


@pytest.mark.parametrize("module", modules(), ids=lambda module: module.place)
def test_every_flow_that_is_made_is_carried_out(module):
    assert list(forgotten(module)) == []


@pytest.mark.parametrize(
    ("line", "good"),
    [
        ("rows = yield from enrollments.pause(1)", True),
        ("return enrollments.pause(1)", True),
        ("database.run(lambda now: enrollments.pause(now))", True),
        ("run(connection, flow=enrollments.pause(1))", True),
        ("return (yield from enrollments.pause(1) if x else enrollments.pause(2))", True),
        ("enrollments.pause(1)", False),
        ("rows = enrollments.pause(1)", False),
        ("yield enrollments.pause(1)", False),
        ("rows = list(enrollments.pause(1))", False),
        ("rows = [enrollments.pause(x) for x in xs]", False),
    ],
)
def test_the_search_itself_sees_a_forgotten_yield_from(line, good):
    module = Module(modules()[-1].path)
    text = f"from dripdrop.store import enrollments\ndef body(x, xs):\n    {line}\n"
    module.__dict__.update(text=text, tree=ast.parse(text))
    assert bool(list(forgotten(module))) is not good


@pytest.mark.parametrize("module", modules(), ids=lambda module: module.place)
def test_a_flow_awaits_nothing(module):
    for function in module.functions():
        assert not (isinstance(function, ast.AsyncFunctionDef) and makes_flow(function)), function.name
