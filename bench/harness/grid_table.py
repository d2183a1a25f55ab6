"""The table of exhaustive grids: a file a grid, made in pieces by several processes, and continued where it was left.

A file ``NAME.jsonl.gz`` holds a line that says what the grid is and what its runs may cost, then one line a run
(``grid_runs.GridRun.record``). It is replaced as a whole after each piece, so that what is there is complete.
"""

import gzip
import json
import math
import multiprocessing as mp
import os
import platform
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch

from paceline.bench.harness.grid_runs import OVERHEAD, TIMES, GridRun, cheapest, data_of, with_noise
from paceline.bench.harness.trial import hyperparameters
from paceline.bench.harness.windows import SPACING
from paceline.bench.workloads.data import Data
from paceline.bench.workloads.regret_grid import BATCH_SIZES, HELD_OUT, RATES, SEEDS, Grid
from paceline.trainers import MiniBatch

Line = dict[str, Any]
Run = tuple[int, float, int]  # batch size, rate, seed

# Fresh seeds: those on which the best cells of a grid compete once more, and those on which regret is measured.
AGAIN, JUDGING = range(100, 110), range(200, 210)
BEST = 3  # rates of each batch size, by their steps on the grid's seeds, that are run on those


_DATA: dict[str, Data] = {}  # the samples of a grid, built once a process


class Piece(NamedTuple):
    """Runs of one grid that one process makes one after the other; none: what comes before all of them."""

    grid: Grid
    most: float = 0.0
    runs: tuple[Run, ...] = ()


def make(
    folder: Path, grids: Sequence[Grid], processes: int, tell: Callable[[str], None], again: bool = False
) -> dict[str, str]:
    """Make what is missing in ``folder`` of the table of ``grids``; return why some were left out, by name.

    Args:
        folder: of the files.
        grids: which.
        processes: how many runs are made at once, each on one thread.
        tell: takes a line for each piece done.
        again: to run the best rates of each batch size on fresh seeds, where their grids are complete.

    Raises:
        ValueError: if a file holds another grid of that name; one line.
    """
    folder.mkdir(parents=True, exist_ok=True)
    left_out: dict[str, str] = {}
    lines = {grid.name: read(folder, grid) for grid in grids}
    _in_pieces((Piece(grid) for grid in grids if not lines[grid.name]), folder, processes, left_out, tell)
    lines = {grid.name: read(folder, grid) for grid in grids}
    asked: list[Piece] = []
    for grid in grids:
        if found := lines[grid.name]:
            wanted = best_runs(grid, found) if again else all_runs(grid)
            asked += _pieces(grid, found, wanted)
    _in_pieces(asked, folder, processes, left_out, tell)
    return left_out


def all_runs(grid: Grid) -> list[Run]:
    """Return every run of a grid, the seeds outermost: each seed's grid is complete before the next begins."""
    return [(size, lr, seed) for seed in SEEDS for size in grid.batch_sizes for lr in grid.rates]


def best_runs(grid: Grid, lines: Sequence[Line]) -> list[Run]:
    """Return those on fresh seeds of the best rates of each batch size; none before the grid is complete."""
    made = {(line["batch_size"], line["lr"], line["seed"]): line for line in lines[1:]}
    if any(run not in made for run in all_runs(grid)):
        return []

    def steps(size: int, lr: float) -> tuple[int, int]:
        of_cell = [made[size, lr, seed] for seed in SEEDS]
        missed = sum(line["status"] != "reached" for line in of_cell)
        return missed, sum(line["steps"] for line in of_cell)

    best = [(size, lr) for size in grid.batch_sizes for lr in sorted(grid.rates, key=lambda lr: steps(size, lr))[:BEST]]
    reaching = [(size, lr) for size, lr in best if steps(size, lr)[0] == 0]
    return [(size, lr, seed) for seeds in (AGAIN, JUDGING) for size, lr in reaching for seed in seeds]


def cheapest_cell(lines: Sequence[Line]) -> tuple[int, float] | None:
    """Return batch size and rate of the least cost over the grid's seeds; None while runs are missing."""
    costs: dict[tuple[int, float], list[float]] = {}
    for line in lines[1:]:
        if line["seed"] in SEEDS:
            cost = line["samples"] + OVERHEAD * line["steps"] if line["status"] == "reached" else math.inf
            costs.setdefault((line["batch_size"], line["lr"]), []).append(cost)
    complete = len(costs) == RATES * BATCH_SIZES and all(len(of_cell) == len(SEEDS) for of_cell in costs.values())
    return min(costs, key=lambda cell: sum(costs[cell])) if complete else None


