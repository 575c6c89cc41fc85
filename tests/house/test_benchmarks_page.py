"""Does the page of the benchmarks say what was measured, the same each time, and own up to what is missed?"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from itertools import pairwise

import pytest
from benchmarks import chart, document, endurance, keep, profiles, targets
from benchmarks.chart import Bar
from benchmarks.contest import Book, count_journeys
from benchmarks.sides import Pace, Sample, World
from benchmarks.targets import RATIOS
from benchmarks.why import kind_of, spent
from hypothesis import given
from hypothesis import strategies as st

FACTS = {
    "postgresql": "18.4",
    "cores": 2,
    "load": 0.1,
    "fdatasync_us": 65.0,
    "settings": {"fsync": "on"},
    "sides": {"dripdrop": "Python 3.13.0, psycopg 3.3.9"},
    "pace": [1.5, 6.0, 2],
    "day": "2030-03-01",
    "machine": {"Processor": "an example"},
}
SVG = "{http://www.w3.org/2000/svg}"


def runs(*rates: float, **detail: float) -> list[Sample]:
    return [Sample(rate, 250.0, 50.0, 1000, {"wal_bytes": 1500.0, "rows_written": 6.0, **detail}) for rate in rates]


@pytest.fixture
def book() -> Book:
    """A no-op step that misses the floor's target and loses to a peer; e-mail above both of its targets."""
    made = Book()
    made.samples["one process"] = {
        "floor": runs(10_000, 10_000),
        "noop": runs(2_000, 2_200),
        "pgqueuer": runs(5_000, 5_100),
        "three": runs(3_000, 1_500, people=500),
    }
    made.samples["letter"] = {"email": runs(900, 900), "plain_handler": runs(100, 180)}
    made.single |= {"round_trips_per_step": 0.05, "claim_cost_ratio": 2.4}
    made.absent["oban"] = "needs Python 3.12"
    made.details["per_step"] = {"noop": {"round_trips": 0.05}}
    made.details["profiles"] = {
        "noop": {
            "parts": {"dripdrop.engine": 0.5, "psycopg": 0.2},
            "own": {"dripdrop.engine.item.Item.go": 0.25},
            "within": {"dripdrop.engine.item.Item.go": 0.75},
            "python_us": 200.0,
            "statements": [{"name": "executions.end_many", "calls": 12, "ms_per_call": 2.5, "us_per_step": 25.0}],
        }
    }
    return made


def row(key: str) -> targets.Row:
    return next(each for each in RATIOS if each.key == key)


def lines(text: str, label: str) -> list[str]:
    return [each for each in text.splitlines() if label in each]


def test_the_page_has_each_ratio_with_its_rounds_and_says_where_a_peer_is_faster(book: Book) -> None:
    page = document.text(book, FACTS)
    floor, *_ = lines(page, "no-op step against the floor, 1 process")
    assert floor == "| no-op step against the floor, 1 process | 0.3 | 0.21 | **below target** | 0.20 0.22 |"
    peer, *_ = lines(page, "no-op step against pgqueuer, 1 process")
    assert "| **loses** |" in peer
    plain, *_ = lines(page, "e-mail step against the plain handler")
    assert "| 4 | 7.00 | reached | 9.00 5.00 |" in plain
    absent, *_ = lines(page, "no-op step against Oban, 1 process")
    assert absent.endswith("| 4 | null | missing | oban: needs Python 3.12 |")


def test_what_is_missed_is_named_with_what_it_costs_and_what_the_profile_shows(book: Book) -> None:
    cost = spent(row("noop_vs_floor"), book)
    assert (round(cost.took), round(cost.allowed or 0)) == (476, 333)  # 10^6 / 2,100, and 10^6 / (10,000 * 0.3)
    assert (cost.python, cost.postgres) == (250.0, 50.0)
    _, missed = document.text(book, FACTS).split("## What is missed, and why")
    missed = missed.split("\n## ")[0]
    assert "| no-op step against the floor, 1 process | 0.21 | 0.3 | 333 | 476 | 250 | 50 |" in missed
    assert missed.count("The largest costs of `noop`: in Python dripdrop.engine 100, psycopg 40; ") == 1
    assert "`dripdrop.engine.item.Item.go` 50;" in missed
    assert "`executions.end_many` 25." in missed
    assert "cost of a claim with many waiting against few**: 2.4; the bound is 1.2" in missed
    assert "plain handler" not in missed


