"""The gate lets correct strategies pass, and names what makes others another problem."""

import json
from dataclasses import dataclass, replace
from typing import ClassVar

import pytest
import torch
import torch.distributed as dist
from torch import nn

from paceline.bench import Trial, Workload, load_results
from paceline.bench.harness.blocks import Blocks
from paceline.bench.harness.comparison import Comparison
from paceline.bench.harness.equivalence import ADAPTS, BATCH_NORM, DROPOUT, RANDOM, gap, gate
from paceline.bench.report import equivalence, precision, scaling, strategies
from paceline.bench.workloads.data import Data
from paceline.bench.workloads.workload import per_sample_cross_entropy
from paceline.trainers import (
    Accumulate,
    Adam,
    AdaScale,
    Amp,
    Compiled,
    Ddp,
    FullBatch,
    MiniBatch,
    NoiseBatch,
    Online,
    Sgd,
    Step,
)
from paceline.trainers.task import shuffled
from tests.gloo import on_ranks
from tests.problems import GAUSSIANS, gaussians
from tests.synthetic import failed_gate, precisions, raced, ranks, results, write

CPU = torch.device("cpu")


def gap_of(trial):
    return gap(trial, Data.of(gaussians()).train, CPU)


@dataclass(frozen=True)
class MeanOfMeans:
    """Accumulation that averages the means of micro-batches, whatever their sizes."""

    optimizer: Sgd = Sgd(lr=0.1)
    batch_size: int = 64
    micro_batch_size: int = 16

    def __call__(self, task):
        model = task.model()
        optimizer = self.optimizer(model.parameters())
        for batch in shuffled(len(task), self.batch_size, task.seed, task.device):
            optimizer.zero_grad()
            parts = batch.split(self.micro_batch_size)
            for part in parts:
                x, y = task[part]
                loss = task.loss(model(x), y).mean() / len(parts)
                loss.backward()
            optimizer.step()
            yield Step(model, loss.detach(), samples=len(batch))


@dataclass(frozen=True)
class Ranks:
    """Data parallelism by hand, in which ``fault`` is planted."""

    distributed: ClassVar[bool] = True

    fault: str = ""
    optimizer: Sgd = Sgd(lr=0.1)
    batch_size: int = 64

    def __call__(self, task):
        rank, world_size = dist.get_rank(), dist.get_world_size()
        model = task.model()
        optimizer = self.optimizer(model.parameters())
        for batch in shuffled(len(task), self.batch_size, task.seed, task.device):
            share = batch[0 if self.fault == "same shard" else rank :: world_size]
            x, y = task[share]
            losses = task.loss(model(x), y)
            loss = losses.mean() if self.fault == "mean of means" else losses.sum() * world_size / len(batch)
            optimizer.zero_grad()
            loss.backward()
            for parameter in model.parameters():
                if self.fault != "no all-reduce":
                    dist.all_reduce(parameter.grad)
                    parameter.grad /= world_size
            optimizer.step()
            yield Step(model, loss.detach(), samples=len(batch))


@dataclass(frozen=True)
class Broken:
    batch_size: int = 64
    micro_batch_size: int = 16

    def __call__(self, task):
        raise RuntimeError("the planted failure")
        yield


def trial(trainer, workload=GAUSSIANS, **changes):
    return Trial(workload, trainer, threads=1, **changes)


def on_two_ranks(trainers, seeds=(0,)):
    """Return the gap of each trainer at each seed, the larger of those of two ranks."""
    trials = [trial(trainer, seed=seed, world_size=2) for trainer in trainers for seed in seeds]
    return [max(both) for both in zip(*on_ranks(lambda: [gap_of(one) for one in trials], 2), strict=True)]


@pytest.mark.parametrize("seed", range(10))
def test_correct_strategies_pass_at_any_seed(seed):
    for trainer in (FullBatch(), MiniBatch(), Online(), Accumulate(micro_batch_size=24), Accumulate(Adam(lr=1e-3))):
        found = gap_of(trial(trainer, seed=seed))
        assert found.dtype == "float64"
        assert found.gap <= found.bound / 1e3, trainer
    amp = gap_of(trial(Amp(), seed=seed))
    assert 1e-4 < amp.gap <= amp.bound


def test_correct_ranks_pass_at_any_seed():
    found = on_two_ranks((Ddp(), Ranks(), Ddp(batch_size=63)), range(10))
    assert len(found) == 30
    assert all(one.gap <= one.bound / 1e3 for one in found)


def test_means_of_means_are_found_in_the_ragged_batch():
    found = gap_of(trial(MeanOfMeans()))
    assert found.gap > 1e4 * found.bound


