"""Do the docs tell the truth?  Their code runs, their links lead somewhere, their diagrams are those of the tables.

In README.md, ARCHITECTURE.md and docs/ a block is, in the order of the page: ```yaml NAME (or csv, python, with a NAME)
a file that later blocks use; ```console the commands behind `$`; ```python code that runs in the page's one namespace.
"""

from __future__ import annotations

import base64
import os
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from tree import ROOT

PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
# The projects in folders of their own are used by tests/stories/test_example_projects.py.
EXAMPLES = sorted([*(ROOT / "examples").glob("*.py"), *(ROOT / "examples").glob("*.yaml")])
FENCE = re.compile(r"^```(\w+)?[ ]?([^\n`]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[[^\]]*\]\(([^)#\s]+)(#[^)\s]*)?\)")
SHOWN_ONLY = {"text", "mermaid", "sh", "ini", "toml", "sql", "html", ""}
SECONDS = 60


@dataclass(frozen=True)
class Block:
    language: str
    name: str
    text: str
    line: int


def blocks(page: Path) -> list[Block]:
    text = page.read_text("utf-8")
    return [
        Block(found[1] or "", found[2].strip(), found[3], text[: found.start()].count("\n") + 2)
        for found in FENCE.finditer(text)
    ]


@pytest.fixture
def desk(tmp_path, monkeypatch, database_url):
    """A folder and an environment as a reader has them after set-up."""
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("DRIPDROP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.setenv("DRIPDROP_DATABASE_URL", database_url)
    monkeypatch.setenv("DRIPDROP_ENCRYPTION_KEY", base64.b64encode(bytes(range(32))).decode())
    monkeypatch.setenv("PYTHONPATH", str(ROOT / "src"))
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    # The code beside these pages, wherever another is installed.
    monkeypatch.setenv("PYTHONPATH", str(ROOT / "src"))
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def told(words: list[str], place: str) -> None:
    if words[0] == "dripdrop":
        words = [sys.executable, "-c", "import sys; from dripdrop.cli import main; sys.exit(main())", *words[1:]]
    ran = subprocess.run(words, capture_output=True, text=True, timeout=SECONDS, stdin=subprocess.DEVNULL)
    assert ran.returncode == 0, f"{place}: {shlex.join(words)}\n{ran.stdout}{ran.stderr}"


def run(block: Block, place: str, desk: Path, names: dict[str, object]) -> None:
    if block.name:
        (desk / block.name).parent.mkdir(parents=True, exist_ok=True)
        (desk / block.name).write_text(block.text, "utf-8")
    elif block.language == "python":
        # The padding makes a traceback show the line of the page.
        exec(compile("\n" * (block.line - 1) + block.text, place, "exec"), names)
    elif block.language == "console":
        commands = re.findall(r"^\$ (.*(?:\\\n.*)*)$", block.text, re.MULTILINE)
        assert commands, f"{place}: a console block without a command"
        for command in commands:
            told(shlex.split(command.replace("\\\n", " "), comments=True), place)
    else:
        assert block.language in SHOWN_ONLY, f"{place}: nobody can run {block.language}"


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page)], ids=lambda page: str(page.relative_to(ROOT)))
def test_the_code_of_a_page_runs(page, desk):
    names: dict[str, object] = {"__name__": "page"}
    for block in blocks(page):
        run(block, f"{page.relative_to(ROOT)}:{block.line}", desk, names)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_links_of_a_page_lead_somewhere(page):
    gone = [
        target
        for target, _ in LINK.findall(page.read_text("utf-8"))
        if "://" not in target and not (page.parent / target).exists()
    ]
    assert gone == []


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: str(path.relative_to(ROOT)))
def test_an_example_runs(example, desk):
    told(
        [sys.executable, str(example)] if example.suffix == ".py" else ["dripdrop", "validate", str(example)],
        example.name,
    )


def test_the_diagrams_are_those_of_the_tables():
    told([sys.executable, str(ROOT / "scripts" / "diagrams.py"), "--check"], "docs/states.md")


def test_a_decision_says_its_context_and_its_price():
    pages = sorted((ROOT / "docs" / "decisions").glob("[0-9]*.md"))
    assert [page.name[:4] for page in pages] == [f"{number:04d}" for number in range(len(pages))]
    for page in pages:
        assert re.findall(r"^## (\w+)", page.read_text("utf-8"), re.MULTILINE) == ["Context", "Decision", "Price"], (
            page.name
        )


def test_the_code_map_names_every_folder():
    text = (ROOT / "ARCHITECTURE.md").read_text("utf-8")
    folders = {path.name for path in (ROOT / "src" / "dripdrop").iterdir() if (path / "__init__.py").exists()}
    assert [name for name in sorted(folders) if f"`{name}/`" not in text] == []


def test_the_search_runs_what_it_finds(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("words\n```python\nx = 1\n```\n\n```yaml some.yaml\na: 1\n```\n```console\n$ true\nout\n```\n")
    found = blocks(page)
    assert [(block.language, block.name, block.line) for block in found] == [
        ("python", "", 3),
        ("yaml", "some.yaml", 7),
        ("console", "", 10),
    ]
    names: dict[str, object] = {}
    for block in found:
        run(block, "page.md", tmp_path, names)
    assert names["x"] == 1
    assert (tmp_path / "some.yaml").read_text() == "a: 1\n"
    with pytest.raises(AssertionError):
        run(Block("console", "", "$ false\n", 1), "page.md", tmp_path, names)