def test_a_row_is_explained_by_the_profile_of_its_own_kind_of_step() -> None:
    shown = {kind_of(each) for each in RATIOS if each.target is not None}
    assert shown == set(profiles.KINDS)
    assert kind_of(row("email_gated_vs_django")) == "email"


def test_a_page_without_a_miss_says_that_nothing_is_missed() -> None:
    made = Book()
    made.samples["letter"] = {"email": runs(900), "plain_handler": runs(100)}
    assert "Nothing: every target is reached." in document.text(made, FACTS)


def test_every_figure_with_a_target_has_a_bar_and_its_colour_says_how_it_stands(book: Book) -> None:
    drawn = {bar.label: bar for bar in document.bars(book)}
    wanted = [each.label for each in RATIOS if each.target is not None]
    wanted += [each.label for each in targets.FIGURES if each.bound is not None or each.beside]
    assert list(drawn) == wanted
    floor = drawn["no-op step against the floor, 1 process"]
    assert (floor.state, floor.score, floor.rounds) == (
        "below target",
        pytest.approx(0.7),
        (pytest.approx(0.2 / 0.3), pytest.approx(0.22 / 0.3)),
    )
    assert drawn["no-op step against pgqueuer, 1 process"].state == "loses"
    assert drawn["no-op step against Oban, 1 process"].state == "missing"
    assert drawn["round trips per no-op step"].score == pytest.approx(2.0)
    assert drawn["cost of a claim with many waiting against few"].score == pytest.approx(0.5)


def test_the_chart_is_the_same_for_the_same_figures_and_shows_each_bar_where_it_belongs(book: Book) -> None:
    bars = [
        Bar("just so & <good>", "1", 1.0, (0.9, 1.1)),
        Bar("half", "0.5", 0.5, (), "below target"),
        Bar("tenfold", "10", 10.0),
        Bar("beyond", "99", 99.0),
        Bar("nobody", "null", None, (), "missing"),
    ]
    text = chart.draw("A title", "a note", bars)
    assert text == chart.draw("A title", "a note", bars)
    found = [each for each in ET.fromstring(text).iter(f"{SVG}rect") if each.get("fill-opacity")]
    spans = [(float(each.get("x", "")), float(each.get("width", ""))) for each in found]
    target = next(
        float(each.get("x1", "")) for each in ET.fromstring(text).iter(f"{SVG}line") if each.get("stroke-width")
    )
    assert len(found) == 4
    assert sum(spans[1]) == pytest.approx(target)  # what falls short ends at the target, what exceeds it begins there
    assert spans[2][0] == spans[3][0] == pytest.approx(target)
    assert spans[2][1] == spans[3][1] > spans[1][1] > spans[0][1]
    assert "just so &amp; &lt;good&gt;" in text
    assert ET.fromstring(chart.draw("T", document.note(FACTS), document.bars(book))) is not None


@given(st.lists(st.floats(min_value=0.001, max_value=1000.0), min_size=1, max_size=5))
def test_bars_stay_within_the_picture(scores: list[float]) -> None:
    picture = ET.fromstring(chart.draw("T", "n", [Bar("b", "s", each, (each,)) for each in scores]))
    for each in picture.iter(f"{SVG}rect"):
        assert 0 <= float(each.get("x", "0")) <= chart.WIDTH
        assert float(each.get("x", "0")) + float(each.get("width", "0")) <= chart.WIDTH
    middles = [float(each.get("cx", "0")) for each in picture.iter(f"{SVG}circle")]
    assert all(0 < each < chart.WIDTH for each in middles)


