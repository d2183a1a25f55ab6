"""To add a metric is to add one entry to one table: a metric planted there is in all that is derived from it."""

import json
import math
import subprocess
import sys
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
import torch

from paceline.bench import Trial, run_trial
from paceline.bench.analysis.frames import trials_frame
from paceline.bench.records import metrics
from paceline.bench.records.metrics import COLUMNS, MEDIANS, METRICS, SHOWN, Fact, Metric
from paceline.bench.records.over_ranks import OVER_RANKS
from paceline.bench.records.record import Record
from paceline.bench.report.strategies import costs
from paceline.trainers import MiniBatch
from tests.paths import ROOT
from tests.planted import a_record
from tests.problems import GAUSSIANS, gaussians
from tests.synthetic import results

PLANTED = """    Metric(
        "planted_joules", "of a probe that this test made up", "J", ranks="sum",
        median="positive", shown=Shown("planted energy", "kJ", 1e-3), cost=True,
    ),
"""
LAST = '    Metric("mfu", '

# In a process of its own, in which the file with the planted entry stands for that of the package.
PROGRAM = """
import importlib.util, json, sys
import paceline.bench.records
name = "paceline.bench.records.metrics"
spec = importlib.util.spec_from_file_location(name, sys.argv[1])
sys.modules[name] = paceline.bench.records.metrics = importlib.util.module_from_spec(spec)
spec.loader.exec_module(sys.modules[name])

from paceline.bench.analysis.frames import summary, trials_frame
from paceline.bench.replay import extra_info
from paceline.bench.report.strategies import costs
from tests.planted import a_record
from tests.synthetic import results

joules = [(1.0, 2.0), (10.0, 20.0), (4.0, 5.0)]
records = tuple(
    a_record(seed=seed, world_size=2, threads=1, ranks=[{"planted_joules": each} for each in of_ranks])
    for seed, of_ranks in enumerate(joules)
)
lacks = a_record(world_size=2, threads=1, ranks=[{"planted_joules": 1.0}, {}])
cell = summary(trials_frame(records)).iloc[0]
print(json.dumps({
    "trials": trials_frame(records)["planted_joules"].tolist(),
    "a rank lacks it": bool(trials_frame((lacks,))["planted_joules"].isna().item()),
    "median": cell["planted_joules"],
    "n": int(cell["planted_joules_n"]),
    "interval holds it": bool(cell["planted_joules_low"] < 9 < cell["planted_joules_high"]),
    "extra_info": extra_info(list(records))["planted_joules"],
    "shown": costs(results([*records]))["planted energy"].item().split(" [")[0],
}))
"""


