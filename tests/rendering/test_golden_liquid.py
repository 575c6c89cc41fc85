"""Does our Liquid say what Liquid says, by the published golden test cases?"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import cache
from types import ModuleType
from typing import Any

import pytest
from fetched import wheel
from hypothesis import given, settings
from hypothesis import strategies as st
from liquid import Environment, Mode
from liquid.exceptions import LiquidError

from dripdrop.errors import Invalid
from dripdrop.rendering.environment import environment
from dripdrop.rendering.templates import compile_template

NOW = datetime(2030, 3, 1, 12, tzinfo=UTC)
# The last release of python-liquid that carries the cases.
CASES = ("python_liquid", "1.13.0")
# On purpose: a template reads no other template.
WITHOUT = ("include_tag", "render_tag")


@cache
def golden() -> dict[str, list[Any]]:
    """The cases by what they are about."""
    folder = wheel(*CASES) / "liquid" / "golden"
    spec = importlib.util.spec_from_file_location(
        "liquid.golden", folder / "__init__.py", submodule_search_locations=[str(folder)]
    )
    assert spec is not None
    assert spec.loader is not None
    package: ModuleType = importlib.util.module_from_spec(spec)
    sys.modules["liquid.golden"] = package
    spec.loader.exec_module(package)
    return {module.__name__.rpartition(".")[2]: module.cases for module in package.test_cases}


def plain(case: Any) -> str | None:
    """What python-liquid says by itself; None where it refuses."""
    try:
        return Environment(tolerance=Mode.STRICT).from_string(case.template).render(**case.globals)
    except (LiquidError, ValueError, TypeError):
        return None


def ours(case: Any, *, trusted: bool) -> str | None:
    try:
        return compile_template(case.template, trusted=trusted).render({"now": datetime.now(UTC), **case.globals})
    except Invalid as refused:
        assert refused.code == "template"
        return None


def comparable() -> Iterator[tuple[str, Any]]:
    for about, cases in golden().items():
        for case in cases:
            if about not in WITHOUT and not case.partials:
                yield f"{about}: {case.description}", case


@pytest.mark.parametrize("trusted", [True, False])
def test_whatever_python_liquid_passes_passes_here(trusted: bool) -> None:
    passed, differing = 0, []
    for name, case in comparable():
        theirs = plain(case)
        wanted = None if case.error else case.expect
        if theirs != wanted:
            continue  # python-liquid itself does otherwise
        passed += 1
        if (said := ours(case, trusted=trusted)) != wanted:
            differing.append((name, case.template, wanted, said))
    assert passed > 850
    assert differing == []


def test_nothing_is_said_that_python_liquid_would_not_say() -> None:
    differing = []
    for name, case in comparable():
        if (said := ours(case, trusted=True)) != (theirs := plain(case)):
            differing.append((name, theirs, said))
    assert differing == []


def test_only_what_reads_files_is_left_out() -> None:
    theirs, here = Environment(), environment(False, True)
    assert set(theirs.tags) - set(here.tags) == {"include", "render"}
    assert set(theirs.filters) - set(here.filters) == set()
    assert set(theirs.filters) - set(environment(False, False).filters) == {"safe"}


FILTERS = sorted(set(Environment().filters) - {"date", "safe"})
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-99, 99) | st.floats(-9, 9) | st.text(alphabet="ab ,<&1.", max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("ab"), inner, max_size=2),
    max_leaves=5,
)


@settings(max_examples=400)
@given(st.lists(st.sampled_from(FILTERS), min_size=1, max_size=3), VALUES, VALUES, VALUES, st.integers(0, 2))
def test_each_filter_says_what_it_says_by_itself(filters: list[str], x: Any, a: Any, b: Any, count: int) -> None:
    arguments = ["", ": a", ": a, b"][count]
    template = "{{ x " + " ".join(f"| {name}{arguments}" for name in filters) + " }}"
    try:
        theirs: str | None = Environment().from_string(template).render(x=x, a=a, b=b)
    except Exception:  # whatever a filter raises, we refuse
        theirs = None
    try:
        said: str | None = compile_template(template).render({"now": NOW, "x": x, "a": a, "b": b})
    except Invalid:
        said = None
    assert said == theirs