def test_a_run_that_was_kept_makes_the_same_page_again(book: Book, tmp_path) -> None:
    keep.save(tmp_path / "run.json", book, FACTS)
    again, facts = keep.load(tmp_path / "run.json")
    first = document.write(tmp_path / "one", book, FACTS)
    second = document.write(tmp_path / "two", again, facts)
    assert [each.read_text() for each in first] == [each.read_text() for each in second]
    assert [each.name for each in first] == ["benchmarks.md", "benchmarks.svg"]


def test_people_who_came_to_the_end_are_counted_from_the_rounds(book: Book) -> None:
    count_journeys(book)
    assert book.single["three_enrollments_per_second"] == 1125.0  # (1500 + 750) / 2: 500 people in 1000 steps


def test_a_run_to_the_end_leaves_nobody_and_one_by_the_clock_has_enough_left() -> None:
    to_the_end = World("three", "", "", 3000, steps=3)
    by_the_clock = World("noop", "", "", 3000)
    pace = Pace(1.5, 6.0, 5)
    assert to_the_end.rows(pace) == 6000
    assert (to_the_end.suffices(0, 18_000), to_the_end.suffices(1, 18_000)) == (True, False)
    assert (by_the_clock.suffices(2000, 1000), by_the_clock.suffices(1999, 1000)) == (True, False)


def test_turnovers_compare_the_last_with_the_first_and_memory_with_that_after_the_first_hundred_thousand() -> None:
    found = endurance.Turned((3000.0, 2900.0, 2700.0), (), (80.0, 82.0, 84.0), 100_000)
    assert found.last_against_first == pytest.approx(0.9)
    assert found.growth == pytest.approx(1.05)
    assert endurance.Turned((1.0,), (), (80.0, 81.0), 5_000).growth is None


LOG = """\
bench-statement round_3 LOG:  duration: 0.500 ms  parse _pg3_1: select a
\t  from t where b = $1 -- why
bench-statement round_3 LOG:  duration: 0.250 ms  bind _pg3_1: select a
\t  from t where b = $1 -- why
bench-statement round_3 LOG:  duration: 2.000 ms  execute _pg3_1: select a
\t  from t where b = $1 -- why
bench-statement postgres LOG:  duration: 900.000 ms  statement: create database round_4
bench-statement round_3 LOG:  duration: 1.000 ms  execute _pg3_1: select a
\t  from t where b = $1 -- why
bench-statement round_3 LOG:  duration: 4.000 ms  statement: COMMIT
bench-statement  LOG:  checkpoint complete
"""


def test_what_a_statement_took_is_summed_over_its_phases_under_the_name_it_has_in_the_source() -> None:
    names = {profiles.plain("select a from t\n where b = %(b)s"): "things.find"}
    found = profiles.costs(profiles.records(LOG, "round_"), names)
    assert [(each.name, each.calls, each.milliseconds) for each in found] == [
        ("commit", 1, 4.0),
        ("things.find", 2, 3.75),
    ]


def test_the_statements_of_the_engine_are_known_by_name_and_none_hides_another() -> None:
    known = profiles.named()
    assert {"executions.claim", "executions.open_many", "suppressions.lookup"} <= set(known.values())
    assert all(text and "--" not in text for text in known)


def test_columns_of_targets_ask_less_of_a_step_with_every_gate_on() -> None:
    pairs = {
        each.key: next((other for other in RATIOS if other.ours == each.ours.replace("_gated", "")
                        and other.theirs == each.theirs), None)
        for each in RATIOS if "_gated" in each.ours
    }  # fmt: skip
    assert len(pairs) == 9
    for key, plain in pairs.items():
        assert plain is not None
        assert row(key).target is not None
        assert plain.target is not None
        assert row(key).target <= plain.target


def test_ticks_of_the_axis_rise() -> None:
    assert all(a < b for a, b in pairwise(chart.TICKS))
