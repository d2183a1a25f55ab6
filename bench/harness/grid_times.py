"""What a step takes in every configuration of a grid, batch size, precision, cores: short trials in fresh processes.

The second factor of seconds to target, and the only one that this machine has a part in. Within a block every
configuration of a workload runs once, in random order, so that drift of the machine is no difference between them.
"""

import csv
import itertools
import random
from collections.abc import Callable, Sequence
from pathlib import Path

from paceline.bench.harness.data_files import DATA_FILES
from paceline.bench.harness.grid_table import cheapest_cell, read
from paceline.bench.harness.rate_search import with_rate
from paceline.bench.harness.run import run_trial
from paceline.bench.harness.trial import Trial
from paceline.bench.probes.cores import cores
from paceline.bench.records.quantities import seconds_per_step, steps, train_seconds
from paceline.bench.workloads.regret_grid import SEEDS, Grid
from paceline.trainers import Amp, MiniBatch

FILE = "step_times.csv"
COLUMNS = ("workload", "batch_size", "dtype", "threads", "block", "seconds_per_step", "status")
TRAINERS = {"float32": MiniBatch, "bfloat16": Amp}
THREADS = (1, 2)
BLOCKS = 3
SECONDS = 0.1  # of training, a trial

DIRECT = "direct.csv"
DIRECT_COLUMNS = ("workload", "batch_size", "lr", "seed", "dtype", "threads", "steps", "seconds", "status")


def time_steps(
    folder: Path, grids: Sequence[Grid], tell: Callable[[str], None], blocks: int = BLOCKS
) -> dict[str, str]:
    """Add what is missing in ``folder``'s file of step times; return why some grids were left out, by name.

    Raises:
        ValueError: if this machine has fewer cores than a configuration uses; one line.
    """
    if cores() < max(THREADS):
        raise ValueError(f"a step on {max(THREADS)} cores is to be timed, and this machine has {cores()}: use another")
    folder.mkdir(parents=True, exist_ok=True)
    file, left_out = folder / FILE, dict[str, str]()
    done = _done(file, 5)
    for block, grid in itertools.product(range(blocks), grids):
        configurations = list(itertools.product(grid.batch_sizes, TRAINERS, THREADS))
        random.Random(f"{grid.name} {block}").shuffle(configurations)
        missing = [asked for asked in configurations if (grid.name, *map(str, (*asked, block))) not in done]
        try:
            DATA_FILES.prepare(grid.workload)
        except (FileNotFoundError, ModuleNotFoundError) as error:
            left_out[grid.name] = str(error)
            continue
        for batch_size, dtype, threads in missing:
            record = run_trial(timed(grid, batch_size, dtype, threads))
            seconds = seconds_per_step(record)
            _append(file, (grid.name, batch_size, dtype, threads, block, f"{seconds:.5g}", record.status), COLUMNS)
        tell(f"block {block + 1} of {blocks}: {grid.name}: {len(missing)} trials")
    return left_out


def run_directly(folder: Path, grids: Sequence[Grid], tell: Callable[[str], None]) -> dict[str, str]:
    """Add trials that race to the target, in every way to make a step, in the cheapest cell of each complete grid.

    Their seconds are what steps times seconds per step are held to.
    """
    file, left_out = folder / DIRECT, dict[str, str]()
    done = _done(file, 6)
    for grid in grids:
        cell = cheapest_cell(read(folder, grid))
        if cell is None:
            left_out[grid.name] = "its grid is not complete"
            continue
        for seed, dtype, threads in itertools.product(SEEDS, TRAINERS, THREADS):
            asked = grid.name, *map(str, (*cell, seed, dtype, threads))
            if asked not in done:
                trainer = with_rate(TRAINERS[dtype](grid.optimizer, cell[0]), cell[1])
                record = run_trial(Trial(grid.workload, trainer, seed, threads=threads))
                _append(file, (*asked, steps(record), f"{train_seconds(record):.5g}", record.status), DIRECT_COLUMNS)
        tell(f"{grid.name}: batch size {cell[0]}, rate {cell[1]:g}, directly")
    return left_out


def timed(grid: Grid, batch_size: int, dtype: str, threads: int) -> Trial:
    """Return a trial that trains for a moment, at the lowest rate, so that it neither ends early nor diverges."""
    trainer = with_rate(TRAINERS[dtype](grid.optimizer, batch_size), grid.rates[0])
    return Trial(
        grid.workload, trainer, threads=threads, seconds=SECONDS, stop_at_target=False, score_along=False, patience=60.0
    )


def _done(file: Path, columns: int) -> set[tuple[str, ...]]:
    if not file.exists():
        return set()
    with file.open(encoding="utf-8", newline="") as rows:
        return {tuple(row[:columns]) for row in csv.reader(rows)}


def _append(file: Path, row: tuple[object, ...], columns: tuple[str, ...]) -> None:
    begins = not file.exists()
    with file.open("a", encoding="utf-8", newline="") as rows:
        csv.writer(rows, lineterminator="\n").writerows(([columns] if begins else []) + [row])
