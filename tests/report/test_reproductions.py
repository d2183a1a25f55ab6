"""Published numbers: what agrees, what does not, and what was not looked at."""

import re

import numpy as np
import pytest

from paceline.bench.analysis.reproductions import COMPARISON, FASHION
from paceline.bench.analysis.reproductions import _critical as critical_batch_of_fashion
from paceline.bench.analysis.reproductions import _noise as noise_scale_of_fashion
from paceline.bench.report import reproductions
from paceline.bench.report.all_plots import PLOTS
from tests.synthetic import noises, results, swept, timed


def models(accuracies: dict[str, float], spread: float = 0.002):
    """Return trials that ended with these accuracies, give or take ``spread``, five seeds each."""
    found = []
    for workload, accuracy in accuracies.items():
        trials = timed(
            COMPARISON, workload, trainer="Cyclic", seconds_per_step=1e-3, batch_size=100, workload=workload,
            blocks=5,
        )  # fmt: skip
        for record, away in zip(trials, np.linspace(-1, 1, 5), strict=True):
            record.curve["score"][-1] = accuracy + spread * away
        found.append(trials)
    return found


def test_a_number_agrees_within_the_range_and_disagrees_where_its_whole_interval_is_outside():
    run = results(*models({"mnist1d-linear": 0.315, "mnist1d-mlp": 0.55, "mnist1d-cnn": 0.917}))
    table = reproductions.published(run).set_index("what")
    assert table["verdict"].to_dict() == {
        "MNIST-1D, linear: accuracy": "agrees",
        "MNIST-1D, MLP: accuracy": "disagrees",
        "MNIST-1D, CNN: accuracy": "not resolved",  # 91.7 [91.5, 91.9]: the accepted range begins at 91.8
        "MNIST-1D, GRU: accuracy": "not measured",
    }
    assert reproductions.earlier(run).empty
    assert table.loc["MNIST-1D, linear: accuracy", "measured"].startswith("31.5 % [31.")


@pytest.mark.parametrize(("critical", "verdict"), [(166.0, "agrees"), (20.0, "disagrees")])
def test_the_sweep_of_fashion_mnist_is_held_against_our_earlier_one_in_a_table_of_its_own(critical, verdict):
    run = results(
        swept((8, 16, 32, 64, 128, 256, 512, 1024), critical=critical, samples_min=213 * critical, workload=FASHION),
        noises([60.0, 64.0, 62.0], workload=FASHION),
    )
    table = reproductions.earlier(run).set_index("what")
    assert reproductions.published(run).empty
    assert table.loc["Fashion-MNIST: critical batch size, B_crit", "verdict"] == verdict
    assert table.loc["Fashion-MNIST to 14.5 % error: fewest steps, S_min", "verdict"] == "agrees"
    assert re.match(r"2\d\d steps \[2\d\d, 2\d\d\]", table["measured"].iloc[0])
    assert table.loc["Fashion-MNIST: noise scale, mean over its progress", "measured"] != "—"
    ratio = table.loc["Fashion-MNIST: noise scale over B_crit", "measured"]
    assert float(ratio.split()[0]) == pytest.approx(
        noise_scale_of_fashion(run).median / critical_batch_of_fashion(run).median, rel=0.01
    )


def test_a_run_without_reproductions_has_no_row_and_no_plot():
    assert reproductions.published(results()).empty
    assert reproductions.earlier(results()).empty
    assert reproductions.statements_of_adam(results()).empty
    assert PLOTS["reproductions"](results()) is None
