"""Does the command line judge, apply and show sequences?"""

from __future__ import annotations

import json

from terminal import WELCOME

BROKEN = """
sequence: broken
steps:
  hello:
    channel: email
    subject: "Hi {{ name"
    next: nowhere
"""


def test_a_right_file_is_right_without_any_database(bare, tmp_path):
    (tmp_path / "w.yaml").write_text(WELCOME)
    said = bare("validate", "w.yaml")
    assert (said.status, said.out) == (0, "✓ welcome: right.\n")
    assert bare("validate", "w.yaml", "--json").json == {"ok": True, "sequences": ["welcome"], "findings": []}
    assert not (tmp_path / ".dripdrop").exists()


def test_everything_wrong_with_a_file_is_said_at_once_with_lines(bare, tmp_path):
    (tmp_path / "b.yaml").write_text(BROKEN)
    said = bare("validate", "b.yaml", "--json")
    assert (said.status, said.json["ok"]) == (1, False)
    found = {each["code"]: each for each in said.json["findings"]}
    assert len(found) >= 2
    assert all(each["path"].startswith("b.yaml: ") for each in found.values())
    assert any(each["line"] for each in found.values())
    text = bare("validate", "b.yaml").out
    assert all(f"[{code}]" in text for code in found)


def test_a_file_that_is_not_there_is_named(bare):
    assert bare("validate", "none.yaml", "--json").error["code"] == "no_such_file"
    assert bare("validate").status == 2


def test_the_json_schema_names_every_key(bare):
    from dripdrop.rules.document import STEP_KEYS

    schema = bare("validate", "--schema").json
    assert set(STEP_KEYS) <= set(schema["$defs"]["step"]["properties"])
    assert schema["properties"]["steps"]["anyOf"][0]["additionalProperties"] == {"$ref": "#/$defs/step"}
    assert schema["$defs"]["comparison"]["properties"]["is"]["enum"]


def test_applying_says_what_changed_and_the_same_file_again_changes_nothing(typed, tmp_path):
    (tmp_path / "w.yaml").write_text(WELCOME)
    first = typed("apply", "w.yaml", "--json").json
    assert (first["applied"][0]["version"], first["applied"][0]["created"]) == (1, True)
    assert typed("apply", "w.yaml", "--json").json["applied"][0]["changed"] == []
    (tmp_path / "w.yaml").write_text(WELCOME.replace("Still there?", "Are you there?"))
    again = typed("apply", "w.yaml", "--json").json["applied"][0]
    assert again["version"] == 2
    assert again["changed"]


def test_a_dry_run_of_apply_changes_nothing(typed, tmp_path):
    (tmp_path / "w.yaml").write_text(WELCOME)
    said = typed("apply", "w.yaml", "--dry-run", "--json")
    assert said.json["dry_run"] is True
    assert said.json["applied"][0]["created"] is True
    assert typed("sequences", "--json").json == {"sequences": []}


def test_of_several_files_all_are_applied_or_none(typed, tmp_path):
    (tmp_path / "a.yaml").write_text(WELCOME)
    (tmp_path / "b.yaml").write_text(BROKEN)
    error = typed("apply", "a.yaml", "b.yaml", "--json").error
    assert error["code"] == "cannot_apply"
    assert error["findings"]
    assert typed("sequences", "--json").json == {"sequences": []}


def test_sequences_are_listed_with_their_people(welcome, ann):
    found = welcome("sequences", "--json").json["sequences"]
    assert [(each["key"], each["version"], each["enrollments"]["active"]) for each in found] == [("welcome", 1, 1)]
    assert "welcome" in welcome("sequences").out


def test_a_sequence_is_shown_as_a_file_that_could_be_applied_again(welcome, tmp_path):
    (tmp_path / "again.yaml").write_text(welcome("sequences", "export", "welcome").out)
    assert welcome("apply", "again.yaml", "--json").json["applied"][0]["changed"] == []
    definition = welcome("sequences", "export", "welcome", "--json").json["definition"]
    (tmp_path / "again.json").write_text(json.dumps(definition))
    assert list(definition["steps"]) == ["hello", "nudge"]


