"""What can be done with one person, and what is told of them?"""

from __future__ import annotations

import uuid

import pytest

NOBODY = uuid.UUID(int=7)


def test_an_enrollment_is_paused_resumed_and_ended(welcome, ann):
    assert welcome("pause", ann, "--reason", "holiday", "--json").json["enrollment"]["state"] == "paused"
    assert welcome("resume", "--subscriber", "user:ann").status == 0
    ended = welcome("unenroll", "--sequence", "welcome", "--subscriber", "ann", "--json").json
    assert ended["enrollment"]["state"] == "cancelled"
    again = welcome("unenroll", ann, "--json")
    assert (again.status, again.error["code"]) == (1, "illegal_move")


@pytest.mark.parametrize("command", ["pause", "unenroll"])
def test_a_dry_run_leaves_them_where_they_are(welcome, ann, command):
    said = welcome(command, ann, "--dry-run")
    assert "would be" in said.out
    assert welcome("enrollments", "get", ann, "--json").json["enrollment"]["state"] == "active"


def test_nobody_is_said_to_be_nobody(welcome):
    for args in (("pause", NOBODY), ("enrollments", "get", NOBODY), ("executions", "get", NOBODY), ("explain", NOBODY)):
        assert welcome(*args, "--json").error["code"] == "not_found"
    assert welcome("pause", "--subscriber", "user:nobody", "--json").error["code"] == "not_found"
    assert welcome("pause", "not-an-id").status == 2
    assert welcome("pause", NOBODY, "--subscriber", "user:1").status == 2


def test_whoever_is_in_two_sequences_must_be_named_with_one(welcome, ann, tmp_path):
    text = (tmp_path / "welcome.yaml").read_text().replace("sequence: welcome", "sequence: second")
    (tmp_path / "second.yaml").write_text(text)
    assert welcome("apply", "second.yaml").status == 0
    assert welcome("enroll", "second", "--id", "ann", "--data", "email=ann@example.org").status == 0
    said = welcome("pause", "--subscriber", "ann")
    assert said.status == 2
    assert "--sequence" in said.err
    assert welcome("pause", "--subscriber", "ann", "--sequence", "second").status == 0


def test_a_person_moves_to_another_step(welcome, ann):
    assert welcome("move", ann, "--step", "nudge", "--version", "1").status == 0
    assert "nudge" in welcome("explain", ann).out
    assert welcome("move", ann, "--step", "nowhere", "--json").error["code"] == "unknown_step"
    assert welcome("move", ann, "--version", "9", "--json").error["code"] == "not_found"


def test_an_event_is_recorded_and_ends_what_it_ends(welcome, ann):
    dry = welcome("track", "cancelled", "--subscriber", "user:ann", "--dry-run", "--json").json
    assert dry["tracked"]["ended"] == [ann]
    assert welcome("events", "--json").json == {"events": []}
    said = welcome("track", "cancelled", "--subscriber", "user:ann", "--data", "why=price")
    assert "it ended 1 enrollment" in said.out
    found = welcome("events", "--json").json["events"]
    assert [(each["event_key"], each["event_data"]) for each in found] == [("cancelled", {"why": "price"})]
    assert "cancelled" in welcome("events", "--subscriber", "user:ann").out
    assert welcome("track", "cancelled").status == 2


def test_data_are_changed_over_what_is_there_or_in_its_place(welcome, ann):
    over = welcome("enrollments", "update-data", ann, "--data", "plan=pro", "--json").json["enrollment"]["data"]
    assert over == {"email": "ann@example.org", "first_name": "Ann", "plan": "pro"}
    place = welcome("enrollments", "update-data", ann, "--data", "{}", "--replace", "--json").json["enrollment"]["data"]
    assert place == {}


def test_lists_show_people_and_messages(welcome, ann):
    assert "user:ann" in welcome("enrollments", "--state", "active").out
    assert "Nobody." in welcome("enrollments", "--state", "paused").out
    assert "hello" in welcome("executions", "list", "--sequence", "welcome").out
    assert "ann@example.org" in welcome("enrollments", "get", ann).out


