"""The median over seeds counts those that are done, and is drawn."""

from dataclasses import replace

import numpy as np
import pytest

from paceline.bench.records.record import Record
from paceline.bench.report.all_plots import PLOTS
from paceline.bench.report.plots.convergence import Curve, median_curve
from tests.report.plots.drawn_runs import axes_of, only, path, record, results_of


def curve(x: list[float], score: list[float], status: str = "reached") -> Curve:
    return Curve(np.array(x, dtype=float), np.array(score), status)


def test_the_median_counts_seeds_that_are_done() -> None:
    seeds = [
        curve([1, 2], [0.5, 0.95]),
        curve([1, 3, 4], [0.3, 0.6, 0.93]),
        curve([1, 3, 8], [0.1, 0.4, 0.94]),
    ]
    middle = median_curve(seeds, target=0.93, higher_is_better=True)
    assert middle is not None
    # At 2 the scores are 0.95, 0.3, 0.1; at 3 they are 0.95 (done), 0.6, 0.4; at 4 the median seed is there.
    assert middle.x.tolist() == [1, 2, 3, 4]
    assert middle.median.tolist() == [0.3, 0.3, 0.6, 0.93]
    assert middle.low.tolist() == [0.1, 0.1, 0.4, 0.4]
    assert middle.high.tolist() == [0.5, 0.95, 0.95, 0.95]


def test_the_median_ends_where_a_seed_ran_out_of_its_budget() -> None:
    seeds = [curve([1, 2, 9], [0.2, 0.4, 0.8], "missed"), curve([1, 2, 3], [0.2, 0.6, 0.7], "missed")]
    middle = median_curve(seeds, 0.93, higher_is_better=True)
    assert middle is not None
    assert middle.x.tolist() == [1, 2, 3]
    assert middle.median.tolist() == pytest.approx([0.2, 0.5, 0.55])


def test_diverged_seeds_count_as_worst_and_crashed_ones_not() -> None:
    seeds = [curve([1, 4], [0.5, 0.93]), curve([1, 2], [0.4, 0.6], "diverged"), curve([1, 4], [0.3, 0.94])]
    middle = median_curve([*seeds, curve([1], [0.9], "crashed")], 0.93, higher_is_better=True)
    assert middle is not None
    assert middle.median.tolist() == [0.4, 0.5, 0.93]
    assert middle.low.tolist() == [0.3, 0.3, -np.inf]
    falling = median_curve([curve([1, 2], [3.0, 0.5]), curve([1], [3.0], "diverged")], 0.6, higher_is_better=False)
    assert falling is not None
    assert falling.high.tolist() == [3.0, np.inf]


def test_no_median_without_a_seed() -> None:
    assert median_curve([curve([], [])], 0.9, True) is None
    assert median_curve([curve([1], [0.5], "crashed")], 0.9, True) is None


def test_from_six_seeds_on_the_band_is_the_interval_of_the_median() -> None:
    nine = [curve([1.0], [0.1 * k], "missed") for k in range(9)]
    middle = median_curve(nine, 0.95, higher_is_better=True)
    assert middle is not None
    # Of nine values the second smallest and the second largest: 1 - 2 * (1 + 9) / 2**9 = 96 %.
    assert (middle.low[0], middle.high[0]) == (nine[1].score[0], nine[7].score[0])


def test_the_median_is_drawn_against_seconds_steps_and_samples() -> None:
    way = [0.6, 0.7, 0.8, 0.93]
    records = [
        record("strategies", "Amp", seed, curve=path([t * (1 + seed) for t in (1, 2, 4, 8)], way)) for seed in range(3)
    ]
    panels = axes_of(PLOTS["convergence"](results_of(*records)))
    steps, samples = (only(panels[i], "Amp").get_xydata().tolist() for i in (1, 2))
    assert steps == [[1, 0.6], [2, 0.7], [3, 0.8], [4, 0.93]]
    assert samples == [[64, 0.6], [128, 0.7], [192, 0.8], [256, 0.93]]
    assert only(panels[0], "Amp").get_xydata()[-1].tolist() == [16, 0.93]  # of 8, 16 and 24 s
    assert "target\n0.93" in [text.get_text() for text in panels[2].texts]


def test_the_title_says_who_is_first_in_what() -> None:
    def title(*records: Record) -> str:
        figure = PLOTS["convergence"](results_of(*records))
        assert figure is not None
        return figure.get_suptitle()

    quick = record("strategies", "MiniBatch", curve=path([1, 2, 4, 8], [0.6, 0.7, 0.8, 0.93]))
    lean = record("strategies", "Online", curve=path([10, 40], [0.6, 0.93], batch=1))
    assert title(quick, lean) == "By its median first at the target: MiniBatch in seconds, Online in steps and samples"
    assert title(quick, replace(lean, workload="other")) == "How does each strategy approach the target?"
    assert title(quick) == "How does each strategy approach the target?"
