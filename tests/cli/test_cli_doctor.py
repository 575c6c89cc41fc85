"""Does the doctor see what keeps an installation from working, and what will surprise somebody?"""

from __future__ import annotations

import base64
from dataclasses import replace

import pytest

from dripdrop.config import Config
from dripdrop.plugins import Plugins
from dripdrop.services import doctor

MARKETING = """
sequence: news
steps:
  hello: {channel: email, subject: Hi, text: Hi}
  text: {channel: sms, body: Hi}
"""


def codes(said):
    return [each["code"] for each in said.json["findings"]]


@pytest.fixture
def healthy(typed, monkeypatch):
    monkeypatch.setenv("DRIPDROP_DEFAULT_TIMEZONE", "Europe/Vienna")
    return typed


def test_a_healthy_installation_has_nothing_wrong(healthy):
    said = healthy("doctor")
    assert (said.status, said.out) == (0, "✓ Nothing is wrong.\n")
    assert healthy("doctor", "--json").json == {"ok": True, "findings": []}


def test_a_default_timezone_that_nobody_chose_is_a_warning(typed):
    said = typed("doctor", "--json")
    assert (said.status, codes(said)) == (0, ["default_timezone"])
    assert "Nothing keeps it from working." in typed("doctor").out


def test_a_missing_or_broken_key_is_an_error(healthy, monkeypatch):
    monkeypatch.delenv("DRIPDROP_ENCRYPTION_KEY")
    said = healthy("doctor", "--json")
    assert (said.status, codes(said)) == (1, ["missing"])
    monkeypatch.setenv("DRIPDROP_ENCRYPTION_KEY", "c2hvcnQ=")
    assert codes(healthy("doctor", "--json")) == ["invalid_length"]


def test_credentials_that_the_key_does_not_open_are_named(healthy, monkeypatch):
    create = ("adapters", "create", "main", "--channel", "email", "--provider", "smtp")
    assert healthy(*create, piped="relay=localhost").status == 0
    monkeypatch.setenv("DRIPDROP_ENCRYPTION_KEY", base64.b64encode(bytes(32)).decode())
    said = healthy("doctor", "--json")
    assert (said.status, codes(said)) == (1, ["unknown_key"])
    assert said.json["findings"][0]["path"] == "adapter main"


def test_a_database_that_does_not_answer_is_one_finding_among_others(healthy):
    said = healthy("doctor", "--json", "--database", "postgresql://nobody@localhost:1/x")
    assert (said.status, codes(said)) == (1, ["unavailable"])


def test_a_missing_schema_is_found(healthy, empty_database_url):
    said = healthy("doctor", "--json", "--database", empty_database_url)
    assert (said.status, codes(said)) == (1, ["no_schema"])
    assert "dripdrop setup" in said.json["findings"][0]["cure"]


def test_settings_that_make_no_sense_are_findings(healthy, monkeypatch):
    monkeypatch.setenv("DRIPDROP_LEASE_SECONDS", "10")
    said = healthy("doctor", "--json")
    assert (said.status, codes(said)) == (1, ["not_below_lease"])
    monkeypatch.setenv("DRIPDROP_ADAPTER_TIMEOUT_SECONDS", "5")
    assert codes(healthy("doctor", "--json")) == ["heartbeat_seldom"]
    assert healthy("status", "--json").status == 0


def test_short_links_without_an_address_are_a_finding(healthy, monkeypatch):
    monkeypatch.setenv("DRIPDROP_SHORT_LINKS", '{"enabled": true}')
    assert codes(healthy("doctor", "--json")) == ["short_links_address"]
    monkeypatch.setenv("DRIPDROP_SHORT_LINKS", '{"enabled": true, "provider": "none"}')
    assert codes(healthy("doctor", "--json")) == []


def test_an_app_that_cannot_be_found_is_a_finding(healthy):
    said = healthy("doctor", "--json", "--app", "nowhere:drip")
    assert (said.status, codes(said)) == (1, ["app"])


def test_unknown_channels_and_schedulers_are_found(healthy, monkeypatch):
    monkeypatch.setenv("DRIPDROP_CHANNELS", "email,fax")
    monkeypatch.setenv("DRIPDROP_SCHEDULER", "obam")
    assert set(codes(healthy("doctor", "--json"))) == {"unknown_channel", "unknown_scheduler"}


def test_what_active_sequences_lack_is_advice(healthy, tmp_path):
    (tmp_path / "news.yaml").write_text(MARKETING)
    assert healthy("apply", "news.yaml").status == 0
    said = healthy("doctor", "--json")
    assert said.status == 0
    assert codes(said) == ["public_url", "no_adapter", "no_adapter"]
    assert healthy("enroll", "news", "--id", "1", "--data", "email=a@example.org").status == 0
    assert "no_worker" in codes(healthy("doctor", "--json"))


def test_a_public_address_and_adapters_are_all_that_was_missing(healthy, tmp_path, monkeypatch):
    (tmp_path / "news.yaml").write_text(MARKETING)
    healthy("apply", "news.yaml")
    monkeypatch.setenv("DRIPDROP_PUBLIC_URL", "https://mail.example.org")
    for channel in ("email", "sms"):
        healthy("adapters", "create", channel, "--channel", channel, "--provider", "local", "--default")
    assert codes(healthy("doctor", "--json")) == []


def test_a_clock_that_runs_ahead_is_an_error(healthy, database_url):
    import psycopg

    with psycopg.connect(database_url) as connection:
        connection.execute("update dripdrop.clock set ahead = '3 days'")
    said = healthy("doctor", "--json")
    assert (said.status, codes(said)) == (1, ["virtual_clock"])


async def test_a_package_that_is_not_installed_is_named_with_its_extra(monkeypatch, database_url):
    monkeypatch.setattr(doctor, "find_spec", lambda name: None)
    config = replace(Config(), channels=("email",), public_url="https://example.org")
    from dripdrop import channels

    plugins = Plugins(builtin=channels.BUILT_IN)
    found = await doctor.findings(lambda: config, lambda: database_url, plugins=plugins)
    assert [each.cure for each in found if each.code == "missing_extra"] == [
        "pip install 'dripdrop-engine[web]'",
        "pip install 'dripdrop-engine[smtp]'",
    ]
