"""Where a setting comes from, what it may be, and what happens when it makes no sense."""

from __future__ import annotations

import base64
import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from dripdrop import config
from dripdrop.config import Config, dev_key, load
from dripdrop.errors import BadSettings
from effort import calls

KEY = base64.b64encode(b"k" * 32).decode()
OLD = base64.b64encode(b"o" * 32).decode()


@pytest.fixture
def ask(tmp_path: Path) -> Any:
    environ: dict[str, str] = {}

    def load_here(overrides: dict[str, Any] | None = None, **variables: str) -> Config:
        environ.clear()
        environ.update({f"DRIPDROP_{name}": value for name, value in variables.items()})
        return load(overrides, environ=environ, folder=tmp_path)

    return load_here


def codes(problem: pytest.ExceptionInfo[BadSettings]) -> list[str]:
    return [finding.code for finding in problem.value.findings]


def test_defaults_come_last(ask: Any) -> None:
    got = ask()
    assert got == Config()
    assert (got.schema, got.scheduler, got.default_timezone, got.sms_max_chars) == (
        "dripdrop",
        "postgres",
        "Etc/UTC",
        1600,
    )
    assert (got.lease_seconds, got.heartbeat_seconds, got.adapter_timeout_seconds) == (60, 5, 30)
    assert (got.webhook_max_body_bytes, got.webhook_replay_skew_seconds, got.keep_content) == (1048576, 300, 0)
    assert got.pgflow_jobs == ("dispatch_step", "cron_tick")
    assert not got.is_set("default_timezone")


