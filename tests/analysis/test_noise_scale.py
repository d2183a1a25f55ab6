"""The noise scale, on noise that is known."""

import math

import numpy as np
import pytest

from paceline.bench.analysis.batch_size_sweep import of_mini_batch
from paceline.bench.analysis.noise_scale import (
    exact,
    noise_scale,
    run_average,
    series,
    two_batch_sizes,
    unbiased,
    variance_exponent,
)
from paceline.bench.report import noise_scale as noise_report
from tests.planted import a_record
from tests.synthetic import batch_sizes, noise_of, noises, results, swept

D = 20  # features of the streaming problem


def gradients(rng: np.random.Generator, batch: int, draws: int, sigma: float, error: float) -> np.ndarray:
    """Gradients [draws, D] of ½ r² over fresh batches of y = xᵀw* + σε, at a distance ``error`` from w*."""
    x = rng.standard_normal((draws, batch, D))
    residual = error * x[:, :, 0] - sigma * rng.standard_normal((draws, batch))
    return np.einsum("mb,mbd->md", residual, x) / batch


def squares(rng: np.random.Generator, batch: int, draws: int, sigma: float, error: float) -> np.ndarray:
    return (gradients(rng, batch, draws, sigma, error) ** 2).sum(axis=1)


class TestKnownNoise:
    @pytest.mark.parametrize(("sigma", "error", "expected"), [(0, 1, 21), (0.5, 1, 26), (0.5, 0.1, 521)])
    def test_two_batch_sizes_find_the_noise_scale_of_streaming_least_squares(self, sigma, error, expected):
        """It is d + 1 + d s²/|e|², whatever the batches; tr Σ = (d + 1)|e|² + d s² and |G|² = |e|²."""
        assert expected == pytest.approx(D + 1 + D * sigma**2 / error**2)
        rng = np.random.default_rng(1)
        draws = 8000 if expected > 100 else 4000
        small, big = squares(rng, 4, draws, sigma, error), squares(rng, 64, draws, sigma, error)
        found = two_batch_sizes(4, small.tolist(), 64, big.tolist())
        assert found.value == pytest.approx(expected, rel=0.05)
        assert found.low < expected < found.high
        assert found.trace == pytest.approx((D + 1) * error**2 + D * sigma**2, rel=0.03)

    def test_the_interval_covers_as_often_as_it_says(self):
        """The truth is 26, of 8 draws of each size: 1000 intervals."""
        rng = np.random.default_rng(2)
        small, big = (squares(rng, b, 8000, 0.5, 1).reshape(1000, 8) for b in (8, 256))
        found = [two_batch_sizes(8, s.tolist(), 256, b.tolist()) for s, b in zip(small, big, strict=True)]
        assert np.mean([scale.low <= 26 <= scale.high for scale in found]) == pytest.approx(0.95, abs=0.02)

    def test_it_covers_where_the_noise_scale_is_too_large_to_be_seen(self):
        """The truth is 521, from batches of at most 64: |G|² is estimated below 0 in many tries."""
        rng = np.random.default_rng(3)
        small, big = (squares(rng, b, 6400, 0.5, 0.1).reshape(800, 8) for b in (4, 64))
        found = [two_batch_sizes(4, s.tolist(), 64, b.tolist()) for s, b in zip(small, big, strict=True)]
        unseen = [scale for scale in found if math.isnan(scale.value)]
        assert 0.05 < len(unseen) / len(found) < 0.5
        assert all(math.isinf(scale.high) for scale in unseen)
        assert np.mean([not (scale.low > 521 or scale.high < 521) for scale in found]) > 0.92

    def test_a_ratio_of_means_is_not_biased_as_a_mean_of_ratios_is(self):
        rng = np.random.default_rng(9)
        traces, parts = unbiased(4, squares(rng, 4, 4000, 0.5, 1), 64, squares(rng, 64, 4000, 0.5, 1))
        assert noise_scale(traces, parts).value == pytest.approx(26, rel=0.05)
        assert abs(np.mean(traces / parts) / 26 - 1) > 0.1

    def test_batches_without_replacement_vary_less(self):
        """Of 40 samples: without the correction, |G|² of batches of 30 would come out too small by tr Σ / 40."""
        rng = np.random.default_rng(5)
        each = rng.standard_normal((40, 6)) + 0.3
        mean, centered = each.mean(axis=0), each - each.mean(axis=0)
        trace = (centered**2).sum() / 39
        drawn = {b: [(each[rng.permutation(40)[:b]].mean(axis=0) ** 2).sum() for _ in range(8000)] for b in (5, 30)}
        found = two_batch_sizes(5, drawn[5], 30, drawn[30], population=40)
        assert found.trace == pytest.approx(trace, rel=0.03)
        assert found.squared_gradient == pytest.approx((mean**2).sum(), rel=0.03)
        endless = two_batch_sizes(5, drawn[5], 30, drawn[30])
        assert endless.squared_gradient == pytest.approx((mean**2).sum() - trace / 40, rel=0.05)

    def test_all_samples_one_by_one_are_no_estimate(self):
        rng = np.random.default_rng(6)
        each = rng.standard_normal((50, 6)) + 0.3
        trace = each.var(axis=0, ddof=1).sum()
        found = exact((each**2).sum(axis=1).mean(), 50, (each.mean(axis=0) ** 2).sum(), population=50)
        assert found.trace == pytest.approx(trace, rel=1e-12)
        assert found.value == pytest.approx(trace / (each.mean(axis=0) ** 2).sum(), rel=1e-12)


