from __future__ import annotations

from pathlib import Path

import pytest

from dripdrop.errors import Invalid
from dripdrop.rules import validation
from dripdrop.rules.document import canonical
from dripdrop.services import sources

GOOD = """\
sequence: trial
steps:
  welcome:
    channel: email
    subject: "Hi"
    html: !file mail/welcome.html
    active: yes_it_is
"""

BOMB = "sequence: s\na: &a0 [x, x]\n" + "".join(f"b{n}: &a{n + 1} [*a{n}, *a{n}]\n" for n in range(30))


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")
    return path


def test_a_file_beside_the_definition_is_taken_in(tmp_path: Path) -> None:
    write(tmp_path, "mail/welcome.html", "<p>Grüß Gott</p>")
    (loaded,) = sources.load_paths([write(tmp_path, "a.yaml", GOOD.replace("yes_it_is", "true"))])
    assert loaded.findings == []
    assert loaded.document is not None
    assert loaded.document.steps[0].template["html"] == "<p>Grüß Gott</p>"


@pytest.mark.parametrize(
    "name", ["../secret.html", "/etc/passwd", "link.html", "nothing.html", "", "big.html", "latin.html"]
)
def test_a_file_elsewhere_missing_or_too_large_is_refused(tmp_path: Path, name: str) -> None:
    home = tmp_path / "home"
    write(tmp_path, "secret.html", "secret")
    path = write(home, "a.yaml", f"sequence: s\nsteps:\n  a:\n    channel: email\n    html: !file {name!r}\n")
    (home / "link.html").symlink_to(tmp_path / "secret.html")
    write(home, "big.html", "x" * (sources.MAX_FILE_BYTES + 1))
    (home / "latin.html").write_bytes(b"\xff\xfe")
    (loaded,) = sources.load_paths([path])
    (finding,) = loaded.findings
    assert finding.code == "file"
    assert (finding.line, finding.column) == (5, 11)
    assert loaded.document is not None
    assert "secret" not in str(canonical(loaded.document))
    with pytest.raises(Invalid):
        sources.documents([loaded])


def test_problems_have_line_and_column_from_reading_and_from_validation(tmp_path: Path) -> None:
    text = "sequence: s\nsteps:\n  a:\n    chanel: email\n    channel: email\n    timezone: Mars/Base\n    next: nope\n"
    (loaded,) = sources.load_paths([write(tmp_path, "a.yaml", text)])
    assert [(each.code, each.line, each.column) for each in loaded.findings] == [("unknown_key", 4, 5)]
    assert "a.yaml: steps.a.chanel" in loaded.findings[0].path
    assert loaded.document is not None
    places = {each.code: (each.line, each.column) for each in validation.findings(loaded.document)}
    assert places["zone"] == (6, 5)
    assert places["unknown_goto"] == (7, 5)
    assert places["missing_subject"] == (3, 3)


def test_booleans_are_those_of_yaml_1_2() -> None:
    text = "sequence: s\nsteps:\n  a:\n    channel: sms\n    body: no\n    active: false\n"
    (loaded,) = sources.load_text(text)
    assert loaded.findings == []
    assert loaded.document is not None
    assert loaded.document.steps[0].template["body"] == "no"
    assert loaded.document.steps[0].active is False


@pytest.mark.parametrize(
    ("text", "code", "line"),
    [
        ("sequence: s\nname: x\nname: y\n", "duplicate_key", 3),
        ("sequence: s\nsteps: [\n", "yaml", 3),
        ("sequence: s\n\tname: x\n", "yaml", 2),
        ("", "empty", None),
        ("- just\n- a list\n", "not_a_mapping", 1),
        ("sequence: s\nx: !!python/object:os.system {}\n", "unknown_key", 2),
        ("a: " + "[" * 5000, "too_large", None),
        (BOMB, "too_large", 1),
    ],
)
def test_what_is_no_definition_is_one_finding_and_no_exception(text: str, code: str, line: int | None) -> None:
    (loaded,) = sources.load_text(text)
    assert code in [each.code for each in loaded.findings]
    assert next(each.line for each in loaded.findings if each.code == code) == line


def test_several_documents_files_and_folders(tmp_path: Path) -> None:
    write(tmp_path, "b/two.yml", "sequence: two\n---\nsequence: three\n")
    write(tmp_path, "one.yaml", "sequence: one\n")
    write(tmp_path, "readme.txt", "not a definition")
    loaded = sources.load_paths([tmp_path])
    assert [each.key for each in sources.documents(loaded)] == ["two", "three", "one"]


def test_a_key_that_stands_twice_is_said(tmp_path: Path) -> None:
    write(tmp_path, "a.yaml", "sequence: one\n")
    write(tmp_path, "b.yaml", "name: x\nsequence: one\n")
    loaded = sources.load_paths([tmp_path])
    assert [each.code for each in loaded[1].findings] == ["duplicate_sequence"]
    assert loaded[1].findings[0].line == 2
    with pytest.raises(Invalid) as refused:
        sources.documents(loaded)
    assert (refused.value.code, len(refused.value.findings)) == ("cannot_read", 1)