def test_arguments_beat_variables_beat_files(ask: Any, tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(
        '[tool.dripdrop]\nscheduler = "oban"\nschema = "from_file"\nsms_max_chars = 100\n'
    )
    got = ask({"scheduler": "celery", "schema": None}, SCHEMA="from_env", SCHEDULER="pgflow")
    assert (got.scheduler, got.schema, got.sms_max_chars) == ("celery", "from_env", 100)
    assert got.sources == {
        "scheduler": "argument",
        "schema": "environment DRIPDROP_SCHEMA",
        "sms_max_chars": str(tmp_path / "pyproject.toml"),
    }


def test_the_file_is_the_nearest_one_with_our_table(ask: Any, tmp_path: Path) -> None:
    inner = tmp_path / "a" / "b"
    inner.mkdir(parents=True)
    (tmp_path / "dripdrop.toml").write_text("sms_max_chars = 7\n[pgflow]\njobs = ['cron_tick']\n")
    (inner / "pyproject.toml").write_text("[project]\nname = 'x'\n")
    got = load(environ={}, folder=inner)
    assert got.sms_max_chars == 7
    assert got.pgflow_jobs == ("cron_tick",)
    (inner / "pyproject.toml").write_text("[tool.dripdrop]\nsms_max_chars = 8\n")
    assert load(environ={}, folder=inner).sms_max_chars == 8


def test_every_setting_can_come_from_a_variable(ask: Any) -> None:
    got = ask(
        DATABASE_URL="postgresql://u:p@h/d", SCHEMA="drip2", ENCRYPTION_KEY=KEY, SECRET="s" * 16, APP="my.app:drip",
        SCHEDULER="my-own", PUBLIC_URL="https://x.example/drip/", CHANNELS="email, sms", QUIET_HOURS_DEFAULT="9-17",
        QUIET_HOURS_TIMEZONES='{"sms": "Europe/Berlin"}', DEFAULT_TIMEZONE="Europe/Berlin", SMS_MAX_CHARS="70",
        KEEP_CONTENT="3", LEASE_SECONDS="0.5", HEARTBEAT_SECONDS="0.1", ADAPTER_TIMEOUT_SECONDS="0.25",
        WEBHOOK_MAX_BODY_BYTES="10", WEBHOOK_REPLAY_SKEW_SECONDS="0", VIRTUAL_CLOCK="1",
        HTTP_ALLOW="localhost:8080,[::1]:99", ONLY_TO="Ann@Example.org, @staging.example", PGFLOW_JOBS="cron_tick",
        RATE_LIMITS='{"adapter": "60/min"}', DISPATCH_CONCURRENCY='{"channel": {"email": 3}}',
        BOUNCE_COMPLAINT_THRESHOLDS='{"enabled": false}', OUTBOUND_DEFAULTS='{"probe_daily_cap": 9}',
        SHORT_LINKS='{"enabled": true}', REDACTION_PATTERNS="a{1,3}\nb", UNSUBSCRIBE_MAILTO="u@x.example",
        ON_REPLY="my.app:reply", FEEDBACK_ENDS="complained, unsubscribed",
        KEEP_FEEDBACK_DAYS="7", PUBLIC_TEXTS='{"pt_BR": {"ask": "Cancelar?"}}',
    )  # fmt: skip
    assert set(got.sources) == set(config.NAMES)
    assert got.database == "postgresql://u:p@h/d"
    assert got.scheduler == "my_own"
    assert got.public_url == "https://x.example/drip"
    assert got.channels == ("email", "sms")
    assert got.lease_seconds == 0.5
    assert got.virtual_clock is True
    assert got.http_allow == ("localhost:8080", "[::1]:99")
    assert got.rate_limits == {"adapter": "60/min"}
    assert got.dispatch_concurrency == {"channel": {"email": 3}, "defer_seconds": 30}
    assert got.bounce_complaint_thresholds["enabled"] is False
    assert got.bounce_complaint_thresholds["pause_seconds"] == 86400
    assert got.short_links["enabled"] is True
    assert got.redaction_patterns == ("a{1,3}", "b")


def test_what_feedback_ends_is_named_or_off(ask: Any) -> None:
    assert ask().feedback_ends == ("bounced", "complained", "unsubscribed")
    assert ask(FEEDBACK_ENDS="complained").feedback_ends == ("complained",)
    assert ask(FEEDBACK_ENDS="off").feedback_ends == ()
    with pytest.raises(BadSettings) as problem:
        ask(FEEDBACK_ENDS="opened")
    assert codes(problem) == ["unknown_feedback"]


def test_an_empty_variable_is_unset(ask: Any) -> None:
    assert ask(SCHEMA="", ONLY_TO=" ") == Config()


def test_all_findings_come_at_once_and_say_where_from(ask: Any, tmp_path: Path) -> None:
    (tmp_path / "dripdrop.toml").write_text("sms_max_chars = 'many'\nshedule = 1\n")
    with pytest.raises(BadSettings) as problem:
        ask({"schema": "Drop Table"}, DEFAULT_TIMEZONE="Mars/Olympus", VIRTUAL_CLOCK="maybe")
    assert codes(problem) == ["invalid_schema", "unknown_timezone", "not_a_flag", "not_a_number", "unknown_setting"]
    paths = [finding.path for finding in problem.value.findings]
    assert paths[0] == "schema (argument)"
    assert "default_timezone (environment DRIPDROP_DEFAULT_TIMEZONE)" in paths
    assert f"sms_max_chars ({tmp_path / 'dripdrop.toml'})" in paths
    assert all(finding.cure for finding in problem.value.findings)
    assert "Did you mean scheduler?" in str(problem.value)


@pytest.mark.parametrize(
    ("name", "value", "code"),
    [
        ("lease_seconds", 0, "too_small"),
        ("lease_seconds", True, "not_a_number"),
        ("lease_seconds", "nan", "not_a_number"),
        ("keep_content", 1.5, "not_a_number"),
        ("keep_content", -1, "too_small"),
        ("sms_max_chars", 0, "too_small"),
        ("schema", "pg_drip", "invalid_schema"),
        ("schema", "a" * 64, "invalid_schema"),
        ("schema", 5, "not_text"),
        ("app", "no colon", "invalid_reference"),
        ("public_url", "example.org", "invalid_url"),
        ("public_url", "https://x/?a=1", "invalid_url"),
        ("public_url", "https://x:99999", "invalid_url"),
        ("channels", 5, "not_a_list"),
        ("channels", ["E mail"], "invalid_name"),
        ("http_allow", ["x"], "invalid_host_port"),
        ("http_allow", ["x:0"], "invalid_host_port"),
        ("http_allow", ["x:65536"], "invalid_host_port"),
        ("quiet_hours_default", [8], "invalid_quiet_hour"),
        ("quiet_hours_default", [8, 25], "invalid_quiet_hour"),
        ("quiet_hours_default", {"email": [24, 3]}, "invalid_quiet_hour"),
        ("rate_limits", [1], "not_a_table"),
        ("rate_limits", "{", "not_a_table"),
        ("redaction_patterns", ["("], "invalid_pattern"),
        ("secret", "short", "too_short"),
        ("unsubscribe_mailto", "nobody", "invalid_address"),
        ("on_reply", 5, "not_text"),
        ("keep_feedback_days", -1, "too_small"),
        ("public_texts", {"it": {"title": "x"}}, "unknown_text"),
        ("public_texts", {"italiano!": {}}, "unknown_language"),
        ("default_timezone", "../x", "unknown_timezone"),
    ],
)
def test_what_makes_no_sense_is_refused(ask: Any, name: str, value: Any, code: str) -> None:
    with pytest.raises(BadSettings) as problem:
        ask({name: value})
    assert codes(problem) == [code]


def test_a_setting_the_reference_had_says_what_became_of_it(ask: Any) -> None:
    with pytest.raises(BadSettings, match="http_allow"):
        ask({"http_hook_allow_private": True})


def test_a_broken_file_is_a_finding(ask: Any, tmp_path: Path) -> None:
    (tmp_path / "dripdrop.toml").write_text("= nonsense")
    with pytest.raises(BadSettings) as problem:
        ask()
    assert codes(problem) == ["unreadable_file"]


@pytest.mark.parametrize(
    ("given", "good"),
    [
        ({"lease_seconds": 10, "adapter_timeout_seconds": 9}, True),
        ({"lease_seconds": 10, "adapter_timeout_seconds": 10}, False),
        ({"lease_seconds": 30}, False),
        ({"lease_seconds": 60, "heartbeat_seconds": 60}, False),
        ({"dispatch_stale_after_seconds": 900, "adapter_timeout_seconds": 600}, True),
        ({"lease_seconds": 0.5, "heartbeat_seconds": 0.1, "adapter_timeout_seconds": 0.3}, True),
    ],
)
def test_timeout_and_heartbeat_must_be_below_the_lease(ask: Any, given: dict[str, Any], good: bool) -> None:
    if good:
        assert ask(given).lease_seconds in (10, 900, 0.5)
    else:
        with pytest.raises(BadSettings) as problem:
            ask(given)
        assert set(codes(problem)) == {"not_below_lease"}


def test_the_references_name_for_the_lease_is_understood_everywhere(ask: Any) -> None:
    assert ask(DISPATCH_STALE_AFTER_SECONDS="900").lease_seconds == 900
    assert ask({"lease_seconds": 90, "dispatch_stale_after_seconds": 900}).lease_seconds == 90


@pytest.mark.parametrize(
    ("recipient", "allowed"),
    [
        ("ann@example.org", True), (" Ann@Example.ORG ", True), ("bob@example.org", False),
        ("anyone@staging.example", True), ("anyone@sub.staging.example", False), ("x@xn--mnchen-3ya.de", True),
        ("+12025551234", True), ("+12025551235", False), ("staging.example", True), ("", False),
    ],
)  # fmt: skip
def test_only_to_lets_listed_recipients_and_domains_through(ask: Any, recipient: str, allowed: bool) -> None:
    got = ask({"only_to": ["ann@example.org", "@Staging.example", "münchen.de", "+1 (202) 555-1234"]})
    assert got.allows(recipient) is allowed


def test_without_only_to_everybody_is_allowed_and_an_empty_one_allows_nobody(ask: Any) -> None:
    assert ask().allows("ann@example.org")
    assert not ask({"only_to": []}).allows("ann@example.org")


@pytest.mark.parametrize(
    ("setting", "email", "webhook"),
    [
        (None, (8, 21), None),
        ([9, 17], (9, 17), None),
        ("9-17", (9, 17), None),
        ({"start": 22, "end": 6}, (22, 6), None),
        (False, None, None),
        ("off", None, None),
        ({"webhook": [6, 24]}, (8, 21), (6, 24)),
        ({"email": False}, None, None),
    ],
)
def test_the_hours_in_which_messages_may_go(ask: Any, setting: Any, email: Any, webhook: Any) -> None:
    got = ask({"quiet_hours_default": setting})
    assert got.quiet_hours("email") == email
    assert got.quiet_hours("webhook") == webhook


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (None, "missing"), (" ", "missing"), (",", "missing"), ("not base64!", "invalid_base64"),
        (base64.b64encode(b"x" * 31).decode(), "invalid_length"), (KEY + "," + KEY[:-4], "invalid_length"),
        (KEY.rstrip("="), "invalid_base64"),
    ],
)  # fmt: skip
def test_a_wrong_key_says_what_is_wrong_and_how_to_make_one(ask: Any, text: str | None, code: str) -> None:
    with pytest.raises(BadSettings) as problem:
        ask({"encryption_key": text}).encryption_keys()
    assert problem.value.code == code
    assert "b64encode" in problem.value.cure
    assert KEY not in str(problem.value)


