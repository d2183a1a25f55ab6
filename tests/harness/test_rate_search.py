"""The search for a learning rate, on costs whose best rate is known."""

import math
from collections import Counter
from dataclasses import dataclass, replace
from typing import ClassVar

import pytest

from paceline.bench.analysis.frames import load_results
from paceline.bench.harness import blocks as module
from paceline.bench.harness.blocks import Blocks
from paceline.bench.harness.comparison import Comparison
from paceline.bench.harness.cotuned import ranges, with_settings
from paceline.bench.harness.learning_rates import FIRST_SEED
from paceline.bench.harness.plan import LeftOut, Plan
from paceline.bench.harness.rate_search import Search, label_of, log_grid, rate_of
from paceline.bench.harness.run import definition
from paceline.bench.harness.run_folder import RecordLostError
from paceline.bench.harness.trial import Trial
from paceline.bench.records.record import read
from paceline.trainers import (
    Adadelta,
    Adagrad,
    Adam,
    Cosine,
    Lion,
    MiniBatch,
    RmsProp,
    ScheduleFreeAdamW,
    Sgd,
    Steps,
    Task,
    Warmup,
)
from tests.planted import a_curve, a_record
from tests.problems import POINTS, Sleeper

BEST = 0.3


def cost(lr):
    """Return samples to target: fewest at BEST, and as many more at either side on a logarithmic scale."""
    return 1000 + 4000 * abs(math.log10(lr / BEST))


