"""Under a limit of private memory whoever takes all samples at once ends, says why, and is a row; others go on."""

from dataclasses import dataclass

import pytest
import torch
from torch import Tensor, nn

from paceline.bench.harness.exits import is_out_of_memory
from paceline.bench.harness.run import run_trial
from paceline.bench.harness.trial import Trial
from paceline.bench.probes.memory_limit import can_limit
from paceline.bench.workloads.workload import Workload
from paceline.trainers import FullBatch, MiniBatch, Online, Step, Steps, Task

pytestmark = pytest.mark.skipif(not can_limit(), reason="needs Linux")

MIB = 1 << 20
SAMPLES, WIDE = 20_000, 2_000  # the hidden layer of all samples takes 160 MB


def _data() -> tuple[Tensor, ...]:
    x = torch.randn(SAMPLES + 64, 4, generator=torch.Generator().manual_seed(0))
    y = (x.sum(dim=1) > 0).long()
    return x[:SAMPLES], y[:SAMPLES], x[SAMPLES:], y[SAMPLES:]


def _wide() -> nn.Module:
    return nn.Sequential(nn.Linear(4, WIDE), nn.ReLU(), nn.Linear(WIDE, 2))


ALL_AT_ONCE = Workload(name="all-at-once", model=_wide, data=_data, target=0.999)


def trial(trainer, limit, steps=20) -> Trial:
    settings = {"threads": 1, "steps": steps, "stop_at_target": False, "score_along": False}
    return Trial(ALL_AT_ONCE, trainer, memory_limit_bytes=limit, **settings)


def test_full_batch_runs_out_of_memory_and_others_do_not():
    full = run_trial(trial(FullBatch(), 100 * MIB))
    assert (full.status, full.memory_limit_bytes) == ("out_of_memory", 100 * MIB)
    assert "DefaultCPUAllocator" in full.reason
    for trainer in (MiniBatch(), Online()):
        record = run_trial(trial(trainer, 100 * MIB))
        assert record.status in ("reached", "missed"), record.reason
        assert record.memory["samples"] == record.curve["samples"]
        assert len(record.memory["private_bytes"]) == len(record.curve["step"])


def test_it_is_the_limit_that_ends_it():
    assert run_trial(trial(FullBatch(), 2000 * MIB, steps=2)).status in ("reached", "missed")
    unlimited = run_trial(trial(FullBatch(), None, steps=2))
    assert unlimited.status in ("reached", "missed")
    assert unlimited.memory == {}


@dataclass(frozen=True)
class Hoards:
    """Online training that keeps a megabyte a step."""

    def __call__(self, task: Task) -> Steps:
        """Train forever."""
        model, kept = task.model(), []
        for batch in task.batches(1):
            x, y = batch
            loss = task.mean_loss(model(x), y)
            kept.append(bytearray(MIB))
            yield Step(model, loss.detach(), samples=len(batch))


def test_what_a_trainer_keeps_is_seen_along_the_way_and_ends_it_too():
    record = run_trial(trial(Hoards(), 400 * MIB, steps=200))
    first, last = record.memory["private_bytes"][0], record.memory["private_bytes"][-1]
    assert last - first == pytest.approx(199 * MIB, rel=0.1)
    short = run_trial(trial(Hoards(), 100 * MIB, steps=200))
    assert short.status == "out_of_memory"  # Python's own MemoryError
    assert short.memory["samples"]


def test_refused_memory_is_told_from_other_errors():
    assert is_out_of_memory(MemoryError())
    with pytest.raises(RuntimeError) as refused:
        torch.empty(10**15)
    assert is_out_of_memory(refused.value)
    assert not is_out_of_memory(RuntimeError("shapes cannot be multiplied"))