def test_several_keys_come_newest_first(ask: Any) -> None:
    assert ask(ENCRYPTION_KEY=f"{KEY}, {OLD}").encryption_keys() == [b"k" * 32, b"o" * 32]


def test_links_are_signed_with_the_secret_or_with_what_the_key_gives(ask: Any) -> None:
    assert ask({"secret": "a" * 16 + "," + "b" * 16}).secrets() == [b"a" * 16, b"b" * 16]
    derived = ask({"encryption_key": f"{KEY},{OLD}"}).secrets()
    assert len({*derived, b"k" * 32, b"o" * 32}) == 4
    assert derived[1] == ask({"encryption_key": OLD}).secrets()[0]
    with pytest.raises(BadSettings):
        ask().secrets()


def test_secrets_are_never_shown(ask: Any) -> None:
    got = ask({"encryption_key": KEY, "secret": "tell-no-one-this-thing", "database": "postgresql://u:hunter2@h/d"})
    for hidden in (KEY, "tell-no-one", "hunter2"):
        assert hidden not in repr(got)
        assert hidden not in str(got.sources)


def test_a_loaded_config_cannot_be_changed(ask: Any) -> None:
    got = ask({"rate_limits": {"adapter": {"limit": 5}}})
    with pytest.raises(AttributeError):
        got.schema = "other"
    with pytest.raises(TypeError):
        got.rate_limits["adapter"]["limit"] = 6


