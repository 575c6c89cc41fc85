"""Does every statement fit the schema, the module that runs it, and the tenant it is run for?"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import pytest
from cross_tenant import CROSS_TENANT
from tree import Module, last_name, modules, statements

STATEMENTS = sorted(statements())
# Files whose every statement is run in a loop, each naming a kind of thing.
READ_WHOLE = {"catalogue"}
RUNNING = ("query", "all", "one", "run")
NAMES_TENANT = re.compile(
    r"tenant_key\s*(=|<>|in\b|is\b)|=\s*(any\()?\s*(\w+\.)?tenant_key\b|insert\s+into\s+[\w.]+(\s+as\s+\w+)?\s*\([^)]*\btenant_key\b",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Use:
    """One place where Python runs a statement; `whole` is False where `**more` hides some of the parameters."""

    statement: str
    params: frozenset[str]
    whole: bool
    place: str


@cache
def uses() -> tuple[Use, ...]:
    return tuple(use for module in modules() for use in uses_in(module))


def uses_in(module: Module) -> Iterator[Use]:
    aggregates = {
        node.targets[0].id: node.value.args[0].value
        for node in module.nodes
        if isinstance(node, ast.Assign)
        and isinstance(node.targets[0], ast.Name)
        and isinstance(node.value, ast.Call)
        and last_name(node.value.func) == "Statements"
        and isinstance(node.value.args[0], ast.Constant)
    }
    for call in module.calls():
        func = call.func
        if not (isinstance(func, ast.Attribute) and func.attr in RUNNING and isinstance(func.value, ast.Name)):
            continue
        aggregate = aggregates.get(func.value.id) or imported_aggregate(module, func.value.id)
        if aggregate is None or not call.args:
            continue
        for name in literals(call.args[0]):
            params = frozenset(keyword.arg for keyword in call.keywords if keyword.arg not in (None, "last"))
            whole = all(keyword.arg is not None for keyword in call.keywords)
            yield Use(f"{aggregate}.{name}", params, whole, f"{module.place}:{call.lineno}")


def imported_aggregate(module: Module, name: str) -> str | None:
    dotted = module.imported.get(name, "")
    return dotted.split(".")[1] if re.fullmatch(r"(store|schedulers)\.\w+\.SQL", dotted) else None


def literals(node: ast.expr) -> list[str]:
    """The names that an argument may be: one text, or either side of a choice."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return [node.value]
    return literals(node.body) + literals(node.orelse) if isinstance(node, ast.IfExp) else []


@pytest.mark.parametrize("name", STATEMENTS)
def test_a_statement_prepares_on_the_migrated_schema(name, connection):
    connection.execute(f"prepare tried as {statements()[name].numbered}".encode())
    connection.execute("deallocate tried")


@pytest.mark.parametrize("name", STATEMENTS)
def test_a_statement_is_run_by_somebody(name):
    if name.split(".")[0] in READ_WHOLE:
        return
    quoted = f'"{name.split(".")[1]}"'
    face = statements()[name].path.with_suffix(".py")
    assert name in {use.statement for use in uses()} or (face.exists() and quoted in face.read_text("utf-8")), (
        f"nobody runs {name}"
    )


@pytest.mark.parametrize("use", uses(), ids=lambda use: f"{use.statement}@{use.place}")
def test_what_python_hands_over_is_what_the_statement_asks_for(use):
    assert use.statement in statements(), f"{use.place} runs {use.statement}, which no .sql file has"
    asked = statements()[use.statement].params
    unused, missing = use.params - asked, asked - use.params if use.whole else frozenset()
    assert not unused, f"{use.place}: {use.statement} does not use {sorted(unused)}"
    assert not missing, f"{use.place}: {use.statement} also asks for {sorted(missing)}"


@pytest.fixture(scope="module")
def tenant_tables(connection):
    rows = connection.execute(
        "select table_name from information_schema.columns"
        " where table_schema = 'dripdrop' and column_name = 'tenant_key'"
    )
    return {row[0] for row in rows}


@pytest.mark.parametrize("name", STATEMENTS)
def test_a_statement_on_a_tenants_table_names_the_tenant(name, tenant_tables):
    statement = statements()[name]
    free = not (statement.tables() & tenant_tables) or NAMES_TENANT.search(statement.bare)
    if name in CROSS_TENANT:
        assert not free, f"{name} needs no exception: take it out of cross_tenant.py"
    else:
        assert free, f"{name} touches {sorted(statement.tables() & tenant_tables)} and names no tenant_key"


def test_every_exception_is_a_statement_there_is_and_says_why():
    assert set(CROSS_TENANT) <= set(statements())
    assert all(len(why) > 10 for why in CROSS_TENANT.values())


@pytest.mark.parametrize("name", STATEMENTS)
def test_no_parameter_stands_inside_a_literal(name):
    for literal in re.findall(r"'(?:[^']|'')*'", statements()[name].bare):
        assert "%(" not in literal, f"{name}: {literal}"
