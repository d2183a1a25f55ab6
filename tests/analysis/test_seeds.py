"""Seeds are clusters: to merge a rerun of the same seeds adds no information about what the seed decides."""

import json
import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from paceline.bench.analysis.batch_size_sweep import sweeps
from paceline.bench.analysis.cells import cells_of, find
from paceline.bench.analysis.critical_batch_fit import fit
from paceline.bench.analysis.frames import Results
from paceline.bench.analysis.leave_one_out import leave_one_out
from paceline.bench.analysis.noise_along_run import averages, observed
from paceline.bench.analysis.paired import compared, score_difference
from paceline.bench.analysis.rate_exponent import exponent
from paceline.bench.analysis.rate_searches import searches
from paceline.bench.analysis.run_costs import _best
from paceline.bench.analysis.seeds import each_once
from paceline.bench.analysis.statistics import compare, median_interval
from paceline.bench.analysis.time_to_target import crossings
from paceline.bench.records.record import Record
from paceline.bench.report import noise_scale
from paceline.bench.report.merge import merge
from paceline.bench.report.wording import ratio, times
from tests.synthetic import noises, raced, results, searched, swept, write


def test_a_seed_counts_once_with_the_median_of_its_trials() -> None:
    values, ends = each_once([7, 3, 7, 3, 3], [1.0, 2.0, 3.0, 4.0, math.inf], [math.nan, 1.0, 5.0, 1.0, 1.0])
    assert values.tolist() == [2.0, 4.0]
    assert ends.tolist() == [5.0, 1.0]
    [missed] = each_once([0, 0, 1, 1], [1.0, math.inf, math.nan, math.nan])
    assert missed[0] == math.inf
    assert math.isnan(missed[1])


def seeded() -> list[Record]:
    """Two strategies whose samples to target differ from seed to seed, each in its own way."""
    found = []
    for seed in range(6):
        for name, samples in (("MiniBatch", 6400), ("Online", 6400 + 640 * (seed % 3 - 2))):
            [trial] = [t for t in raced(name, seconds=1.0, samples=samples) if t.block == seed]
            found.append(trial)
    return found


def again(records: list[Record], times_more: int = 1) -> list[Record]:
    """Return the records and as many reruns of the same seeds, as ``merge`` numbers their blocks."""
    blocks = 1 + max(record.block for record in records)
    reruns = [
        replace(record, block=record.block + turn * blocks, trial=f"{record.trial}/{turn}")
        for turn in range(1, times_more + 1)
        for record in records
    ]
    return [*records, *reruns]


def intervals_of(run: Results) -> list[object]:
    cells = cells_of(run, "strategies")
    a, b = find(cells, "Online"), find(cells, "MiniBatch")
    assert a is not None
    assert b is not None
    one = {"comparison": "strategies", "cell": "digits-Online"}
    other = {"comparison": "strategies", "cell": "digits-MiniBatch"}
    ratios = compared(run, one, other, "samples_to_target")
    [sample] = [c.success for key, c in crossings(run).items() if key[0] == "digits-Online"]
    of_cell = [a[f"samples_to_target{part}"] for part in ("", "_low", "_high", "_n")]
    return [ratios.low, ratios.ratio, ratios.high, ratios.n, *of_cell, score_difference(run, a, b), sample]


@pytest.mark.parametrize("reruns", [1, 2])
def test_a_rerun_of_the_same_seeds_moves_no_interval(reruns: int) -> None:
    once, more = results(seeded()), results(again(seeded(), reruns))
    assert intervals_of(more) == intervals_of(once)
    [cell] = [c for c in cells_of(more, "strategies") if c["trainer"] == "Online"]
    assert (cell["n"], cell["seeds"]) == (6 * (reruns + 1), 6)


def test_n_says_how_many_seeds_and_how_often() -> None:
    found = compare(results(again(seeded())).trials, "Online", "MiniBatch", "samples_to_target")
    assert (found.n, found.pairs) == (6, 12)
    assert ratio(found).endswith("n=6 seeds x 2")
    assert "; n=6 seeds x 2]" in times(found)
    some = compare(results(again(seeded())[:-4]).trials, "Online", "MiniBatch", "samples_to_target")
    assert ratio(some).endswith("n=6 seeds, 10 pairs")
    assert ratio(compare(results(seeded()).trials, "Online", "MiniBatch")).endswith("n=6")