class TestWithoutAValue:
    def test_a_gradient_hidden_by_noise_has_a_reason_and_a_lower_bound(self):
        found = noise_scale([10.0, 11.0, 10.5, 9.5], [-0.3, 0.2, -0.1, -0.2])
        assert math.isnan(found.value)
        assert found.reason == "|G|² is estimated at -0.1, not above 0: the noise hides the gradient"
        assert 0 < found.low < math.inf == found.high

    def test_no_noise_has_a_reason(self):
        found = two_batch_sizes(1, [4.0], 10, [4.0])
        assert math.isnan(found.value)
        assert found.reason == "tr Σ is estimated at 0: no noise was seen"

    def test_nothing_observed_has_a_reason(self):
        assert noise_scale([], []).reason == "nothing was observed"

    def test_below_three_observations_there_is_no_interval(self):
        found = noise_scale([10.0, 11.0], [1.0, 1.1])
        assert found.value == pytest.approx(10)
        assert math.isnan(found.low)
        assert math.isnan(found.high)

    @pytest.mark.parametrize(("small", "big", "population"), [(8, 8, 100), (0, 8, 100), (8, 128, 100)])
    def test_sizes_out_of_order_are_refused(self, small, big, population):
        with pytest.raises(ValueError, match="need 0 < small < big <= population"):
            unbiased(small, 1.0, big, 1.0, population)


