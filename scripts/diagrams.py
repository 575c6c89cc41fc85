"""How do the states hang together?  Draws docs/states.md from the tables of `rules/lifecycle.py`; --check compares."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path

from dripdrop.rules import lifecycle

PAGE = Path(__file__).resolve().parents[1] / "docs" / "states.md"
HEAD = """# States

Drawn by `make docs` from `rules/lifecycle.py`. A move that is not here does not exist: Python refuses it with a
sentence, and the database with a trigger or a check.
"""
ABOUT_EXECUTIONS = """\
A row lives in `execution_queue` while it may still go somewhere, and moves to `execution_history` when it ends.
A `failed` row stays in the queue only where its step says `on_failure: pause`: it needs attention, and may be
scheduled again or cancelled. To run an ended one again is a replay: another execution.
"""


def drawn(moves: Iterable[tuple[str, str, str]], start: str, ended: Iterable[str]) -> str:
    lines = ["```mermaid", "stateDiagram-v2", f"    [*] --> {start}"]
    lines += [f"    {before} --> {after}{f': {label}' if label else ''}" for before, after, label in moves]
    return "\n".join([*lines, *(f"    {state} --> [*]" for state in ended), "```"])


def machine(machine: lifecycle.Lifecycle, start: str, ended: Iterable[str] = ()) -> str:
    moves = [(before, after, name) for name, ways in machine.moves.items() for before, after in ways.items()]
    return drawn(moves, start, ended)


def page() -> str:
    executions = [(before, after, "") for before, ways in lifecycle.EXECUTION.items() for after in ways]
    return "\n".join(
        [
            HEAD,
            f"## A version of a sequence\n\n{machine(lifecycle.VERSION, 'draft')}\n",
            f"## An enrollment\n\n{machine(lifecycle.ENROLLMENT, 'active', ('completed', 'cancelled'))}\n",
            f"## An execution\n\n{ABOUT_EXECUTIONS}\n{drawn(executions, 'scheduled', lifecycle.ENDED)}\n",
        ]
    )


def main() -> int:
    if "--check" not in sys.argv:
        PAGE.write_text(page(), "utf-8")
        print(f"Drawn: {PAGE.name}")
        return 0
    if PAGE.exists() and PAGE.read_text("utf-8") == page():
        return 0
    print("docs/states.md does not show what rules/lifecycle.py says. Run: make docs")
    return 1


if __name__ == "__main__":
    sys.exit(main())
