"""The harness, on trainers whose answer is known."""

import gc
import os
import sys
import time
from collections import Counter
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import psutil
import pytest
import torch

from paceline.bench import Trial as AnyTrial
from paceline.bench import Workload, run_trial
from paceline.bench.analysis.frames import trials_frame
from paceline.bench.harness import fork_server
from paceline.bench.harness.warm_up import WARMUP_STEPS
from paceline.bench.harness.windows import LEAST_APART
from paceline.bench.workloads import find_workload
from paceline.trainers import Accumulate, Adam, Amp, Ddp, FullBatch, MiniBatch, Online, Sgd, Step
from tests import problems
from tests.problems import GAUSSIANS, POINTS, Misbehaves, Sleeper, SlowToStart

# One thread: these problems are too small for two, which only wait for each other on a busy machine.
Trial = partial(AnyTrial, threads=1)


def row(record):
    return trials_frame((record,)).iloc[0]


@pytest.mark.times
class TestClock:
    def test_throughput_of_a_sleeper(self):
        """10 samples a step of 10 ms: at most 1000 samples/s, and most of that."""
        slow, fast = (row(run_trial(Trial(POINTS, Sleeper(s), steps=30))) for s in (0.02, 0.01))
        assert slow.samples_per_second <= 500
        assert fast.samples_per_second <= 1000
        assert slow.seconds_per_step / fast.seconds_per_step == pytest.approx(2, rel=0.15)

    def test_evaluation_never_enters_seconds(self):
        def slow_score(outputs, targets):
            time.sleep(0.05)
            return 1.0

        record = run_trial(Trial(replace(POINTS, score=slow_score), Sleeper(0.001), steps=20))
        evaluations = len(record.curve["step"])
        assert record.evaluation_seconds >= 0.05 * evaluations
        assert record.curve["seconds"][-1] < record.evaluation_seconds / 5

    def test_what_precedes_the_first_forward_pass_is_set_up(self):
        record = run_trial(Trial(POINTS, SlowToStart(0.3), steps=20))
        assert record.setup_seconds >= 0.3
        assert record.curve["seconds"][-1] < 0.15

    def test_phases_sum_to_wall(self):
        record = run_trial(Trial(POINTS, Sleeper(0.01), steps=50))
        phases = record.setup_seconds + record.warmup_seconds + record.evaluation_seconds + record.curve["seconds"][-1]
        assert phases == pytest.approx(record.wall_seconds, rel=0.1)


