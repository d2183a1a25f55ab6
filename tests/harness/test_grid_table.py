"""The table of grids, on gradient descent of one weight, whose steps to the target are a formula."""

import gzip
import json
import math
from dataclasses import replace

import pytest
import torch
from torch import nn

from paceline.bench import regret
from paceline.bench.harness import grid_table, grid_times
from paceline.bench.harness.grid_runs import OVERHEAD, TIMES, GridRun, data_of
from paceline.bench.workloads.least_squares import LeastSquares
from paceline.bench.workloads.regret_grid import DEVELOPMENT, GRIDS, HELD_OUT, Grid
from paceline.bench.workloads.streaming_least_squares import (
    half_mean_squared_error,
    per_sample_half_squared_error,
    streaming_least_squares,
)
from paceline.bench.workloads.workload import Workload
from paceline.trainers import Sgd

SHARE = 1e-3


def at_one():
    model = nn.Linear(1, 1, bias=False)
    nn.init.ones_(model.weight)
    return model


def one_weight():
    """A sample is like any other, so the loss is ``w^2 / 2`` at every batch size, and a step ``w <- (1 - lr) w``."""
    x, y = torch.ones(64, 1), torch.zeros(64, 1)
    return x, y, x, y, x, y


def descent(name="descent", **settings):
    workload = Workload(
        name=name,
        model=at_one,
        data=one_weight,
        target=SHARE / 2,
        loss=per_sample_half_squared_error,
        score=half_mean_squared_error,
        higher_is_better=False,
    )
    return Grid(replace(workload, **settings), Sgd(0.32), smallest=1)


def steps_of(lr):
    """Return the steps that bring ``(1 - lr)^2`` to the share."""
    return math.ceil(math.log(SHARE) / 2 / math.log(abs(1 - lr)))


def quietly(line):
    """Tell nobody."""


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder, told = tmp_path_factory.mktemp("regret"), []
    assert grid_table.make(folder, [descent()], 1, told.append) == {}
    return folder, told


def test_steps_are_those_of_the_closed_form(made):
    first, *runs = grid_table.read(made[0], descent())
    assert len(runs) == 8 * 6 * 3 == len({(run["batch_size"], run["lr"], run["seed"]) for run in runs})
    # Rates .04 to 5.12, a factor of 2 apart: at .64 and below the weight shrinks at once, at 1.28 it swings.
    for run in (run for run in runs if run["lr"] < 2):
        exact = steps_of(run["lr"])
        if run["status"] == "missed":  # at its bound, and rightly
            assert run["steps"] < exact
            assert run["steps"] * (run["batch_size"] + OVERHEAD) >= first["most"]
            continue
        assert run["status"] == "reached"
        assert run["missed"] < exact <= run["steps"] <= max(run["missed"] + 1, math.ceil(1.03 * run["missed"]))
        assert run["samples"] == run["steps"] * run["batch_size"]
    # The cheapest is .64 or 1.28 at a batch size of 1.
    assert first["most"] == TIMES * min(map(steps_of, (0.64, 1.28))) * (1 + OVERHEAD)


def test_all_that_can_be_reached_within_the_bound_is(made):
    first, *runs = grid_table.read(made[0], descent())
    for run in (run for run in runs if run["lr"] < 2):
        if steps_of(run["lr"]) * (run["batch_size"] + OVERHEAD) <= first["most"]:
            assert run["status"] == "reached"


def test_what_does_not_converge_has_diverged(made):
    _, *runs = grid_table.read(made[0], descent())
    assert {run["status"] for run in runs if run["lr"] > 2} == {"diverged"}


def test_a_curve_tells_the_score_at_each_evaluation(made):
    _, *runs = grid_table.read(made[0], descent())
    run = next(run for run in runs if run["lr"] == 0.16)
    assert run["scores"][:3] == pytest.approx([(1 - 0.16) ** (2 * step) / 2 for step in (1, 2, 3)], rel=1e-3)
    assert run["scores"][-1] <= SHARE / 2 < run["scores"][-2]


def test_a_run_that_costs_too_much_is_censored_there():
    grid = descent()
    run = GridRun(grid, data_of(grid), 4, 0.01, 0).train(20 * (OVERHEAD + 4))
    assert run.record()["status"] == "missed"
    assert run.steps == run.missed == 20  # of 344
    assert run.train(math.inf).record()["status"] == "reached"  # and can go on from there
    assert run.missed < steps_of(0.01) <= run.steps


def test_what_is_there_is_not_run_again(made):
    folder, told = made
    before = (folder / "descent.jsonl.gz").read_bytes()
    assert len(told) == 1 + 18
    grid_table.make(folder, [descent()], 1, told.append)
    assert len(told) == 1 + 18
    assert (folder / "descent.jsonl.gz").read_bytes() == before


