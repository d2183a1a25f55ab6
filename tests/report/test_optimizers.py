"""Optimizers are compared at equal effort, which is said, and what co-tuning brings is told beside it."""

from paceline.bench.report import optimizers
from paceline.bench.report.all_plots import PLOTS
from tests.analysis.test_cotuned import SCORES, cotuned
from tests.report.plots.drawn_runs import axes_of, lines_of
from tests.synthetic import results, searched

ALONE = searched("Adam", SCORES, comparison="optimizers", blocks=3, measured=6)
ALONG = cotuned(scores={lr: score + 0.02 for lr, score in SCORES.items()}, blocks=3, measured=6)


def test_the_effort_of_all_searches_is_said():
    said = optimizers.verdict(results(ALONE, ALONG))
    assert said.startswith("Each of the 2 searches on digits made 9 trials. ")
    fewer = [record for record in ALONG if "lr0.1" not in record.cell]
    said = optimizers.verdict(results(ALONE, fewer))
    assert "On digits not all searches made equally many trials" in said
    assert "6 trials: Adam-cotuned; 9 trials: Adam" in said


def test_what_cotuning_brought_is_the_difference_in_score_seed_by_seed():
    said = optimizers.cotuning(results(ALONE, ALONG))
    assert "in as many trials, final scores are better by: Adam on digits 0.0" in said
    gain = float(said.partition("Adam on digits ")[2].split(" ")[0])
    assert abs(gain - 0.02) < 0.003
    assert optimizers.cotuning(results(ALONE)) == ""


def test_what_was_found_along_is_a_column_and_such_a_search_has_no_basin():
    rows = {row["search"]: row for row in optimizers.table(results(ALONE, ALONG)).to_dict("records")}
    assert rows["Adam-cotuned"]["found along with it"] == "betas.1 0.98, weight_decay 0.01, schedule.steps 9"
    assert (rows["Adam-cotuned"]["basin"], rows["Adam"]["found along with it"]) == ("—", "—")
    assert rows["Adam"]["basin"] != "—"
    assert "found along with it" not in optimizers.table(results(ALONE))


def test_a_search_of_more_than_the_rate_is_no_line_over_the_rate():
    left, _ = axes_of(PLOTS["optimizers"](results(ALONE, ALONG)))
    assert len(lines_of(left, "Adam")) == 1
    assert not lines_of(left, "Adam-cotuned")
    assert PLOTS["optimizers"](results(ALONG)) is None
