"""Published comparisons: what holds, what fails, and what is not resolved."""

import numpy as np
import pytest

from paceline.bench.analysis.reproductions import (
    COMPARISON,
    LANGUAGE,
    NOTHING,
    NUMBERS,
    STATEMENTS,
    _verdict,
    statements,
)
from paceline.bench.analysis.scores import ScoreGap, score_verdict
from paceline.bench.analysis.statistics import Interval
from paceline.bench.report import reproductions
from tests.synthetic import results, timed


def at_batch_size_one(scores: dict[str, float], workload: str = "mnist5k", spread: float = 0.001, **changes):
    """Return trials of Adam and SGD with these final scores by label; seeds differ alike, labels a little."""
    found = []
    for i, (label, score) in enumerate(scores.items()):
        trials = timed(
            COMPARISON, f"{workload}-{label}", trainer="MiniBatch", seconds_per_step=1e-3, batch_size=1,
            workload=workload, blocks=6, **changes,
        )  # fmt: skip
        for record, away in zip(trials, np.roll([-1, 1, 0, 0.5, -0.5, 0], i), strict=True):
            record.curve["score"][-1] = score + spread * away
        found.append(trials)
    return found


def verdicts(run):
    return {(found.workload, found.what): found.verdict for found in statements(run)}


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [(31.2, 31.8, "agrees"), (29.0, 30.5, "disagrees"), (30.5, 31.8, "not resolved"), (30.0, 33.0, "not resolved")],
)
def test_agreement_is_of_the_whole_interval(low, high, verdict):
    """By the median alone a noisier measurement would agree more easily."""
    wanted = NUMBERS[0]
    assert (wanted.low, wanted.high) == (31, 32)
    assert wanted.verdict(Interval((low + high) / 2, low, high, 5)) == verdict


def test_below_three_trials_there_is_no_verdict():
    wanted = NUMBERS[0]
    assert wanted.verdict(Interval(31.5, np.nan, np.nan, 1)) == "no verdict at n=1"
    assert wanted.verdict(Interval(30.0, np.nan, np.nan, 2)) == "no verdict at n=2"
    assert wanted.verdict(NOTHING) == "not measured"
    run = results(*[trials[:2] for trials in at_batch_size_one(BETTER)])
    assert set(verdicts(run).values()) == {"no verdict at n=2"}


BETTER, WORSE, EQUAL = (
    {"Adam-B64": 0.93, "Adam-B1": 0.93, "Adam-B1-scaled": score, "Sgd-B1": 0.93} for score in (0.96, 0.90, 0.93)
)


@pytest.mark.parametrize(
    ("scores", "expected"),
    [
        (BETTER, ["holds", "holds", "fails"]),  # SGD at 0.93 falls short of 0.96
        (WORSE, ["fails", "fails", "holds"]),
        (EQUAL, ["holds", "equivalent", "holds"]),  # no worse is not better
    ],
)
def test_the_statements_on_batch_size_one(scores, expected):
    run = results(*at_batch_size_one(scores))
    assert list(verdicts(run).values()) == expected
    assert (
        reproductions.statements_of_adam(run)["published"]
        .iloc[0]
        .startswith("batch size 1, with beta2 scaled, is no worse than 64")
    )


def test_where_lower_scores_are_better_the_difference_turns():
    losses = {"Adam-B16": 2.2, "Adam-B1": 2.2, "Adam-B1-scaled": 2.0, "Sgd-B1": 2.2}
    run = results(*at_batch_size_one(losses, LANGUAGE, higher_is_better=False, target=1.0))
    assert list(verdicts(run).values()) == ["holds", "holds", "not resolved"]  # too few rates were tried to refute


def test_a_noisy_difference_is_not_resolved():
    run = results(*at_batch_size_one(EQUAL, spread=0.08))
    assert set(verdicts(run).values()) == {"not resolved"}


@pytest.mark.parametrize("hair", [-0.0001, 0.0, 0.0001])
def test_a_hair_does_not_turn_a_verdict(hair):
    """0.0015 [0, 0.003] of 0.94 is a third of the margin at most: whether it ends above 0 decides nothing."""
    statement = next(one for one in STATEMENTS if one.better)
    assert _verdict(statement, gap(0.0015 + hair, hair, 0.003 + hair)) == "equivalent"
    assert _verdict(statement, gap(0.02 + hair, hair, 0.04 + hair)) in ("holds", "not resolved")


def gap(middle, low, high, margin=0.0094):
    found = score_verdict(low, high, margin)
    return ScoreGap(Interval(middle, low, high, 6), found, True, 100.0, margin, lambda error: found)


def test_the_margin_is_a_share_of_the_errors_however_the_score_is_reported():
    """By 0.6 points of 0.94: less than 1 % of the accuracy, but a tenth of the errors, of which a twentieth is none."""
    accuracies = {"Adam-B64": 0.94, "Adam-B1": 0.94, "Adam-B1-scaled": 0.934, "Sgd-B1": 0.934}
    errors = {name: 1 - accuracy for name, accuracy in accuracies.items()}
    of_error = {"higher_is_better": False, "target": 0.06}
    said = [
        verdicts(results(*at_batch_size_one(scores, spread=0.0005, **changes)))
        for scores, changes in ((accuracies, {}), (errors, of_error))
    ]
    assert said[0] == said[1]
    assert list(said[0].values()) == ["fails", "fails", "holds"]


def test_a_claim_is_not_refuted_by_few_rates_of_one_seed():
    run = results(*at_batch_size_one({"Adam-B16": 0.93, "Adam-B1-scaled": 0.90}, LANGUAGE))
    assert list(verdicts(run).values()) == ["not resolved"]
    assert "too few to refute" in reproductions.statements_of_adam(run)["rates tried"].iloc[0]
