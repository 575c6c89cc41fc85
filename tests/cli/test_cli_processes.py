"""Do the commands that keep running begin, answer, and stop cleanly?"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import contextmanager

import psycopg
import pytest
from terminal import KEY, WELCOME

PATIENCE = 40.0
WITH_HTML = WELCOME.replace("    text: ", "    html: <b>Hello</b>\n    text: ")
ANN = '{"email": "ann@example.org", "first_name": "Ann"}'


@contextmanager
def running(*args, env=None, folder=None):
    """A command in a process of its own; killed if it is still there at the end."""
    process = subprocess.Popen(
        [sys.executable, "-c", "import sys; from dripdrop.cli import main; sys.exit(main())", *map(str, args)],
        env={**os.environ, **(env or {})},
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def until(question, what):
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if answer := question():
            return answer
        time.sleep(0.05)
    raise AssertionError(f"{what} did not happen within {PATIENCE:.0f} seconds")


def ended(process):
    """(exit status, standard error) once it has ended by itself."""
    _, err = process.communicate(timeout=PATIENCE)
    assert "Traceback" not in err
    return process.returncode, err


def page(url):
    try:
        with urllib.request.urlopen(url, timeout=5) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as refused:
        return refused.code, refused.read().decode()
    except OSError:
        return None


def alive(database_url):
    with psycopg.connect(database_url) as connection:
        return connection.execute("select count(*) from dripdrop.workers").fetchone()[0]


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_a_worker_works_and_says_farewell_when_it_is_told_to_stop(welcome, ann, database_url, how):
    env = {"DRIPDROP_DATABASE_URL": database_url, "DRIPDROP_ENCRYPTION_KEY": KEY}
    with running("worker", env=env) as worker:
        until(lambda: welcome("status", "--json").json["sent_last_day"], "the first message")
        worker.send_signal(how)
        status, err = ended(worker)
    assert (status, "Stopped" in err) == (0, True)
    assert alive(database_url) == 0


def test_pages_are_served_for_those_who_open_a_link(database_url):
    env = {"DRIPDROP_DATABASE_URL": database_url, "DRIPDROP_ENCRYPTION_KEY": KEY}
    with running("serve", "--port", free_port(), env=env) as server:
        address = f"http://127.0.0.1:{server.args[-1]}"
        assert until(lambda: page(f"{address}/healthz"), "an answer")[0] == 200
        assert page(f"{address}/readyz")[0] == 200
        assert page(f"{address}/u/nonsense")[0] == 400
        server.send_signal(signal.SIGINT)
        assert ended(server)[0] in (0, 130)


def test_dev_has_a_worker_and_a_mailbox_and_leaves_the_configured_database_alone(tmp_path, postgres):
    (tmp_path / "welcome.yaml").write_text(WITH_HTML)
    with postgres.database() as name:
        env = {"DRIPDROP_DATABASE_URL": "postgresql://nobody@localhost:1/real_people"}
        url = postgres.url_of(name)
        with running("dev", "--port", 0, "--json", "--database", url, env=env, folder=tmp_path) as dev:
            about = json.loads("".join(iter(lambda: dev.stdout.readline(), "}\n")) + "}")
            assert about["database"] == url
            assert "email" in about["adapters"]
            assert (tmp_path / ".dripdrop" / "encryption.key").exists()
            typed_in(tmp_path, url, "apply", "welcome.yaml")
            typed_in(tmp_path, url, "enroll", "welcome", "--id", "1", "--data", ANN)
            listed = about["mailbox"] + "messages"
            messages = until(lambda: json.loads(page(listed)[1])["messages"], "the first message")
            look_at(about["mailbox"], messages[0]["id"])
            dev.send_signal(signal.SIGINT)
            status, err = ended(dev)
        assert status == 0, err
        assert alive(url) == 0


def typed_in(folder, url, *args):
    with running(*args, "--database", url, folder=folder) as command:
        assert ended(command)[0] == 0


def look_at(address, identifier):
    inbox, shown = page(address)[1], page(f"{address}messages/{identifier}")[1]
    assert "Hello Ann" in inbox
    assert "ann@example.org" in inbox
    assert "Hello Ann, welcome." in shown
    assert "<iframe" in shown
    assert page(f"{address}messages/{identifier}/html") == (200, "<b>Hello</b>")
    assert "Subject: Hello Ann" in page(f"{address}messages/{identifier}/eml")[1]
    assert page(f"{address}messages/nothing")[0] == 404
    assert page(f"{address}messages/nothing/html")[0] == 404
    assert page(f"{address}messages/nothing/eml")[0] == 404
    assert page(f"{address}u/nonsense")[0] == 400
    strange = urllib.request.Request(address, headers={"Host": "evil.example"})
    with pytest.raises(urllib.error.HTTPError):
        urllib.request.urlopen(strange, timeout=5)


def test_a_port_that_is_taken_is_said_before_anything_else(bare, tmp_path):
    import socket

    with socket.create_server(("127.0.0.1", 0)) as taken:
        said = bare("dev", "--port", taken.getsockname()[1], "--json")
    assert said.error["code"] == "port_taken"
    assert not (tmp_path / ".dripdrop").exists()


def test_without_any_database_one_is_made_here_and_kept(bare, tmp_path):
    (tmp_path / "welcome.yaml").write_text(WELCOME)
    said = bare("apply", "welcome.yaml")
    assert said.status == 0, said.err
    assert "making one in .dripdrop/" in said.err
    again = bare("sequences")
    assert "welcome" in again.out
    assert again.err == ""
    made = bare("adapters", "create", "main", "--channel", "email", "--provider", "smtp", piped="relay=localhost")
    assert made.status == 0, made.err
    assert "default_timezone" in bare("doctor").out


def test_demo_plays_the_demo(bare, monkeypatch):
    import dripdrop.demo

    asked = {}

    def run(**given):
        asked.update(given)
        return 1

    monkeypatch.setattr(dripdrop.demo, "run", run)
    assert bare("demo", "--json").status == 1
    assert asked == {"as_json": True, "keep": False, "database": None}


def free_port():
    import socket

    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]
