"""Are good rows of a CSV file enrolled, and bad ones each reported?"""

from __future__ import annotations

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dripdrop.cli.rows import CsvFile
from dripdrop.errors import Invalid

PEOPLE = """id,email,first_name,timezone
1,ann@example.org,Ann,
2,bob@example.org,Bob,Europe/Vienna
3,,Cid,
4,broken@,Dee,
2,bob@example.org,Bob,
5,eve@example.org,Eve,Mars/Base
6,fay@example.org
,gus@example.org,Gus,
7,"Hal, Jr. <hal@example.org>","Hal
the Second",
8,ida@example.org,Ida,Europe/Rome
"""


@pytest.fixture
def people(tmp_path):
    (tmp_path / "people.csv").write_text(PEOPLE)
    return "people.csv"


def test_one_person_is_enrolled_once(welcome):
    said = welcome(
        "enroll", "welcome", "--id", "42", "--data", "email=a@example.org", "--data", "seats:=5", "--json"
    ).json
    assert said["created"] is True
    assert said["enrollment"]["data"] == {"email": "a@example.org", "seats": 5}
    again = welcome("enroll", "welcome", "--id", "42", "--json").json
    assert (again["created"], again["enrollment"]["id"]) == (False, said["enrollment"]["id"])
    assert "already" in welcome("enroll", "welcome", "--id", "42").out


def test_bad_rows_are_each_reported_with_line_code_and_cure_and_good_ones_enrolled(welcome, people):
    said = welcome("enroll", "welcome", "--csv", people, "--json")
    assert said.status == 0
    assert (said.json["enrolled"], said.json["already_enrolled"], said.json["rejected"]) == (4, 0, 6)
    rejected = [(each["line"], each["id"], each["code"]) for each in said.json["rows"]]
    assert rejected == [
        (4, "3", "missing_address"),
        (5, "4", "bad_address"),
        (6, "2", "duplicate_row"),
        (7, "5", "unknown_zone"),
        (8, "6", "ragged_row"),
        (9, "", "missing_id"),
    ]
    assert all(each["cure"] for each in said.json["rows"])
    found = welcome("enrollments", "--json").json["enrollments"]
    assert {each["subscriber_id"] for each in found} == {"1", "2", "7", "8"}
    assert next(each for each in found if each["subscriber_id"] == "7")["data"]["first_name"] == "Hal\nthe Second"


def test_the_report_reads_well_and_counts(welcome, people):
    said = welcome("enroll", "welcome", "--csv", people)
    assert "There is no time zone 'Mars/Base'." in said.out
    assert "broken@" not in said.out
    assert said.out.rstrip().endswith("4 enrolled in welcome, 6 rejected.")
    assert "4 in it already" in welcome("enroll", "welcome", "--csv", people).out


def test_a_dry_run_says_the_same_and_enrolls_nobody(welcome, people):
    dry = welcome("enroll", "welcome", "--csv", people, "--dry-run", "--json").json
    assert (dry["enrolled"], dry["rejected"], dry["dry_run"]) == (4, 6, True)
    assert welcome("enrollments", "--json").json == {"enrollments": []}
    assert "4 would be enrolled" in welcome("enroll", "welcome", "--csv", people, "--dry-run").out


def test_it_fails_when_no_row_could_be_taken(welcome, tmp_path):
    (tmp_path / "bad.csv").write_text("id,email\n1,\n")
    assert welcome("enroll", "welcome", "--csv", "bad.csv").status == 1


def test_another_column_can_hold_the_id_and_stays_among_the_data(welcome, tmp_path):
    (tmp_path / "p.csv").write_text("\ufeffemail;type;plan\nann@example.org;lead;pro\n", encoding="utf-8")
    assert welcome("enroll", "welcome", "--csv", "p.csv", "--id-column", "email").status == 0
    found = welcome("enrollments", "--json").json["enrollments"][0]
    assert (found["subscriber_type"], found["subscriber_id"]) == ("lead", "ann@example.org")
    assert found["data"] == {"email": "ann@example.org", "plan": "pro"}


@pytest.mark.parametrize(("text", "code"), [("", "empty_file"), ("email\na@example.org\n", "no_id_column")])
def test_a_file_without_usable_columns_is_refused(welcome, tmp_path, text, code):
    (tmp_path / "p.csv").write_text(text)
    assert welcome("enroll", "welcome", "--csv", "p.csv", "--json").error["code"] == code


def test_a_step_that_writes_its_own_address_is_judged_by_it(typed, tmp_path):
    (tmp_path / "w.yaml").write_text(
        "sequence: own\nclass: transactional\nsteps:\n"
        "  one: {channel: email, to: '{{ work_email }}', subject: Hi, text: Hi}\n"
    )
    assert typed("apply", "w.yaml").status == 0
    (tmp_path / "p.csv").write_text("id,work_email\n1,ann@example.org\n2,\n3,nope\n")
    said = typed("enroll", "own", "--csv", "p.csv", "--json").json
    assert said["enrolled"] == 1
    assert [each["code"] for each in said["rows"]] == ["missing_address", "bad_address"]


@pytest.mark.parametrize(
    "args", [(), ("--id", "1", "--csv", "people.csv"), ("--csv", "people.csv", "--data", "a=b"), ("--csv", "none.csv")]
)
def test_wrong_usage_is_said_before_anything_is_done(typed, people, args):
    assert typed("enroll", "welcome", *args).status == 2


@pytest.mark.parametrize("data", ["seats", "seats:=five", "{broken", "[1]", "=x"])
def test_data_that_cannot_be_read_is_wrong_usage(typed, data):
    assert typed("enroll", "welcome", "--id", "1", "--data", data).status == 2


cells = st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=20)


@given(st.lists(st.tuples(st.integers(1, 10**9), cells, cells), min_size=1, max_size=20))
def test_what_a_csv_writer_wrote_is_read_back(tmp_path_factory, rows):
    text = io.StringIO()
    csv.writer(text).writerows([("id", "a", "b"), *rows])
    path = tmp_path_factory.mktemp("csv") / "people.csv"
    path.write_text(text.getvalue(), encoding="utf-8", newline="")
    read = [(row.subscriber[1], row.data["a"], row.data["b"]) for row in CsvFile(path).rows() if row.error is None]
    assert read == [(str(number), a.strip(), b.strip()) for number, a, b in rows]


def test_a_file_that_is_no_text_is_refused(tmp_path):
    path = tmp_path / "p.csv"
    path.write_bytes(b"id,email\n1,\xff\xfe\n")
    with pytest.raises(Invalid) as refused:
        list(CsvFile(path).rows())
    assert refused.value.code == "not_utf8"


def test_a_cell_that_never_ends_is_refused_with_its_line(welcome, tmp_path):
    (tmp_path / "p.csv").write_text('id,email\n1,a@example.org\n2,"' + "x" * 1_000_001 + "\n")
    error = welcome("enroll", "welcome", "--csv", "p.csv", "--dry-run", "--json").error
    assert error["code"] == "bad_csv"
    assert "line 3" in error["message"]
