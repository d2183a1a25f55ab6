"""Tables of grids whose best cell is known, since their steps are a formula."""

import math

import numpy as np

from paceline.bench.analysis.grid_tables import AGAIN, JUDGING, SEEDS, GridTable, evaluations

BATCH_SIZES = (16, 32, 64, 128, 256, 512)
RATES = tuple(0.01 * 2.0**k for k in range(8))
OVERHEAD, TIMES, SPACING = 64, 30, 1.03


def critical_batch(size, lr, fewest=40.0, critical=100.0, best_rate=0.64):
    """Return steps to target after McCandlish et al. 2018: a rate twice too large or too small costs a quarter more."""
    too_large = lr / (best_rate / (1 + critical / size))
    return fewest * (1 + critical / size) * (too_large + 1 / too_large) / 2


def planted(
    steps=critical_batch,
    noise=0.0,
    name="planted",
    diverges=lambda size, lr: False,
    seconds=lambda size: 1e-4 + 1e-6 * size,
    fresh=True,
    seed=0,
    held_out=False,
):
    """Return the table of ``steps(batch size, rate)`` whose runs differ by ``noise``, in ln steps."""
    rng = np.random.default_rng(seed)
    most = TIMES * min(steps(size, lr) * (size + OVERHEAD) for size in BATCH_SIZES for lr in RATES)
    runs = {}
    for size in BATCH_SIZES:
        for lr in RATES:
            for number in (*SEEDS, *AGAIN, *JUDGING) if fresh else SEEDS:
                needed = max(1, round(steps(size, lr) * math.exp(noise * rng.standard_normal())))
                runs[size, lr, number] = _run(size, needed, most, diverges(size, lr))
    return GridTable(
        name=name,
        held_out=held_out,
        optimizer="Sgd",
        batch_sizes=BATCH_SIZES,
        rates=RATES,
        samples=4_000,
        most=most,
        overhead=OVERHEAD,
        spacing=SPACING,
        runs=runs,
        seconds_per_step={
            (size, dtype, threads): slower * seconds(size)
            for size in BATCH_SIZES
            for dtype, slower in (("float32", 1.0), ("bfloat16", 1.5))
            for threads in (1, 2)
        },
        noise={
            "step": [10],
            "small_batch": [16],
            "big_batch": [1024],
            "small_squares": [[7.25]],
            "big_squares": [[1.1]],
        },
        higher_is_better=True,
    )


def _run(size, needed, most, diverges):
    """A score rises linearly in steps to 1, where the target is; one that diverges ends after 10."""
    allowed = math.floor(most / (size + OVERHEAD))
    made = 10 if diverges else min(needed, allowed)
    status = "diverged" if diverges else "reached" if needed <= allowed else "missed"
    scores = []
    for step in evaluations(SPACING):
        if step > made:
            break
        scores.append(step / needed)
    return {
        "status": status,
        "missed": made - 1 if status == "reached" else made,
        "steps": made,
        "samples": made * size,
        "scores": scores,
    }
