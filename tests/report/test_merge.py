"""Joined runs, every number by hand."""

import json
import subprocess
import sys
from dataclasses import replace

import pytest

from paceline.bench import compare, load_results
from paceline.bench.analysis.frames import summary
from paceline.bench.records.environments import differences
from paceline.bench.report import batch_size, environment, memory_parts, precision, scaling, strategies, what_was_run
from paceline.bench.report.all_plots import PLOTS
from paceline.bench.report.claims import judge
from paceline.bench.report.decision import decide
from paceline.bench.report.export import export
from paceline.bench.report.merge import merge
from tests.paths import ROOT
from tests.report.runs_of_two_cells import HERE, THERE, a_run, strict
from tests.synthetic import batch_sizes, failed_gate, precisions, raced, ranks, write


class TestMerge:
    def test_blocks_follow_each_other_and_trials_are_still_compared_within_theirs(self, tmp_path):
        a, b = (
            a_run(tmp_path, "a", HERE, seconds=1.0),
            a_run(tmp_path, "b", HERE | {"load_average": [0.0]}, seconds=5.0),
        )
        assert merge([a, b], tmp_path / "c") == 12
        joined = load_results(tmp_path / "c")
        assert sorted(joined.trials.block.unique()) == [0, 1, 2, 3, 4, 5]
        assert joined.trials.groupby("block").seed.unique().map(list).tolist() == [[0], [1], [2], [0], [1], [2]]
        found = compare(joined.trials, "Amp", "MiniBatch")
        assert (found.n, found.pairs, found.ratio) == (3, 6, pytest.approx(2.0))  # three seeds, twice
        assert summary(joined.trials).n.tolist() == [6, 6]
        kept = [source["environment"]["load_average"] for source in joined.environment["merged"]]
        assert kept == [[1.0], [0.0]]

    def test_other_environments_are_refused_and_never_pooled(self, tmp_path):
        a, b = a_run(tmp_path, "a", HERE), a_run(tmp_path, "b", THERE, seconds=6.0)
        with pytest.raises(
            ValueError, match=r"different environments: torch 2.9.0 and 2.10.0; cpu EPYC and Xeon; --acr"
        ):
            merge([a, b], tmp_path / "c")
        assert not (tmp_path / "c").exists()
        merge([a, b], tmp_path / "c", across_environments=True)
        trials = load_results(tmp_path / "c").trials
        assert trials.groupby("environment").size().to_dict() == {"1": 6, "2": 6}
        cells = summary(trials).set_index(["environment", "trainer"])
        assert cells.n.tolist() == [3, 3, 3, 3]
        assert cells.seconds_to_target.to_dict() == {
            ("1", "MiniBatch"): 2.0, ("1", "Amp"): 4.0, ("2", "MiniBatch"): 6.0, ("2", "Amp"): 12.0
        }  # fmt: skip
        names = set(strict(export(tmp_path / "c", "bencher")[0]))
        assert {"strategies/points@1-Amp", "strategies/points@2-Amp"} <= names

    def test_where_one_run_stopped_by_its_verdicts_all_that_is_merged_counts_as_looked_at_often(self, tmp_path):
        a, b = a_run(tmp_path, "a", HERE), a_run(tmp_path, "b", HERE | {"until_decided": True})
        merge([a, b], tmp_path / "c")
        assert load_results(tmp_path / "c").environment["until_decided"]

    def test_the_check_of_equivalence_is_merged_and_a_failure_stays_one(self, tmp_path):
        a, b = a_run(tmp_path, "a", HERE), a_run(tmp_path, "b", HERE)
        passed = failed_gate("Amp", "points", passed=True, reason="")
        for run, gate in ((a, [failed_gate("Amp", "points")]), (b, [passed, failed_gate("Ddp", "points")])):
            (run / "equivalence.json").write_text(json.dumps(gate))
        merge([a, b], tmp_path / "c")
        found = load_results(tmp_path / "c").equivalence
        assert [(one["trainer"], one["passed"]) for one in found] == [("Amp", False), ("Ddp", False)]

    def test_a_cell_that_means_two_things_is_refused(self, tmp_path):
        a, b = a_run(tmp_path, "a", HERE), a_run(tmp_path, "b", HERE, seconds_allowed=20.0)
        with pytest.raises(
            ValueError, match=r"points-MiniBatch is not the same in all .*: seconds_allowed is 10.0 and 20"
        ):
            merge([a, b], tmp_path / "c")

    def test_a_cell_of_two_codes_or_data_sets_is_refused(self, tmp_path):
        code = {"python": "3.11", "trainer": "a", "workload": "b", "data": "c"}
        a, older = a_run(tmp_path, "a", HERE, code=code), a_run(tmp_path, "b", HERE)
        for name, said in (("trainer", "the code of its trainer"), ("data", "its data")):
            other = a_run(tmp_path, name, HERE, code=code | {name: "x"})
            with pytest.raises(ValueError, match=f"points-MiniBatch is not the same in all sources: {said} changed"):
                merge([a, other], tmp_path / "c")
            # An older one between them says nothing of its own, and lets the two be no more alike.
            with pytest.raises(ValueError, match=f"{said} changed"):
                merge([older, a, other], tmp_path / "c")
        assert merge([older, a], tmp_path / "c") == 12

    def test_a_run_is_not_counted_twice(self, tmp_path):
        a = a_run(tmp_path, "a", HERE)
        with pytest.raises(ValueError, match="trial a-MiniBatch-0 is in two of the sources"):
            merge([a, a], tmp_path / "c")

    def test_nothing_is_overwritten(self, tmp_path):
        a = a_run(tmp_path, "a", HERE)
        with pytest.raises(ValueError, match="a exists already"):
            merge([a], a)

    def test_another_gpu_is_another_environment(self):
        assert differences(HERE, HERE | {"load_average": [9.0]}) == ""
        assert differences(HERE, HERE | {"gpus": [{"name": "H100"}]}) == "GPUs [] and ['H100']"