@pytest.mark.parametrize("trainer", [AdaScale(), NoiseBatch(), AdaScale(batch_size=250, micro_batch_size=16)], ids=repr)
def test_one_that_chooses_its_batch_size_or_rate_is_held_to_its_first_gradient(trainer):
    found = gap_of(trial(trainer))
    assert found.gap <= found.bound / 1e3
    assert ADAPTS in found.notes


def test_means_of_means_are_found_in_the_first_step_of_one_that_adapts():
    class Adaptive(MeanOfMeans):
        varies_rate: ClassVar[bool] = True

    found = gap_of(trial(Adaptive()))
    assert found.gap > 1e4 * found.bound


def test_ranks_that_do_not_share_a_batch_are_found():
    faults = ("no all-reduce", "same shard", "mean of means")
    found = on_two_ranks([Ranks(fault) for fault in faults])
    assert len(found) == 3
    assert min(one.gap / one.bound for one in found) > 1e4


def with_layer(layer):
    return replace(GAUSSIANS, model=lambda: nn.Sequential(nn.Linear(20, 16), layer(), nn.Linear(16, 4)))


class TestModels:
    def test_batch_norm_is_named_where_batches_are_split(self):
        workload = with_layer(lambda: nn.BatchNorm1d(16))
        whole, split = (gap_of(trial(trainer, workload)) for trainer in (FullBatch(), Accumulate()))
        assert whole.gap <= whole.bound
        assert BATCH_NORM not in whole.notes
        assert split.gap > split.bound
        assert BATCH_NORM in split.notes

    def test_dropout_is_named_and_hides_no_other_fault(self):
        workload = with_layer(nn.Dropout)
        correct, wrong = (gap_of(trial(trainer, workload)) for trainer in (Accumulate(), MeanOfMeans()))
        assert DROPOUT in correct.notes
        assert correct.gap <= correct.bound
        assert wrong.gap > wrong.bound

    def test_ragged_batches_and_shards_are_named(self):
        (note,) = gap_of(trial(MiniBatch(batch_size=60))).notes
        assert note == "ragged: the last batch of a pass over 256 samples holds 16 of 60"
        assert not gap_of(trial(MiniBatch(batch_size=64))).notes

    def test_one_that_casts_to_float32_is_compared_in_that(self):
        class Narrow(nn.Linear):
            def forward(self, x):
                return super().forward(x.to(self.weight.dtype)).float()

        found = gap_of(trial(Accumulate(), replace(GAUSSIANS, model=lambda: Narrow(20, 4))))
        assert found.dtype == "float32"
        assert found.gap <= found.bound == pytest.approx(3.45e-4, rel=1e-2)


class TestGate:
    def test_it_runs_in_fresh_processes_and_says_why(self):
        workload = with_layer(lambda: nn.BatchNorm1d(16))
        good, bad, ranks = gate(
            [trial(MiniBatch(), workload), trial(Accumulate(), workload), trial(Ranks("same shard"), world_size=2)]
        )
        assert good["passed"]
        assert good["reason"] == ""
        assert not bad["passed"]
        assert bad["reason"] == BATCH_NORM
        assert not ranks["passed"]
        assert "its gradient differs from that of MiniBatch" in ranks["reason"]

    def test_what_cannot_be_checked_is_no_pass(self):
        (found,) = gate([trial(Broken())])
        assert not found["passed"]
        assert "the planted failure" in found["reason"]

    def test_where_the_trainer_raised_is_kept(self, tmp_path):
        [found] = gate([trial(Broken())], tmp_path / "errors")
        assert found["reason"].endswith("; traceback: errors/gate-gaussians-Broken.txt")
        assert (
            'raise RuntimeError("the planted failure")' in (tmp_path / "errors/gate-gaussians-Broken.txt").read_text()
        )

    def test_a_strategy_that_promises_nothing_is_not_asked(self):
        @dataclass(frozen=True)
        class Other:
            lr: float = 0.1

        assert gate([trial(Other())]) == []


def test_the_terminal_is_told_what_is_another_problem_and_what_could_not_be_checked(tmp_path, monkeypatch):
    lines = []
    blocks = Blocks(tmp_path, "quick", lines.append)
    folder = blocks.open({}, [])
    found = [
        failed_gate("MiniBatch", passed=True, reason="", gap=0.0),
        failed_gate("Ddp", reason=BATCH_NORM),
        failed_gate("Amp", reason="could not be checked: no room", gap=None),
    ]
    monkeypatch.setattr("paceline.bench.harness.blocks.gate", lambda trials, errors: found)
    blocks.check_equivalence(Comparison("strategies", {"a": trial(MiniBatch()), "b": trial(Amp())}, 1))
    assert lines == [
        f"digits-Ddp solves another problem: {BATCH_NORM}; its results will be marked",
        "digits-Amp is not shown to solve the same problem: could not be checked: no room; its results will be marked",
        "before comparing: 1 of 3 strategies make the first updates that MiniBatch makes at their batch size",
    ]
    assert json.loads((folder / "equivalence.json").read_text()) == found


