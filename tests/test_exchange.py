"""Joined runs and exports, every number by hand."""

import json
import math
import subprocess
import sys
from pathlib import Path

import pytest

from bench import compare, load_results
from bench.exchange import differences, export, merge, write_whole
from bench.frames import summary
from tests.records import a_curve, a_record
from tests.synthetic import write

HERE = {"torch": "2.9.0", "cuda": None, "cpu": "EPYC", "cores": 2, "gpus": [], "load_average": [1.0]}
THERE = HERE | {"cpu": "Xeon", "torch": "2.10.0"}


def a_run(folder, name, environment, blocks=3, seconds=2.0, **changes):
    """Write a run of two cells, the second of which takes twice the seconds."""
    records = []
    for block in range(blocks):
        for factor, trainer in ((1, "MiniBatch"), (2, "Amp")):
            end = factor * seconds
            curve = a_curve((10, 1000, end / 2, 0.5, 0.8), (20, 2000, end, 0.25, 0.95))
            trial = {"trial": f"{name}-{trainer}-{block}", "cell": f"points-{trainer}", "trainer": trainer}
            records.append(a_record(**trial, seed=block, curve=curve, **changes))
    write(folder / name, records)
    (folder / name / "environment.json").write_text(json.dumps(environment))
    return folder / name


def strict(text):
    def refuse(constant):
        raise AssertionError(f"{constant} is not JSON")

    return json.loads(text, parse_constant=refuse)


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
        assert (found.n, found.ratio) == (6, pytest.approx(2.0))
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
        assert {"strategies/points-Amp@1", "strategies/points-Amp@2"} <= names

    def test_a_cell_that_means_two_things_is_refused(self, tmp_path):
        a, b = a_run(tmp_path, "a", HERE), a_run(tmp_path, "b", HERE, seconds_allowed=20.0)
        with pytest.raises(
            ValueError, match=r"points-MiniBatch is not the same in all .*: seconds_allowed is 10.0 and 20"
        ):
            merge([a, b], tmp_path / "c")

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


class TestExport:
    def test_github(self, tmp_path):
        run = a_run(tmp_path, "a", HERE)
        text, left_out = export(run, "github", "seconds_to_target")
        mini, amp = strict(text)
        assert mini == {
            "name": "strategies/points-MiniBatch", "unit": "s", "value": 2.0, "range": "2 to 2",
            "extra": "median of 3 trials; 3 reached",
        }  # fmt: skip
        assert (amp["name"], amp["value"]) == ("strategies/points-Amp", 4.0)
        assert left_out == []
        (rate, _) = strict(export(run, "github")[0])
        assert (rate["unit"], rate["value"]) == ("samples/s", 1000.0)

    def test_bencher(self, tmp_path):
        measures = strict(export(a_run(tmp_path, "a", HERE), "bencher")[0])["strategies/points-Amp"]
        assert measures["seconds_to_target"] == {"value": 4.0, "lower_value": 4.0, "upper_value": 4.0}
        assert measures["samples_per_second"]["value"] == 500.0
        assert "energy_joules" not in measures  # not measured: absent, never 0

    def test_an_infinite_median_is_left_out_and_named(self, tmp_path):
        run = a_run(tmp_path, "a", HERE)
        missed = {"status": "missed", "curve": a_curve((10, 1000, 1.0, 0.5, 0.8))}
        write(run, [a_record(trial=f"m{b}", cell="points-Online", seed=b, **missed) for b in range(3)])
        text, left_out = export(run, "github", "seconds_to_target")
        assert len(strict(text)) == 2
        assert left_out == ["strategies/points-Online"]
        online = strict(export(run, "bencher")[0])["strategies/points-Online"]
        assert math.isclose(online["samples_per_second"]["value"], 1000.0)
        assert "seconds_to_target" not in online

    @pytest.mark.parametrize(("form", "metric", "message"), [
        ("csv", "samples_per_second", "unknown format 'csv': known are github, bencher"),
        ("github", "speed", "unknown metric 'speed': known are samples_per_second, seconds_to_target,"),
    ])  # fmt: skip
    def test_wrong_words(self, tmp_path, form, metric, message):
        with pytest.raises(ValueError, match=message):
            export(a_run(tmp_path, "a", HERE), form, metric)


def test_a_file_is_written_whole_or_not_at_all(tmp_path, monkeypatch):
    file = tmp_path / "environment.json"
    write_whole(file, "old")
    monkeypatch.setattr("os.fsync", lambda _: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(OSError, match="No space"):
        write_whole(file, "new")
    assert file.read_text() == "old"
    assert list(tmp_path.iterdir()) == [file]


def test_the_commands(tmp_path):
    a, b = a_run(tmp_path, "a", HERE), a_run(tmp_path, "b", THERE)

    def bench(*arguments):
        command = [sys.executable, "-m", "bench", *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, check=False, cwd=Path(__file__).parent.parent)

    refused = bench("merge", a, b, "-o", tmp_path / "c")
    assert refused.returncode == 1
    assert len(refused.stderr.splitlines()) == 1
    assert bench("merge", a, b, "--across-environments", "-o", tmp_path / "c").returncode == 0
    done = bench("export", tmp_path / "c", "--format", "bencher", "-o", tmp_path / "bmf.json")
    assert done.returncode == 0, done.stderr
    assert len(strict((tmp_path / "bmf.json").read_text())) == 4
