"""Does the harness of the benchmarks count right?"""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from benchmarks import figures, plan, report, sides, targets
from benchmarks.contest import Book
from benchmarks.sides import Sample
from hypothesis import given
from hypothesis import strategies as st

rates = st.floats(min_value=1.0, max_value=1e6)
QUICK, FULL = targets.owed(quick=True), targets.owed(quick=False)
FACTS = {"postgresql": "18.4", "cores": 2, "load": 0.1, "fdatasync_us": 65.0, "settings": {"fsync": "on"}, "sides": {}}


def book(**rounds: list[float]) -> Book:
    made = Book()
    for name, values in rounds.items():
        made.samples.setdefault("one process", {})[name] = [Sample(each, 100.0, 50.0, 1000) for each in values]
    return made


def test_the_ratio_of_a_run_is_the_median_of_its_rounds_and_not_the_ratio_of_medians() -> None:
    ratio = figures.Ratio(ours=(10.0, 90.0, 30.0), theirs=(10.0, 30.0, 60.0))
    assert ratio.rounds == (1.0, 3.0, 0.5)
    assert ratio.median == 1.0


@given(st.lists(st.tuples(rates, rates), min_size=1, max_size=9), st.floats(min_value=0.1, max_value=10.0))
def test_a_drift_that_both_sides_of_a_round_share_does_not_change_the_ratio(
    pairs: list[tuple[float, float]], drift: float
) -> None:
    ours, theirs = zip(*pairs, strict=True)
    slower = [drift if number % 2 else 1.0 for number in range(len(pairs))]
    drifted = figures.Ratio(
        tuple(a * by for a, by in zip(ours, slower, strict=True)),
        tuple(b * by for b, by in zip(theirs, slower, strict=True)),
    )
    assert drifted.median == pytest.approx(figures.Ratio(ours, theirs).median)


@pytest.mark.parametrize(
    ("ours", "theirs", "tie"),
    [((1.0, 2.0), (3.0, 4.0), False), ((1.0, 3.0), (2.0, 4.0), True), ((3.0, 4.0), (1.0, 2.0), False)],
)
def test_ranges_that_overlap_are_a_tie(ours: tuple[float, ...], theirs: tuple[float, ...], tie: bool) -> None:
    assert figures.Ratio(ours, theirs).tie is tie


@pytest.mark.parametrize(("ours", "theirs"), [((), ()), ((1.0,), (1.0, 2.0)), ((1.0,), (0.0,))])
def test_a_side_that_did_nothing_or_missed_a_round_makes_no_ratio(ours: tuple[float], theirs: tuple[float]) -> None:
    with pytest.raises(ValueError):
        figures.Ratio(ours, theirs)


def test_the_order_of_the_sides_is_reversed_every_round() -> None:
    rounds = [figures.order(["floor", "noop", "peer"], number) for number in range(4)]
    assert rounds[0] == rounds[2] == ["floor", "noop", "peer"]
    assert rounds[1] == rounds[3] == ["peer", "noop", "floor"]


@given(st.lists(st.integers(-(2**50), 2**50), min_size=1, max_size=200), st.floats(min_value=0.01, max_value=1.0))
def test_a_percentile_is_a_value_that_at_least_its_share_does_not_exceed(values: list[int], share: float) -> None:
    found = figures.percentile([float(each) for each in values], share)
    assert found in values
    assert sum(each <= found for each in values) >= share * len(values) - 1e-6
    assert sum(each < found for each in values) <= share * len(values) + 1e-6


def test_cpu_time_predicts_the_rate_of_one_process_and_of_the_whole_machine() -> None:
    assert figures.predicted_rate(2, python_us=250.0, postgres_us=50.0, processes=1) == pytest.approx(4000.0)
    assert figures.predicted_rate(2, python_us=250.0, postgres_us=50.0, processes=2) == pytest.approx(2 / 300e-6)


def test_the_floor_has_its_own_tables_and_its_batch_is_the_one_that_is_counted() -> None:
    parts = sides.parts()
    assert set(parts) == {f"{kind}{part}" for kind in ("full", "bare") for part in ("_tables", "_rows", "")}
    text = " ".join(parts.values())
    assert "dripdrop" not in text
    assert {int(each) for each in re.findall(r"limit (\d+)", text)} == {sides.BATCH}


def test_the_json_has_a_ratio_or_null_for_every_row_and_says_what_is_missing() -> None:
    found = json.loads(report.as_json(book(noop=[300.0, 300.0], floor=[1000.0, 500.0]), FACTS, QUICK))
    assert found["noop_vs_floor"] == 0.45
    assert found["rounds"]["noop_vs_floor"] == [0.3, 0.6]
    assert found["noop_vs_pgqueuer"] is None
    assert "pgqueuer did not run" in found["missing"]["noop_vs_pgqueuer"]
    assert "noop_vs_oban" not in found


def test_a_figure_that_a_full_run_owes_is_missing_there_and_not_in_a_quick_one() -> None:
    assert "noop_vs_oban" in report.missing(Book(), FULL)
    assert "noop_vs_oban" not in report.missing(Book(), QUICK)


def test_a_part_alone_owes_only_its_own_figures() -> None:
    letters = {"email_vs_plain_handler", "email_gated_vs_plain", "smtp_vs_null"}
    assert targets.owed(quick=False, only=["letter"]) == {*letters, "email_vs_django_drip", "email_gated_vs_django"}
    assert targets.owed(quick=True, only=["letter"]) == {"email_vs_plain_handler"}
    assert "three_enrollments_per_second" in targets.owed(quick=True, only=["one process"])
    assert "three_enrollments_per_second" not in targets.owed(quick=True, only=["singles"])
    assert "idle_rss_mb" in targets.owed(quick=True, only=["singles"])


def test_a_row_that_loses_says_so() -> None:
    text = report.table(book(noop=[300.0, 310.0], pgqueuer=[1000.0, 990.0]), FACTS, QUICK)
    line = next(each for each in text.splitlines() if "against pgqueuer, 1" in each)
    assert "LOSES" in line


def test_a_busy_machine_is_owned_up_to() -> None:
    assert "busy" in report.table(Book(), {**FACTS, "load": 2.0}, QUICK)
    assert "busy" not in report.table(Book(), FACTS, QUICK)


def test_what_only_a_full_run_measures_exists() -> None:
    known = {each.key for each in (*targets.RATIOS, *targets.FIGURES)}
    assert known >= targets.ONLY_IN_FULL


def test_every_world_has_a_name_of_its_own() -> None:
    names = [world.name for world in plan.WORLDS.values()]
    assert len(set(names)) == len(names)


def test_no_absolute_rate_is_a_target() -> None:
    assert all(row.target is None or row.target <= 100 for row in targets.RATIOS)


def test_the_scripts_of_the_environments_import_nothing_of_the_harness_but_the_meter() -> None:
    folder = Path(sides.__file__).parent / "work"
    for path in folder.glob("*.py"):
        found = re.findall(r"^from benchmarks(\S*) import (.+)$", path.read_text(), flags=re.M)
        assert all(where == ".work" for where, _ in found), path.name
