"""What does the command line do with typos, options, and a missing extra?"""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys

import pytest

from dripdrop.cli import main, root


def test_every_command_there_is_answers_help(bare):
    names = [name for section in root.SECTIONS.values() for name in section]
    assert len(names) == len(set(names))
    for name in names:
        said = bare(name, "--help")
        assert said.status == 0, name
        assert "--json" in said.out, name
        assert "--database" in said.out, name
        assert "--tenant" in said.out, name
        assert "--app" in said.out, name
        assert "\\b" not in said.out, f"{name} shows a mark of its layout"
        assert "..." not in said.out.partition("Commands:")[2], f"{name} cuts off what its commands are for"


def test_the_bare_command_shows_what_there_is(bare):
    said = bare()
    assert said.status == 0
    assert "check-schema" in said.out
    assert said.out == bare("--help").out


WRITING = """
setup, apply, enroll, track, pause, resume, unenroll, move, stop, go, send-test, adapters create, adapters update,
executions resolve, executions replay, executions dispatch, enrollments update-data, suppressions add, suppressions lift
"""


@pytest.mark.parametrize("command", [each.strip() for each in WRITING.split(",")])
def test_what_writes_takes_a_dry_run(bare, command):
    assert "--dry-run" in bare(*command.split(), "--help").out


def test_a_typo_in_a_command_is_answered_with_the_command_that_was_meant(bare):
    said = bare("stats")
    assert said.status == 2
    assert "There is no command 'stats'. Did you mean status?" in said.err
    assert "dripdrop --help" in said.err


def test_a_typo_in_a_command_of_a_group_too(bare):
    said = bare("executions", "rsolve")
    assert said.status == 2
    assert "Did you mean resolve?" in said.err


def test_a_typo_in_an_option_is_answered_with_the_option_that_was_meant(bare):
    said = bare("status", "--jsn")
    assert said.status == 2
    assert "--json" in said.err


def test_an_option_without_its_argument_points_at_the_command_it_belongs_to(bare):
    assert "See: dripdrop preview --help" in bare("preview", "trial", "hello", "--html").err


def test_what_is_no_number_is_called_so(bare):
    assert "'copy' is no whole number." in bare("sequences", "clone", "trial", "copy").err


def test_wrong_usage_is_an_object_with_json(bare):
    said = bare("--json", "pause")
    assert said.status == 2
    assert said.error["code"] == "usage"
    assert "ENROLLMENT" in said.error["message"]


def test_an_option_that_cannot_be_read_is_an_object_too_wherever_json_stands(bare):
    assert bare("status", "--nope", "--json").error["code"] == "usage"


@pytest.mark.parametrize(
    "args",
    [
        ("--json", "sequences"),
        ("sequences", "--json"),
        ("sequences", "list", "--json"),
        ("sequences", "--json", "list"),
    ],
)
def test_an_option_of_all_commands_may_stand_anywhere(typed, args):
    assert typed(*args).json == {"sequences": []}


def test_the_command_says_which_extra_it_needs_when_that_is_missing(monkeypatch, capsys):
    there = importlib.util.find_spec
    monkeypatch.setattr("dripdrop.cli.find_spec", lambda name: None if name == "rich" else there(name))
    assert main(["status"]) == 1
    assert "pip install 'dripdrop-engine[cli]'" in capsys.readouterr().err
    assert main(["status", "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["error"]["code"] == "missing_extra"


def test_something_unexpected_is_told_in_a_few_words_and_traced_on_request(typed, monkeypatch, capsys):
    def broken(*args: object) -> None:
        raise RuntimeError("the sky fell")

    monkeypatch.setattr("dripdrop.cli.readiness.require_schema", broken)
    said = typed("status")
    assert said.status == 1
    assert "the sky fell" in said.err
    assert "--debug" in said.err
    assert main(["status", "--debug"]) == 1
    assert "Traceback" in capsys.readouterr().err
    monkeypatch.setenv("DRIPDROP_DEBUG", "1")
    assert main(["status"]) == 1
    assert "Traceback" in capsys.readouterr().err


def test_an_interrupt_ends_a_command_without_a_trace(typed, monkeypatch):
    def interrupted(*args: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("dripdrop.cli.readiness.require_schema", interrupted)
    said = typed("status")
    assert (said.status, said.err) == (130, "Stopped.\n")


def test_the_package_runs_where_its_script_is_not_on_the_path():
    done = subprocess.run([sys.executable, "-m", "dripdrop", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("dripdrop, version ")


def test_help_needs_none_of_what_is_slow_to_import():
    slow = ("rich", "psycopg", "httpx2", "liquid", "ruamel", "dripdrop.app", "starlette", "cryptography")
    code = (
        f"import sys; from dripdrop.cli import main; main(['--help']); print([n for n in {slow} if n in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_a_file_that_cannot_be_used_is_named(typed, monkeypatch):
    def forbidden(*args: object) -> None:
        raise PermissionError(13, "Permission denied", "people.csv")

    monkeypatch.setattr("dripdrop.cli.readiness.require_schema", forbidden)
    error = typed("status", "--json").error
    assert error["code"] == "file"
    assert error["message"] == "people.csv: Permission denied."