def test_each_strategy_is_checked_once_a_run_on_each_workload_and_number_of_ranks(tmp_path, monkeypatch):
    asked = []

    def record_what_is_asked(trials, errors):
        trials = list(trials)
        asked.extend((one.workload.name, type(one.trainer).__name__, one.world_size) for one in trials)
        return [failed_gate(type(one.trainer).__name__, one.workload.name, world_size=one.world_size) for one in trials]

    monkeypatch.setattr("paceline.bench.harness.blocks.gate", record_what_is_asked)
    blocks = Blocks(tmp_path, "quick", lambda line: None)
    folder = blocks.open({}, [])

    def check(*trials):
        asked.clear()
        blocks.check_equivalence(Comparison("strategies", {str(i): each for i, each in enumerate(trials)}, 1))
        return asked

    wide = replace(GAUSSIANS, name="wide")
    one, two = trial(Ddp()), trial(Ddp(), world_size=2)
    assert check(trial(MiniBatch()), trial(Amp()), two) == [("gaussians", "Amp", 1), ("gaussians", "Ddp", 2)]
    assert check(one, two, trial(Ddp(batch_size=32), world_size=2)) == [("gaussians", "Ddp", 1)]
    assert check(*(trial(kind(batch_size=b), wide) for b in (8, 64) for kind in (MiniBatch, Amp))) == [
        ("wide", "Amp", 1)
    ]
    assert check(trial(Accumulate()), trial(Accumulate(batch_size=32))) == []  # one strategy, compared with itself
    places = [(one["workload"], one["trainer"], one["world_size"]) for one in json.loads(
        (folder / "equivalence.json").read_text())]  # fmt: skip
    assert places == [("gaussians", "Amp", 1), ("gaussians", "Ddp", 2), ("gaussians", "Ddp", 1), ("wide", "Amp", 1)]


def test_precision_and_scaling_tables_say_which_cells_solve_another_problem():
    run = results(precisions({(64, 32): 0.5, (256, 32): 0.5}), ranks({1: 1.0, 2: 1.8, 8: 2.0}))
    gate = failed_gate("Amp", "digits-64"), failed_gate("Ddp", world_size=2), failed_gate("Ddp", world_size=8)
    marked, why = replace(run, equivalence=gate), "solves another problem: the planted reason"
    assert list(precision.table(marked)["note"]) == [why, ""]
    assert "note" not in precision.table(run)
    notes = scaling.table(marked).groupby("ranks x threads")["note"].unique().map(list).to_dict()
    assert notes["1 x 1"] == ["where ranks begin"]
    assert notes["2 x 1"] == [why]
    assert notes["8 x 1"] == [f"oversubscribed: 8 threads on 4 cores; {why}"]


def test_a_failed_gate_marks_the_strategy_in_the_tables(tmp_path):
    found = {"workload": "digits", "world_size": 1, "gap": 0.4, "bound": 1.5e-8, "dtype": "float64", "notes": []}
    bad = found | {"trainer": "Accumulate", "passed": False, "reason": BATCH_NORM}
    good = found | {"trainer": "MiniBatch", "passed": True, "reason": ""}
    folder = write(tmp_path, raced("MiniBatch", seconds=1.0), raced("Accumulate", seconds=2.0))
    (folder / "equivalence.json").write_text(json.dumps([bad, good]))
    results = load_results(folder)
    assert list(equivalence.table(results)["same gradients"]) == [f"no: {BATCH_NORM}", "yes"]
    marked = f"Accumulate (solves another problem: {BATCH_NORM})"
    assert list(strategies.table(results)["strategy"]) == [marked, "MiniBatch"]
    assert list(strategies.costs(results)["strategy"]) == [marked, "MiniBatch"]
    assert list(strategies.pairwise(results)["strategy / MiniBatch"]) == [marked]
    unasked = replace(results, equivalence=())
    assert list(strategies.table(unasked)["strategy"]) == ["Accumulate", "MiniBatch"]
    assert equivalence.table(unasked).empty


