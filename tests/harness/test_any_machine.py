"""Any machine: what is planned for 1 to 256 cores, under quotas, without GPUs, and for data of 50 samples."""

import importlib

import pytest
import torch
from torch import nn

from paceline.bench.harness import device
from paceline.bench.harness import plan as planning
from paceline.bench.harness.blocks import trial_of
from paceline.bench.harness.data_files import DATA_FILES
from paceline.bench.harness.plan import LEAST_PER_RANK, STRATEGIES, SUITES, LeftOut, Plan, make_plan
from paceline.bench.harness.rate_search import Search
from paceline.bench.probes import cores as module
from paceline.bench.probes.cores import cores, cores_of_a_trial
from paceline.bench.workloads.workload import Workload
from paceline.trainers import Ddp, MiniBatch, Sgd
from tests.paths import ROOT

BENCHMARKS = sorted(path.stem for path in (ROOT / "bench").glob("bench_*.py"))


@pytest.fixture
def machine(monkeypatch, tmp_path):
    """Return a function that makes this machine look like another."""

    def machine(logical, quota=None, threads_per_core=1, omp=None):
        for number in range(logical):
            core = number % (logical // threads_per_core)  # as Linux numbers them: all first threads, then all second
            siblings = ",".join(str(core + k * (logical // threads_per_core)) for k in range(threads_per_core))
            folder = tmp_path / f"cpu{number}" / "topology"
            folder.mkdir(parents=True)
            (folder / "thread_siblings_list").write_text(f"{siblings}\n")
        monkeypatch.setattr(module, "TOPOLOGY", tmp_path)
        monkeypatch.setattr(module, "affinity", lambda: frozenset(range(logical)))
        monkeypatch.setattr(module, "cpu_limit", lambda: quota)
        monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
        if omp is not None:
            monkeypatch.setenv("OMP_NUM_THREADS", omp)
        module._physical.cache_clear()

    yield machine
    module._physical.cache_clear()


@pytest.mark.parametrize("logical", [1, 2, 4, 16, 64, 256])
def test_cores_are_those_of_the_machine(machine, logical):
    machine(logical)
    assert cores() == cores_of_a_trial() == logical


@pytest.mark.parametrize(("quota", "expected"), [(0.5, 1), (2.0, 2), (4.5, 4), (100.0, 64)])
def test_a_quota_of_cpu_time_limits_cores(machine, quota, expected):
    machine(64, quota)
    assert cores() == expected


def test_hyper_threads_are_no_cores(machine):
    machine(16, threads_per_core=2)
    assert cores() == 8


def test_half_of_the_hyper_threads_pinned_are_all_the_cores(machine, monkeypatch):
    machine(16, threads_per_core=2)
    monkeypatch.setattr(module, "affinity", lambda: frozenset(range(8)))  # taskset -c 0-7: each core's first thread
    assert cores() == 8


@pytest.mark.parametrize(("omp", "expected"), [("1", 1), ("3", 3), ("4,2", 4), ("64", 8), ("0", 8), ("many", 8)])
def test_omp_num_threads_limits_a_trial_and_not_the_machine(machine, omp, expected):
    machine(8, omp=omp)
    assert (cores_of_a_trial(), cores()) == (expected, 8)
    assert Plan().trial(workload_of(400), MiniBatch(), 1.0).threads == expected


def test_a_kernel_that_does_not_tell_of_siblings(machine, monkeypatch, tmp_path):
    machine(4)
    monkeypatch.setattr(module, "TOPOLOGY", tmp_path / "nowhere")
    monkeypatch.setattr(module.psutil, "cpu_count", lambda logical: 2)
    module._physical.cache_clear()
    assert cores() == 2


WORKLOADS: dict[int, Workload] = {}


def workload_of(train_samples):
    """Return a workload of so many training samples; the same object each time, for its data are built once."""

    def data():
        x = torch.randn(train_samples + 100, 8, generator=torch.Generator().manual_seed(0))
        y = (x.sum(dim=1) > 0).long()
        return x[:-100], y[:-100], x[-100:], y[-100:]

    if train_samples not in WORKLOADS:
        WORKLOADS[train_samples] = Workload(
            name=f"of-{train_samples}", model=lambda: nn.Linear(8, 2), data=data, target=0.999
        )
    return WORKLOADS[train_samples]


def planned(plan):
    """Return what every benchmark plans, as (benchmark, cell, what)."""
    modules = {name: importlib.import_module(f"paceline.bench.{name}") for name in BENCHMARKS}
    return [(name, cell, what) for name in BENCHMARKS for cell, what in modules[name].cells(plan).items()]


def check_each(plan):
    """Check every planned trial, as a run does before its first; return (cells, left out)."""
    found = planned(plan)
    for _, _, what in found:
        if isinstance(what, LeftOut):
            assert what.why
            continue
        if isinstance(what, Search):
            what.first()
        trial = trial_of(what)
        trial.check(DATA_FILES.count(trial.workload))
    return found


@pytest.mark.parametrize("suite", SUITES)
@pytest.mark.parametrize("logical", [1, 2, 4, 16, 64, 256])
def test_what_make_bench_plans_runs_on_any_number_of_cores(machine, logical, suite):
    if suite == "full":
        pytest.importorskip("mnist1d", reason="the full suite's reproductions train on it")
    machine(logical)
    assert len(check_each(Plan(suite=suite))) > 20


@pytest.mark.parametrize("suite", SUITES)
@pytest.mark.parametrize("train_samples", [50, 400, 4000])
@pytest.mark.parametrize("logical", [1, 2, 4, 16, 64, 256])
def test_a_workload_of_any_size_is_planned_on_any_number_of_cores(machine, logical, train_samples, suite):
    machine(logical)
    found = check_each(Plan(suite=suite, workloads=(workload_of(train_samples),)))
    assert {name for name, _, _ in found} >= {"bench_strategies", "bench_scaling", "bench_precision", "bench_null"}
    for _, cell, what in found:
        trial = what if isinstance(what, LeftOut) else trial_of(what)
        if not isinstance(trial, LeftOut) and isinstance(trial.trainer, Ddp) and trial.world_size > 1:
            assert trial.trainer.batch_size >= 2 * trial.world_size, cell


@pytest.mark.parametrize("suite", SUITES)
def test_every_strategy_is_planned_whatever_the_user_names(machine, suite):
    machine(16)
    trainers = tuple(planning.TRAINERS.items())
    check_each(Plan(suite=suite, workloads=(workload_of(50),), trainers=trainers))


@pytest.mark.parametrize(
    ("logical", "ranks", "threads"), [(1, 1, 1), (2, 2, 1), (4, 4, 1), (6, 3, 2), (7, 2, 3), (64, 4, 16), (256, 4, 64)]
)
def test_ddp_gets_few_ranks_that_fill_the_cores(machine, logical, ranks, threads):
    machine(logical)
    trial = Plan().trial(workload_of(4000), STRATEGIES["Ddp"], 1.0)
    assert (trial.world_size, trial.threads) == (ranks, threads)
    assert trial.trainer.batch_size >= LEAST_PER_RANK * ranks


def test_cores_and_ranks_may_be_asked_for(machine):
    machine(64)
    plan = make_plan(cores=8, ranks=2, device="cpu")
    ddp, mini_batch = (plan.trial(workload_of(4000), trainer, 1.0) for trainer in (Ddp(), MiniBatch()))
    assert (ddp.world_size, ddp.threads) == (2, 4)
    assert (mini_batch.world_size, mini_batch.threads) == (1, 8)


def test_our_own_batch_size_is_cut_and_the_users_is_refused():
    few = workload_of(50)
    assert Plan().trial(few, MiniBatch(), 1.0).trainer.batch_size == 50
    typed = Plan().trial(few, MiniBatch(batch_size=128), 1.0)
    with pytest.raises(ValueError, match=r"batch_size must be in 1\.\.50, .* 'of-50'; got 128"):
        typed.check(50)


def test_what_cannot_be_run_is_left_out_with_a_reason(machine):
    machine(16)
    from paceline.bench import bench_scaling

    found = bench_scaling.cells(Plan(suite="full", workloads=(workload_of(50),)))
    why = {cell: what.why for cell, what in found.items() if isinstance(what, LeftOut)}
    assert why["of-50-Ddp-weak-x16"] == "256 samples a step, of which of-50 has 50"
    assert "of-50-Ddp-one-x1" not in why


def test_ranks_stand_beside_one_process_on_as_many_cores(machine):
    from paceline.bench import bench_scaling

    machine(4)
    found = bench_scaling.cells(Plan(workloads=(workload_of(2000),)))
    process = {trial.threads: trial for trial in found.values() if isinstance(trial.trainer, MiniBatch)}
    strong = [trial for name, trial in found.items() if "-strong-" in name]
    assert set(process) == {1, 2, 4}
    assert {trial.world_size for trial in strong} == {2, 4}
    for ranks in strong:
        assert ranks.trainer.batch_size == process[ranks.world_size].trainer.batch_size
    of_gpus = bench_scaling.cells(Plan(workloads=(workload_of(2000),), device="cuda", gpus=4))
    assert sum(isinstance(trial.trainer, MiniBatch) for trial in of_gpus.values()) == 1  # it takes one


@pytest.mark.parametrize(("suite", "trials"), [("quick", 3), ("standard", 5), ("full", 15)])
def test_all_batch_sizes_search_one_grid_of_rates(suite, trials):
    """Grids that move with the batch size by a rule find that rule."""
    from paceline.bench import bench_critical_batch

    searches = bench_critical_batch.cells(make_plan(suite=suite, device="cpu")).values()
    assert len(searches) >= 4
    assert len({search.rates for search in searches}) == 1
    assert {len(search) for search in searches} == {trials}


def test_noise_is_observed_on_runs_that_make_the_same_steps(machine):
    """Their searches differ by more than luck: on one workload accumulation once ran at half of mini-batch's rate."""
    from paceline.bench import bench_noise_scale

    machine(4)
    rates = ((("of-2000", "MiniBatch"), 0.2), (("of-2000", "Accumulate"), 0.1), (("of-2000", "Ddp"), 0.1))
    found = bench_noise_scale.cells(Plan(suite="full", workloads=(workload_of(2000),), rates=rates))
    sgd = [trial.trainer for trial in found.values() if isinstance(trial.trainer.optimizer, Sgd)]
    assert len(sgd) == 3
    assert len({(trainer.batch_size, trainer.optimizer.lr) for trainer in sgd}) == 1


@pytest.mark.parametrize("suite", SUITES)
def test_the_shortest_trial_of_precision_is_a_tenth_of_a_second(machine, suite):
    """On two cores 64 wide at B=512 a step took 1.7 ms: 23 of them were 0.04 s. Both precisions make the same steps."""
    from paceline.bench import bench_precision

    machine(2)
    found = bench_precision.cells(make_plan(suite=suite, device="cpu"))
    steps = {name: trial.steps for name, trial in found.items()}
    assert steps["mnist5k-64-MiniBatch-B512"] * 0.0017 >= 0.1
    assert min(steps.values()) >= 20
    for name, count in steps.items():
        assert steps[name.replace("-Amp-", "-MiniBatch-")] == count
    # A GPU makes steps of its own: 23 of a network that takes two cores 30 ms each would be nothing.
    assert bench_precision.least_steps(2_000_000, 512, "cuda", 2) > 5 * bench_precision.least_steps(
        2_000_000, 512, "cpu", 2
    )


def test_compiling_is_of_the_full_suite_unless_asked_for():
    """A trial takes a quarter of a minute before its first step."""
    from paceline.bench import bench_compile

    both = (("MiniBatch", MiniBatch()), ("Compiled", planning.TRAINERS["Compiled"]))
    few = {"workloads": (workload_of(400),)}
    assert bench_compile.cells(Plan(suite="standard", **few)) == {}
    assert bench_compile.cells(Plan(suite="full", trainers=both[:1], **few)) == {}
    assert bench_compile.cells(Plan(suite="quick", trainers=both, **few))
    assert len(bench_compile.cells(Plan(suite="full"))) == 12


@pytest.mark.parametrize("train_samples", [50, 53, 400, 4000])
def test_compiled_models_meet_batches_of_one_size_of_two_and_of_many(train_samples, monkeypatch):
    from paceline.bench import bench_compile

    monkeypatch.setattr(bench_compile, "missing", lambda device: "")
    found = bench_compile.cells(Plan(suite="full", workloads=(workload_of(train_samples),)))
    for cell, compiled in found.items():
        plain = found[cell.replace("-compiled-", "-plain-")]
        assert (plain.steps, plain.trainer.batch_size) == (compiled.steps, compiled.trainer.batch_size)
        left = train_samples % compiled.trainer.batch_size
        assert (left == 0) is ("ragged" not in cell)
        assert left != 1, "of one sample is a case of its own, and breaks batch statistics"
    whole = {"even", "growing"} if train_samples != 53 else set()
    assert {cell.rpartition("-")[2] for cell in found} == whole | {"ragged"}


def test_batches_grow_while_it_is_looked_and_not_to_the_whole_set():
    """3 or 4 sizes in the steps that are made: at the second the compiler begins anew, for any size."""
    from paceline.bench import bench_compile

    trainer, _, steps = bench_compile.kinds(4000, 2000)["growing"]
    sizes, made, size = [], 0, trainer.batch_size
    while made < steps:
        sizes.append(size)
        made, size = made + trainer.every * 4000 // size, 2 * size
    assert 3 <= len(sizes) <= 4
    assert sizes[-1] <= 4000 // 8


def test_without_a_compiler_what_would_need_it_is_left_out_with_a_reason(monkeypatch):
    from paceline.bench import bench_compile

    monkeypatch.setenv("CXX", "no-such-compiler")
    found = bench_compile.cells(Plan(suite="full", workloads=(workload_of(400),)))
    left_out = {cell: what.why for cell, what in found.items() if isinstance(what, LeftOut)}
    assert set(left_out) == {f"of-400-compiled-{kind}" for kind in ("even", "ragged", "growing")}
    assert all("no-such-compiler: apt install g++, or set CXX" in why for why in left_out.values())


@pytest.mark.parametrize("suite", SUITES)
def test_what_is_profiled_is_timed_nowhere(suite):
    """And each strategy is, in the full suite on a wider network too."""
    found = planned(Plan(suite=suite))
    trials = {(name, cell): trial_of(what) for name, cell, what in found if not isinstance(what, LeftOut)}
    assert all(trial.phases is (name == "bench_phases") for (name, _), trial in trials.items())
    cells = {cell for name, cell in trials if name == "bench_phases"}
    wide = {"mnist5k-wide-MiniBatch", "mnist5k-wide-Ddp"}
    every = {f"{workload}-{name}" for workload in ("mnist5k", "mnist5k-wide") for name in STRATEGIES}
    assert cells == {"quick": set(), "standard": {c for c in every if "wide" not in c} | wide, "full": every}[suite]


@pytest.mark.parametrize(("logical", "most"), [(1, 1), (2, 2), (64, 8)])
def test_workers_are_as_many_as_cores_and_more_in_the_full_suite_alone(machine, logical, most):
    from paceline.bench import bench_loading

    machine(logical)
    found = bench_loading.cells(Plan())
    tried = sorted({trial.workload.workers for trial in found.values()})
    assert (tried[:2], tried[-1]) == ([0, 1], most)
    assert all(f"-workers{trial.workload.workers}-B" in cell for cell, trial in found.items())
    full = bench_loading.cells(Plan(suite="full")).values()
    assert max(trial.workload.workers for trial in full) == 2 * logical
    assert bench_loading.cells(Plan(suite="quick")) == {}


def test_what_is_in_memory_is_read_by_no_workers(machine):
    from paceline.bench import bench_loading

    assert bench_loading.cells(Plan(workloads=(workload_of(400),))) == {}


class TestGpus:
    """The device is what CUDA shows a trial, which NVML does not know; CUDA is asked in a process of its own."""

    @pytest.fixture(autouse=True)
    def built_with_cuda(self, monkeypatch):
        monkeypatch.setattr(torch.backends.cuda, "is_built", lambda: True)

    def shown(self, monkeypatch, count, reason=""):
        monkeypatch.setattr(device, "cuda_devices", lambda: (count, reason))

    @pytest.mark.parametrize("count", [1, 2, 8])
    def test_as_many_as_are_visible(self, monkeypatch, count):
        self.shown(monkeypatch, count)
        plan = make_plan()
        assert (plan.device, plan.most_ranks()) == ("cuda", count)
        assert plan.trial(workload_of(4000), Ddp(batch_size=256), 1.0).world_size == count

    def test_none_visible_falls_back_to_the_cpu_and_says_so(self, monkeypatch):
        self.shown(monkeypatch, 0, "CUDA_VISIBLE_DEVICES=''")
        plan = make_plan()
        assert plan.device == "cpu"
        assert plan.notes == (
            "measuring on the CPU: this torch has CUDA, which shows no GPU (CUDA_VISIBLE_DEVICES='')",
        )
        with pytest.raises(ValueError, match=r"--device cuda: CUDA shows no GPU to this process \(CUDA_VISIBLE"):
            make_plan(device="cuda")

    def test_asking_for_the_cpu_asks_nobody(self, monkeypatch):
        monkeypatch.setattr(device, "cuda_devices", lambda: 1 / 0)
        assert make_plan(device="cpu").notes == ()


def test_cuda_is_asked_in_another_process():
    count, reason = device.cuda_devices()
    assert not torch.cuda.is_initialized()
    assert (count > 0) != bool(reason)