def test_a_typo_in_a_sequence_is_answered_with_the_one_that_was_meant(welcome):
    for args in (
        ("sequences", "export", "welcom"), ("enroll", "welcom", "--id", "1"), ("stop", "--sequence", "welcom"),
        ("send-test", "welcom.hello", "--to", "a@example.org"), ("pause", "--sequence", "welcom", "--subscriber", "1"),
    ):  # fmt: skip
        error = welcome(*args, "--json").error
        assert (error["code"], error["cure"]) == ("not_found", "Did you mean welcome?"), args


def test_a_message_can_be_looked_at_before_anybody_gets_it(welcome):
    said = welcome("preview", "welcome.hello", "--data", '{"first_name": "Ann", "email": "ann@example.org"}')
    assert "Hello Ann, welcome." in said.out
    message = welcome("preview", "hello", "--sequence", "welcome", "--data", "email=a@b.example", "--json").json[
        "message"
    ]
    assert message["to"][0]["email"] == "a@b.example"
    assert welcome("preview", "hello").status == 2
    assert welcome("preview", "welcome.helo", "--json").error["cure"] == "Did you mean hello?"


def test_a_test_message_goes_to_my_own_address_and_to_nobody_else(welcome, tmp_path):
    assert welcome("send-test", "welcome.hello", "--to", "me@example.org", "--dry-run").status == 0
    assert not (tmp_path / "mailbox").exists()
    said = welcome("send-test", "welcome.hello", "--to", "me@example.org", "--data", "first_name=Me", "--json")
    assert said.json["outcome"] == "accepted"
    assert len(list((tmp_path / "mailbox").glob("*.eml"))) == 1
    assert welcome("executions", "--json").json == {"executions": []}


def test_a_test_message_that_is_not_accepted_says_so(typed, tmp_path):
    (tmp_path / "w.yaml").write_text(WELCOME)
    typed("apply", "w.yaml")
    assert typed("send-test", "welcome.hello", "--to", "me@example.org", "--json").error["code"] == "no_adapter"
    typed(
        "adapters", "create", "smtp", "--channel", "email", "--provider", "smtp", "--default",
        "--config", "from=a@example.org", piped="relay=localhost\nport=1\nstarttls=false\n",
    )  # fmt: skip
    error = typed("send-test", "welcome.hello", "--to", "me@example.org", "--json").error
    assert error["code"] == "test_not_sent"


def test_a_sequence_without_an_active_version_cannot_be_tested_or_entered(typed, database_url, tmp_path):
    from dripdrop.app import DripDrop

    with DripDrop(database_url) as drip:
        drip.sequences.create("empty", name="Empty")
    assert typed("send-test", "empty.hello", "--to", "a@example.org", "--json").error["code"] == "no_active_version"
    (tmp_path / "p.csv").write_text("id\n1\n")
    assert typed("enroll", "empty", "--csv", "p.csv", "--json").error["code"] == "no_active_version"
    assert "no active version" in typed("sequences", "export", "empty").out


def test_a_channel_that_the_app_brings_may_be_used(typed, tmp_path):
    (tmp_path / "faxapp.py").write_text(
        "import os\n"
        "from dripdrop import DripDrop\n"
        "class Fax:\n"
        "    name, channel = 'machine', 'fax'\n"
        "    def deliver(self, delivery, config): ...\n"
        "    def validate_credentials(self, credentials): return []\n"
        "drip = DripDrop(os.environ['DRIPDROP_DATABASE_URL'], plugins=[Fax()])\n"
    )
    (tmp_path / "f.yaml").write_text("sequence: faxes\nsteps:\n  one: {channel: fax, text: Hi}\n")
    assert typed("validate", "f.yaml").status == 1
    assert typed("validate", "f.yaml", "--app", "faxapp:drip").status == 0
    assert typed("apply", "f.yaml", "--app", "faxapp:drip").status == 0


