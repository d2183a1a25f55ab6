"""The best of k is compared with the others by a method that knows it is the best of k: played on equal cells."""

import math

import numpy as np
import pytest
from scipy import stats

from paceline.bench.analysis.best_of import _logs, best_of, over_the_best, pooled_spread, shares_of_best, tukey
from paceline.bench.analysis.cells import cells_of, in_order, name_of
from paceline.bench.analysis.frames import Results
from paceline.bench.analysis.paired import pair
from paceline.bench.analysis.statistics import student
from tests.synthetic import batch_sizes, raced, results

SECONDS = "seconds_to_target"


def called_worse(k: int, n: int, noise: np.ndarray, faster: float = 0.0, runs: int = 4000) -> tuple[float, ...]:
    """Play ``runs`` of k cells and n blocks by the rule of ``best_of``, vectorized.

    Returns:
        The share of runs in which any cell is called worse, likewise by the pair's own t alone, and the share of the
        others that is called worse than the last cell, which takes exp(-faster) of their time.
    """
    random = np.random.default_rng(k * n)
    logs = noise * random.standard_normal((runs, n, k)) + 0.5 * random.standard_normal((runs, n, 1))
    logs[..., -1] -= faster
    best = np.median(logs, axis=1).argmin(axis=1)
    apart = logs - logs[np.arange(runs), :, best][..., np.newaxis]
    own, mean = apart.std(axis=1, ddof=1), apart.mean(axis=1)
    pooled = np.array([pooled_spread(each) for each in logs])[:, np.newaxis]
    others = np.arange(k) != best[:, np.newaxis]
    alone = (mean * np.sqrt(n) > stats.t.isf(0.025, n - 1) * own) & others
    worse = alone & (mean * np.sqrt(n) > tukey(k, n) * np.maximum(own, pooled))
    return worse.any(axis=1).mean(), alone.any(axis=1).mean(), worse.sum() / (runs * (k - 1))


@pytest.mark.parametrize("n", [3, 6, 10])
@pytest.mark.parametrize("k", [3, 6, 9])
def test_of_equal_cells_any_is_called_worse_in_at_most_5_percent_of_runs(k: int, n: int) -> None:
    """The standard error of a share of 5 % is 0.35 %. Compared one by one they would be in up to 37 %."""
    together, alone, _ = called_worse(k, n, np.full(k, 0.3))
    assert together <= 0.05
    assert alone > (0.08 if k == 3 else 0.2)


def test_noise_that_differs_six_fold_between_cells_is_survived() -> None:
    assert called_worse(6, 6, np.geomspace(0.1, 0.6, 6))[0] <= 0.06


@pytest.mark.parametrize(("k", "n"), [(6, 6), (9, 6), (6, 10)])
def test_a_factor_of_two_is_found(k: int, n: int) -> None:
    """At a noise of 20 % a trial, in 9 of 10 others at least."""
    assert called_worse(k, n, np.full(k, 0.2), faster=np.log(2))[2] >= 0.9


def noisy(times: dict[str, float], seed: int = 0, noise: float = 0.1) -> Results:
    """Return trials of strategies that take ``times``, each with noise of its own."""
    random, found = np.random.default_rng(seed), []
    for name, seconds in times.items():
        for record in raced(name, seconds=seconds):
            factor = np.exp(noise * random.standard_normal())
            record.curve["seconds"][:] = [s * factor for s in record.curve["seconds"]]
            found.append(record)
    return results(found)


def test_the_rule_is_the_one_that_was_played() -> None:
    """Some pairs differ by their own t, and are not called different among six."""
    undecided_among_six = 0
    for seed in range(6):
        run = noisy(
            {"MiniBatch": 1.0, "Amp": 1.1, "Ddp": 1.1, "FullBatch": 9.0, "Online": 1.1, "Accumulate": 1.1}, seed
        )
        cells = in_order(cells_of(run, "strategies"), "seconds_to_target")
        found = best_of(run, cells, "seconds_to_target")
        for cell, among in found.others:
            [(_, alone)] = best_of(run, [found.cell, cell], "seconds_to_target").others
            far = math.log(among.comparison.ratio) * math.sqrt(6)
            stands = far > tukey(6, 6) * max(among.comparison.spread, pooled_spread(_logs(run, cells, SECONDS)))
            assert (among.verdict == "slower") == (alone.verdict == "slower" and stands)
            undecided_among_six += alone.verdict == "slower" and among.verdict == "undecided"
            assert among.verdict == "slower" or name_of(cell) != "FullBatch"
    assert undecided_among_six > 0