def test_a_metric_planted_in_the_table_is_in_trials_summary_extra_info_and_the_report(tmp_path):
    source = Path(metrics.__file__).read_text()
    assert source.count(LAST) == 1
    planted = tmp_path / "metrics.py"
    planted.write_text(source.replace(LAST, PLANTED + LAST))
    command = [sys.executable, "-c", PROGRAM, str(planted)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {
        "trials": [3.0, 30.0, 9.0],
        "a rank lacks it": True,
        "median": 9.0,
        "n": 3,
        "interval holds it": True,
        "extra_info": 9.0,
        "shown": "0.00900 kJ",
    }


def test_what_a_metric_reads_of_a_rank_is_read_by_a_probe_or_has_a_reason():
    """A name that no probe knows would be NaN for ever, and nobody would see why."""
    record = run_trial(Trial(GAUSSIANS, MiniBatch(), threads=1, steps=3))
    (rank,) = record.ranks
    read = {metric.of or metric.column for metric in METRICS.values() if metric.ranks}
    assert len(read) >= 7
    assert read <= rank.keys() | record.unmeasured.keys()


def test_tokens_are_counted_where_samples_have_such_and_padding_is_none():
    padded = torch.arange(20) < torch.arange(1, 257)[:, None] % 20
    workload = replace(GAUSSIANS, data=lambda: (padded.float(), *gaussians()[1:]), tokens=lambda x: (x != 0).sum(dim=1))
    record = run_trial(Trial(workload, MiniBatch(), threads=1, steps=3))
    assert record.tokens_per_sample == padded.sum().item() / 256
    assert run_trial(Trial(GAUSSIANS, MiniBatch(), threads=1, steps=3)).tokens_per_sample is None


def test_tokens_a_second_are_those_of_the_samples_a_second():
    found = trials_frame((a_record(tokens_per_sample=17.5), a_record(seed=1)))["tokens_per_second"]
    assert found[0] == 17_500
    assert math.isnan(found[1])
    shown = costs(results([a_record(tokens_per_sample=17.5)]))
    assert "tokens" in shown
    assert "tokens" not in costs(results([a_record()]))


def test_columns_are_those_of_the_trials_in_their_order_each_once_and_each_said_in_a_line():
    names = [column.column for column in COLUMNS]
    assert len(set(names)) == len(names)
    assert list(trials_frame((a_record(),)).columns) == [*names, "broken_laws", "superseded"]
    assert all(column.what and "\n" not in column.what for column in COLUMNS)


@pytest.mark.parametrize("metric", METRICS.values(), ids=METRICS)
def test_a_metrics_unit_is_in_its_name(metric):
    ends = {"s": "_seconds", "bytes": "_bytes", "J": "_joules"}
    by_name = {"seconds_per_step": "s", "seconds_to_target": "s", "seconds_to_target_low": "s"}
    by_name |= {"samples_per_second": "samples/s", "tokens_per_second": "tokens/s"}
    expected = next((unit for unit, end in ends.items() if metric.column.endswith(end)), "")
    assert metric.unit == by_name.get(metric.column, expected)


@pytest.mark.parametrize("name", SHOWN)
def test_what_is_shown_is_scaled_from_the_metrics_unit(name):
    factors = {("bytes", "MB"): 1e-6, ("s", "ms"): 1e3}
    unit, shown = METRICS[name].unit, SHOWN[name]
    assert shown.scale == factors.get((unit, shown.unit), 1.0)
    assert shown.unit == unit or (unit, shown.unit) in factors or not unit


def test_where_each_column_comes_from_is_there():
    of_the_record = {field.name for field in fields(Record)}
    for column in COLUMNS:
        if isinstance(column, Fact):
            assert column.of is not None or column.column in of_the_record
        elif not callable(column.of):
            assert column.ranks or (column.of or column.column) in of_the_record
    assert {metric.spent for metric in METRICS.values()} - {""} <= {column.column for column in COLUMNS}
    assert list(MEDIANS)[:3] == ["seconds_to_target", "steps_to_target", "samples_to_target"]


@pytest.mark.parametrize(("ranks", "expected"), [("sum", 5.0), ("largest", 3.0), ("machine", 3.0)])
def test_ranks_combine_as_the_table_says(ranks, expected):
    metric = Metric("planted", "made up", "", ranks=ranks)
    assert metric.value(a_record(ranks=[{"planted": 2.0}, {"planted": 3.0}])) == expected
    assert np.isnan(metric.value(a_record(ranks=[])))
    one_lacks = metric.value(a_record(ranks=[{"planted": 2.0}, {"planted": None}]))
    # What each rank saw whole is known as soon as one did.
    assert one_lacks == 2.0 if ranks == "machine" else np.isnan(one_lacks)
    assert set(OVER_RANKS) == {"sum", "largest", "machine"}


def test_a_score_after_fewer_steps_than_were_to_be_made_is_no_final_score():
    """What is compared after equal steps is not compared after fewer, as where the run's time was up."""
    planned = a_record(steps_allowed=100, stop_at_target=False)
    assert METRICS["final_score"].value(planned) == 0.95
    assert math.isnan(METRICS["final_score"].value(replace(planned, cut_short=True)))
    assert METRICS["final_score"].value(a_record(cut_short=True)) == 0.95
