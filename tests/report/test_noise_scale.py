"""The noise scale beside the sweep, and as advice."""

from dataclasses import replace

import pytest

from paceline.bench.analysis.batch_size_sweep import of_mini_batch
from paceline.bench.analysis.noise_along_run import averages
from paceline.bench.analysis.noise_prediction import ratio_to
from paceline.bench.report import noise_scale
from tests.synthetic import batch_sizes, noise_of, noises, results, swept

SEEDS = [40.0, 42.0, 38.0]


class TestTables:
    def test_methods_stand_side_by_side_over_that_by_single_samples(self):
        doubled = noise_of(80.0, (1, 2, 4, 8))
        twice = {name: doubled[name] for name in ("small_squares", "big_squares")}
        table = noise_scale.table(results(noises(SEEDS), noises([40.0] * 3, "Ddp", world_size=2, observed=twice)))
        assert list(table["measured by"]) == [
            "single samples", "two batch sizes", "micro-batches", "single samples", "two batch sizes", "ranks"
        ]  # fmt: skip
        by = table.set_index(["strategy", "measured by"])
        assert by.loc[("Accumulate", "single samples"), "start"].startswith("40.0 [35.")
        assert by.loc[("Accumulate", "single samples"), "end"].startswith("160 [1")
        # Twice at every point; over progress, in which the noisier end counts less, not quite.
        assert by.loc[("Ddp", "two batch sizes"), "of that by single samples"] == "1.96 [1.96, 1.96]"

    def test_points_without_a_value_are_counted(self):
        columns = noise_of(40.0, (1, 2, 4, 8))
        columns["exact_big_square"][3] = -0.1
        bad = noises([40.0], observed={"exact_big_square": columns["exact_big_square"]})
        row = noise_scale.table(results(bad)).iloc[0]
        assert row["without a value"] == "1 of 4 points: |G|² not above 0"
        assert row["end"] == "—"

    def test_the_ratio_to_the_sweep_stands_beside_it(self):
        run = results(noises(SEEDS), swept(critical=64.0))
        row = noise_scale.against_the_sweep(run).iloc[0]
        noise = averages([record for record in run.records if record.comparison == "noise_scale"])
        ratio, _, _ = ratio_to(noise, of_mini_batch(run)["digits"].fit)
        assert row["ratio"].startswith(f"{ratio:.2f} [")
        assert row["beware"] == "—"

    def test_a_sweep_that_tells_nothing_gives_no_ratio(self):
        without, too_few = results(noises(SEEDS)), results(noises(SEEDS), swept((4, 8, 16)))
        missing, unknown = (noise_scale.against_the_sweep(run).iloc[0] for run in (without, too_few))
        assert missing["ratio"] == unknown["ratio"] == "—"
        assert "bench_critical_batch.py" in missing["beware"]
        assert "3 batch sizes" in unknown["beware"]

    def test_an_adaptive_optimizer_is_warned_of(self):
        run = results(noises(SEEDS), noises(SEEDS, "Adam", "Adam"), swept(critical=64.0))
        table = noise_scale.against_the_sweep(run).set_index("strategy")
        assert table.loc["Adam", "ratio"] == "—"  # the sweep is SGD's
        assert table.loc["Adam", "learning rate"] == "0.1"
        assert "under Adam" in table.loc["Adam", "beware"]
        assert "under" not in table.loc["Accumulate", "beware"]

    def test_goodput_predicts_from_throughput_and_the_noise_scale_and_the_sweep_says_what_it_costs(self):
        """Efficiency φ / (φ + B): with φ = 94 and a throughput that doubles up to 64 the best of these is 64.

        The planted sweep takes (1 + B / 64) / B x (1 ms + B x 10 us): 80 is fastest, and a larger first step moves it.
        """
        short = [noises(SEEDS), batch_sizes({16: 1e4, 64: 4e4, 256: 5e4}), noises(SEEDS, "Adam", "Adam")]
        [row] = noise_scale.prediction(results(*short)).to_dict("records")
        assert row["strategy"] == "Accumulate"
        assert row["predicted fastest"] == "64 [64, 64]"
        assert row["throughput known at"] == "16, 64 and 256"
        assert (row["fastest in the sweep"], row["regret"]) == ("—", "—")
        [row] = noise_scale.prediction(results(*short, swept())).to_dict("records")
        assert row["fastest in the sweep"].startswith(("64", "128"))
        slow = swept(seconds_per_step=1.0, seconds_per_sample=0.0, power=0.0)  # every step as long: the largest batch
        [row] = noise_scale.prediction(results(*short, slow)).to_dict("records")
        assert row["fastest in the sweep"].startswith("512")
        ratio = (1 + 64 / 64) / 64 / ((1 + 512 / 64) / 512)  # 1.78
        assert float(row["regret"].split()[0]) == pytest.approx(ratio, rel=0.05)
        [row] = noise_scale.prediction(results(*short, swept((4, 16, 256, 512)))).to_dict("records")
        assert row["regret"] == "not known: B=64 is not in the sweep"

    def test_an_empty_run_has_empty_tables(self):
        run = results()
        assert noise_scale.table(run).empty
        assert noise_scale.against_the_sweep(run).empty


def variances(power, spread=0.02, **changes):
    """Trials whose gradients' variance goes as the batch size to a power that differs a little between seeds."""
    found = []
    for record, away in zip(noises([40.0] * 3, **changes), (-spread, 0.0, spread), strict=True):
        each = [b ** (power + away) * (1 - b / 1000) for b in (8, 64, 500)]
        found.append(replace(record, noise=record.noise | {"variances": [each] * len(record.noise["step"])}))
    return found


@pytest.mark.parametrize(
    ("power", "spread", "said"),
    [
        (-1.0, 0.02, "1/B, as sampling demands"),
        (-0.98, 0.02, "1/B, as sampling demands"),  # the variance of few batches
        (-0.5, 0.02, "not 1/B, so that noise scales here are measured wrongly"),
        (0.3, 0.02, "not 1/B, so that noise scales here are measured wrongly"),
        (-0.8, 0.4, "too few were drawn to tell that from 1/B"),
    ],
)
def test_gradients_keep_the_law_of_sampling_or_were_measured_wrongly(power, spread, said):
    found = noise_scale.sampling_law(results(variances(power, spread)))
    assert found.endswith(f"(n=3): {said}.")
    assert "over batches of 8 to 500 samples" in found


def test_the_law_is_said_once_for_strategies_that_make_the_same_steps_and_not_where_nothing_was_observed():
    assert noise_scale.sampling_law(results(variances(-1.0), variances(-0.5, name="Ddp"))).count("On digits") == 1
    assert noise_scale.sampling_law(results()) == ""