def test_a_path_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Invalid) as refused:
        sources.load_paths([tmp_path / "nothing.yaml"])
    assert refused.value.code == "no_such_file"


TOML = """\
sequence = "trial"
[steps.welcome]
channel = "email"
subject = "Hi"
html_file = "mail/welcome.html"
timezone = "Mars/Base"
next = [
  { goto = "nugde" },   # a step that is not there
]

[steps.nudge]
channel = "sms"
"body" = \'\'\'
[steps.no]
chanel = 1\'\'\'
chanel = "x"

[[steps.nudge.next]]
goto = "welcome"
[[steps.nudge.next]]
when.field = "plan"
when.valeu = 5
goto = "end"
"""


def test_toml_says_its_problems_with_line_and_column(tmp_path: Path) -> None:
    write(tmp_path, "mail/welcome.html", "<p>Hi</p>")
    (loaded,) = sources.load_paths([write(tmp_path, "a.toml", TOML)])
    assert loaded.document is not None
    assert loaded.document.steps[0].template["html"] == "<p>Hi</p>"
    found = [*loaded.findings, *validation.findings(loaded.document)]
    places = {(each.code, each.line, each.column) for each in found}
    assert {("unknown_key", 16, 1), ("unknown_key", 22, 1), ("zone", 6, 1), ("unknown_goto", 8, 5)} <= places


def test_json_says_its_problems_with_line_and_column(tmp_path: Path) -> None:
    text = '{\n\t"sequence": "s",\n\t"name": "a",\n\t"name": "b",\n\t"steps": {"a": {"channel": "sms", "bodi": 1,\n\t'
    text += '"next": [{"goto": "b"}], "body_file": "none.txt"}}\n}'
    (loaded,) = sources.load_paths([write(tmp_path, "a.json", text)])
    assert loaded.document is not None
    found = [*loaded.findings, *validation.findings(loaded.document)]
    places = {(each.code, each.line, each.column) for each in found}
    assert places == {
        ("duplicate_key", 4, 2), ("unknown_key", 5, 36), ("unknown_goto", 6, 12), ("file", 6, 27),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("notation", "text", "code", "place"),
    [
        ("toml", "sequence = \n", "toml", (1, 12)),
        ("toml", 'sequence = "s"\nsequence = "t"\n', "toml", (2, 15)),
        ("toml", "", "empty", (None, None)),
        ("json", '{"sequence": }', "json", (1, 14)),
        ("json", " ", "empty", (None, None)),
        ("json", "[]", "not_a_mapping", (1, 1)),
        ("yaml", "sequence: s\nname: !env X\n", "unknown_tag", (2, 7)),
        ("yaml", "sequence: s\nmetadata: {x: 99999999999999999999}\n", "not_plain", (2, 12)),
        ("toml", 'sequence = "s"\nmetadata = { at = 09:00:00 }\n', "not_plain", (2, 14)),
    ],
)
def test_what_a_notation_cannot_say_is_a_finding_with_its_place(
    notation: str, text: str, code: str, place: tuple[int | None, int | None]
) -> None:
    (loaded,) = sources.load_text(text, notation=notation)
    assert [(each.code, (each.line, each.column)) for each in loaded.findings] == [(code, place)]


def test_all_problems_of_a_text_come_at_once(tmp_path: Path) -> None:
    text = "sequence: s\nname: a\nname: b\nsteps:\n  a:\n    channel: email\n    subjekt: x\n    html: !file x.html\n"
    (loaded,) = sources.load_paths([write(tmp_path, "a.yaml", text)])
    assert {each.code for each in loaded.findings} == {"duplicate_key", "unknown_key", "file"}
    twice = next(each for each in loaded.findings if each.code == "duplicate_key")
    assert (twice.line, twice.message) == (3, "The key 'name' stands here and in line 2.")


@pytest.mark.parametrize("text", ["html_file: x.html", "html: a\n    html_file: x.html", "html_file: 5"])
def test_a_file_beside_the_text_that_cannot_be_taken_is_said(tmp_path: Path, text: str) -> None:
    (loaded,) = sources.load_paths([write(tmp_path, "a.yaml", f"sequence: s\nsteps:\n  a:\n    {text}\n")])
    assert len(loaded.findings) == 1


def test_a_folder_gives_its_definitions_and_leaves_other_json_and_toml_alone(tmp_path: Path) -> None:
    write(tmp_path, "a.toml", 'sequence = "a"\n')
    write(tmp_path, "b.json", '{"sequence": "b"}')
    write(tmp_path, "package.json", '{"name": "x"}')
    write(tmp_path, "pyproject.toml", "[project]\n")
    assert [each.key for each in sources.documents(sources.load_paths([tmp_path]))] == ["a", "b"]


def test_a_file_that_is_no_text_is_said(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_bytes(b"\xff\xfe")
    (loaded,) = sources.load_paths([tmp_path / "a.yaml"])
    assert [each.code for each in loaded.findings] == ["unreadable_file"]
