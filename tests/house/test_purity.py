"""Do rules and operations get their time, their settings and their chance as arguments?"""

from __future__ import annotations

import ast
import re

import pytest
from tree import ROOT, Module, modules

PURE = [module for module in modules() if module.folder in ("rules", "operations")]
CLOCKS = {
    "now",
    "utcnow",
    "today",
    "localtime",
    "monotonic",
    "perf_counter",
    "time",
    "time_ns",
    "getenv",
    "uuid1",
    "uuid4",
    "urandom",
}
CHANCE = {"random", "secrets", "time", "asyncio", "threading", "socket", "subprocess", "httpx2", "os"}

# Where SQL may stand outside the two folders of .sql files, and why.
SQL_ELSEWHERE = {
    "embedded/server.py": "asks a server whether it is up, before there is a schema",
}
SQL = (
    r"(?is)^\s*(select\s+[\w*(].*\bfrom\b|select\s+\w+[.(]|insert\s+into\s|update\s+[\w.\"]+\s+set\s|delete\s+from\s"
    r"|with\s+\w+\s+as\s+(not\s+materialized\s+|materialized\s+)?\(|create\s+(table|index|schema|database|type)\s"
    r"|alter\s+(table|database|role)\s|drop\s+(table|database|schema)\s|truncate\s|listen\s+\w+|notify\s+\w+"
    r"|begin\b.*;|commit$)"
)


@pytest.mark.parametrize("module", PURE, ids=lambda module: module.place)
def test_a_rule_or_operation_never_asks_the_clock_or_chance(module):
    asked = [
        f"{module.place}:{call.lineno}: {ast.unparse(call)}"
        for call in module.calls()
        if isinstance(call.func, ast.Attribute)
        and call.func.attr in CLOCKS
        and isinstance(call.func.value, (ast.Name, ast.Attribute))
        and ast.unparse(call.func.value).split(".")[-1] in ("datetime", "date", "time", "os", "uuid", "_time")
    ]
    assert asked == []


@pytest.mark.parametrize("module", PURE, ids=lambda module: module.place)
def test_a_rule_or_operation_imports_nothing_that_does(module):
    imported = set()
    for node in module.nodes:
        if isinstance(node, ast.Import):
            imported |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            imported.add(node.module.split(".")[0])
    assert imported & CHANCE == set()


def sql_strings(module: Module) -> list[str]:
    docstrings = {
        node.body[0].value
        for node in module.nodes
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef))
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    return [
        f"{module.place}:{node.lineno}: {str(node.value)[:60]!r}"
        for node in module.nodes
        if isinstance(node, ast.Constant)
        and isinstance(node.value, (str, bytes))
        and node not in docstrings
        and re.search(SQL, node.value if isinstance(node.value, str) else node.value.decode("utf-8", "replace"))
    ]


def test_no_sql_stands_outside_the_store_and_the_schedulers():
    found = [
        line
        for module in modules()
        if module.folder not in ("store", "schedulers")
        and module.place.removeprefix("src/dripdrop/") not in SQL_ELSEWHERE
        for line in sql_strings(module)
    ]
    assert found == []


def test_the_search_sees_sql():
    store = next(module for module in modules() if module.name == "store.database")
    assert sql_strings(store)


def test_every_exception_from_the_rule_is_still_needed():
    for place in SQL_ELSEWHERE:
        assert sql_strings(Module(ROOT / "src" / "dripdrop" / place)), f"{place} needs no exception"