class TestAlongARun:
    def test_the_mean_over_a_run_weighs_by_steps(self):
        """The exact noise scales of a published-protocol run on Fashion-MNIST, whose mean over steps is 193."""
        steps = [0, 2, 5, 10, 20, 40, 80, 120, 180, 260, 340, 430]
        values = [38, 34, 48, 67, 133, 119, 24, 258, 261, 281, 63, 367]
        assert run_average(steps, values) == pytest.approx(np.trapezoid(values, steps) / 430)
        assert run_average(steps, values) == pytest.approx(193, abs=0.5)
        assert np.mean(values) < 0.8 * 193  # a plain mean is of the start, where most points are

    def test_a_run_that_mostly_lacks_a_value_has_no_mean(self):
        assert run_average([1, 2, 4, 8], [math.nan, 10, 20, 30]) == pytest.approx((1.5 * 10 + 3 * 20 + 2 * 30) / 6.5)
        assert math.isnan(run_average([1, 2, 4, 8], [10, 10, 20, math.nan]))

    @pytest.mark.parametrize("method", ["samples", "batch sizes", "parts"])
    def test_every_method_finds_what_was_planted(self, method):
        record = noises([40.0])[0]
        found = series(record)[method]
        assert found.steps == (1, 2, 4, 8)
        assert found.values == pytest.approx([40, 80, 120, 160], rel=1e-6)

    def test_parts_of_unequal_number_count_alike(self):
        """A smaller last batch has fewer micro-batches: its parts are as large as the others'."""
        columns = noise_of(40.0, (1, 2), parts=4)
        fewer = noise_of(40.0, (1, 2), parts=2)
        for name in ("parts", "parts_small_square"):
            columns[name] = [columns[name][0], fewer[name][1]]
        found = series(a_record(noise=columns, train_samples=1000))["parts"]
        assert found.values == pytest.approx([40, 80], rel=1e-6)

    def test_parts_are_averaged_apart_over_the_steps_around_a_point(self):
        """|G|² of the one is 3, of the other -1: their mean has a noise scale, the second alone has none."""
        columns = noise_of(40.0, (1, 100))
        small, big = 64 / 4, 64
        rows = [(100, 3.0), (110, -1.0)]
        law = {b: [g + 40 * (1 / b - 1 / 1000) for _, g in rows] for b in (small, big)}
        columns |= {
            "parts_step": [step for step, _ in rows],
            "parts": [4, 4],
            "parts_batch": [64, 64],
            "parts_small_square": law[small],
            "parts_big_square": law[big],
        }
        found = series(a_record(noise=columns, train_samples=1000))["parts"]
        assert found.steps == (100,)
        assert found.scales[0].value == pytest.approx(40)
        assert found.scales[0].n == 2

    def test_a_trial_that_observed_nothing_has_no_series(self):
        assert series(a_record()) == {}

    @pytest.mark.parametrize("power", [-1.0, -0.5])
    def test_the_exponent_of_the_variance_is_found(self, power):
        variances = [7 * b**power * (1 - b / 1000) for b in (8, 64, 500)]
        record = a_record(noise=noise_of(1.0, (1, 2)) | {"variances": [variances] * 2}, train_samples=1000)
        assert variance_exponent(record) == pytest.approx(power, abs=1e-9)

    def test_the_whole_training_set_has_no_variance_to_fit(self):
        columns = noise_of(1.0, (1,)) | {"batch_sizes": [[10, 100, 1000]], "variances": [[0.99, 0.09, 0.0]]}
        assert variance_exponent(a_record(noise=columns, train_samples=1000)) == pytest.approx(-1, abs=1e-9)


SEEDS = [40.0, 42.0, 38.0]


