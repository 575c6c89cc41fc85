"""Is everything that the page about timing and conditions shows understood?"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from dripdrop.rules import lateness, predicate, timing
from dripdrop.rules.checks.conditions import conditions
from dripdrop.rules.reading import read

NOON = datetime(2030, 3, 1, 12, tzinfo=UTC)
PAGE = (Path(__file__).parents[2] / "docs" / "timing-and-conditions.md").read_text("utf-8")
TIMING, PREDICATES, COMPARISONS = (PAGE.split(f"## {name}\n")[1].split("\n## ")[0] for name in (
    "Timing", "Predicates", "Comparisons",
))  # fmt: skip


def first_cells(section: str) -> list[str]:
    rows = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `")]
    return [found for row in rows for found in re.findall(r"`([^`]+)`", row)]


@pytest.mark.parametrize("phrase", [each for each in first_cells(TIMING) if " " in each or each[0] == "@"])
def test_every_time_that_is_shown_is_understood(phrase: str) -> None:
    assert timing.due_at(timing.parse(phrase), reached=NOON) is not None


def test_every_policy_that_is_shown_is_understood() -> None:
    (mapping,) = re.findall(r"`(\{ do: [^`]+)`", TIMING)
    assert lateness.read(YAML(typ="safe").load(mapping)).do == "space"


def test_every_predicate_that_is_shown_is_understood() -> None:
    found = re.findall(r"`(plan == [^`]+)`", PREDICATES)
    assert found
    for text in found:
        predicate.parse(text)


@pytest.mark.parametrize("written", first_cells(COMPARISONS))
def test_every_comparison_that_is_shown_can_be_judged(written: str) -> None:
    comparison = YAML(typ="safe").load(written)
    step = {"channel": "sms", "body": "Hi", "when": comparison}
    document, findings = read({"sequence": "s", "steps": {"a": step}})
    assert findings == []
    assert document is not None
    step_conditions = document.steps[0].conditions
    problems = list(conditions(document, step_conditions, "all", ("steps", "a", "when")))
    assert [each.code for each in problems] == []