def test_a_tenants_authors_may_not_write_past_the_escaping(bare, tmp_path):
    page = 'sequence: w\nsteps:\n  a:\n    channel: email\n    subject: Hi\n    html: "<p>{{ bio | raw }}</p>"\n'
    (tmp_path / "w.yaml").write_text(page)
    assert bare("validate", "w.yaml").status == 0
    said = bare("--tenant", "acme", "validate", "w.yaml", "--json")
    assert [each["code"] for each in said.json["findings"]] == ["template"]


def test_applying_says_step_by_step_what_differs(typed, tmp_path):
    (tmp_path / "w.yaml").write_text(WELCOME)
    assert "sequence added" in typed("apply", "w.yaml").out
    changed = WELCOME.replace("Still there?", "Are you there?") + "  last: {channel: sms, body: Bye}\n"
    (tmp_path / "w.yaml").write_text(changed)
    dry = typed("apply", "w.yaml", "--dry-run", "--json").json["applied"][0]["differences"]
    assert dry == ["step nudge: subject changed", "step last: added"]
    said = typed("apply", "w.yaml").out
    assert "step nudge: subject changed" in said
    assert "step last: added" in said
    assert "nothing changed" in typed("apply", "w.yaml").out


def test_versions_are_listed_cloned_activated_and_archived(welcome):
    assert [each["state"] for each in welcome("sequences", "versions", "welcome", "--json").json["versions"]] == [
        "active"
    ]
    assert welcome("sequences", "clone", "welcome", "--json").json["version"]["number"] == 2
    assert "is in force" in welcome("sequences", "activate", "welcome", "2").out
    states = [each["state"] for each in welcome("sequences", "versions", "welcome", "--json").json["versions"]]
    assert states == ["archived", "active"]
    assert welcome("sequences", "archive", "welcome").status == 0
    assert welcome("sequences", "archive", "welcome", "--json").error["code"] == "not_found"
    assert (
        welcome("sequences", "activate", "welcome", "9", "--json").error["cure"]
        == "There are: 1 (archived), 2 (archived)."
    )
    assert "hello" in welcome("sequences", "show", "welcome", "1").out
    assert welcome("sequences", "export", "welcome", "1", "--json").json["definition"]["steps"]["hello"]


def test_a_sequence_is_deleted_while_nobody_was_in_it(typed, tmp_path):
    (tmp_path / "w.yaml").write_text(WELCOME)
    typed("apply", "w.yaml")
    assert typed("sequences", "delete", "welcome", "--dry-run").status == 0
    assert typed("sequences", "delete", "welcome").out == "✓ welcome is deleted.\n"
    assert typed("sequences", "--json").json == {"sequences": []}


def test_a_sequence_that_somebody_is_in_stays(welcome, ann):
    error = welcome("sequences", "delete", "welcome", "--json").error
    assert error["code"] == "sequence_in_use"
    assert "active=False" in error["cure"]


TEN_MISTAKES = """\
sequence: trial
clas: marketing
timezone: Mars/Base
steps:
  welcome:
    channel: emial
    subject: 2030
    text: "Hello {{ first_name | upcaes }}"
    next: nugde
  nudge:
    channel: email
    timing: soon
    retries: -1
    from: "Team team@example.org>"
    when: { field: plan, is: "=>", value: pro }
    text: "Hi {{ name"
  nudge:
    channel: sms
  last:
    channel: sms
    on_failure: explode
    window: [8, 99]
    position: 2
"""


def test_ten_mistakes_are_ten_findings_with_places_and_no_traceback(bare, tmp_path):
    (tmp_path / "ten.yaml").write_text(TEN_MISTAKES)
    said = bare("validate", "ten.yaml", "--json")
    assert said.status == 1
    found = said.json["findings"]
    assert all(each["line"] and each["column"] and each["cure"] for each in found)
    assert [each["line"] for each in found] == sorted(each["line"] for each in found)
    assert {each["code"] for each in found} >= {
        "unknown_key", "zone", "unknown_channel", "wrong_type", "template", "unknown_goto", "timing_phrase", "retries",
        "address", "operator", "duplicate_key", "missing_body", "unknown_word", "window", "duplicate_position",
        "missing_subject",
    }  # fmt: skip
    text = bare("validate", "ten.yaml")
    assert text.status == 1
    assert "Traceback" not in text.out + text.err
    assert "ten.yaml:9:5  There is no step 'nugde'." in text.out
    assert "    9 │     next: nugde\n      │     ^" in text.out
    assert "Did you mean 'nudge'?" in text.out