class TestReport:
    def test_methods_stand_side_by_side_over_that_by_single_samples(self):
        doubled = noise_of(80.0, (1, 2, 4, 8))
        twice = {name: doubled[name] for name in ("small_squares", "big_squares")}
        table = noise_report.table(results(noises(SEEDS), noises([40.0] * 3, "Ddp", world_size=2, observed=twice)))
        assert list(table["measured by"]) == [
            "single samples", "two batch sizes", "micro-batches", "single samples", "two batch sizes", "ranks"
        ]  # fmt: skip
        by = table.set_index(["strategy", "measured by"])
        assert by.loc[("Accumulate", "single samples"), "start"].startswith("40.0 [35.")
        assert by.loc[("Accumulate", "single samples"), "end"].startswith("160 [1")
        assert by.loc[("Ddp", "two batch sizes"), "of that by single samples"] == "2.00 [2.00, 2.00]"

    def test_points_without_a_value_are_counted(self):
        columns = noise_of(40.0, (1, 2, 4, 8))
        columns["exact_big_square"][3] = -0.1
        bad = noises([40.0], observed={"exact_big_square": columns["exact_big_square"]})
        row = noise_report.table(results(bad)).iloc[0]
        assert row["without a value"] == "1 of 4 points: |G|² not above 0"
        assert row["end"] == "—"

    def test_the_ratio_to_the_sweep_carries_both_uncertainties(self):
        run = results(noises(SEEDS), swept(critical=64.0))
        row = noise_report.against_the_sweep(run).iloc[0]
        noise = noise_report.averages([record for record in run.records if record.comparison == "noise_scale"])
        sweep = of_mini_batch(run)["digits"].fit
        assert sweep.low <= 64 <= sweep.high
        ratio, low, high = noise_report.ratio_to(noise, sweep)
        assert ratio == pytest.approx(noise.median / sweep.critical_batch_size)
        of_sweep = math.log(sweep.critical_batch_size / sweep.low), math.log(sweep.high / sweep.critical_batch_size)
        up, down = math.log(noise.high / noise.median), math.log(noise.median / noise.low)
        assert math.log(high / ratio) == pytest.approx(math.hypot(of_sweep[0], up))
        assert math.log(ratio / low) == pytest.approx(math.hypot(of_sweep[1], down))
        assert row["ratio"].startswith(f"{ratio:.2f} [")
        assert row["beware"] == "—"

    def test_a_sweep_that_tells_nothing_gives_no_ratio(self):
        without, too_few = results(noises(SEEDS)), results(noises(SEEDS), swept((4, 8, 16)))
        missing, unknown = (noise_report.against_the_sweep(run).iloc[0] for run in (without, too_few))
        assert missing["ratio"] == unknown["ratio"] == "—"
        assert "bench_critical_batch.py" in missing["beware"]
        assert "3 batch sizes" in unknown["beware"]

    def test_an_adaptive_optimizer_is_warned_of(self):
        table = noise_report.against_the_sweep(results(noises(SEEDS), noises(SEEDS, "Adam", "Adam"))).set_index(
            "strategy"
        )
        assert "under Adam" in table.loc["Adam", "beware"]
        assert "under" not in table.loc["Accumulate", "beware"]

    def test_goodput_predicts_from_throughput_and_the_noise_scale_and_the_sweep_says_what_it_costs(self):
        """Efficiency φ / (φ + B): with φ = 107 and a throughput that doubles up to 64 the best of these is 64.

        The planted sweep takes (1 + B / 64) / B x (1 ms + B x 10 us): 80 is fastest, and a larger first step moves it.
        """
        short = [noises(SEEDS), batch_sizes({16: 1e4, 64: 4e4, 256: 5e4}), noises(SEEDS, "Adam", "Adam")]
        [row] = noise_report.prediction(results(*short)).to_dict("records")
        assert row["strategy"] == "Accumulate"
        assert row["predicted fastest"] == "64 [64, 64]"
        assert row["throughput known at"] == "16, 64 and 256"
        assert (row["fastest in the sweep"], row["regret"]) == ("—", "—")
        [row] = noise_report.prediction(results(*short, swept())).to_dict("records")
        assert row["fastest in the sweep"].startswith(("64", "128"))
        slow = swept(seconds_per_step=1.0, seconds_per_sample=0.0, power=0.0)  # every step as long: the largest batch
        [row] = noise_report.prediction(results(*short, slow)).to_dict("records")
        assert row["fastest in the sweep"].startswith("512")
        ratio = (1 + 64 / 64) / 64 / ((1 + 512 / 64) / 512)  # 1.78
        assert float(row["regret"].split()[0]) == pytest.approx(ratio, rel=0.05)
        [row] = noise_report.prediction(results(*short, swept((4, 16, 256, 512)))).to_dict("records")
        assert row["regret"] == "not known: B=64 is not in the sweep"

    def test_an_empty_run_has_empty_tables(self):
        run = results()
        assert noise_report.table(run).empty
        assert noise_report.against_the_sweep(run).empty