class TestSchedule:
    def test_evaluations_are_geometric_in_steps(self):
        steps = run_trial(Trial(POINTS, Sleeper(0.0), steps=1000)).curve["step"]
        expected = [1]
        while expected[-1] < 1000:
            expected.append(max(expected[-1] + LEAST_APART, -(-103 * expected[-1] // 100)))  # 3 % on, rounded up
        assert steps == [s for s in expected if s < 1000] + [1000]

    def test_both_ends_of_the_crossing_are_kept(self):
        record = run_trial(Trial(GAUSSIANS, MiniBatch(Sgd(lr=0.05)), seconds=20))
        assert record.status == "reached"
        hit = next(i for i, score in enumerate(record.curve["score"]) if score >= GAUSSIANS.target)
        assert hit == len(record.curve["score"]) - 1  # it stopped there
        assert row(record).seconds_to_target == record.curve["seconds"][hit]
        assert row(record).seconds_to_target_low == record.curve["seconds"][hit - 1]
        assert row(record).steps_to_target == record.curve["step"][hit]

    def test_it_goes_on_past_the_target_when_told(self):
        record = run_trial(Trial(GAUSSIANS, MiniBatch(), steps=150, stop_at_target=False))
        assert record.curve["step"][-1] == 150
        assert record.status == "reached"
        assert row(record).steps_to_target < 150

    def test_a_trainer_that_ends_is_scored_where_it_ended(self):
        record = run_trial(Trial(replace(GAUSSIANS, target=0.999), Online(Sgd(lr=1e-4), passes=1)))
        assert record.curve["step"][-1] == problems.N
        assert "the trainer ended by itself" in record.reason

    def test_scored_at_the_end_only(self):
        record = run_trial(Trial(GAUSSIANS, MiniBatch(), steps=100, stop_at_target=False, score_along=False))
        assert [score is not None and score == score for score in record.curve["score"]].count(True) == 1
        assert record.curve["score"][-1] > 0.5

    @pytest.mark.times
    def test_the_budget_of_seconds_is_kept(self):
        record = run_trial(Trial(POINTS, Sleeper(0.01), seconds=0.5))
        assert record.status == "missed"
        assert "0.5 training seconds are used up" in record.reason
        # Over by a step and the spacing of evaluations; a sleep that overruns on a busy machine comes on top.
        assert 0.5 <= record.curve["seconds"][-1] < 1.0


class TestStatus:
    """Each status from a real cause."""

    def trial(self, patience=30.0, **what):
        return Trial(POINTS, Misbehaves(**what), patience=patience)

    def test_out_of_memory(self):
        record = run_trial(self.trial(what=problems.allocate_too_much))
        assert record.status == "out_of_memory"
        assert "allocate" in record.reason
        assert record.curve["step"] == [1, 4, 7, 10]  # what was seen before is kept

    @pytest.mark.times
    def test_a_trial_that_hangs_is_killed(self):
        record = run_trial(self.trial(what=problems.loop_forever, patience=5))
        assert record.status == "timed_out"
        assert "within 5 s during training" in record.reason
        assert record.curve["step"] == [1, 4, 7, 10]

    def test_a_killed_process(self):
        record = run_trial(self.trial(what=problems.kill_itself))
        assert record.status == "crashed"
        assert "SIGKILL" in record.reason

    def test_a_process_that_exits(self):
        record = run_trial(self.trial(what=lambda: os._exit(3)))
        assert (record.status, record.reason) == ("crashed", "exited with code 3")

    def test_the_last_words_of_a_crash_are_kept(self):
        def abort():
            os.write(2, b"terminate called after throwing an instance of 'planted'\n")
            os.abort()

        record = run_trial(self.trial(what=abort))
        assert record.status == "crashed"
        assert "SIGABRT" in record.reason
        assert "instance of 'planted'" in record.reason

    def test_an_exception(self):
        record = run_trial(self.trial(what=problems.fail))
        assert (record.status, record.reason) == ("failed", "RuntimeError: the planted failure")

    def test_divergence(self):
        record = run_trial(Trial(find_workload("linear"), MiniBatch(Sgd(lr=1e6)), seconds=20))
        assert record.status == "diverged"
        assert "inf" in record.reason

    def test_missed(self):
        record = run_trial(Trial(GAUSSIANS, MiniBatch(Sgd(lr=1e-6)), steps=5))
        assert record.status == "missed"
        assert row(record).seconds_to_target != row(record).seconds_to_target  # NaN, not the budget

    def test_a_trainer_without_a_step(self):
        @dataclass(frozen=True)
        class Idle:
            def __call__(self, task):
                yield from ()

        record = run_trial(Trial(POINTS, Idle()))
        assert (record.status, record.reason) == ("failed", "ValueError: Idle made no step")

    def test_a_rank_that_dies_is_the_reason_given(self):
        """The other rank fails too, in its next collective; that is not what went wrong."""
        trainer = Misbehaves(problems.kill_itself, distributed=True, on_rank=1)
        record = run_trial(Trial(POINTS, trainer, world_size=2, patience=30))
        assert record.status == "crashed"
        assert record.reason.startswith("rank 1: killed by SIGKILL")

    @pytest.mark.times
    def test_a_rank_that_hangs_in_a_collective(self):
        trainer = Misbehaves(problems.loop_forever, distributed=True, on_rank=1)
        record = run_trial(Trial(POINTS, trainer, world_size=2, patience=6))
        assert record.status == "timed_out"

    def test_no_process_is_left_behind(self):
        run_trial(self.trial(what=problems.loop_forever, patience=2))
        left = [p for p in psutil.Process().children(recursive=True) if p.status() != psutil.STATUS_ZOMBIE]
        # the server that forks the trials, and multiprocessing's tracker, live as long as we do
        assert all("forkserver" in " ".join(p.cmdline()) or "resource_tracker" in " ".join(p.cmdline()) for p in left)
        assert sum("forkserver" in " ".join(p.cmdline()) for p in left) <= 1


class TestFreshProcess:
    def test_no_trial_sees_what_another_left(self):
        @dataclass(frozen=True)
        class Counts:
            def __call__(self, task):
                model = task.model()
                torch.planted = getattr(torch, "planted", 0) + 1  # warm-up is the first time
                while True:
                    model(task.x)
                    yield Step(model, torch.tensor(float(torch.planted)), samples=1)

        losses = [run_trial(Trial(POINTS, Counts(), steps=1)).curve["loss"] for _ in range(2)]
        assert losses == [[2.0], [2.0]]

    def test_it_loads_no_analysis_and_its_garbage_collection_passes_over_what_is_loaded(self):
        """Either would take every trial some 0.2 s, and a full collection that time out of training."""

        @dataclass(frozen=True)
        class Tells:
            def __call__(self, task):
                model = task.model()
                model(task.x)
                found = [name in sys.modules for name in ("scipy", "pandas", "matplotlib")]
                for fact in (*found, len(gc.get_objects()) / gc.get_freeze_count()):
                    for _ in range(LEAST_APART):  # one of them is an evaluation
                        yield Step(model, torch.tensor(float(fact)), samples=1)

        fork_server._asked_for.clear()  # what the models of other tests need, of this session's server
        fork_server.renew()
        *loaded, left = run_trial(Trial(find_workload("linear"), Tells(), steps=10)).curve["loss"]
        assert set(loaded) == {0.0}
        assert left < 0.1

    def test_threads_are_set_and_recorded(self):
        @dataclass(frozen=True)
        class TellsThreads:
            def __call__(self, task):
                model = task.model()
                while True:
                    model(task.x)
                    yield Step(model, torch.tensor(float(torch.get_num_threads())), samples=1)

        for threads in (1, 2):
            record = run_trial(Trial(POINTS, TellsThreads(), threads=threads, steps=1))
            assert record.curve["loss"] == [float(threads)]
            assert record.threads == threads

    def test_warm_up_leaves_no_trace_in_the_result(self):
        """Dropout draws from the global random state, which warm-up must not move."""
        dropout = replace(
            GAUSSIANS, model=lambda: torch.nn.Sequential(problems.network(), torch.nn.Dropout(0.5))
        )  # fmt: skip
        torch.manual_seed(0)
        record = run_trial(Trial(dropout, FullBatch(), steps=1))
        task = problems.task(seed=0, dtype=torch.float32)
        torch.manual_seed(0)
        model = torch.nn.Sequential(task.model(), torch.nn.Dropout(0.5))
        assert record.curve["loss"][0] == pytest.approx(task.loss(model(task.x), task.y).mean().item(), rel=1e-5)

    def test_a_script_without_a_main_guard(self, tmp_path):
        """People try it in a script or a notebook: lambdas, classes of __main__, no guard."""
        script = tmp_path / "mine.py"
        script.write_text(
            "import torch\nfrom torch import nn\n"
            "from paceline.bench import Trial, Workload, run_trial\nfrom paceline.trainers import MiniBatch\n"
            "x = torch.randn(64, 3)\n"
            "w = Workload(name='mine', model=lambda: nn.Linear(3, 2), data=lambda: (x, (x[:, 0] > 0).long(), x, "
            "(x[:, 0] > 0).long()), target=0.99)\n"
            "print('ran once')\n"
            "print(run_trial(Trial(w, MiniBatch(batch_size=8), steps=3)).curve['step'])\n"
        )
        import subprocess
        import sys

        done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=False)
        assert done.stdout.split("\n") == ["ran once", "[1, 3]", ""], done.stderr


class TestObservations:
    def test_compilation_is_told_apart_from_the_rest_of_warm_up(self):
        compiled = replace(GAUSSIANS, model=lambda: torch.compile(problems.network(), backend="eager"))
        record = run_trial(Trial(compiled, MiniBatch(), steps=3))
        assert 0 < record.compile_seconds < record.warmup_seconds
        assert run_trial(Trial(GAUSSIANS, MiniBatch(), steps=3)).compile_seconds == 0

    def test_flops_are_those_of_the_layers(self):
        """6 FLOPs a weight and sample, 4 in the first layer, whose input needs no gradient."""
        expected = 4 * 784 * 128 + 6 * 128 * 10
        for trainer in (FullBatch(), MiniBatch(), Accumulate(), Amp()):
            record = run_trial(Trial(find_workload("mnist5k"), trainer, steps=1))
            assert record.flops_per_sample == expected
            assert record.parameters == 784 * 128 + 128 + 128 * 10 + 10

    def test_ranks_share_the_flops(self):
        record = run_trial(Trial(find_workload("mnist5k"), Ddp(), world_size=2, steps=1))
        assert record.flops_per_sample == 4 * 784 * 128 + 6 * 128 * 10

    def test_peak_memory_is_that_of_training_alone(self):
        """A burst of 200 MB in a step is seen; the same burst in warm-up or evaluation is not."""

        @dataclass(frozen=True)
        class Bursts:
            at: int

            def __call__(self, task):
                model, number = task.model(), 0
                while True:
                    number += 1
                    model(task.x)
                    if number == self.at:
                        torch.ones(50_000_000)
                    yield Step(model, torch.zeros(()), samples=1)

        def wasteful(outputs, targets):
            return float(torch.ones(50_000_000).mean())

        burst, calm = (run_trial(Trial(POINTS, Bursts(at), steps=8)) for at in (5, 1000))
        assert 190e6 < row(burst).training_memory_bytes < 260e6
        assert row(calm).training_memory_bytes < 30e6
        evaluated = run_trial(Trial(replace(POINTS, score=wasteful, target=0.0), Bursts(1000), steps=8))
        assert row(evaluated).training_memory_bytes < 30e6

    def test_memory_that_warm_up_freed_is_not_there_to_be_reused(self):
        """Training adds its parameters and their gradients at least, though warm-up has held as much before."""
        record = run_trial(Trial(find_workload("mnist5k"), MiniBatch(), steps=60, stop_at_target=False))
        assert row(record).training_memory_bytes > 2 * 4 * record.parameters

    def test_evaluation_leaves_nothing_in_the_peak_of_training(self):
        """What it frees the C library may keep: 3.7 MB once, more than mini-batch training itself adds here."""
        along, at_end = (
            row(run_trial(Trial(find_workload("mnist5k"), MiniBatch(), steps=60, stop_at_target=False, score_along=s)))
            for s in (True, False)
        )
        assert abs(along.training_memory_bytes - at_end.training_memory_bytes) < 1.5e6

    def test_memory_over_ranks_counts_shared_pages_once(self):
        record = run_trial(Trial(GAUSSIANS, Ddp(), world_size=2, steps=3))
        alone = run_trial(Trial(GAUSSIANS, Ddp(), world_size=1, steps=3))
        both = row(record)
        assert both.peak_rss_bytes > 1.8 * row(alone).peak_rss_bytes
        assert both.peak_union_bytes < 0.9 * both.peak_rss_bytes
        assert len(record.ranks) == 2
        # One rank shares with no other rank: that the fork server has the same pages does not make it smaller.
        assert row(alone).peak_union_bytes == row(alone).peak_rss_bytes

    def test_what_has_no_gpu_says_so(self):
        record = run_trial(Trial(GAUSSIANS, MiniBatch(), steps=1))
        assert row(record)[["peak_device_bytes", "energy_joules", "peak_allocated_bytes"]].isna().all()
        for name in ("peak_device_bytes", "energy_joules", "peak_allocated_bytes"):
            assert "CPU" in record.unmeasured[name]

    @pytest.mark.parametrize(
        ("trainer", "expected"),
        [
            (FullBatch(), (problems.N, None, "float32")),
            (Online(), (1, None, "float32")),
            (Accumulate(batch_size=32, micro_batch_size=8), (32, 8, "float32")),
            (Amp(Adam(lr=0.01), batch_size=16), (16, None, "bfloat16")),
        ],
        ids=repr,
    )
    def test_hyperparameters_are_columns(self, trainer, expected):
        found = row(run_trial(Trial(GAUSSIANS, trainer, steps=1)))
        batch_size, micro_batch_size, dtype = expected
        assert found.batch_size == batch_size
        assert found.micro_batch_size == micro_batch_size or (
            micro_batch_size is None and found.isna().micro_batch_size
        )
        assert found["dtype"] == dtype
        assert found.lr == trainer.optimizer.lr

    def test_ddp_listens_on_loopback_only(self):
        @dataclass(frozen=True)
        class Looks(Ddp):
            def __call__(self, task):
                for step in super().__call__(task):
                    connections = psutil.Process().net_connections()
                    outside = [
                        c.laddr.ip for c in connections if c.laddr and not c.laddr.ip.startswith(("127.", "::1"))
                    ]
                    # The host's own name may be a loopback address too, so look at what gloo was told as well.
                    told = os.environ.get("GLOO_SOCKET_IFNAME") == "lo"
                    yield Step(step.model, torch.tensor(float(len(outside) + (not told))), step.samples)

        assert run_trial(Trial(GAUSSIANS, Looks(), world_size=2, steps=2)).curve["loss"] == [0.0, 0.0]


class TestRefused:
    @pytest.mark.parametrize(
        ("trial", "message"),
        [
            (Trial(GAUSSIANS, MiniBatch(batch_size=0)), r"batch_size must be in 1\.\.256"),
            (Trial(GAUSSIANS, MiniBatch(batch_size=257)), r"batch_size must be in 1\.\.256"),
            (Trial(GAUSSIANS, Ddp(batch_size=2), world_size=3), "3 ranks cannot share a batch of 2"),
            (Trial(GAUSSIANS, MiniBatch(), world_size=2), "MiniBatch is not distributed"),
            (Trial(GAUSSIANS, MiniBatch(), seconds=0), "seconds must be more than 0"),
            (Trial(GAUSSIANS, MiniBatch(), seconds=float("nan")), "seconds must be more than 0"),
            (Trial(GAUSSIANS, MiniBatch(), steps=0), "steps must be at least 1"),
            (AnyTrial(GAUSSIANS, MiniBatch(), threads=0), "threads must be at least 1"),
            (Trial(GAUSSIANS, MiniBatch(), device="tpu"), "device must be 'cpu' or 'cuda'"),
        ],
        ids=lambda value: value if isinstance(value, str) else "",
    )
    def test_a_trial_that_cannot_run(self, trial, message):
        with pytest.raises(ValueError, match=message) as error:
            run_trial(trial)
        assert "\n" not in str(error.value)


def test_the_data_are_built_once(tmp_path: Path):
    """Building them can take longer than a trial."""
    log = tmp_path / "built"

    def data():
        log.write_text(log.read_text() + "x" if log.exists() else "x")
        return problems.gaussians()

    workload = Workload(name="counted", model=problems.network, data=data, target=0.9)
    for trainer in (MiniBatch(), FullBatch()):
        run_trial(Trial(workload, trainer, steps=1))
    assert Counter(log.read_text()) == {"x": 1}


def test_warm_up_is_the_same_for_every_trainer():
    @dataclass(frozen=True)
    class CountsAcrossGenerators:
        def __call__(self, task):
            model = task.model()
            while True:
                model(task.x)
                torch.planted = getattr(torch, "planted", 0) + 1
                yield Step(model, torch.tensor(float(torch.planted)), samples=1)

    assert run_trial(Trial(POINTS, CountsAcrossGenerators(), steps=1)).curve["loss"] == [WARMUP_STEPS + 1]