def test_findings_of_toml_and_json_have_places_too(bare, tmp_path):
    (tmp_path / "t.toml").write_text('sequence = "t"\n[steps.a]\nchannel = "emial"\ntext = "x"\n')
    (tmp_path / "j.json").write_text('{"sequence": "j",\n "steps": {"a": {"channel": "emial", "text": "x"}}}')
    found = bare("validate", "t.toml", "j.json", "--json").json["findings"]
    assert [(each["code"], each["line"]) for each in found] == [("unknown_channel", 3), ("unknown_channel", 2)]


def test_people_inside_stay_or_move_by_choice(welcome, ann, tmp_path):
    changed = WELCOME.replace("Still there?", "Are you there?")
    (tmp_path / "w.yaml").write_text(changed)
    assert welcome("apply", "w.yaml", "--json").json["applied"][0]["people"] is None
    dry = welcome("apply", "w.yaml", "--inside", "move", "--dry-run", "--json").json["applied"][0]
    assert dry["people"] == {"in other versions": 1}
    moved = welcome("apply", "w.yaml", "--inside", "move", "--json").json["applied"][0]
    assert (moved["version"], moved["people"]["moved"]) == (2, 1)
    assert welcome("apply", "w.yaml", "--inside", "move", "--json").json["applied"][0]["people"]["moved"] == 0


def test_whose_step_is_gone_is_left_and_told_of(welcome, ann, tmp_path):
    (tmp_path / "w.yaml").write_text("sequence: welcome\nsteps:\n  other: {channel: sms, body: Hi}\n")
    said = welcome("apply", "w.yaml", "--inside", "move")
    assert "1 left: their step is gone" in said.out


def test_the_function_of_a_template_is_looked_for_where_the_app_is(typed, tmp_path):
    (tmp_path / "mailapp.py").write_text(
        "import os\nfrom dripdrop import DripDrop\ndef hello(data, hooks, config): return {}\n"
        "drip = DripDrop(os.environ['DRIPDROP_DATABASE_URL'])\n"
    )
    (tmp_path / "m.yaml").write_text("sequence: m\nsteps:\n  a: {channel: email, template: 'mailapp:helo'}\n")
    assert typed("validate", "m.yaml").status == 0
    found = typed("validate", "m.yaml", "--app", "mailapp:drip", "--json").json["findings"]
    assert [(each["code"], each["line"]) for each in found] == [("template_module", 3)]
    (tmp_path / "m.yaml").write_text("sequence: m\nsteps:\n  a: {channel: email, template: 'mailapp:hello'}\n")
    assert typed("validate", "m.yaml", "--app", "mailapp:drip").status == 0


def test_a_sequence_is_shown_with_its_times_and_ways(typed, tmp_path):
    (tmp_path / "ways.yaml").write_text("""
sequence: ways
steps:
  a:
    channel: email
    subject: A
    text: A
    next: [{ when: "n > 1", goto: c }, { when: "n > 2", goto: c }, { goto: b }]
  b:
    channel: email
    timing: { event: booked, match: { kind: live }, timeout: in 7 days, timeout_goto: d }
    subject: B
    text: B
    next: end
  c: { channel: email, timing: every monday at 9am, repeat: 4, subject: C, text: C }
  d: { channel: email, subject: D, text: D }
""")
    assert typed("apply", "ways.yaml").status == 0
    table = typed("sequences", "show", "ways").out.splitlines()[-4:]
    said = [[cell.strip() for cell in line.split("   ") if cell.strip()] for line in table]
    assert [(cells[2], cells[4]) for cells in said] == [
        ("immediate", "c, b"),
        ("when booked (kind=live) happens, or in 7 days", "end, d"),
        ("every monday at 9am, 4 times", "d"),
        ("immediate", "end"),
    ]
