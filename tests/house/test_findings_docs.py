"""Does docs/findings.md show every finding of a definition, and does each cure make its finding go away?"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest
from test_error_docs import named
from tree import ROOT, modules

from dripdrop.errors import Finding
from dripdrop.rules import validation
from dripdrop.services import judging, sources

PAGE = ROOT / "docs" / "findings.md"
SECTION = re.compile(r"^### `(\w+)`\n(.*?)(?=^##|\Z)", re.MULTILINE | re.DOTALL)
EXAMPLE = re.compile(r"^```(yaml|toml|json) (wrong|mended)\.\1\n(.*?)^```$", re.MULTILINE | re.DOTALL)

# The modules that say what is wrong with a definition, and those whose refusals they pass on.
SAYING = (
    "rules.checks.", "rules.validation", "rules.reading", "rules.shapes", "rules.plain", "rules.http_hooks",
    "rules.cron", "rules.lateness", "rules.phrases", "rules.predicate", "rules.timing", "rules.windows",
    "rules.zones", "rules.spintax", "rules.urls", "rules.addresses", "rules.mail_headers", "operations.adopting",
    "rendering.mjml", "rendering.html_part", "services.inclusion", "services.notations", "services.sources",
)  # fmt: skip
# What those modules say of other things than a definition.
OTHERWISE = {
    "naive_time": "a time handed to a rule",
    "naive_date": "the date of a message",
    "message_id": "a Message-ID of ours",
    "not_encodable": "text that no definition can hold",
    "address_needs_smtputf8": "an address that the server at hand cannot take",
    "cannot_read": "the error that carries findings",
}
# What an example cannot show, and which test does.
ELSEWHERE = {
    "no_such_file": "tests/test_sources.py", "unreadable_file": "tests/test_sources.py",
    "too_many_steps": "tests/rules/test_validation.py", "hook_module": "tests/rules/test_hook_checks.py",
    "unknown_adapter": "tests/operations/test_authoring.py",
    "adapter_channel_mismatch": "tests/operations/test_authoring.py",
    "mjml_too_large": "tests/rendering/test_mjml.py", "slow_html": "tests/rendering/test_mjml.py",
}  # fmt: skip


@dataclass(frozen=True)
class Section:
    code: str
    text: str

    @property
    def examples(self) -> dict[str, tuple[str, str]]:
        return {kind: (notation, text) for notation, kind, text in EXAMPLE.findall(self.text)}


@cache
def sections() -> tuple[Section, ...]:
    return tuple(Section(*found) for found in SECTION.findall(PAGE.read_text("utf-8")))


def codes() -> set[str]:
    saying = [module for module in modules() if module.name.startswith(SAYING)]
    return {code for module in saying for code in named(module)} - set(OTHERWISE)


def found(folder: Path, name: str, text: str) -> list[Finding]:
    (folder / "welcome.html").write_text("<p>Hello.</p>", "utf-8")
    (folder / name).write_text(text, "utf-8")
    checks = judging.checks(public=False)
    said: list[Finding] = []
    for each in sources.load_paths([folder / name]):
        said += each.findings
        said += validation.findings(each.document, checks=checks) if each.document is not None else []
    return said


def examples(kind: str) -> list[object]:
    shown = [each for each in sections() if kind in each.examples]
    return [pytest.param(each.code, *each.examples[kind], id=each.code) for each in shown]


@pytest.mark.parametrize(("code", "notation", "text"), examples("wrong"))
def test_the_failing_example_brings_its_finding_with_a_place(tmp_path, code, notation, text):
    said = [each for each in found(tmp_path, f"wrong.{notation}", text) if each.code == code]
    assert said, f"{code} is not found"
    placed = code in ("empty", "too_large") or all(each.line and each.column for each in said)
    assert placed
    assert all(each.message and each.cure for each in said)


@pytest.mark.parametrize(("code", "notation", "text"), examples("mended"))
def test_the_cure_makes_the_finding_go_away_and_brings_no_other(tmp_path, code, notation, text):
    said = {each.code for each in found(tmp_path, f"mended.{notation}", text)}
    if code == "no_unsubscribe":
        # Its cure is an address too, which this house has not.
        said -= {code}
    assert said == set()


def test_every_code_has_a_section_and_no_section_is_of_a_code_that_nobody_says():
    assert {each.code for each in sections()} == codes()


def test_every_section_shows_both_or_says_elsewhere():
    lacking = {each.code for each in sections() if set(each.examples) != {"wrong", "mended"}}
    assert lacking == set(ELSEWHERE)
    for code, place in ELSEWHERE.items():
        assert code in (ROOT / place).read_text("utf-8"), f"{place} does not test {code}"


def test_a_code_has_one_section():
    assert len(sections()) == len({each.code for each in sections()})