def test_what_is_missing_is_run_and_nothing_else(made, tmp_path):
    lines = grid_table.read(made[0], descent())
    file, told = tmp_path / "descent.jsonl.gz", []
    missing = [line for line in lines if line.get("seed") == 2 and line["batch_size"] == 8 and line["lr"] < 0.1]
    file.write_bytes(
        gzip.compress("\n".join(json.dumps(line) for line in lines if line not in missing).encode() + b"\n")
    )
    grid_table.make(tmp_path, [descent()], 1, told.append)
    assert told == ["[1/1] descent: 2 runs"]
    key = json.dumps
    assert sorted(grid_table.read(tmp_path, descent()), key=key) == sorted(lines, key=key)


def test_processes_make_the_same_table(tmp_path):
    grid = Grid(streaming_least_squares(LeastSquares(3, 0.1), 0.1, 512, "small"), Sgd(0.16), smallest=2)
    tables = []
    for processes in (1, 2):
        folder = tmp_path / str(processes)
        grid_table.make(folder, [grid], processes, quietly)
        tables.append(sorted(map(json.dumps, grid_table.read(folder, grid))))
    assert tables[0] == tables[1]


def test_the_best_of_each_batch_size_compete_again_on_fresh_seeds(made, tmp_path):
    file = tmp_path / "descent.jsonl.gz"
    file.write_bytes((made[0] / file.name).read_bytes())
    grid_table.make(tmp_path, [descent()], 1, quietly, again=True)
    fresh = [line for line in grid_table.read(tmp_path, descent())[1:] if line["seed"] > 2]
    best = sorted([0.04, 0.08, 0.16, 0.32, 0.64, 1.28], key=steps_of)[:3]
    assert {run["lr"] for run in fresh} == set(best)
    assert len(fresh) == 6 * 3 * 20


def test_another_grid_of_the_same_name_is_refused(made):
    with pytest.raises(ValueError, match="another grid of that name"):
        grid_table.make(made[0], [descent(target=0.1)], 1, quietly)


def test_a_target_that_no_cell_reaches_is_said(tmp_path, monkeypatch):
    monkeypatch.setattr("paceline.bench.harness.grid_runs.LAST", 2e4)
    with pytest.raises(ValueError, match="no cell reaches -1"):
        grid_table.make(tmp_path, [descent("hopeless", target=-1.0)], 1, quietly)


def missing():
    raise FileNotFoundError("not here")


def test_without_its_samples_a_grid_is_left_out_with_a_reason(tmp_path):
    assert grid_table.make(tmp_path, [descent("absent", data=missing)], 1, quietly) == {"absent": "not here"}
    assert list(tmp_path.iterdir()) == []


def test_steps_are_timed_in_every_configuration(tmp_path, monkeypatch):
    monkeypatch.setattr(grid_times, "SECONDS", 0.01)
    monkeypatch.setattr(grid_times, "THREADS", (1,))
    grid = descent("timed")
    monkeypatch.setattr(Grid, "batch_sizes", property(lambda _: (2, 4)))
    for _ in range(2):  # the second time there is nothing to do
        grid_times.time_steps(tmp_path, [grid], quietly, blocks=1)
    rows = [line.split(",") for line in (tmp_path / grid_times.FILE).read_text().splitlines()]
    assert {tuple(row[1:5]) for row in rows[1:]} == {
        (size, dtype, "1", "0") for size in "24" for dtype in ("float32", "bfloat16")
    }
    assert len(rows) == 1 + 4
    assert all(0 < float(row[5]) < 0.1 for row in rows[1:])


def test_trials_that_race_to_the_target_take_the_steps_of_the_table(made, tmp_path, monkeypatch):
    """In float32 the same run as the table's, so the same steps, whatever the house's schedule of evaluations adds."""
    monkeypatch.setattr(grid_times, "THREADS", (1,))
    monkeypatch.setattr(grid_times, "SEEDS", (0,))
    (tmp_path / "descent.jsonl.gz").write_bytes((made[0] / "descent.jsonl.gz").read_bytes())
    assert grid_times.run_directly(tmp_path, [descent(), descent("other")], quietly) == {
        "other": "its grid is not complete"
    }
    rows = [line.split(",") for line in (tmp_path / grid_times.DIRECT).read_text().splitlines()]
    best = min((0.64, 1.28), key=steps_of)
    assert [row[1:6] for row in rows[1:]] == [["1", f"{best}", "0", dtype, "1"] for dtype in ("float32", "bfloat16")]
    assert steps_of(best) <= int(rows[1][6]) <= steps_of(best) + 3
    assert rows[1][8] == "reached"


def test_there_are_24_grids_the_last_ten_held_out():
    assert (len(DEVELOPMENT), len(HELD_OUT), len(GRIDS)) == (14, 10, 24)
    assert all(len(grid.rates) == 8 and len(grid.batch_sizes) == 6 for grid in GRIDS.values())


def test_the_command_says_which_names_it_knows(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["regret", "make", "--workload", "nonsense"])
    with pytest.raises(SystemExit, match="2"):
        regret.main()
    assert "unknown grid 'nonsense': known are least-squares" in capsys.readouterr().err