def raced(trainer, seed=FIRST_SEED):
    """Return a trial's record that took ``cost`` samples; above a rate of 5 it diverges."""
    lr, batch_size = rate_of(trainer), trainer.batch_size
    changes = {"seed": seed, "hyperparameters": {"optimizer": {"name": "Sgd", "lr": lr}, "batch_size": batch_size}}
    if lr > 5:
        return a_record(status="diverged", reason="planted", curve=a_curve((1, 10, 0.1, 1e9, 0.1)), **changes)
    samples = round(cost(lr))
    return a_record(curve=a_curve((10, samples // 2, 1.0, 0.5, 0.8), (20, samples, 2.0, 0.25, 0.95)), **changes)


def a_search(rates, **options):
    return Search(Trial(POINTS, MiniBatch(Sgd(lr=1.0), batch_size=8)), rates, **options)


def tried_by(search, turns):
    """Return the rates in the order in which a search tries them, and its best."""
    tried = {trainer: [raced(trainer)] for trainer in search.first()}
    for _ in range(turns):
        trainer = search.following(tried)
        assert trainer not in tried
        tried[trainer] = [raced(trainer)]
    return [rate_of(trainer) for trainer in tried], rate_of(search.best(tried))


def test_a_search_halves_the_gaps_around_its_best():
    rates, best = tried_by(a_search((0.01, 0.1, 1.0)), turns=4)
    # 0.1 and 1 are next to the best in turn, so 0.316 is tried between them; then the wider gaps around that.
    assert rates == [0.01, 0.1, 1.0, 0.316, 0.178, 0.562, 0.237]
    assert best == 0.316


def test_a_search_goes_on_beyond_the_edge():
    rates, best = tried_by(a_search((0.001, 0.01)), turns=2)
    assert rates == [0.001, 0.01, 0.1, 1.0]
    assert best == 0.1
    rates, best = tried_by(a_search((4.0, 40.0)), turns=2)
    assert rates == [4.0, 40.0, 0.4, 0.04]
    assert best == 0.4


@pytest.mark.parametrize("center", [0.003, 0.03, 0.3, 3.0])
def test_seven_trials_find_the_best_rate_within_a_factor_of_two(center):
    _, best = tried_by(a_search(log_grid(center, 4.0, 3)), turns=4)
    assert BEST / 2 < best < BEST * 2


def test_a_rate_that_diverged_or_missed_once_ranks_behind_one_that_never_did():
    search = a_search((0.1, 1.0))
    good, lucky = search.first()
    missed = a_record(status="missed", reason="", curve=a_curve((1, 10, 0.1, 1.0, 0.2)))
    assert search.best({good: [raced(good)] * 2, lucky: [raced(lucky), missed]}) is good
    assert search.best({good: [missed] * 2, lucky: [raced(lucky), missed]}) is lucky


def test_where_no_rate_reached_the_target_the_nearest_is_the_best():
    search = a_search((0.1, 1.0))
    near, far = search.first()
    misses = {
        lr: [a_record(status="missed", reason="", target=0.0, curve=a_curve((1, 10, 0.1, 1.0, error)))]
        for lr, error in ((near, 0.2), (far, 0.5))
    }
    assert search.best(misses) is near  # on `points` the score is an error: lower is better
    diverged = [a_record(status="diverged", reason="", curve=a_curve((1, 10, 0.1, math.inf, 0.01)))]
    assert search.best({far: diverged, near: misses[far]}) is near


def test_at_a_fixed_budget_the_score_ranks():
    search = Search(Trial(POINTS, MiniBatch(Sgd(lr=1.0)), stop_at_target=False), (0.1, 1.0))
    low, high = search.first()
    ends = {low: 0.7, high: 0.6}
    tried = {
        trainer: [a_record(status="missed", reason="", curve=a_curve((20, 2000, 2.0, 0.2, error)))]
        for trainer, error in ends.items()
    }
    assert search.best(tried) is high


@dataclass(frozen=True)
class Clipped:
    searched: ClassVar[dict[str, tuple[float, float]]] = {"largest_norm": (0.1, 10.0)}

    optimizer: Sgd = Sgd(lr=0.1)
    batch_size: int = 8
    largest_norm: float = 1.0

    def __call__(self, task: Task) -> Steps:
        yield from ()


def test_what_a_trainer_declares_is_searched_along_at_no_more_trials():
    search = Search(Trial(POINTS, Clipped()), (0.01, 0.1, 1.0))
    first = search.first()
    assert [rate_of(trainer) for trainer in first] == [0.01, 0.1, 1.0]
    # Halton's sequence in base 2: 1/2, 1/4, 3/4 of the way from 0.1 to 10 on a logarithmic scale.
    assert [trainer.largest_norm for trainer in first] == [1.0, 0.316, 3.16]
    assert label_of(first[1]) == "lr0.1-largest_norm0.316"
    tried = {trainer: [raced(trainer)] for trainer in first}
    following = search.following(tried)
    assert (rate_of(following), following.largest_norm) == (0.316, 0.316)


def test_settings_of_an_optimizer_are_searched_along_at_no_more_trials():
    """Halton's sequence again: 1/2, 1/4, 3/4 in base 2; 1/3, 2/3, 1/9 in base 3; 1/5, 2/5, 3/5 in base 5."""
    along = (("weight_decay", (1e-4, 1.0)), ("warmup", (1.0, 1000.0)), ("forgetting", (1e-5, 1.0)))
    plain = Search(Trial(POINTS, MiniBatch(Adam(lr=1.0))), (0.01, 0.1, 1.0))
    search = replace(plain, along=along)
    assert len(search) == len(plain)
    first = [trainer.optimizer for trainer in search.first()]
    assert [optimizer.lr for optimizer in first] == [0.01, 0.1, 1.0]
    assert [optimizer.weight_decay for optimizer in first] == [0.01, 0.001, 0.1]
    assert [optimizer.schedule for optimizer in first] == [Warmup(10), Warmup(100), Warmup(2)]
    assert [optimizer.betas for optimizer in first] == [(0.9, 0.9999), (0.9, 0.999), (0.9, 0.99)]
    following = search.following({trainer: [raced(trainer)] for trainer in search.first()})
    assert following.optimizer == replace(first[1], lr=0.316)  # the later rates keep what the best had


@pytest.mark.parametrize(
    ("optimizer", "field", "expected"),
    [(Adam(1.0), "betas", (0.9, 0.98)), (ScheduleFreeAdamW(1.0, betas=(0.8, 0.9)), "betas", (0.8, 0.98)),
     (Adadelta(), "rho", 0.98), (RmsProp(1.0), "alpha", 0.98), (Lion(1.0), "betas", (0.9, 0.98))],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
def test_what_forgets_is_called_differently(optimizer, field, expected):
    found = with_settings(optimizer, {"forgetting": 0.02})
    assert found == replace(optimizer, **{field: expected})
    assert "forgetting" in ranges(optimizer, 100)


def test_what_has_no_second_moment_is_not_searched_for_it():
    assert set(ranges(Sgd(1.0, momentum=0.9), 100)) == set(ranges(Adagrad(1.0), 100)) == {"weight_decay", "warmup"}
    with pytest.raises(ValueError, match="Sgd has no second moment that could forget"):
        with_settings(Sgd(1.0), {"forgetting": 0.02})


def test_a_warm_up_goes_before_the_schedule_that_was_there():
    assert with_settings(Sgd(1.0, schedule=Cosine(9)), {"warmup": 0.3}).schedule == Warmup(1, Cosine(9))


def test_all_optimizers_are_searched_in_as_many_trials_and_within_their_settings():
    """Muon where there is a hidden matrix; each combination builds its optimizer."""
    from paceline.bench import bench_optimizers

    found = bench_optimizers.cells(Plan(suite="full"))
    searches = {name: cell for name, cell in found.items() if isinstance(cell, Search)}
    assert {len(search) for search in searches.values()} == {27}
    assert [name for name, cell in found.items() if isinstance(cell, LeftOut)] == ["mnist5k-Muon"]
    along = {name: search for name, search in searches.items() if search.along}
    assert len(along) == 10 + 4  # all of a constant rate; on the network with a hidden matrix Muon and three beside it
    for search in along.values():
        trainers = search.first()
        assert len(set(trainers)) == 7
        for trainer in trainers:
            trainer.optimizer(search.trial.workload.model().parameters())
    standard = bench_optimizers.cells(Plan(suite="standard"))
    assert [len(search) for search in standard.values()] == [4] * 4
    assert not any(search.along for search in standard.values())


def test_searches_that_cannot_be_made_are_refused():
    with pytest.raises(ValueError, match="two positive learning rates or more"):
        a_search((0.1,)).first()
    with pytest.raises(ValueError, match="Sleeper has no field 'optimizer'"):
        Search(Trial(POINTS, Sleeper(0.1)), (0.1, 1.0)).first()


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Return a function that runs two searches and a plain cell, every trial's record planted."""
    cells = {
        "small": Search(Trial(POINTS, MiniBatch(Sgd(lr=1.0), batch_size=4)), (0.1, 1.0), seeds=2),
        "large": Search(Trial(POINTS, MiniBatch(Sgd(lr=1.0), batch_size=8)), (0.01, 0.1), seeds=2),
        "plain": Trial(POINTS, MiniBatch(Sgd(lr=0.7), batch_size=2)),
    }

    def run(resume=False, stop_after=math.inf):
        ran = []

        def run_trial(trial, *, suite, errors, **where):
            if len(ran) == stop_after:
                raise RecordLostError
            ran.append(where["cell"])
            known = {name: getattr(record, name) for name in ("curve", "status", "reason")
                     for record in [raced(trial.trainer)]}  # fmt: skip
            asked = definition(trial) | {"stop_at_target": True}
            return a_record(**{**asked, **known, **where, "seed": trial.seed, "suite": suite,
                               "trial": f"{where['cell']}#{trial.seed}"})  # fmt: skip

        monkeypatch.setattr(module, "run_trial", run_trial)
        kept = Blocks(tmp_path, "quick", lambda line: None)
        folder = (kept.resume if resume else kept.open)({}, [comparison])
        if stop_after < math.inf:
            with pytest.raises(RecordLostError):
                kept.run(comparison)
        else:
            kept.run(comparison)
        kept.close()
        return ran, kept, folder

    comparison = Comparison("critical_batch", cells, 3)
    assert len(comparison) == 2 * (2 + 2) * 2 + 3 * 3
    return run


def test_the_best_rate_of_each_search_is_measured_on_other_seeds_beside_all_cells(run):
    ran, kept, folder = run()
    trials = load_results(folder).trials
    searched, measured = trials[trials.search != ""], trials[trials.search == ""]
    assert len(ran) == len(trials) == 2 * (2 + 2) * 2 + 3 * 3
    # Equal effort: four rates, each on the two seeds of searches.
    assert Counter(searched.search) == {"small": 8, "large": 8}
    assert set(searched.groupby("cell").seed.agg(tuple)) == {(FIRST_SEED, FIRST_SEED + 1)}
    assert (searched.cell == [f"{s}-lr{lr:g}" for s, lr in zip(searched.search, searched.lr, strict=True)]).all()
    # Then all cells side by side, in blocks of their own.
    assert measured.groupby("cell").lr.agg(set).to_dict() == {"small": {0.316}, "large": {0.316}, "plain": {0.7}}
    assert measured.seed.tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    assert measured.index.min() > searched.index.max()
    assert [record.cell for record in kept.records["critical_batch", "small"]] == ["small"] * 3


@pytest.mark.parametrize("after", [1, 9, 17, 22])
def test_a_search_that_was_cut_short_goes_on_where_it_was(run, after):
    first, _, _ = run(stop_after=after)
    again, _, folder = run(resume=True)
    assert len(first) == after
    assert len(again) == 25 - after
    whole, _, other = run()
    assert first + again == whole
    strip = lambda records: [(r.cell, r.seed, r.hyperparameters, r.position) for r in records]  # noqa: E731
    assert strip(read(folder / "trials.jsonl")) == strip(read(other / "trials.jsonl"))
