"""Whether large batches generalize worse turns with the planted scores, and with what is held equal."""

import pytest

from paceline.bench.analysis.generalization import sizes
from paceline.bench.records.record import Record
from paceline.bench.report import generalization
from paceline.bench.report.claims import Judgement, judge
from tests.synthetic import generalized, results


def claim(records: list[Record]) -> Judgement:
    return next(one for one in judge(results(records)) if one.claim == "Large batches generalize worse")


def planted(steps: float, samples: float, seconds: float) -> list[Record]:
    return generalized({(256, "steps"): steps, (256, "samples"): samples}, seconds=seconds)


@pytest.mark.parametrize(
    ("worse", "verdict"),
    [
        ((0.03, 0.05, 0.04), "holds"),
        ((-0.03, -0.03, -0.03), "fails"),
        ((0.0, 0.0, 0.0), "equivalent"),
        ((0.0, 0.05, 0.03), "depends"),
    ],
)
def test_the_claim_turns_with_the_planted_scores(worse: tuple[float, float, float], verdict: str) -> None:
    assert claim(planted(*worse)).verdict == verdict


def test_at_equal_seconds_the_curve_counts_when_the_smallest_is_at_its_end() -> None:
    [found] = sizes(results(planted(0.0, 0.02, 0.1)))
    by_held = {one.held: one for one in found.larger}
    assert list(by_held) == ["steps", "samples", "seconds"]
    # At its own end it is level; after the smallest one's seconds, half of its own, it was not.
    assert by_held["steps"].better.median == pytest.approx(0.0, abs=2e-3)
    assert by_held["samples"].better.median == pytest.approx(-0.02, abs=2e-3)
    assert by_held["seconds"].better.median == pytest.approx(-0.1, abs=2e-3)


def test_lower_scores_may_be_the_better_ones() -> None:
    # The same scores, of which the lower is better: what was worse is better now.
    worse = {(256, "steps"): 0.05, (256, "samples"): 0.05}
    assert claim(generalized(worse, seconds=0.05, higher_is_better=False, target=0.97)).verdict == "fails"


def test_level_short_of_the_target_says_nothing_yet() -> None:
    found = claim(generalized({(256, "steps"): 0.0, (256, "samples"): 0.0}, target=0.99))
    assert found.verdict == "undecided"
    assert "short of the target" in found.why


def test_the_training_losses_stand_beside_the_scores() -> None:
    found = claim(generalized({(256, "samples"): 0.05}, loss=0.3))
    assert "training loss 0.300 against 0.0100" in found.why
    assert "trained less" in found.why


def test_few_seeds_or_no_larger_batch_decide_nothing() -> None:
    few = generalized({(256, "steps"): 0.1, (256, "samples"): 0.1}, seconds=0.1, blocks=2)
    assert claim(few).verdict == "undecided"
    assert claim(generalized({})).verdict == "not measured"


def test_the_table_has_a_row_a_budget() -> None:
    run = results(generalized({(256, "steps"): 0.0, (256, "samples"): 0.02, (1024, "samples"): 0.05}))
    table = generalization.table(run)
    assert list(table["batch size"]) == ["16", "256", "256", "1,024"]
    assert sorted(table["as many as the smallest"][1:3]) == ["samples", "steps"]
    at_equal_samples = table[table["as many as the smallest"] == "samples"].iloc[0]
    assert (at_equal_samples["samples"], at_equal_samples["steps"]) == ("64,000", "250")
    assert at_equal_samples["better than the smallest by"].startswith("-0.02")
    assert table["and at its seconds, in validation"].iloc[0] == "—"
