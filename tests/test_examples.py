"""Each example is a workload that trains under every strategy that its samples allow, and the gate passes."""

import warnings

import pytest

from paceline.bench import Trial, run_trial
from paceline.bench.harness.equivalence import gate
from paceline.bench.workloads import find_workload
from paceline.trainers import Accumulate, Adam, Ddp, MiniBatch, Sgd
from tests.paths import ROOT

EXAMPLES = {
    "images": ("SCANS", MiniBatch(Sgd(0.1))),
    "texts": ("HELP", MiniBatch(Adam(3e-3), batch_size=32)),
    "lightning_like": ("TUMOURS", MiniBatch(Sgd(0.1))),
    "sklearn_array": ("WINES", MiniBatch(Sgd(0.1), batch_size=16)),
    "large_csv": ("TABLE", MiniBatch(Adam(3e-3))),
}


def test_there_is_a_test_for_each():
    assert {file.stem for file in (ROOT / "examples").glob("*.py")} == EXAMPLES.keys()


@pytest.mark.parametrize("name", EXAMPLES)
def test_it_reaches_its_target_and_all_strategies_train_the_same(name):
    if name == "texts":
        pytest.importorskip("transformers")
    variable, trainer = EXAMPLES[name]
    with warnings.catch_warnings(action="ignore"):
        workload = find_workload(f"{ROOT / 'examples' / name}.py:{variable}")
    record = run_trial(Trial(workload, trainer, seconds=60, threads=1))
    assert record.status == "reached", record.reason
    for found in gate([Trial(workload, t) for t in (Accumulate(batch_size=32), Ddp(batch_size=32))]):
        assert found["passed"], found