def test_chances_add_up_and_the_regret_of_what_is_twice_as_slow_is_a_hundred_percent() -> None:
    run = noisy({"MiniBatch": 1.0, "Amp": 1.01, "FullBatch": 2.0}, noise=0.03)
    found = best_of(run, in_order(cells_of(run, "strategies"), "seconds_to_target"), "seconds_to_target")
    assert sum(found.chance) == pytest.approx(1.0)
    regret = {name_of(cell): share for cell, share in zip([found.cell, *(c for c, _ in found.others)], found.regret,
                                                         strict=True)}  # fmt: skip
    assert regret["FullBatch"] == pytest.approx(1.0, abs=0.1)
    assert max(regret["MiniBatch"], regret["Amp"]) < 0.05


@pytest.mark.parametrize("n", [3, 6, 10])
@pytest.mark.parametrize("k", [6, 9])
def test_of_equal_cells_none_has_a_price(k: int, n: int) -> None:
    """On the trials that chose the best, the others seem to take 10 to 21 % more; across halves 1 to 3 %."""
    random = np.random.default_rng(k * n)
    logs = 0.2 * random.standard_normal((2000, n, k))
    best = logs.mean(axis=1).argmin(axis=1)
    others = np.arange(k) != best[:, np.newaxis]
    fitted = over_the_best(logs)
    same = logs - np.take_along_axis(logs, best[:, np.newaxis, np.newaxis], axis=2)
    assert same.mean(axis=1)[others].mean() > 0.09
    assert abs(fitted.mean(axis=1)[others].mean()) < 0.04
    assert fitted.mean() == pytest.approx(0.0, abs=0.005)  # no luck is left in any cell, the best one included
    low, high = student(np.moveaxis(fitted, 1, 2))
    assert ((low <= 0) & (high >= 0))[others].mean() >= 0.935


def test_the_price_of_what_is_far_off_is_what_it_takes() -> None:
    """Where both halves choose the same best, nothing changes: log ratios to the last digit."""
    random = np.random.default_rng(0)
    logs = np.log([1.0, 3.0, 9.0]) + 0.1 * random.standard_normal((6, 3))
    assert over_the_best(logs) == pytest.approx(logs - logs[:, :1])
    run = noisy({"MiniBatch": 1.0, "Amp": 3.0, "FullBatch": 9.0})
    found = best_of(run, in_order(cells_of(run, "strategies"), SECONDS), SECONDS)
    for (_, one), price in zip(found.others, found.prices, strict=True):
        assert price.comparison.ratio == pytest.approx(one.comparison.ratio)
        assert (price.verdict, one.verdict) == ("slower", "slower")


def test_prices_are_taken_where_the_best_was_not_chosen() -> None:
    """Of three seeds one chooses and two value, or the other way round; by hand, with a tie between the first two."""
    logs = np.array([[0.0, 1.0], [2.0, 1.0], [1.0, 3.0]])
    wanted = [[(-1 + 0 + 0) / 3, (0 + 1 + 1) / 3], [0.0, -1.0], [(0 - 2 + 0) / 3, (2 + 0 + 2) / 3]]
    assert over_the_best(logs) == pytest.approx(np.array(wanted))


def test_of_equal_throughputs_none_saturates_the_machine_less_for_the_luck_of_another() -> None:
    """Of six equal batch sizes that differ by 20 % a trial, over the luckiest the others give 0.88, in truth 1."""
    random, over_luckiest, shares = np.random.default_rng(1), [], []
    for _ in range(40):
        records = batch_sizes(dict.fromkeys((8, 16, 32, 64, 128, 256), 1e4), blocks=3)
        for record in records:
            factor = math.exp(0.2 * random.standard_normal())
            record.curve["seconds"][:] = [seconds * factor for seconds in record.curve["seconds"]]
        run = results(records)
        cells = cells_of(run, "batch_size")
        luckiest = max(cells, key=lambda cell: cell["samples_per_second"])
        for cell, share in zip(cells, shares_of_best(run, cells, "samples_per_second"), strict=True):
            shares.append(share.ratio)
            if cell is not luckiest:
                over_luckiest.append(pair(run, cell, luckiest, "samples_per_second").comparison.ratio)
    assert np.mean(np.log(over_luckiest)) < math.log(0.92)
    assert np.mean(np.log(shares)) == pytest.approx(0.0, abs=0.04)  # three standard errors