def test_a_worker_sends_and_explain_tells_what_happened_and_what_is_next(welcome, ann):
    before = welcome("explain", ann).out
    assert "hello" in before
    run = welcome("worker", "--once", "--json").json["run"]
    assert (run["claimed"], run["sent"]) == (1, 1)
    assert "Nothing was due." in welcome("worker", "--once").out
    answer = welcome("explain", "--subscriber", "user:ann", "--sequence", "welcome", "--json")
    assert answer.status == 0, answer.out
    said = answer.json
    assert said["state"] == "active"
    assert "nudge" in said["sentence"]
    assert said["next_at"]
    assert [entry["event"] for entry in said["entries"]] == ["enrolled", "attempt", "sent"]
    assert "attempt 1 through mail" in welcome("explain", ann).out
    done = next(each for each in welcome("executions", "--json").json["executions"] if each["state"] == "sent")
    assert "hello" in welcome("explain", done["id"]).out
    shown = welcome("executions", "get", done["id"]).out
    assert "ann@example.org" in shown
    assert "mail" in shown
    assert welcome("explain").status == 2


def test_a_message_is_sent_once_more_on_request(welcome, ann, tmp_path):
    welcome("worker", "--once")
    done = next(each for each in welcome("executions", "--json").json["executions"] if each["state"] == "sent")
    assert welcome("executions", "replay", done["id"], "--dry-run").status == 0
    assert welcome("worker", "--once", "--json").json["run"]["sent"] == 0
    made = welcome("executions", "replay", done["id"], "--json").json["execution"]
    assert welcome("executions", "dispatch", made, "--dry-run").status == 0
    assert welcome("executions", "dispatch", made, "--json").json["run"]["sent"] == 1
    assert len(list((tmp_path / "mailbox").glob("*.eml"))) == 2
    assert welcome("executions", "resolve", done["id"], "--as", "sent", "--json").error["code"] == "illegal_move"
    assert welcome("executions", "resolve", done["id"], "--as", "maybe").status == 2


def test_a_doubt_is_settled(welcome, ann, database_url):
    import psycopg

    held = welcome("executions", "--json").json["executions"][0]["id"]
    with psycopg.connect(database_url) as connection:
        connection.execute("set session_replication_role = replica")
        connection.execute("update dripdrop.execution_queue set state = 'unknown', due_at = 'infinity'")
    assert "needs attention" in welcome("status").out
    assert "dropped" in welcome("executions", "resolve", held, "--as", "drop", "--dry-run").out
    assert welcome("executions", "resolve", held, "--as", "sent", "--json").json["state"] == "sent"
    assert "nudge" in welcome("explain", ann).out


def test_status_counts_people_queue_and_workers(welcome, ann):
    found = welcome("status", "--json").json
    assert found["sequences"][0]["enrollments"]["active"] == 1
    assert found["due_now"] == 1
    assert "dripdrop worker" in welcome("status").out


def test_a_tenant_sees_its_own_people_only(welcome, ann):
    assert welcome("enrollments", "--tenant", "acme", "--json").json == {"enrollments": []}
    assert welcome("enroll", "welcome", "--id", "bob", "--data", "email=b@example.org", "--tenant", "acme").status == 0
    found = welcome("--tenant", "acme", "enrollments", "--json").json["enrollments"]
    assert [each["subscriber_id"] for each in found] == ["bob"]
    assert welcome("enrollments", "--tenant", " ", "--json").error["code"] == "tenant_key"


def test_an_event_of_everybody_in_a_file_is_told_row_by_row(welcome, ann, tmp_path):
    (tmp_path / "left.csv").write_text("id,why\nann,price\n,nobody\nben,\n")
    dry = welcome("track", "cancelled", "--csv", "left.csv", "--dry-run")
    assert "cancelled of 2 rows would be recorded; it ended 1 enrollment; 1 rejected." in dry.out
    assert welcome("events", "--json").json["events"] == []
    told = welcome("track", "cancelled", "--csv", "left.csv", "--data", "from=billing", "--json").json
    assert (told["tracked"], told["ended"], [each["line"] for each in told["rows"]]) == (2, 1, [3])
    kept = {each["subscriber_id"]: each["event_data"] for each in welcome("events", "--json").json["events"]}
    assert kept["ann"] == {"from": "billing", "why": "price"}
    (tmp_path / "left.csv").write_text("id,why\n,nobody\n")
    assert welcome("track", "cancelled", "--csv", "left.csv").status == 1
    assert welcome("track", "cancelled", "--csv", "left.csv", "--subscriber", "user:ann").status == 2
