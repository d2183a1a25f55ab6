"""A table too large for memory: read once, line by line, into a file that is mapped afterwards.

Here the table is a small one that this file writes itself; ``PACELINE_CSV`` names another, whose last column is told
from the others.
"""

import os
import random
import tempfile
from pathlib import Path

import numpy as np
from torch import nn

from paceline.bench import Workload
from paceline.bench.workloads.workload import mean_squared_error, per_sample_squared_error

FOLDER = Path(tempfile.gettempdir())


def small_table(rows=20_000):
    file, draw = FOLDER / "paceline-table.csv", random.Random(0)
    with file.open("w") as lines:
        for _ in range(rows):
            row = [draw.gauss(0, 1) for _ in range(8)]
            lines.write(",".join(f"{value:.6g}" for value in [*row, row[0] * row[1] + row[2]]) + "\n")
    return file


def load(held_out=2_000):
    table = Path(os.environ.get("PACELINE_CSV") or small_table())
    file = FOLDER / f"{table.stem}.float32"
    with table.open() as lines, file.open("wb") as values:
        for line in lines:
            row = np.fromstring(line, dtype="float32", sep=",")
            row.tofile(values)
    whole = np.memmap(file, "float32", "r").reshape(-1, len(row))
    few = np.array(whole[-held_out:])
    # Inputs and target in one stretch of the file: the model takes all but the last column.
    return whole[:-held_out], whole[:-held_out], few, few


class AllButTheLast(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.LazyLinear(64), nn.ReLU(), nn.Linear(64, 1))

    def forward(self, rows):
        return self.layers(rows[:, :-1])


TABLE = Workload(
    name="table",
    model=AllButTheLast,
    data=load,
    loss=lambda outputs, rows: per_sample_squared_error(outputs, rows[:, -1:]),
    score=lambda outputs, rows: mean_squared_error(outputs, rows[:, -1:]),
    higher_is_better=False,
    target=0.1,
)
