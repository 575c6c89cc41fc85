"""Is every error that the code can raise produced by some test, and does each say what to do?"""

from __future__ import annotations

import ast
import inspect
from functools import cache
from pathlib import Path

import pytest
from tree import ROOT, last_name, modules

from dripdrop import errors

CLASSES = {
    name: kind
    for name, kind in vars(errors).items()
    if inspect.isclass(kind) and issubclass(kind, errors.DripDropError)
}


@cache
def spoken_in_tests() -> str:
    here = Path(__file__).resolve()
    return "\n".join(path.read_text("utf-8") for path in (ROOT / "tests").rglob("*.py") if path.resolve() != here)


@cache
def codes() -> dict[str, str]:
    """Every `code="..."` that is given to an error or a finding -> where."""
    found = {}
    for module in modules():
        for call in module.calls():
            literal = [keyword.value for keyword in call.keywords if keyword.arg == "code"]
            if last_name(call.func) == "Finding" and call.args:
                literal.append(call.args[0])
            for node in literal:
                if isinstance(node, ast.Constant) and isinstance(node.value, str):
                    found.setdefault(node.value, f"{module.place}:{call.lineno}")
    return found


@cache
def raised() -> list[tuple[str, ast.Call]]:
    return [
        (f"{module.place}:{call.lineno}", call)
        for module in modules()
        for call in module.calls()
        if last_name(call.func) in CLASSES and module.dotted(call.func).startswith("errors.")
    ]


@pytest.mark.parametrize("code", sorted(codes()))
def test_a_code_has_a_test_that_produces_it(code):
    assert f'"{code}"' in spoken_in_tests() or f"'{code}'" in spoken_in_tests(), f"{code} of {codes()[code]}"


@pytest.mark.parametrize("name", sorted(set(CLASSES) - {"DripDropError"}))
def test_an_error_class_is_raised_and_tested(name):
    assert any(last_name(call.func).endswith(name) for _, call in raised()), f"nobody raises {name}"
    assert name in spoken_in_tests(), f"no test names {name}"


def test_every_class_has_a_code_of_its_own_and_stands_in_the_tree_above():
    assert len({kind.code for kind in CLASSES.values()}) == len(CLASSES)
    assert all(name in (errors.__doc__ or "") for name in CLASSES)


def test_every_error_that_is_raised_says_what_to_do():
    silent = [
        place
        for place, call in raised()
        if not any(keyword.arg in ("cure", "findings", None) for keyword in call.keywords)
        and last_name(call.func) != "MissingExtra"
    ]
    assert silent == []