def test_every_change_is_seen_at_the_next_question(tmp_path: Path) -> None:
    file, overrides, environ = tmp_path / "dripdrop.toml", {"sms_max_chars": 1}, {"PATH": "/bin"}

    def now() -> tuple[int, int, str]:
        got = load(overrides, environ=environ, folder=tmp_path)
        return got.sms_max_chars, got.keep_content, got.schema

    assert now() == (1, 0, "dripdrop")
    file.write_text("keep_content = 5")
    assert now() == (1, 5, "dripdrop")
    environ["DRIPDROP_SCHEMA"] = "other"
    assert now() == (1, 5, "other")
    overrides["sms_max_chars"] = 2
    assert now() == (2, 5, "other")
    file.write_text("keep_content = 55")
    assert now() == (2, 55, "other")
    file.unlink()
    assert now() == (2, 0, "other")


def test_the_processs_own_environment_is_asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DRIPDROP_SCHEMA", "one")
    assert load().schema == "one"
    monkeypatch.setenv("DRIPDROP_SCHEMA", "two")
    assert load().schema == "two"
    monkeypatch.delenv("DRIPDROP_SCHEMA")
    assert load().schema == "dripdrop"


def test_an_unchanged_answer_is_the_same_object_and_reads_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    deep = tmp_path / "a" / "b" / "c"
    deep.mkdir(parents=True)
    monkeypatch.chdir(deep)
    overrides = {"schema": "fast", "rate_limits": {"adapter": "60/min"}}
    first = load(overrides)
    assert load(overrides) is first
    called = calls(lambda: load(overrides))
    assert len(called) < 60
    assert not {"open", "loads", "Config.__init__"} & set(called)


def test_the_dev_key_is_made_once_and_readable_by_its_owner_only(tmp_path: Path) -> None:
    key = dev_key(tmp_path)
    path = tmp_path / ".dripdrop" / "encryption.key"
    assert len(base64.b64decode(key, validate=True)) == 32
    assert dev_key(tmp_path) == key
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.chmod(0o644)
    assert dev_key(tmp_path) == key
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert (tmp_path / ".dripdrop" / ".gitignore").read_text() == "*\n"


def test_two_who_make_the_dev_key_at_once_get_the_same(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        keys = set(pool.map(dev_key, [tmp_path] * 16))
    assert len(keys) == 1
    assert sorted(os.listdir(tmp_path / ".dripdrop")) == [".gitignore", "encryption.key"]
