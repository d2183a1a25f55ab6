"""Exports, every number by hand."""

import math

import pytest

from paceline.bench.report.export import export
from tests.planted import a_curve, a_record
from tests.report.runs_of_two_cells import HERE, a_run, strict
from tests.synthetic import write


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
