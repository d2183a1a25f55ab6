"""Every planted fault breaks the law that was made for it; real trials break none."""

import copy
from dataclasses import replace
from functools import partial

import pytest

from paceline.bench import Trial as AnyTrial
from paceline.bench import load_results, run_trial
from paceline.bench.analysis.frames import Results, curves_frame, trials_frame
from paceline.bench.analysis.trial_laws import broken, names
from paceline.bench.harness.peak import Machine, gemm_peak, machines
from paceline.bench.report import laws
from paceline.trainers import AdaScale, Amp, Ddp, FullBatch, GrowingBatch, MiniBatch, NoiseBatch, Online
from tests.paths import REFERENCE
from tests.planted import a_curve, a_record
from tests.problems import GAUSSIANS, Misbehaves, kill_itself

pytestmark = pytest.mark.times  # the clocks of real trials must agree
Trial = partial(AnyTrial, threads=1, steps=150, stop_at_target=False)


@pytest.fixture(scope="module")
def one():
    """A real trial of one rank: long enough that no fault hides in a tolerance, and 256 samples in batches of 60."""
    record = run_trial(Trial(GAUSSIANS, MiniBatch(batch_size=60), steps=3000))
    # On a quick machine warm-up is shorter than a tolerance: as if it had been a second longer.
    longer = {n: getattr(record, n) + 1.0 for n in ("warmup_seconds", "wall_seconds", "elapsed_seconds")}
    return replace(record, **longer)


@pytest.fixture(scope="module")
def two():
    """A real trial of two ranks, the first of which waits longer for the second."""
    return run_trial(Trial(GAUSSIANS, Ddp(batch_size=60), world_size=2, steps=300))


def changed(record, curve=None, ranks=None, **fields):
    """Return ``record`` with ``fields``, and with functions applied to columns of its curve and fields of its ranks."""
    columns, own = copy.deepcopy(record.curve), copy.deepcopy(record.ranks)
    for name, change in (curve or {}).items():
        columns[name] = [change(value) for value in columns[name]]
    for rank in own:
        rank.update({name: change(rank.get(name)) for name, change in (ranks or {}).items()})
    return replace(record, curve=columns, ranks=own, **fields)


def timed(record, change):
    """Return ``record`` as it were had the clock of training shown ``change(seconds)``."""
    return changed(record, {"seconds": change}, {"train_seconds": change})


class TestRealTrialsBreakNone:
    @pytest.mark.parametrize("trainer", [FullBatch(), Online(), Amp(batch_size=60)], ids=lambda t: type(t).__name__)
    def test_of_each_kind(self, trainer):
        assert broken(run_trial(Trial(GAUSSIANS, trainer))) == []

    @pytest.mark.parametrize(
        "trainer",
        [GrowingBatch(batch_size=60, every=2), NoiseBatch(batch_size=60), AdaScale(batch_size=60)],
        ids=lambda t: type(t).__name__,
    )
    def test_of_one_that_changes_its_batch_size_or_rate(self, trainer):
        record = run_trial(Trial(GAUSSIANS, trainer))
        assert broken(record) == []
        assert record.varies_batch_size is not isinstance(trainer, AdaScale)
        claimed = replace(record, varies_batch_size=not record.varies_batch_size)
        assert bool(broken(claimed)) is record.varies_batch_size, "the law of a constant batch would break"

    def test_of_one_rank_and_of_two(self, one, two):
        assert broken(one) == broken(two) == []

    def test_that_died(self):
        record = run_trial(AnyTrial(GAUSSIANS, Misbehaves(kill_itself), threads=1))
        assert record.status == "crashed"
        assert broken(record) == []

    def test_of_the_reference_run_which_lacks_newer_observations(self):
        results = load_results(REFERENCE)
        assert len(results.trials) > 100
        assert not [law for record in results.records for law in broken(record)]
        assert set(results.trials["broken_laws"]) == {""}

    def test_made_by_hand(self):
        assert broken(a_record()) == []


def throughput_law(record, row_change):
    row = trials_frame((record,)).iloc[0].to_dict()
    assert broken(record, row=row) == []
    return broken(record, row=row_change(row))