PEAK = {"device": "cpu", "dtype": "float32", "threads": 2, "world_size": 1}


@pytest.fixture(scope="module")
def joined(tmp_path_factory):
    """Two runs merged: here Amp takes a third of MiniBatch's time, there three times as long."""
    tmp_path, folders = tmp_path_factory.mktemp("environments"), []
    for name, machine, factor, peak in (("a", HERE, 1 / 3, 1e6), ("b", THERE, 3.0, 2e6)):
        folders.append(tmp_path / name)
        amp = raced("Amp", seconds=factor, flops_per_sample=100.0, cores=2)
        mini = raced("MiniBatch", seconds=1.0, flops_per_sample=100.0, cores=2)
        widths = precisions({(64, 32): factor, (64, 512): factor})
        speeds = batch_sizes({1: 100.0 / factor, 64: 1000.0 / factor})
        records = [
            replace(record, trial=f"{name}-{record.trial}", started=f"2026-01-0{1 + (name == 'b')}")
            for record in [*amp, *mini, *widths, *speeds, *ranks({1: 1.0, 2: 2 * factor})]
        ]
        write(folders[-1], records)
        peaks = {"gemm_peaks": [PEAK | {"flops_per_second": peak}]}
        (folders[-1] / "environment.json").write_text(json.dumps(machine | peaks))
    (folders[1] / "equivalence.json").write_text(json.dumps([failed_gate("Amp")]))
    merge(folders, tmp_path / "c", across_environments=True)
    return load_results(tmp_path / "c")


