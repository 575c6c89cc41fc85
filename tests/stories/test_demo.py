"""Does the demo come out as its file says, tell when it does not, and leave nothing behind?"""

from __future__ import annotations

import json
import os
import re
import signal
import smtplib
import subprocess
import sys
import time
from collections import Counter
from email.message import EmailMessage

import psutil
import pytest

from dripdrop.demo import people, tally
from dripdrop.demo.mailroom import open_mailroom
from dripdrop.demo.people import Expected, Row
from dripdrop.demo.processes import stop
from dripdrop.demo.stage import build, definitions
from dripdrop.demo.week import HAPPENINGS
from dripdrop.errors import Refused
from dripdrop.rules.validation import findings

FIGURES = [
    "people", "rejected_rows", "expected", "sent", "received_by_smtp", "refused", "skipped", "duplicates", "lost",
    "unknown_after_kill", "unknown", "by_step", "seconds",
]  # fmt: skip
PATIENCE = 150.0
BAD = {"missing_address": 5, "broken_address": 6, "duplicate_row": 5}


def start_demo(folder):
    command = [sys.executable, "-c", "import sys; from dripdrop.demo import run; sys.exit(run(as_json=True))"]
    environment = {**os.environ, "TMPDIR": str(folder), "DRIPDROP_SCHEMA": "somebody_elses", "COLUMNS": "120"}
    return subprocess.Popen(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def below(process):
    """What a process has started, and what that has; PostgreSQL's supervisor leaves the family, so by folder too."""
    return {each.pid for each in psutil.Process(process.pid).children(recursive=True)}


def in_folder(folder):
    found = []
    for each in psutil.process_iter(["pid", "cmdline"]):
        if each.pid != os.getpid() and any(str(folder) in word for word in each.info["cmdline"] or ()):
            found.append(each.pid)
    return found


def gone(pids, folder, seconds=PATIENCE):
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        left = [pid for pid in pids if psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE]
        if not left and not in_folder(folder):
            return True
        time.sleep(0.1)
    return False


def until_the_kill(process):
    for line in process.stderr:
        if "is killed (SIGKILL)" in line:
            return
    pytest.fail("the demo ended before it killed a worker")


@pytest.mark.slow
def test_five_hundred_people_live_through_a_week_and_the_count_comes_out(tmp_path):
    demo = start_demo(tmp_path)
    told, progress = demo.communicate(timeout=PATIENCE)
    assert demo.returncode == 0, progress[-3000:]
    figures = json.loads(told.splitlines()[-1])
    wanted = tally.expected_deeds(people.read())
    messages = Counter(step for _, step, kind in wanted if kind == "message")
    assert list(figures) == FIGURES
    assert (figures["people"], figures["rejected_rows"]) == (500, 16)
    assert figures["expected"] == len(wanted)
    assert figures["received_by_smtp"] == figures["sent"] == messages.total()
    assert figures["by_step"] == dict(messages)
    assert (figures["refused"], figures["skipped"]) == (18, len(wanted) - messages.total() - 18)
    assert (figures["duplicates"], figures["lost"], figures["unknown"]) == (0, 0, 0)
    on_the_wire = int(re.search(r"(\d+) of them on the wire", progress)[1])
    assert 1 <= figures["unknown_after_kill"] <= on_the_wire
    assert "stalled (451)" in progress
    assert "because it was outside the hours" in " ".join(progress.split())
    assert list(tmp_path.iterdir()) == [], "the throw-away folder is still there"


@pytest.mark.slow
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGKILL"])
def test_nothing_is_left_running_when_it_is_stopped_in_the_middle(tmp_path, name):
    demo = start_demo(tmp_path)
    try:
        until_the_kill(demo)
        started = below(demo)
        assert len(started) >= 3, "two workers and the SMTP server are at work"
        demo.send_signal(getattr(signal, name))
        said = demo.communicate(timeout=PATIENCE)[1]
    finally:
        demo.kill()
    assert gone(started, tmp_path)
    if name != "SIGKILL":
        assert demo.returncode == 130
        assert "Every process of the demo has ended" in said
        assert list(tmp_path.iterdir()) == []


def test_the_file_holds_five_hundred_rows_with_bad_ones_among_them():
    rows = people.read()
    wrong = Counter(each.what for row in rows for each in row.expect if each.kind == "rejected")
    assert len(rows) == 500
    assert wrong == BAD
    assert {row.data["timezone"] for row in rows} >= {"Mars/Olympus_Mons", "Asia/Tokyo"}
    assert all(row.expect for row in rows), "each row says what must come of it"


def test_the_address_of_a_row_is_looked_at_before_anybody_is_enrolled():
    told = Counter(row.trouble for row in people.read() if row.trouble)
    assert told == {reason: number for reason, number in BAD.items() if reason != "duplicate_row"}


def test_what_the_file_expects_names_steps_and_happenings_that_there_are():
    rows = people.read()
    steps = {step.key for document in definitions() for step in document.steps}
    assert {each.what for row in rows for each in row.expect if each.kind != "rejected"} == steps
    assert {row.happens for row in rows} - {""} == {each.happens for each in HAPPENINGS}


def test_the_sequences_have_no_findings():
    assert [finding for document in definitions() for finding in findings(document)] == []


def row(number, id, *expect):
    data = {"first_name": "Ann", "email": "ann@example.org", "timezone": "Etc/UTC"}
    return Row(number, id, data, "", tuple(Expected(*each) for each in expect))


ROWS = [
    row(2, "1", ("message", "welcome"), ("skip", "invite", "condition")),
    row(3, "2", ("refused", "welcome")),
    row(4, "3", ("rejected", "missing_address")),
]
VISITS = [
    {"subscriber_id": "1", "step": "welcome", "visit": 1, "state": "sent", "reason": None},
    {"subscriber_id": "1", "step": "invite", "visit": 2, "state": "skipped", "reason": "condition"},
    {"subscriber_id": "2", "step": "welcome", "visit": 1, "state": "failed", "reason": "bounced"},
]


def count(*, rejected=None, accepted=None, visits=VISITS, killed_with=1, unknown_after_kill=1):
    return tally.count(
        ROWS,
        {4: "missing_address"} if rejected is None else rejected,
        {"1/welcome/1": 1} if accepted is None else accepted,
        visits,
        killed_with=killed_with,
        unknown_after_kill=unknown_after_kill,
    )


def test_a_good_week_has_nothing_wrong_with_it():
    good = count()
    assert good.wrong == []
    assert (good.expected, good.received_by_smtp, good.refused, good.skipped, good.lost) == (3, 1, 1, 1, 0)
    assert good.lost == good.expected - good.received_by_smtp - good.refused - good.skipped


@pytest.mark.parametrize(
    ("changes", "figures", "said"),
    [
        ({"accepted": {}}, {"lost": 1}, "Person 1 should have had a message at welcome"),
        ({"accepted": {"1/welcome/1": 2}}, {"duplicates": 1}, "arrived twice"),
        ({"accepted": {"1/welcome/1": 1, "1/nudge/3": 1}}, {"lost": 0}, "Person 1 had a message at nudge"),
        ({"visits": VISITS[:2]}, {"lost": 1, "refused": 0}, "should have had a refusal at welcome"),
        ({"visits": [VISITS[0], VISITS[2]]}, {"lost": 1, "skipped": 0}, "should have had a skip (condition) at invite"),
        ({"visits": [{**VISITS[0], "state": "unknown"}, *VISITS[1:]]}, {"unknown": 1}, "still in doubt"),
        ({"visits": [*VISITS, {**VISITS[0], "state": "scheduled"}]}, {"lost": 0}, "1 visits are still scheduled"),
        ({"rejected": {}}, {"rejected_rows": 0}, "Row 4 was taken"),
        ({"rejected": {4: "broken_address"}}, {"rejected_rows": 1}, "should have been missing_address"),
        ({"unknown_after_kill": 2}, {"unknown_after_kill": 2}, "2 doubts came of 1 open attempts"),
    ],
)
def test_whatever_is_not_as_the_file_says_is_named(changes, figures, said):
    bad = count(**changes)
    assert {name: getattr(bad, name) for name in figures} == figures
    assert any(said in sentence for sentence in bad.wrong), bad.wrong


@pytest.fixture
def mailroom(tmp_path):
    found = open_mailroom(tmp_path)
    yield found
    stop([found.process])


def letter(to, token="7/welcome/1"):
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = "hello@demo.example", to, "Grüße"
    message["X-DripDrop-Token"] = token
    message["List-Unsubscribe"] = "<https://mail.demo.example/u/abc.def>"
    message.set_content("Hello")
    return message


def send(mailroom, message):
    """The code of the server's last word."""
    with smtplib.SMTP("127.0.0.1", mailroom.port, timeout=10) as connection:
        try:
            connection.send_message(message)
        except smtplib.SMTPRecipientsRefused as refused:
            return next(iter(refused.recipients.values()))[0]
        except smtplib.SMTPDataError as refused:
            return refused.smtp_code
    return 250


def test_the_server_takes_a_message_and_notes_token_and_link(mailroom):
    assert send(mailroom, letter("ann@example.org")) == 250
    mailroom.look()
    assert mailroom.accepted == {"7/welcome/1": 1}
    assert mailroom.links == {"7": "https://mail.demo.example/u/abc.def"}


def test_the_server_counts_a_message_that_comes_twice(mailroom):
    assert [send(mailroom, letter("ann@example.org")) for _ in range(2)] == [250, 250]
    mailroom.look()
    assert mailroom.accepted == {"7/welcome/1": 2}
    assert mailroom.by_step == {"welcome": 1}


def test_the_server_refuses_a_mailbox_that_does_not_exist(mailroom):
    assert send(mailroom, letter("ann@nobody.example")) == 550
    mailroom.look()
    assert (mailroom.refused, mailroom.accepted) == ({"ann@nobody.example"}, {})


def test_the_server_stalls_each_message_once(mailroom):
    codes = [send(mailroom, letter("ann@busy.example", token)) for token in ("7/a/1", "7/a/1", "7/b/2", "7/b/2")]
    assert codes == [451, 250, 451, 250]
    mailroom.look()
    assert mailroom.accepted == {"7/a/1": 1, "7/b/2": 1}


def test_a_message_stands_in_the_log_before_a_slow_answer_is_given(mailroom):
    connection = smtplib.SMTP("127.0.0.1", mailroom.port, timeout=10)
    connection.ehlo()
    connection.mail("hello@demo.example")
    connection.rcpt("ann@slow.example")
    connection.putcmd("data")
    assert connection.getreply()[0] == 354
    connection.send(letter("ann@slow.example").as_bytes().replace(b"\n", b"\r\n") + b"\r\n.\r\n")
    connection.close()
    mailroom.come_to_rest()
    assert mailroom.accepted == {"7/welcome/1": 1}


def test_a_message_that_waited_for_the_server_when_its_sender_died_never_arrives(mailroom):
    connection = smtplib.SMTP("127.0.0.1", mailroom.port, timeout=10)
    connection.ehlo()
    connection.mail("hello@demo.example")
    connection.putcmd("rcpt TO:<ann@sleepy.example>")
    connection.close()
    mailroom.come_to_rest()
    assert mailroom.accepted == {}


def test_a_database_in_use_is_left_alone(database_url, tmp_path):
    with pytest.raises(Refused) as refused:
        build(tmp_path, keep=False, database=database_url)
    assert refused.value.code == "database_in_use"


def test_the_settings_of_whoever_plays_it_do_not_count(empty_database_url, tmp_path, monkeypatch):
    monkeypatch.setenv("DRIPDROP_ONLY_TO", "nobody@example.org")
    monkeypatch.setenv("DRIPDROP_LEASE_SECONDS", "600")
    with build(tmp_path, keep=False, database=empty_database_url) as stage:
        assert stage.settings.only_to is None
        assert (stage.settings.lease_seconds, stage.settings.adapter_timeout_seconds) == (4, 2)
        assert stage.settings.heartbeat_seconds == 0.5
        assert [each.name for each in stage.drip.adapters.list()] == ["demo smtp"]
