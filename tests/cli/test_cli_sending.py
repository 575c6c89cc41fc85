"""Can an operator manage adapters, suppressions and the stop switch?"""

from __future__ import annotations


def test_credentials_come_from_standard_input_and_are_never_shown(typed):
    create = (
        "adapters",
        "create",
        "main",
        "--channel",
        "email",
        "--provider",
        "smtp",
        "--config",
        "from=a@example.org",
    )
    for secrets in (
        '{"relay": "localhost", "username": "u", "password": "hunter2"}',
        "relay=localhost\nusername=u\npassword=hunter2",
    ):
        assert typed(*create, "--dry-run", piped=secrets).status == 0
    made = typed(*create, "--default", "--json", piped="# a comment\n\nrelay = localhost\n")
    assert made.status == 0
    assert "credentials" not in made.out
    assert made.json["adapter"]["is_default"] is True
    listed = typed("adapters", "--json")
    assert "localhost" not in listed.out
    assert [each["name"] for each in listed.json["adapters"]] == ["main"]
    assert "main" in typed("adapters", "list", "--channel", "email").out
    assert typed(*create, "--json", piped="relay=localhost").error["code"] == "name_taken"


def test_what_is_wrong_with_credentials_is_said_without_repeating_them(typed):
    create = ("adapters", "create", "main", "--channel", "email", "--provider", "smtp")
    error = typed(*create, "--json", piped="").error
    assert error["findings"][0]["path"] == "credentials.relay"
    assert "relay is required." in error["message"]
    said = typed(*create, piped="relay=localhost\nhunter2\n")
    assert said.status == 2
    assert "line 2" in said.err
    assert "hunter2" not in said.err
    assert typed(*create, piped='{"relay": "hunter2"').status == 2


def test_an_unknown_provider_is_answered_with_the_known_ones(typed):
    error = typed("adapters", "create", "x", "--channel", "email", "--provider", "smpt", "--json").error
    assert error["code"] == "unknown_provider"
    assert "Did you mean smtp?" in error["cure"]


def test_an_adapter_is_changed_in_what_is_named(welcome):
    done = welcome("adapters", "update", "mail", "--daily-cap", "100", "--config", "from=b@example.org", "--json").json
    assert done["adapter"]["daily_cap"] == 100
    assert set(done["adapter"]["config"]) == {"from", "folder"}
    assert done["adapter"]["is_default"] is True
    assert welcome("adapters", "update", "mail").status == 2
    assert welcome("adapters", "update", "nope", "--inactive", "--json").error["code"] == "not_found"


def test_an_adapter_is_tested(welcome, tmp_path):
    assert "mail works" in welcome("adapters", "test", "mail").out
    (tmp_path / "taken").write_text("")
    welcome("adapters", "update", "mail", "--config", f"folder={tmp_path / 'taken' / 'x'}")
    error = welcome("adapters", "test", "mail", "--json").error
    assert error["code"] == "adapter_check"


def test_somebody_is_suppressed_looked_up_and_let_in_again(typed):
    assert typed("suppressions", "add", "email", "Ann@Example.org", "--dry-run").status == 0
    assert typed("suppressions", "--json").json == {"suppressions": []}
    made = typed("suppressions", "add", "email", "Ann@Example.org", "--until", "2099-01-01", "--json").json
    assert made["suppression"]["expires_at"].startswith("2099-01-01")
    assert typed("suppressions", "check", "email", "ann@example.org", "--json").json["suppressed"] is True
    assert "is not written to" in typed("suppressions", "check", "email", "ann@example.org").out
    assert "Ann@Example.org" in typed("suppressions", "list", "--channel", "email").out
    assert typed("suppressions", "lift", "email", "ann@example.org").status == 0
    assert typed("suppressions", "check", "email", "ann@example.org", "--json").json == {"suppressed": False}
    assert typed("suppressions", "lift", "email", "ann@example.org", "--json").error["code"] == "not_found"
    assert typed("suppressions", "add", "email", "nobody", "--json").error["code"] == "recipient_not_email"


def test_sending_is_stopped_and_goes_on(welcome, ann):
    assert welcome("stop", "--all", "--dry-run").status == 0
    assert welcome("status", "--json").json["stops"] == []
    for target in (
        ("--all",),
        ("--sequence", "welcome"),
        ("--adapter", "mail"),
        ("--tenant", "acme"),
        ("--all", "--tenant", "acme"),
    ):
        assert welcome("stop", *target, "--reason", "a mistake").status == 0
        assert len(welcome("status", "--json").json["stops"]) == 1, target
        assert "a mistake" in welcome("status").out
        assert welcome("go", *target).status == 0
        assert welcome("go", *target, "--json").error["code"] == "not_found"
    assert welcome("stop").status == 2
    assert welcome("stop", "--all", "--sequence", "welcome").status == 2


def test_what_is_stopped_is_not_sent(welcome, ann):
    welcome("stop", "--all")
    assert welcome("worker", "--once", "--json").json["run"]["sent"] == 0
    welcome("go", "--all")
    assert welcome("worker", "--once", "--json").json["run"]["sent"] in (0, 1)


def test_plugins_are_listed_without_a_database(bare, tmp_path):
    found = bare("plugins", "--json").json["plugins"]
    assert ("provider", "smtp", "email") in [(each["kind"], each["name"], each["channel"]) for each in found]
    assert "postgres" in bare("plugins", "--kind", "scheduler").out
    assert bare("plugins", "--kind", "nope", "--json").error["code"] == "unknown_kind"
    assert not (tmp_path / ".dripdrop").exists()
