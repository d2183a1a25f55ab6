"""Published results: what agrees, what does not, and what was not looked at."""

import numpy as np
import pytest

from paceline.bench.analysis import reproductions as rep
from paceline.bench.analysis.statistics import Interval
from paceline.bench.report.plots import PLOTS
from tests.synthetic import noises, results, swept, timed


def models(accuracies: dict[str, float], spread: float = 0.002):
    """Return trials that ended with these accuracies, give or take ``spread``, five seeds each."""
    found = []
    for workload, accuracy in accuracies.items():
        trials = timed(
            rep.COMPARISON, workload, trainer="Cyclic", seconds_per_step=1e-3, batch_size=100, workload=workload,
            blocks=5,
        )  # fmt: skip
        for record, away in zip(trials, np.linspace(-1, 1, 5), strict=True):
            record.curve["score"][-1] = accuracy + spread * away
        found.append(trials)
    return found


def at_batch_size_one(scores: dict[str, float], workload: str = "mnist5k", spread: float = 0.001, **changes):
    """Return trials of Adam and SGD with these final scores by label; seeds differ alike, labels a little."""
    found = []
    for i, (label, score) in enumerate(scores.items()):
        trials = timed(
            rep.COMPARISON, f"{workload}-{label}", trainer="MiniBatch", seconds_per_step=1e-3, batch_size=1,
            workload=workload, blocks=6, **changes,
        )  # fmt: skip
        for record, away in zip(trials, np.roll([-1, 1, 0, 0.5, -0.5, 0], i), strict=True):
            record.curve["score"][-1] = score + spread * away
        found.append(trials)
    return found


def verdicts(run):
    return {(found.workload, found.what): found.verdict for found in rep.statements(run)}


def test_a_number_agrees_within_the_range_and_disagrees_where_its_whole_interval_is_outside():
    run = results(*models({"mnist1d-linear": 0.315, "mnist1d-mlp": 0.55, "mnist1d-cnn": 0.917}))
    table = rep.table(run).set_index("what")
    assert table["verdict"].to_dict() == {
        "MNIST-1D, linear: accuracy": "agrees",
        "MNIST-1D, MLP: accuracy": "disagrees",
        "MNIST-1D, CNN: accuracy": "not resolved",  # 91.7 [91.5, 91.9]: the accepted range begins at 91.8
        "MNIST-1D, GRU: accuracy": "not measured",
        "Fashion-MNIST to 14.5 % error: fewest steps, S_min": "not measured",
        "Fashion-MNIST: critical batch size, B_crit": "not measured",
        "Fashion-MNIST: noise scale, mean over the run": "not measured",
        "Fashion-MNIST: noise scale over B_crit": "not measured",
    }
    assert table.loc["MNIST-1D, linear: accuracy", "measured"].startswith("31.5 % [31.")


@pytest.mark.parametrize(("critical", "verdict"), [(166.0, "agrees"), (20.0, "disagrees")])
def test_the_sweep_of_fashion_mnist_is_held_against_the_earlier_one(critical, verdict):
    run = results(
        swept(
            (8, 16, 32, 64, 128, 256, 512, 1024), critical=critical, samples_min=213 * critical, workload=rep.FASHION
        ),
        noises([60.0, 64.0, 62.0], workload=rep.FASHION),
    )
    table = rep.table(run).set_index("what")
    assert table.loc["Fashion-MNIST: critical batch size, B_crit", "verdict"] == verdict
    assert table.loc["Fashion-MNIST to 14.5 % error: fewest steps, S_min", "verdict"] == "agrees"
    assert table.loc["Fashion-MNIST: noise scale, mean over the run", "measured"] != "—"
    ratio = table.loc["Fashion-MNIST: noise scale over B_crit", "measured"]
    assert float(ratio.split()[0]) == pytest.approx(rep._noise(run).median / rep._critical(run).median, rel=0.01)


def test_a_median_without_an_interval_is_judged_by_itself():
    wanted = rep.NUMBERS[0]
    assert wanted.verdict(Interval(31.5, np.nan, np.nan, 1)) == "agrees"
    assert wanted.verdict(Interval(30.0, np.nan, np.nan, 1)) == "disagrees"
    assert wanted.verdict(rep.NOTHING) == "not measured"


BETTER, WORSE, EQUAL = (
    {"Adam-B64": 0.93, "Adam-B1": 0.93, "Adam-B1-scaled": score, "Sgd-B1": 0.93} for score in (0.96, 0.90, 0.93)
)


@pytest.mark.parametrize(
    ("scores", "expected"),
    [
        (BETTER, ["holds", "holds", "fails"]),  # SGD at 0.93 falls short of 0.96
        (WORSE, ["fails", "fails", "holds"]),
        (EQUAL, ["holds", "fails", "holds"]),  # no worse is not better
    ],
)
def test_the_statements_on_batch_size_one(scores, expected):
    run = results(*at_batch_size_one(scores))
    assert list(verdicts(run).values()) == expected
    assert (
        rep.statements_table(run)["published"]
        .iloc[0]
        .startswith("batch size 1, with beta2 scaled, is no worse than 64")
    )


def test_where_lower_scores_are_better_the_difference_turns():
    losses = {"Adam-B16": 2.2, "Adam-B1": 2.2, "Adam-B1-scaled": 2.0, "Sgd-B1": 2.2}
    run = results(*at_batch_size_one(losses, rep.LANGUAGE, higher_is_better=False, target=1.0))
    assert list(verdicts(run).values()) == ["holds", "holds", "fails"]


def test_a_noisy_difference_is_not_resolved():
    run = results(*at_batch_size_one(EQUAL, spread=0.08))
    assert set(verdicts(run).values()) == {"not resolved"}


def test_a_run_without_reproductions_has_no_row_and_no_plot():
    assert rep.table(results()).empty
    assert rep.statements_table(results()).empty
    assert PLOTS["reproductions"](results()) is None
