"""What is wrong with a template, and how is it said?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dripdrop.errors import Finding, Invalid

MAX_TEMPLATE = 512_000
CURE = "Mend the template: {{ variable }}, {% if %}...{% endif %}, {% for %}...{% endfor %} and the standard filters."


@dataclass(frozen=True, slots=True)
class Problem:
    """A sentence without its full stop, and the place in the template (from 1)."""

    message: str
    line: int | None = None
    column: int | None = None
    code: str = "template"
    severity: str = "error"
    cure: str = CURE


def invalid(problem: Problem, path: str) -> Invalid:
    """The error of a template that cannot be used; the sentence never repeats a person's value."""
    return refused([problem], path)


def refused(problems: Sequence[Problem], path: str) -> Invalid:
    """The error of a template with several problems: the first one speaks for all."""
    findings = [_finding(each, path) for each in problems]
    first = findings[0]
    return Invalid(first.message, cure=first.cure, code=first.code, findings=findings)


def _finding(problem: Problem, path: str) -> Finding:
    place = f"{path}, line {problem.line}" if problem.line else path
    message = f"{problem.message} ({place})."
    return Finding(problem.code, path, message, problem.cure, problem.line, problem.column, problem.severity)
