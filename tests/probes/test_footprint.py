"""Bytes that a step holds, against exact formulas."""

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import nn

from paceline.bench import Trial as AnyTrial
from paceline.bench import load_results, run_trial
from paceline.bench.analysis.frames import Results, curves_frame, trials_frame
from paceline.bench.analysis.memory_parts import memory_parts
from paceline.bench.probes.footprint import Footprint
from paceline.bench.report import memory_parts as shown
from paceline.bench.report import not_measured
from paceline.trainers import Accumulate, Adam, Amp, FullBatch, MiniBatch, Sgd, Step, Task
from tests.paths import REFERENCE
from tests.planted import a_record
from tests.problems import GAUSSIANS, network
from tests.problems import task as small_task

Trial = partial(AnyTrial, threads=1, steps=2, stop_at_target=False)
W, B, N = 1024, 64, 128


def mlp(width: int = W) -> nn.Module:
    return nn.Sequential(nn.Linear(784, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 10))


def digits() -> Task:
    x = torch.randn(N, 784, generator=torch.Generator().manual_seed(0))
    return Task(mlp, x, torch.arange(N) % 10, GAUSSIANS.loss, 0, torch.device("cpu"))


def footprint(trainer, task) -> dict[str, int]:
    steps = trainer(task)
    first = next(steps)
    with Footprint(first.model, (task.x, task.y)) as counted:
        next(steps)
    assert not counted._now, "a step frees what it saved"
    return counted.bytes()