def read(folder: Path, grid: Grid) -> list[Line]:
    """Return the lines of a grid's file, none where there is no file yet.

    Raises:
        ValueError: if it is of another grid than this; one line.
    """
    file = folder / f"{grid.name}.jsonl.gz"
    if not file.exists():
        return []
    lines = [json.loads(line) for line in gzip.decompress(file.read_bytes()).splitlines()]
    if lines[0]["grid"] != described(grid):
        raise ValueError(f"{file} holds another grid of that name: remove it, or choose another folder with -o")
    return lines


def described(grid: Grid) -> Line:
    """Return what a grid is, as it is kept with its runs."""
    return {
        "workload": grid.name,
        "optimizer": hyperparameters(MiniBatch(grid.optimizer))["optimizer"],
        "target": grid.workload.target,
        "higher_is_better": grid.workload.higher_is_better,
        "batch_sizes": list(grid.batch_sizes),
        "rates": list(grid.rates),
        "overhead": OVERHEAD,
        "times": TIMES,
        "spacing": SPACING,
    }


def _pieces(grid: Grid, lines: Sequence[Line], wanted: Iterable[Run]) -> list[Piece]:
    """Return what is missing, all rates of a batch size and a seed in one piece."""
    made = {(line["batch_size"], line["lr"], line["seed"]) for line in lines[1:]}
    missing: dict[tuple[int, int], list[Run]] = {}
    for run in wanted:
        if run not in made:
            missing.setdefault((run[0], run[2]), []).append(run)
    return [Piece(grid, lines[0]["most"], tuple(runs)) for runs in missing.values()]


def _in_pieces(
    pieces: Iterable[Piece], folder: Path, processes: int, left_out: dict[str, str], tell: Callable[[str], None]
) -> None:
    pieces = list(pieces)
    for done, (name, lines, why) in enumerate(_done(pieces, min(processes, len(pieces))), 1):
        if why:
            left_out[name] = why
        else:
            _append(folder / f"{name}.jsonl.gz", lines)
        what = why or (f"{len(lines)} runs" if "grid" not in lines[0] else f"runs may cost {lines[0]['most']:.3g}")
        tell(f"[{done}/{len(pieces)}] {name}: {what}")


def _done(pieces: list[Piece], processes: int) -> Iterator[tuple[str, list[Line], str]]:
    if processes <= 1:
        before = torch.get_num_threads()
        torch.set_num_threads(1)
        yield from map(_make, pieces)
        torch.set_num_threads(before)
        return
    with mp.get_context("spawn").Pool(processes, torch.set_num_threads, (1,)) as pool:
        yield from pool.imap_unordered(_make, pieces)


def _make(piece: Piece) -> tuple[str, list[Line], str]:
    """Return the grid's name, the lines that the piece made, and why it made none."""
    grid = piece.grid
    try:
        if grid.name not in _DATA:
            _DATA[grid.name] = data_of(grid)
        data = _DATA[grid.name]
    except (FileNotFoundError, ModuleNotFoundError) as error:
        return grid.name, [], str(error)
    if not piece.runs:
        return grid.name, [_first_line(grid, data)], ""
    return grid.name, [GridRun(grid, data, *run).train(piece.most).record() for run in piece.runs], ""


def _first_line(grid: Grid, data: Data) -> Line:
    best = cheapest(grid, data)
    machine = {"python": platform.python_version(), "torch": torch.__version__, "machine": platform.machine()}
    return {
        "grid": described(grid),
        "held_out": grid.name in {held_out.name for held_out in HELD_OUT},
        "samples": data.train.n,
        "most": float(f"{TIMES * best.cost:.6g}"),
        "noise": with_noise(grid, data, best),
        "environment": machine,
    }


def _append(file: Path, lines: Sequence[Line]) -> None:
    """Add ``lines``: compressed on their own, behind what is there, in a file that replaces it."""
    content = "".join(json.dumps(line, separators=(",", ":"), allow_nan=False) + "\n" for line in lines)
    unfinished = file.with_name(f".{file.name}.{os.getpid()}")
    before = file.read_bytes() if file.exists() else b""
    unfinished.write_bytes(before + gzip.compress(content.encode(), mtime=0))
    os.replace(unfinished, file)
