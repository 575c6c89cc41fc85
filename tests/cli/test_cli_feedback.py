"""What came back, on the command line: who must not be written to, and what providers posted."""

from __future__ import annotations

import csv
import io
from uuid import UUID

import pytest
from terminal import KEY

from dripdrop import DripDrop

ROWS = """\
recipient,reason,topic,expires_at,source
ann@example.org,complaint,,,Mailchimp
nobody,bounce,,,
Bob@Example.org,,news,2100-01-01,
eve@example.org,tired,,,
@example.com,bounce,,2000-01-01,
"""


@pytest.fixture
def drip(typed, database_url):
    with DripDrop(database_url, config={"encryption_key": KEY}) as drip:
        yield drip


def test_a_file_is_imported_row_by_row_and_what_is_wrong_is_named_by_its_line(typed, tmp_path):
    """A second time nothing changes."""
    path = tmp_path / "gone.csv"
    path.write_text("\ufeff" + ROWS)
    for _ in range(2):
        said = typed("suppressions", "import", path, "--channel", "email", "--json").json
        assert said["imported"] == 2
        assert [(each["path"], each["code"]) for each in said["refused"]] == [
            ("line 3", "recipient_not_email"), ("line 5", "reason"), ("line 6", "expires_at"),
        ]  # fmt: skip
    listed = typed("suppressions", "list", "--json").json["suppressions"]
    assert {(each["recipient_normalized"], each["reason"], each["topic"]) for each in listed} == {
        ("ann@example.org", "complaint", ""), ("bob@example.org", "manual", "news"),
    }  # fmt: skip
    assert "2 of 5 are suppressed" in typed("suppressions", "import", path, "--channel", "email").out


def test_a_dry_run_of_an_import_changes_nothing(typed, tmp_path):
    path = tmp_path / "gone.csv"
    path.write_text(ROWS)
    said = typed("suppressions", "import", path, "--channel", "email", "--dry-run")
    assert "2 of 5 would be suppressed" in said.out
    assert typed("suppressions", "list", "--json").json["suppressions"] == []


@pytest.mark.parametrize(("raw", "code"), [(b"", "empty_file"), (b"recipient\n\xff\xfe\n", "not_utf8")])
def test_a_file_that_is_none_says_so(typed, tmp_path, raw, code):
    path = tmp_path / "gone.csv"
    path.write_bytes(raw)
    said = typed("suppressions", "import", path, "--json")
    assert (said.status, said.error["code"]) != (0, None)
    assert said.error["code"] == code


def test_what_is_exported_is_imported_elsewhere_as_it_was(typed, tmp_path):
    path, copy = tmp_path / "gone.csv", tmp_path / "copy.csv"
    path.write_text(ROWS)
    typed("suppressions", "import", path, "--channel", "email")
    typed("suppressions", "add", "sms", "(202) 555-0123")
    assert typed("suppressions", "export", "--to", copy, "--json").json["exported"] == 3
    assert typed("--tenant", "acme", "suppressions", "import", copy, "--json").json == {
        "imported": 3, "refused": [], "dry_run": False,
    }  # fmt: skip
    assert typed("--tenant", "acme", "suppressions", "export").out.splitlines() == copy.read_text().splitlines()
    rows = list(csv.DictReader(io.StringIO(copy.read_text())))
    assert {row["recipient"]: row["expires_at"] for row in rows} == {
        "ann@example.org": "", "Bob@Example.org": "2100-01-01T00:00:00+00:00", "(202) 555-0123": "",
    }  # fmt: skip


def test_history_tells_how_a_suppression_came_and_went(typed):
    typed("suppressions", "add", "email", "Ann@example.org", "--reason", "bounce", "--topic", "news")
    typed("suppressions", "lift", "email", "ann@example.org", "--topic", "news")
    told = typed("suppressions", "history", "email", "ANN@example.org", "--json").json["history"]
    assert [(each["action"], each["reason"], each["topic"], each["source"]) for each in told] == [
        ("lifted", "bounce", "news", "command line"), ("added", "bounce", "news", "command line"),
    ]  # fmt: skip
    shown = typed("suppressions", "history", "email", "ann@example.org").out
    assert shown.index("lifted") < shown.index("added")
    assert "Nothing ever happened" in typed("suppressions", "history", "email", "bob@example.org").out


@pytest.fixture
def posted(typed, drip):
    """Two requests of Postmark's, one that is worth nothing and one that is no JSON; processed."""
    adapter = drip.adapters.create(
        "post", channel="email", provider="postmark", is_default=True,
        credentials={"api_key": "token", "webhook_basic_auth": "dripdrop:a-long-password"},
    )  # fmt: skip
    for body in (b'{"RecordType": "SubscriptionChange", "SuppressSending": false}', b"no JSON"):
        answer = drip.webhooks.receive(
            "postmark", adapter.id, method="POST", url="https://shop.example/",
            headers={"authorization": "Basic ZHJpcGRyb3A6YS1sb25nLXBhc3N3b3Jk"}, body=body,
        )  # fmt: skip
        assert answer.status == 200
    drip.run_due()
    return adapter


def test_requests_are_listed_by_what_became_of_them(typed, posted):
    every = typed("webhooks", "list", "--json").json["webhooks"]
    assert len(every) == 2
    (failed,) = typed("webhooks", "list", "--state", "failed", "--json").json["webhooks"]
    assert failed["provider"] == "postmark"
    assert failed["reason"]
    assert failed["reason"] in typed("webhooks", "list", "--state", "failed").out
    (older,) = typed("webhooks", "list", "--after", every[0]["id"], "--json").json["webhooks"]
    assert older["id"] == every[1]["id"]
    assert "Nothing has come in" in typed("webhooks", "list", "--state", "stored").out


def test_a_request_is_shown_as_it_came_without_its_secrets(typed, posted):
    (failed,) = typed("webhooks", "list", "--state", "failed", "--json").json["webhooks"]
    said = typed("webhooks", "show", failed["id"])
    assert "no JSON" in said.out
    assert "ZHJpcGRyb3A6" not in said.out
    assert typed("webhooks", "show", failed["id"], "--json").json["webhook"]["body"] == "no JSON"
    missing = typed("webhooks", "show", UUID(int=7), "--json")
    assert (missing.status != 0, missing.error["code"]) == (True, "not_found")


def test_a_replay_processes_a_request_once_more(typed, posted, drip):
    (failed,) = typed("webhooks", "list", "--state", "failed", "--json").json["webhooks"]
    assert "would be processed" in typed("webhooks", "replay", failed["id"], "--dry-run").out
    assert drip.webhooks.get(UUID(failed["id"])).state == "failed"
    assert "is processed once more" in typed("webhooks", "replay", failed["id"]).out
    assert drip.webhooks.get(UUID(failed["id"])).state == "stored"
    assert typed("webhooks", "replay", UUID(int=7)).status != 0


def test_routes_say_where_a_provider_is_to_post(typed, posted, monkeypatch):
    path = f"/hooks/postmark/{posted.id}"
    (route,) = typed("webhooks", "routes", "--base", "/hooks", "--json").json["routes"]
    assert (route["method"], route["path"], route["url"]) == ("POST", path, None)
    monkeypatch.setenv("DRIPDROP_PUBLIC_URL", "https://shop.example")
    assert f"https://shop.example{path}" in typed("webhooks", "routes", "--base", "/hooks").out.replace("\n", "")