class TestSeveralEnvironments:
    def test_strategies_are_compared_within_one_only(self, joined):
        rows = {row["workload"]: row for row in strategies.pairwise(joined).to_dict("records")}
        assert {name: row["verdict"] for name, row in rows.items()} == {"digits@1": "faster", "digits@2": "slower"}
        assert {name: row["seconds to target, ratio"][:5] for name, row in rows.items()} == {
            "digits@1": "0.333", "digits@2": "3.00 "
        }  # fmt: skip
        assert {row["seconds to target, ratio"][-3:] for row in rows.values()} == {"n=6"}
        with pytest.raises(ValueError, match=r"several environments \(1, 2\)"):
            compare(joined.trials, "Amp", "MiniBatch")

    def test_decision_and_claims_hold_them_against_each_other(self, joined):
        chosen = decide(joined).set_index("constraint")["choice"]
        assert chosen["digits@1: fastest to target"] == "Amp"
        assert chosen["digits@2: fastest to target"] == "MiniBatch"
        faster = next(found for found in judge(joined) if found.claim == "Mixed precision is faster")
        assert faster.verdict == "depends"
        assert "digits-64@2 B=32 (0.33" in faster.why

    def test_every_table_has_a_row_for_each(self, joined):
        for table in (strategies.table(joined), batch_size.table(joined), scaling.table(joined)):
            assert set(table["workload"]) == {"digits@1", "digits@2"}
        assert set(precision.table(joined)["workload"]) == {"digits-64@1", "digits-64@2"}
        table = memory_parts.table(joined)
        assert set(table.loc[table["comparison"] == "strategies", "trials"]) == {"6"}
        assert list(environment.table(joined).columns) == ["what", "environment 1", "environment 2"]
        assert "EPYC" in environment.table(joined)["environment 1"].iloc[0]
        assert "Xeon" in environment.table(joined)["environment 2"].iloc[0]
        assert "2 environments, which are kept apart" in what_was_run.headline(joined)

    def test_a_failed_check_marks_the_strategy_where_it_failed_only(self, joined):
        names = set(strategies.table(joined)["strategy"])
        assert {"Amp", "Amp (solves another problem: the planted reason)"} <= names

    def test_each_is_held_against_its_own_peak(self, joined):
        """100 FLOP a sample at 6400 and 711 samples/s in the median block, of peaks of 1e6 and 2e6 FLOP/s."""
        amp = joined.trials[(joined.trials["comparison"] == "strategies") & (joined.trials["trainer"] == "Amp")]
        known = amp.set_index("environment")
        shares = known["mfu"] / (100 * known["samples_per_second"])
        assert shares["1"].tolist() == pytest.approx([1e-6] * 6)
        assert shares["2"].tolist() == pytest.approx([0.5e-6] * 6)

    @pytest.mark.parametrize("name", ["convergence", "time_to_target", "batch_size", "scaling", "pareto"])
    def test_every_plot_has_a_panel_for_each(self, joined, name):
        figure = PLOTS[name](joined)
        titles = [panel.get_suptitle().split(",")[0] for panel in figure.subfigs]
        assert titles == ["digits@1", "digits@2"]
        alone = PLOTS[name](replace(joined, trials=joined.trials[joined.trials["environment"] == "1"]))
        panels = [axes for axes in figure.subfigs[0].axes if axes.lines]
        for axes, own in zip(panels, (axes for axes in alone.subfigs[0].axes if axes.lines), strict=True):
            assert len(axes.lines) == len(own.lines)  # nothing of the other is drawn in it

    def test_the_heat_map_has_a_row_for_each(self, joined):
        speed = PLOTS["precision"](joined).subfigs[0].axes[0]
        assert [label.get_text().split("\n")[0] for label in speed.get_yticklabels()] == ["digits-64@1", "digits-64@2"]
        assert [text.get_text()[:5] for text in speed.texts] == ["3.00x", "3.00x", "0.33x", "0.33x"]


def test_the_commands(tmp_path):
    a, b = a_run(tmp_path, "a", HERE), a_run(tmp_path, "b", THERE)

    def bench(*arguments):
        command = [sys.executable, "-m", "paceline.bench", *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)

    refused = bench("merge", a, b, "-o", tmp_path / "c")
    assert refused.returncode == 2
    assert len(refused.stderr.splitlines()) == 1
    assert bench("merge", a, b, "--across-environments", "-o", tmp_path / "c").returncode == 0
    done = bench("export", tmp_path / "c", "--format", "bencher", "-o", tmp_path / "bmf.json")
    assert done.returncode == 0, done.stderr
    assert len(strict((tmp_path / "bmf.json").read_text())) == 4
