"""Can a message be looked at before anybody gets it, with a database and without?"""

from __future__ import annotations

import pytest

PAGE = """
sequence: trial
steps:
  hello:
    channel: email
    subject: "{Hi|Hi} {{ first_name }}, {{ plan }}"
    spintax: true
    html: |
      <mjml><mj-body><mj-section><mj-column>
        <mj-text>Hi {{ first_name }} <a href="{{ link }}">look</a></mj-text>
      </mj-column></mj-section></mj-body></mjml>
    locales: { de: { subject: "Servus {{ first_name }}" } }
    variants: [{ name: calm }, { name: loud, subject: "HI {{ first_name }}" }]
"""


@pytest.fixture
def page(bare, tmp_path):
    (tmp_path / "trial.yaml").write_text(PAGE)
    return lambda *args: bare("preview", "trial.yaml", "hello", *args)


def test_a_file_is_shown_without_any_database(page, tmp_path):
    said = page("--data", "first_name=Ann", "--data", "email=ann@example.org", "--variant", "calm")
    assert said.status == 0
    assert "Hi Ann," in said.out
    assert "ann@example.org" in said.out
    assert "no_unsubscribe" in said.err
    assert not (tmp_path / ".dripdrop").exists()


def test_for_nobody_every_variable_shows_its_name(page):
    shown = page("--json", "--variant", "calm").json
    assert shown["message"]["subject"] == "Hi [first_name], [plan]"
    assert shown["missing"] == ["first_name", "link", "plan"]
    assert shown["message"]["to"][0]["email"] == "nobody@example.org"


def test_for_a_person_what_is_missing_is_listed(page):
    shown = page("--json", "--data", '{"first_name": "Ann", "email": "a@example.org"}', "--variant", "calm").json
    assert (shown["message"]["subject"], shown["missing"]) == ("Hi Ann,", ["link", "plan"])


def test_language_variant_links_and_size_are_told(page):
    data = ("--data", "first_name=Ann", "--data", "email=a@example.org", "--data", "locale=de-AT")
    shown = page("--json", *data, "--data", "link=javascript:alert(1)").json
    assert (shown["locale"], shown["message"]["subject"]) == ("de", "Servus Ann")
    assert shown["links"] == ["javascript:alert(1)"]
    assert shown["html_bytes"] == len(shown["message"]["html"].encode())
    assert {each["code"] for each in shown["warnings"]} == {"odd_link", "no_unsubscribe"}
    loud = page("--json", *data[:4], "--variant", "loud").json
    assert (loud["variant"], loud["message"]["subject"]) == ("loud", "HI Ann")


def test_what_gmail_would_cut_off_is_warned_of(page, tmp_path):
    (tmp_path / "trial.yaml").write_text(PAGE.replace("look</a>", "look</a>" + "x " * 60_000))
    assert "gmail_clips" in {each["code"] for each in page("--json").json["warnings"]}


def test_a_row_of_a_table_is_a_person(page, tmp_path):
    (tmp_path / "people.csv").write_text("id,first_name,email\n1,Ann,ann@example.org\n2,Bob,bob@example.org\n")
    shown = page("--json", "--csv", "people.csv", "--row", "2", "--variant", "loud").json
    assert shown["message"]["subject"] == "HI Bob"
    assert page("--json", "--csv", "people.csv", "--row", "3").error["code"] == "no_such_row"


def test_the_html_goes_to_a_file_and_the_text_to_a_pipe(page, tmp_path):
    said = page("--text", "--html", "out.html", "--data", "first_name=Ann", "--data", "email=a@example.org")
    assert said.out == "Hi Ann look\n"
    assert (tmp_path / "out.html").read_text().startswith("<!doctype html>")


def test_a_typo_is_answered_with_what_was_meant(bare, page):
    page()
    assert bare("preview", "trial.yaml", "helo", "--json").error["cure"] == "Did you mean hello?"
    assert bare("preview", "none.yaml", "hello", "--json").error["code"] == "no_such_file"
    assert bare("preview", "a", "b", "c").status == 2
    assert bare("preview", "trial.yaml", "hello", "--subscriber", "1").status == 2


def test_a_real_person_is_shown_by_enrollment_and_by_subscriber(welcome):
    data = '{"first_name": "Ann", "email": "ann@example.org"}'
    welcome("enroll", "welcome", "--id", "7", "--data", data)
    (row,) = welcome("enrollments", "--json").json["enrollments"]
    for person in (("--enrollment", row["id"]), ("--subscriber", "user:7")):
        shown = welcome("preview", "welcome", "hello", *person, "--json").json
        assert shown["message"]["subject"] == "Hello Ann"
    changed = welcome("preview", "welcome.hello", "--subscriber", "7", "--data", "first_name=Eve", "--json").json
    assert changed["message"]["subject"] == "Hello Eve"
    assert welcome("preview", "welcome.hello", "--subscriber", "8", "--json").error["code"] == "not_found"


def test_a_file_without_a_step_is_told_to_name_one(bare, page):
    said = bare("preview", "trial.yaml")
    assert (said.status, "Name a step too: dripdrop preview trial.yaml STEP." in said.err) == (2, True)


def test_html_that_there_is_none_of_is_not_written(bare, tmp_path):
    (tmp_path / "plain.yaml").write_text("sequence: plain\nsteps: {a: {channel: email, subject: Hi, text: Hello}}\n")
    said = bare("preview", "plain.yaml", "a", "--html", "a.html")
    assert (said.status, "no_html" in said.err, (tmp_path / "a.html").exists()) == (1, True, False)