class TestNoFalseAlarm:
    def test_float16_of_a_fused_optimizer_whose_gradients_are_scaled(self):
        """The kernel divides by the scale itself, 65,536 at first, and the first steps may overflow."""
        for loss in (1.0, 1e4):
            workload = replace(GAUSSIANS, loss=lambda o, y, loss=loss: loss * per_sample_cross_entropy(o, y))
            [found] = gate([trial(Amp(dtype="float16"), workload)])
            assert found["passed"], found["reason"]
            assert found["dtype"] == "float16"

    def test_a_loss_that_is_wrong_in_float16_is_found_all_the_same(self):
        @dataclass(frozen=True)
        class Halves(Amp):
            def __call__(self, task):
                yield from super().__call__(replace(task, loss=lambda o, y: task.loss(o, y) / 2))

        [found] = gate([trial(Halves(dtype="float16"))])
        assert not found["passed"]
        assert found["gap"] == pytest.approx(0.5, abs=0.01)

    def test_class_weights_in_float32(self):
        weights = torch.tensor([1.0, 2.0, 3.0, 4.0])
        weighted = replace(
            GAUSSIANS, loss=lambda o, y: nn.functional.cross_entropy(o, y, weight=weights, reduction="none")
        )
        for found in gate([trial(Accumulate(), weighted), trial(FullBatch(), weighted)]):
            assert found["passed"], found["reason"]
            assert found["dtype"] == "float32"

    def test_dropout_that_is_no_module_leaves_it_open(self):
        class Drops(nn.Module):
            def __init__(self):
                super().__init__()
                self.first, self.second = nn.Linear(20, 64), nn.Linear(64, 4)

            def forward(self, x):
                return self.second(nn.functional.dropout(self.first(x).relu(), 0.3, self.training))

        [found] = gate([trial(FullBatch(), replace(GAUSSIANS, model=Drops))])
        assert not found["passed"]
        assert found["gap"] is None
        assert found["reason"] == RANDOM


def flips(seed, width=8):
    """A narrow network of random inputs and labels: a unit that flips by rounding moves much of its gradient."""
    generator = torch.Generator().manual_seed(seed)
    x, y = torch.randn(200, 20, generator=generator), torch.randint(4, (200,), generator=generator)

    def model():
        layers = nn.Linear(20, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 4)
        return nn.Sequential(*layers)

    return Workload(name="flips", model=model, data=lambda: (x, y, x, y), target=0.99)


class TestMixedPrecision:
    """What is allowed is what rounding does to the very gradient: more where units flip, less where none does."""

    def test_no_network_is_called_another_for_rounding(self):
        found = [gap(trial(Amp(), flips(s), seed=s), Data.of(flips(s).data()).train, CPU) for s in range(20)]
        assert max(one.gap for one in found) > 0.088  # the root of bfloat16's eps, which was allowed to all alike
        assert all(one.gap <= one.bound for one in found)
        wide = [gap(trial(Amp(), flips(s, 128), seed=s), Data.of(flips(s, 128).data()).train, CPU) for s in range(5)]
        assert all(one.gap <= one.bound for one in wide)

    @pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
    def test_a_fault_is_found_that_half_the_digits_would_have_let_pass(self, dtype):
        """A loss of which 2 or 5 in 100 are missing: in a network that no unit of which flips."""
        short = 0.98 if dtype == "float16" else 0.95

        @dataclass(frozen=True)
        class Short(Amp):
            def __call__(self, task):
                yield from super().__call__(replace(task, loss=lambda o, y: short * task.loss(o, y)))

        smooth = replace(GAUSSIANS, model=lambda: nn.Sequential(nn.Linear(20, 32), nn.Tanh(), nn.Linear(32, 4)))
        right, wrong = (gap_of(trial(kind(dtype=dtype), smooth)) for kind in (Amp, Short))
        assert right.gap <= right.bound
        assert wrong.bound < wrong.gap < torch.finfo(getattr(torch, dtype)).eps ** 0.5

    def test_means_of_means_are_found_in_it(self):
        @dataclass(frozen=True)
        class Mixed(MeanOfMeans):
            batch_size: int = 60
            dtype: str = "bfloat16"

        found = gap_of(trial(Mixed()))
        assert found.dtype == "bfloat16"
        assert found.gap > found.bound


def test_a_compiled_model_is_held_to_the_same_as_it_was_written():
    """In float64, over two batches and the smaller last one."""
    found = gap_of(Trial(GAUSSIANS, Compiled(batch_size=60, backend="eager")))
    assert found.gap <= found.bound
    assert found.dtype == "float64"
    (one,) = gate([Trial(GAUSSIANS, Compiled(backend="eager"))])
    assert one["passed"]


def test_a_compiler_that_errs_is_found():
    """One that returns outputs a thousandth too large, as a wrong kernel might."""

    def errs(graph, _):
        return lambda *inputs: [output * 1.001 for output in graph.forward(*inputs)]

    found = gap_of(Trial(GAUSSIANS, Compiled(backend=errs)))
    assert found.gap > found.bound