ONE_RANK = {
    "samples x 4": ("batch", lambda r: changed(r, {"samples": lambda n: 4 * n})),
    "milliseconds for seconds": ("phases", lambda r: timed(r, lambda s: 1e3 * s)),
    "milliseconds of set-up": ("phases", lambda r: replace(r, setup_seconds=1e3 * r.setup_seconds)),
    "every duration in milliseconds": (
        "phases",
        lambda r: replace(timed(r, lambda s: 1e3 * s), setup_seconds=1e3 * r.setup_seconds,
                          warmup_seconds=1e3 * r.warmup_seconds, evaluation_seconds=1e3 * r.evaluation_seconds,
                          wall_seconds=1e3 * r.wall_seconds),
    ),
    "a step clock that leaves out half the step": ("phases", lambda r: timed(r, lambda s: s / 2)),
    "evaluation inside the clock": (
        "two clocks",
        lambda r: replace(timed(r, lambda s: s * (1 + r.evaluation_seconds / r.curve["seconds"][-1])),
                          evaluation_seconds=0.0),
    ),
    "evaluation counted twice": (
        "phases", lambda r: timed(r, lambda s: s * (1 + r.evaluation_seconds / r.curve["seconds"][-1]))
    ),
    "warm-up inside the clock": (
        "two clocks",
        lambda r: replace(timed(r, lambda s: s + r.warmup_seconds), warmup_seconds=0.0),
    ),
    "warm-up left out of wall time's phases": ("phases", lambda r: replace(r, warmup_seconds=0.0)),
    "a phase of negative length": ("phases", lambda r: replace(r, setup_seconds=-1.0)),
    "steps that were dropped": ("steps", lambda r: changed(r, {"step": lambda n: n / 2})),
    "steps that were dropped on the way": ("batch", lambda r: changed(r, {"step": lambda n: n + 5 * (n < 3000)})),
    "steps made and not counted": ("steps", lambda r: changed(r, ranks={"steps": lambda n: n + 1})),
    "updates that were not made": ("steps", lambda r: changed(r, ranks={"updates": lambda n: n - 1})),
    "a batch counted before it was taken": ("batch", lambda r: changed(r, {"samples": lambda n: n + 60})),
    "time that goes back": ("curve", lambda r: changed(r, {"seconds": lambda s: 1.0 - s})),
    "seconds and loss swapped": (
        "curve", lambda r: replace(r, curve=r.curve | {"seconds": r.curve["loss"], "loss": r.curve["seconds"]})
    ),
    "samples and steps swapped": (
        "steps", lambda r: replace(r, curve=r.curve | {"step": r.curve["samples"], "samples": r.curve["step"]})
    ),
    "a count that is missing": ("curve", lambda r: changed(r, {"samples": lambda _: None})),
    "a peak that was not reset": ("peak reset", lambda r: changed(r, ranks={"reset_rss_bytes": lambda n: n + 10**8})),
    "a peak below its start": ("memory", lambda r: changed(r, ranks={"peak_rss_bytes": lambda n: n // 1024})),
    "a peak below its parameters": (
        "memory", lambda r: changed(r, ranks={"parameter_bytes": lambda n: 10**5 * n})
    ),
    "a target that was not reached": ("outcome", lambda r: replace(r, target=2.0)),
    "a target reached and called missed": ("outcome", lambda r: replace(r, status="missed", reason="too slow")),
    "a failed trial that ran to its end": ("outcome", lambda r: replace(r, status="crashed", reason="killed")),
    "a failure without a reason": ("outcome", lambda r: replace(r, status="out_of_memory", wall_seconds=None)),
}  # fmt: skip

TWO_RANKS = {
    "samples of one rank for those of all": ("batch", lambda r: changed(r, {"samples": lambda n: n / 2})),
    "seconds of the fastest rank": (
        "ranks", lambda r: changed(r, {"seconds": lambda s: 0.9 * s * min(_own(r)) / r.curve["seconds"][-1]})
    ),
    "seconds summed over ranks twice": ("ranks", lambda r: changed(r, {"seconds": lambda s: 4 * s})),
    "a rank that made fewer steps": (
        "steps", lambda r: replace(r, ranks=[r.ranks[0], r.ranks[1] | {"steps": r.ranks[1]["steps"] - 1}])
    ),
}  # fmt: skip


def _own(record):
    return [rank["train_seconds"] for rank in record.ranks]


class TestPlantedFaults:
    @pytest.mark.parametrize("change", [lambda n: n / 100, lambda n: 1000 * n], ids=["fewer", "more"])
    def test_of_a_batch_that_varies(self, change):
        """No update takes less than a sample, or more than the training set."""
        record = run_trial(Trial(GAUSSIANS, GrowingBatch(batch_size=60, every=2)))
        (law,) = broken(changed(record, {"samples": change}))
        assert names([law]) == "batch"

    @pytest.mark.parametrize("fault", ONE_RANK)
    def test_of_one_rank(self, one, fault):
        law, plant = ONE_RANK[fault]
        assert law in names(broken(plant(one))).split(", ")

    @pytest.mark.parametrize("fault", TWO_RANKS)
    def test_of_two_ranks(self, two, fault):
        law, plant = TWO_RANKS[fault]
        assert law in names(broken(plant(two))).split(", ")

    def test_a_throughput_that_is_not_samples_over_seconds(self, one):
        for wrong in (
            lambda row: row | {"samples_per_second": 2 * row["samples_per_second"]},
            lambda row: row | {"train_seconds": row["train_seconds"] * 1e3},
            lambda row: row | {"samples": row["samples"] // 2},
        ):
            assert names(throughput_law(one, wrong)) == "throughput"

    def test_a_peak_ten_times_too_small(self, one):
        used = one.flops_per_sample * one.curve["samples"][-1] / one.curve["seconds"][-1]
        peak = 2 * used
        assert broken(one, peak) == []
        assert names(broken(one, peak / 10)) == "mfu"

    def test_energy_in_millijoules(self):
        """90 J in 1 s at 100 W is possible; 90,000 is not."""
        rank = {"energy_joules": 90.0, "energy_window_seconds": 1.0, "power_limit_watts": 100.0}
        assert broken(a_record(ranks=[rank])) == []
        assert names(broken(a_record(ranks=[rank | {"energy_joules": 9e4}]))) == "energy"
        assert names(broken(a_record(ranks=[rank | {"energy_joules": -1.0}]))) == "energy"

    def test_gpu_memory_below_model_gradients_and_state(self):
        rank = {"start_allocated_bytes": 1000, "peak_allocated_bytes": 1600, "parameter_bytes": 200,
                "gradient_bytes": 200, "optimizer_bytes": 200}  # fmt: skip
        assert broken(a_record(device="cuda", ranks=[rank])) == []
        assert names(broken(a_record(device="cuda", ranks=[rank | {"optimizer_bytes": 400}]))) == "memory"


class TestWhatIsNotThere:
    """An observation that is missing leaves its law unchecked."""

    @pytest.mark.parametrize("field", ["train_seconds", "build_seconds", "window_seconds", "steps", "updates",
                                       "parameter_bytes", "reset_rss_bytes", "peak_rss_bytes", "start_rss_bytes"]
    )  # fmt: skip
    def test_of_a_rank(self, one, field):
        assert broken(changed(one, ranks={field: lambda _: None})) == []

    def test_of_a_trial(self, one):
        nothing = dict.fromkeys(("setup_seconds", "elapsed_seconds", "flops_per_sample", "train_samples"))
        assert broken(replace(one, **nothing), 1e12) == []

    def test_a_trainer_that_was_told_no_batch_size(self):
        curve = a_curve((10, 777, 1.0, 0.5, 0.8), (20, 2001, 2.0, 0.25, 0.95))
        assert broken(a_record(hyperparameters={}, curve=curve)) == []

    def test_several_updates_a_step(self):
        """Four updates of 100 samples each: 8000 samples in 20 steps."""
        rank = {"steps": 20, "updates": 80}
        record = a_record(ranks=[rank], curve=a_curve((10, 4000, 1.0, 0.5, 0.8), (20, 8000, 2.0, 0.2, 0.95)))
        assert broken(record) == []
        assert names(broken(replace(record, ranks=[rank | {"updates": 40}]))) == "batch"
        assert broken(replace(record, ranks=[rank | {"updates": 81}])) == []  # not the same number in each step


class TestPeak:
    def test_a_step_stays_below_it(self, one):
        (machine,) = machines([Trial(GAUSSIANS, MiniBatch())])
        assert machine == Machine("cpu", "float32", 1, 1)
        peak = gemm_peak(machine)
        frame = trials_frame((one,), {"gemm_peaks": [peak]})
        assert 0 < frame["mfu"][0] < 1
        assert frame["mfu"][0] * peak["flops_per_second"] == pytest.approx(
            frame["flops_per_sample"][0] * frame["samples_per_second"][0]
        )
        assert broken(one, peak["flops_per_second"]) == []

    def test_it_is_of_the_same_dtype_device_threads_and_ranks(self, one):
        peak = {"device": "cpu", "dtype": "float32", "threads": 1, "world_size": 1, "flops_per_second": 1e12}
        assert trials_frame((one,), {"gemm_peaks": [peak]})["mfu"].notna().all()
        for other in ({"device": "cuda"}, {"dtype": "bfloat16"}, {"threads": 2}, {"world_size": 2}):
            assert trials_frame((one,), {"gemm_peaks": [peak | other]})["mfu"].isna().all()
        assert trials_frame((one,), {"gemm_peaks": [peak | {"flops_per_second": None}]})["mfu"].isna().all()

    def test_ranks_and_dtypes_are_told_apart(self):
        trials = [Trial(GAUSSIANS, Amp()), Trial(GAUSSIANS, Ddp(), world_size=2), Trial(GAUSSIANS, MiniBatch())]
        assert machines(trials + trials) == [
            Machine("cpu", "bfloat16", 1, 1), Machine("cpu", "float32", 1, 1), Machine("cpu", "float32", 1, 2)
        ]  # fmt: skip

    def test_of_two_ranks(self):
        assert gemm_peak(Machine("cpu", "float32", 1, 2))["flops_per_second"] > 1e8

    def test_that_cannot_be_measured_says_so(self):
        with pytest.raises(ValueError, match="could not be measured"):
            gemm_peak(Machine("cpu", "no_such_dtype", 1, 1))


def test_a_broken_law_marks_its_row_and_is_shown_with_its_numbers(one):
    wrong = timed(one, lambda s: 1e3 * s)
    results = Results(trials_frame((one, wrong)), curves_frame((one,)), {}, (one, wrong), REFERENCE)
    assert list(results.trials["broken_laws"]) == ["", "phases, two clocks"]
    assert list(laws.table(results)["law"]) == ["phases", "two clocks"]
    assert "1 of 2 trials break a law" in laws.sentence(results)
