"""How is a failed command told to its user: what happened, what to do, and the code to look up?"""

from __future__ import annotations

import sys
import traceback
from pathlib import Path
from typing import Any

import click

from dripdrop.errors import DripDropError, Finding

MAX_LINE = 160
ISSUES = "If it stays, please report it."


def tell(problem: Exception, *, as_json: bool, debug: bool) -> int:
    """Say it, on standard error or as JSON on standard output; answers the exit status."""
    if isinstance(problem, click.UsageError):
        told, status = _usage(problem), 2
    elif isinstance(problem, DripDropError):
        told, status = {"findings": [], **problem.as_dict()}, 1
    else:
        told, status = _unexpected(problem, debug), 1
    if debug and not isinstance(problem, click.UsageError):
        traceback.print_exception(problem, file=sys.stderr)
    if as_json:
        from dripdrop.cli.output import write_json

        write_json({"error": told})
    else:
        _block(told)
    return status


def print_findings(findings: list[Finding], *, stderr: bool = False) -> None:
    """Each finding with its place, its sentence and its cure; under one of a file the line that it speaks of."""
    from rich.text import Text

    from dripdrop.cli.output import console

    out = console(stderr=stderr)
    lines = _Lines()
    for finding in findings:
        mark, style = ("!", "yellow") if finding.severity == "warning" else ("✗", "red")
        file, path = _place(finding)
        place = f"{file}:{finding.line}:{finding.column or 1}" if file and finding.line else finding.path
        where = f" at {path}" if file and finding.line and path else ""
        out.print(Text.assemble((f"{mark} ", style), (place, "bold"), f"  {finding.message}"))
        if finding.cure:
            out.print(Text(f"  {finding.cure}"))
        if file and finding.line and (line := lines.of(file, finding.line)) is not None:
            out.print(Text.assemble((f"{finding.line:>5} │ ", "dim"), line))
            out.print(Text.assemble(("      │ ", "dim"), (" " * ((finding.column or 1) - 1) + "^", style)))
        out.print(Text(f"  [{finding.code}]{where}", style="dim"))


def _place(finding: Finding) -> tuple[str, str]:
    """The file of a finding and the path in it; without a file the path alone."""
    file, colon, path = finding.path.partition(": ")
    if colon:
        return file, path
    return (file, "") if finding.line is not None else ("", file)


class _Lines:
    """The lines of the files that findings speak of, each read once."""

    def __init__(self) -> None:
        self._known: dict[str, list[str]] = {}

    def of(self, file: str, number: int) -> str | None:
        """A line as it can be printed in one row, or None where it cannot be read."""
        if file not in self._known:
            try:
                self._known[file] = Path(file).read_text("utf-8").split("\n")
            except (OSError, UnicodeDecodeError, ValueError):
                self._known[file] = []
        lines = self._known[file]
        line = lines[number - 1].rstrip().replace("\t", " ") if number <= len(lines) else ""
        return line if line and len(line) <= MAX_LINE and line.isprintable() else None


def _usage(problem: click.UsageError) -> dict[str, Any]:
    ctx = problem.ctx
    path = ctx.command_path if ctx is not None else "dripdrop"
    message = problem.format_message().replace("not a valid integer range.", "no whole number.")
    return {"code": "usage", "message": message, "cure": f"See: {path} --help", "findings": []}


def _unexpected(problem: Exception, debug: bool) -> dict[str, Any]:
    known = _known(problem)
    if known is not None:
        return {"findings": [], **known.as_dict()}
    line = (str(problem).strip().splitlines() or [""])[0]
    cure = ISSUES if debug else f"Run it again with --debug to see where. {ISSUES}"
    return {
        "code": "unexpected",
        "message": f"Something went wrong that should not: {type(problem).__name__}{': ' + line if line else ''}.",
        "cure": cure,
        "findings": [],
    }


def _known(problem: Exception) -> DripDropError | None:
    """The error of ours that says the same better, if there is one."""
    from dripdrop.errors import Unavailable
    from dripdrop.store.database import translated

    better = translated(problem)
    if isinstance(better, DripDropError):
        return better
    if isinstance(problem, OSError) and problem.strerror:
        where = f"{problem.filename}: " if problem.filename else ""
        return Unavailable(f"{where}{problem.strerror}.", cure="Check the file or folder.", code="file")
    return None


def _block(told: dict[str, Any]) -> None:
    from rich.text import Text

    from dripdrop.cli.output import console

    out = console(stderr=True)
    findings = [Finding(**each) for each in told["findings"]]
    message = told["message"]
    # The message of many problems at once repeats them all in one line: the list below reads better.
    if findings and all(each.message in message for each in findings):
        message = f"{len(findings)} problem{'s' * (len(findings) > 1)}:"
        if len(findings) == 1 and findings[0].cure == told["cure"]:
            findings, message = [], told["message"]
    out.print(Text.assemble(("✗ ", "bold red"), message))
    print_findings(findings, stderr=True)
    if told["cure"] and not (findings and told["cure"] in " ".join(each.cure for each in findings)):
        out.print(Text(f"  {told['cure']}"))
    out.print(Text(f"  [{told['code']}]", style="dim"))