def test_merged_runs_of_the_same_seeds_are_no_more_seeds(tmp_path) -> None:
    first = seeded()
    second = [replace(record, trial=f"{record.trial}/again") for record in first]
    third = [replace(record, trial=f"{record.trial}/on", seed=record.seed + 6) for record in first]
    folders = [write(tmp_path / name, run) for name, run in (("a", first), ("b", second), ("c", third))]
    for sources, seeds in ((folders[:2], 6), (folders[::2], 12)):
        merge(sources, tmp_path / f"joined-{seeds}")
        lines = (tmp_path / f"joined-{seeds}" / "trials.jsonl").read_text().splitlines()
        run = results([Record(**json.loads(line)) for line in lines])
        assert compare(run.trials, "Online", "MiniBatch", "samples_to_target").n == seeds


def test_copies_make_no_interval_of_two_seeds() -> None:
    values = [1.0, 2.0] * 5
    assert math.isnan(median_interval(values, seeds=[0, 1] * 5).low)
    assert median_interval(values, seeds=[0, 1] * 5).n == 2
    assert median_interval(values).low == 1.0  # each of a seed of its own


def test_the_critical_batch_size_knows_no_more_after_a_rerun() -> None:
    rng = np.random.default_rng(0)
    sizes = np.repeat([4, 16, 64, 256, 1024], 4)
    samples, seeds = 1e4 * (1 + sizes / 64) * np.exp(rng.normal(0, 0.2, len(sizes))), list(range(4)) * 5
    twice = [np.tile(sizes, 2).tolist(), np.tile(samples, 2).tolist()]
    once, more = fit(sizes, samples, seeds=seeds), fit(*twice, seeds=seeds * 2)
    assert (more.seeds, more.low, more.high) == (once.seeds, once.low, once.high)
    assert leave_one_out(*twice, seeds=seeds * 2) == leave_one_out(sizes, samples)
    blind = fit(*twice)
    assert blind.seeds[1] / blind.seeds[0] < 0.95 * once.seeds[1] / once.seeds[0]


def test_the_sweep_hands_its_seeds_on() -> None:
    [once], [more] = sweeps(results(swept())), sweeps(results(again(swept())))
    assert more.fit == once.fit


@pytest.mark.parametrize("repeated", [(0, 1, 2), (2,)])
def test_a_search_that_ran_a_seed_again_knows_no_more(repeated: tuple[int, ...]) -> None:
    """Some seeds at all rates twice, with other samples the second time: the mean of both, once."""
    first = searched("A", {0.1: 3000.0, 0.3: 2000.0, 1.0: 2600.0}, spread=0.2)
    second = [
        replace(record, trial=f"{record.trial}/again", block=record.block + 6, curve=longer(record.curve, 1.2))
        for record in first
        if record.search and record.seed % 1000 in repeated
    ]
    [once], [more] = (searches(results(run), "tuning", "samples_to_target") for run in (first, [*first, *second]))
    assert (more.rates.tolist(), more.seeds) == (once.rates.tolist(), once.seeds)
    for i, seed in enumerate(once.seeds):
        times = 1.1 if seed % 1000 in repeated else 1.0
        assert more.cost[:, i] == pytest.approx(times * once.cost[:, i], rel=1e-3)


def longer(curve: dict, times: float) -> dict:
    return curve | {"samples": [round(samples * times) for samples in curve["samples"]]}


def test_the_exponent_of_the_rate_knows_no_more_after_a_rerun_of_one_seed() -> None:
    first = swept(spread=0.2, blocks=3)
    some = [record for record in first if record.search and record.block == 2]
    [once], [more] = sweeps(results(first)), sweeps(results(first, again(some, 3)))
    assert exponent(more) == exponent(once)


def test_the_search_of_a_rate_is_found_after_a_rerun_of_one_seed() -> None:
    """0.1 is the better by the mean over its seeds; with the seed at which it is worse twice it would not be."""
    rows = [(0.1, 0, 1000.0), (0.1, 1, 1900.0), (0.3, 0, 1500.0), (0.3, 1, 1500.0)]
    once = pd.DataFrame(rows, columns=["lr", "seed", "samples_to_target"])
    more = pd.concat([once, once[once["seed"] == 1]])
    assert _best(once) == _best(more) == 0.1


def test_noise_scales_know_no_more_after_a_rerun_of_the_same_seeds() -> None:
    first = noises([40.0, 44.0, 36.0])
    once, more = results(first), results(again(first))
    [own], [both] = observed(once).values(), observed(more).values()
    assert len(both) == 2 * len(own)
    assert averages(both) == averages(own)
    assert (
        noise_scale.table(more)
        .drop(columns="without a value")
        .equals(noise_scale.table(once).drop(columns="without a value"))
    )