class TestSavedForBackward:
    """An MLP with ReLU saves its inputs, both hidden layers and its log-probabilities, and targets and a sum."""

    def test_in_float32(self):
        expected = B * (4 * (784 + 2 * W + 10) + 8) + 4
        assert expected == 728_068
        assert footprint(MiniBatch(batch_size=B), digits())["saved_bytes"] == expected

    def test_autocast_saves_copies_of_the_later_weights_as_well(self):
        copies = 2 * (W * W + W * 10)
        expected = B * (2 * (784 + 2 * W) + 4 * 10 + 8) + 4 + copies
        assert expected == 2_483_204
        assert footprint(Amp(batch_size=B), digits())["saved_bytes"] == expected

    def test_full_batch_saves_no_copy_of_the_data_set(self):
        expected = N * 4 * (2 * W + 10) + 4
        assert footprint(FullBatch(), digits())["saved_bytes"] == expected

    def test_accumulation_saves_one_micro_batch_at_a_time(self):
        whole = footprint(MiniBatch(batch_size=B), digits())["saved_bytes"]
        split = footprint(Accumulate(batch_size=B, micro_batch_size=B // 4), digits())["saved_bytes"]
        assert split - 4 == (whole - 4) / 4

    def test_buffers_are_held_anyway(self):
        def model():
            return nn.Sequential(nn.Linear(20, 4), nn.BatchNorm1d(4, affine=False))

        task = replace(small_task(dtype=torch.float32), model=model)
        saved = footprint(MiniBatch(batch_size=B), task)["saved_bytes"]
        # Inputs, the layer's outputs, their mean and deviation by channel, log-probabilities, targets and a sum.
        assert saved == B * (4 * (20 + 4 + 4) + 8) + 2 * 4 * 4 + 4


@pytest.mark.parametrize(
    ("optimizer", "state"),
    [(Sgd(0.1), 0), (Sgd(0.1, momentum=0.9), 1), (Adam(0.1), 2)],
    ids=["Sgd", "momentum", "Adam"],
)
def test_persistent_bytes_a_parameter(optimizer, state):
    """4 for the weight, 4 for its gradient, 4 for each value that the optimizer keeps of it."""
    count = sum(p.numel() for p in network().parameters())
    found = footprint(MiniBatch(optimizer), small_task(dtype=torch.float32))
    assert found["parameter_bytes"] == found["gradient_bytes"] == 4 * count
    # Adam counts its steps too, in one number a tensor.
    assert found["optimizer_bytes"] == 4 * count * state + (4 * 4 if state == 2 else 0)


def test_several_optimizers_count_all_and_a_parameter_that_they_share_once():
    """Adam for the first layer, momentum for the second and, once more, the bias of the first: 8, 4 and 4 bytes."""
    model = nn.Sequential(nn.Linear(8, 4), nn.Linear(4, 2))
    first, bias, second = list(model[0].parameters()), [model[0].bias], list(model[1].parameters())
    optimizers = torch.optim.Adam(first), torch.optim.SGD([*second, *bias], momentum=0.9)
    with Footprint(model, ()) as counted:
        for _ in range(2):
            model(torch.ones(3, 8)).sum().backward()
            for optimizer in optimizers:
                optimizer.step()
    found = counted.bytes()
    count = 8 * 4 + 4 + 4 * 2 + 2
    assert found["parameter_bytes"] == found["gradient_bytes"] == 4 * count
    of_adam, of_momentum = 8 * (8 * 4 + 4) + 2 * 4, 4 * (4 * 2 + 2 + 4)  # Adam counts its steps, too
    assert found["optimizer_bytes"] == of_adam + of_momentum


@dataclass(frozen=True)
class ByHand:
    """Steps without an optimizer of torch."""

    batch_size: int = 16

    def __call__(self, task):
        model = task.model()
        while True:
            loss = task.loss(model(task.x), task.y).mean()
            model.zero_grad()
            loss.backward()
            yield Step(model, loss.detach(), samples=16)


def test_it_is_in_the_record_of_every_rank():
    record = run_trial(Trial(GAUSSIANS, MiniBatch(Adam(0.1))))
    (rank,) = record.ranks
    assert rank["saved_bytes"] == 64 * (4 * (20 + 32 + 4) + 8) + 4
    assert rank["parameter_bytes"] == 4 * record.parameters
    assert rank["dataset_bytes"] == (256 + 128) * (20 * 4 + 8)
    assert rank["rss_anonymous_bytes"] + rank["rss_file_bytes"] + rank["rss_shared_bytes"] == pytest.approx(
        rank["rss_bytes"], abs=1 << 20
    )


def test_without_an_optimizer_there_is_none_to_count():
    record = run_trial(Trial(GAUSSIANS, ByHand()))
    (rank,) = record.ranks
    assert rank["saved_bytes"] > 0
    assert "optimizer_bytes" not in rank
    assert "no optimizer" in record.unmeasured["optimizer_bytes"]


@dataclass(frozen=True)
class Single:
    """One step, and no more."""

    def __call__(self, task):
        yield next(FullBatch()(task))


def test_a_trainer_of_one_step_saves_nothing_that_was_counted_rather_than_zero_bytes():
    record = run_trial(Trial(GAUSSIANS, Single(), steps=None))
    (rank,) = record.ranks
    assert "saved_bytes" not in rank
    assert "no second" in record.unmeasured["saved_bytes"]


MB = 10**6
ON_CPU = {"start_rss_bytes": 100 * MB, "peak_rss_bytes": 120 * MB, "rss_bytes": 110 * MB, "pss_bytes": 80 * MB,
          "rss_file_bytes": 40 * MB, "rss_shared_bytes": 0, "dataset_bytes": 30 * MB, "parameter_bytes": 4 * MB,
          "gradient_bytes": 4 * MB, "optimizer_bytes": 0, "saved_bytes": 7 * MB}  # fmt: skip
ON_GPU = ON_CPU | {"start_allocated_bytes": 30 * MB, "peak_allocated_bytes": 50 * MB, "peak_reserved_bytes": 64 * MB,
                   "nvml_process_peak_bytes": 400 * MB, "nvml_device_peak_bytes": 900 * MB,
                   "beyond_torch_context_bytes": 200 * MB, "beyond_torch_communication_bytes": 290 * MB,
                   "beyond_torch_peak_bytes": 336 * MB, "workspaces_bytes": 8 * MB}  # fmt: skip


def table(*records):
    results = Results(trials_frame(records), curves_frame(records), {}, records, Path())
    return shown.table(results)


class TestTable:
    def test_parts_are_summed_over_ranks_and_the_residual_is_what_they_leave(self):
        parts = memory_parts(a_record(ranks=[ON_CPU, ON_CPU]))
        assert parts["rss_anonymous"] == 2 * 80 * MB
        assert parts["rss_file"] == 2 * 40 * MB
        assert parts["union"] == 2 * 120 * MB - 30 * MB * 3 / 2
        assert parts["residual"] == 2 * (20 - 4 - 4 - 0 - 7) * MB

    def test_on_a_gpu(self):
        (row,) = table(a_record(device="cuda", ranks=[ON_GPU])).to_dict("records")
        assert row["GPU total (NVML)"] == "900"
        assert row["GPU context and libraries"] == "336"
        assert row["of these CUDA's context"] == "200"
        assert row["of these NCCL"] == "90.0"
        assert row["of these other libraries"] == "46.0"
        assert row["of it cuBLAS workspaces"] == "8.00"
        assert row["cached by torch"] == "14.0"
        assert row["residual (temporaries and allocator)"] == "5.00"
        assert "why —" not in row  # nothing is missing

    def test_what_is_absent_has_a_reason_and_is_never_zero(self):
        reasons = {"nvml_process_peak_bytes": "the driver hides processes", "peak_device_bytes": "no GPU here"}
        rank = ON_GPU | {"nvml_process_peak_bytes": None}
        with_gpu = a_record(device="cuda", cell="a", ranks=[ON_GPU])
        without = a_record(device="cuda", cell="b", ranks=[rank], unmeasured=reasons)
        _, row = table(with_gpu, without).to_dict("records")
        assert row["GPU process (NVML)"] == row["GPU context and libraries"] == "—"
        assert "GPU process (NVML): the driver hides processes" in row["why —"]
        assert "GPU context and libraries: no GPU here" in row["why —"]

    def test_a_trial_without_nccl_has_a_reason_in_its_place_and_libraries_all_the_same(self):
        alone = {name: value for name, value in ON_GPU.items() if name != "beyond_torch_communication_bytes"}
        reason = {"communication_bytes": "no group of ranks"}
        distributed = a_record(device="cuda", cell="a", ranks=[ON_GPU])
        _, row = table(distributed, a_record(device="cuda", cell="b", ranks=[alone], unmeasured=reason)).to_dict(
            "records"
        )
        assert (row["of these NCCL"], row["of these other libraries"]) == ("—", "136")
        assert row["why —"] == "of these NCCL: no group of ranks"

    def test_what_no_cell_has_is_left_out(self):
        """The reference run had no GPU, and trained with plain SGD, whose state is really nothing."""
        results = load_results(REFERENCE)
        found = shown.table(results)
        assert "RSS, shared by ranks once" in found
        assert not [name for name in found if "GPU" in name or "torch" in name]
        assert "why —" not in found
        assert not (found.drop(columns="optimizer state") == "0").any(axis=None)
        assert "no GPU" in not_measured.table(results).to_string()
