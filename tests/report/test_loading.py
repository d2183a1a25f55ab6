"""What workers bring and which number is enough, in words."""

from paceline.bench.report import loading
from paceline.bench.report.choice import not_run
from tests.synthetic import loaded, results


def test_the_table_has_a_row_a_cell_and_marks_those_that_share_cores() -> None:
    table = loading.table(results(loaded({0: 1000, 1: 2000, 2: 3000, 4: 2500})))
    assert list(table["workers"]) == ["0", "1", "2", "4"]
    assert list(table["over no workers"].str[:3])[:2] == ["—", "2.0"]
    assert table["of a step, waiting"].iloc[0] == "50 % [50, 50]"
    assert table["memory of all processes"].iloc[2].startswith("300 MB")
    assert list(table["note"]) == ["", "", "", "oversubscribed: 4 workers on 2 cores"]
    assert loading.table(results()).empty


def test_the_decision_names_the_fewest_that_are_enough() -> None:
    assert loading.decisions(results()) == not_run("how many loading workers", "bench_loading.py")
    (one,) = loading.decisions(results(loaded({0: 1000, 1: 2000, 2: 2000, 4: 9000})))
    assert one.constraint == "digits: how many loading workers at B=64"
    assert one.choice == "1 worker"
    assert "25 % of it waiting" in one.why
    assert "as long with 0: slower." in one.why
    assert "4 workers share cores here (oversubscribed): not considered." in one.why


def test_what_is_not_resolved_is_not_decided() -> None:
    (two_trials,) = loading.decisions(results(loaded({0: 1000, 1: 2000}, blocks=2)))
    assert two_trials.choice == "not decided"
    assert "Run at least 3 seeds." in two_trials.why
