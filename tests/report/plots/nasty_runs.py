"""Runs that have broken a plot before, or could, and what the check before the comparison found in them."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

from paceline.bench.harness.equivalence import BATCH_NORM
from paceline.bench.records.record import PHASES, Record
from tests.report.plots.drawn_runs import (
    LONG,
    MISSED,
    NOISE,
    OPTIMIZERS,
    REGULARIZED,
    SCALING,
    TWELVE,
    batch_sizes,
    noisy,
    path,
    precisions,
    published,
    ranks_of,
    record,
    strategies,
    tuned,
)
from tests.synthetic import (
    compiled,
    failed_gate,
    generalized,
    limited,
    loaded,
    noises,
    null_test,
    profiled,
    scaled_inputs,
    searched,
    streamed,
    swept,
)


def anchored(took: Mapping[str, Sequence[float]]) -> list[Record]:
    """Return the anchors of comparisons, which took so many milliseconds a step in each block."""
    found: list[Record] = []
    for comparison, milliseconds in took.items():
        for block, each in enumerate(milliseconds):
            started = f"2026-01-01T{len(found) // 60:02d}:{len(found) % 60:02d}:00.000+00:00"
            curve = path([each / 10], [0.1]) | {"step": [100], "samples": [6400]}
            place = {"trial": f"{comparison}-anchor#{block}", "cell": "anchor", "started": started}
            found.append(record(comparison, "MiniBatch", block, curve=curve, **place))
    return found


def nasty() -> dict[str, list[Record]]:
    """Results that have broken a plot before, or could."""
    crashed = {"status": "crashed", "curve": path([], []), "ranks": []}
    partly = strategies(seeds=5)
    partly[0] = replace(partly[0], status="crashed", curve=path([], []), ranks=[])
    partly[6] = replace(partly[6], status="diverged", curve=path([0.1, 0.2], [0.3, None]), ranks=[])
    partly[11:14] = [replace(r, status="missed", curve=MISSED) for r in partly[11:14]]
    partly[20] = replace(partly[20], status="missed", curve=MISSED)
    falling = [
        replace(
            r,
            higher_is_better=False,
            target=0.1,
            curve=r.curve | {"score": [3 - 2.9 * s / 0.93 for s in r.curve["score"]]},
        )
        for r in strategies()
    ]
    return {
        "usual": strategies()
        + batch_sizes()
        + precisions()
        + SCALING
        + noisy(0.04, 12)
        + tuned()
        + NOISE
        + swept()
        + published()
        + REGULARIZED
        + generalized({(n, held): n / 1e5 for n in (128, 1024) for held in ("steps", "samples")}, seconds=0.005)
        + scaled_inputs({"0-to-255": 40_000, "0-to-1": 20_000, "standardized": 10_000})
        + compiled("even", 2.0, 10.0)
        + compiled("ragged", 1.1, 12.0)
        + compiled("growing", 0.5, 14.0)
        + limited("MiniBatch")
        + limited("Online", samples=20_000)
        + limited("FullBatch", ended="model failed on x: DefaultCPUAllocator: can't allocate memory")
        + streamed("Online", 0.9)
        + streamed("MiniBatch", 0.8)
        + streamed("Retrain", 0.7)
        + streamed("Online", 0.9, kind="flooded", behind=1.0)
        + streamed("Retrain", 0.7, kind="flooded", behind=0.1)
        + profiled("MiniBatch", {"data": 0.1, "forward": 0.3, "backward": 0.3, "optimizer": 0.1})
        + profiled("Ddp", {"data": 0.05, "forward": 0.15, "backward": 0.2, "communication": 0.5}, ranks=2)
        + profiled("MiniBatch", {"forward": 0.4, "backward": 0.5}, workload="digits-wide")
        + loaded({0: 1e3, 1: 2e3, 2: 3e3, 4: 2.5e3})
        + loaded({0: 2e3, 1: 2e4, 2: 3e4, 4: 2.5e4}, 256)
        + anchored({"strategies": [0.6, 0.8, 0.7], "null": [0.65] * 12, "critical_batch": [0.9, 0.95]}),
        "steady": anchored({f"a_comparison_of_long_name_{i}": [0.6] * (1 + i % 3) for i in range(13)}),
        "one anchor": anchored({"strategies": [0.6]}),
        "a machine that stalls": anchored({"strategies": [0.6] * 150, "precision": [0.6, 60.0] * 70}),
        "twelve": strategies(TWELVE) + batch_sizes(TWELVE) + tuned(TWELVE),
        "equal": strategies(TWELVE, same=True) + precisions(1.0),
        "one": strategies(TWELVE[:1], seeds=1)
        + swept((16, 64), (0.1,), blocks=1)
        + batch_sizes(seeds=1)[:1]
        + precisions(seeds=1, widths=(64,))[:2]
        + ranks_of({2: 1.5}, seeds=1)
        + noises([40.0], steps=(1,)),
        "partly": partly
        + swept(missed=lambda batch, rate, block: batch == 4 or (batch > 200 and block != 1))
        + batch_sizes(seeds=1)
        + ranks_of({2: 1.2, 4: 1.1}, cores=2, weak={2: 1.6, 4: 1.5}),
        "threads": ranks_of({2: 1.5, 4: 2.2}, weak={2: 1.6, 4: 2.3}, threads={1: 1.02, 2: 1.55, 4: 2.25}),
        "threads alike": ranks_of({2: 1.6}, cores=2, weak={2: 1.6}, threads={1: 1.0, 2: 1.6}),
        "missed": swept(missed=lambda batch, rate, block: True)
        + [replace(r, status="missed", curve=MISSED) for r in strategies()],
        "crashed": [record(c, n, **crashed) for c in ("strategies", "batch_size", "scaling") for n in ("Amp", "Ddp")],
        "unmeasured": [replace(r, ranks=[]) for r in strategies() + batch_sizes()],
        "long": strategies(workload=LONG)
        + strategies(("Amp", "MiniBatch"))
        + [replace(r, workload=LONG) for r in SCALING]
        + null_test([0.01, 0.02, -0.03], LONG)
        + noises([30.0, 5000.0], workload=LONG)
        + noises([30.0, 50.0], "Adam", "Adam", workload=LONG)
        + noises([-3.0, -5.0], "Ddp", "AdamW", workload="hidden", observed={"parts_step": []})
        + compiled("growing", 1.01, 300.0, workload=LONG)
        + compiled("even", 1.0, 300.0)
        + streamed("SharpnessAwareMinimization", 0.9, workload=LONG)
        + streamed("Online", 0.9, kind="flooded", workload="b")
        + loaded(dict.fromkeys((0, 1, 2, 4, 8, 16, 32, 64, 128), 1e6), 4096, cores=64, workload=LONG)
        + loaded({0: 3.0}, 1, blocks=1)
        + profiled("SharpnessAwareMinimization", {"data": 0.999, "forward": 0.001}, step=100.0, workload=LONG)
        + profiled("SharpnessAwareMinimizationOnRanks", dict.fromkeys(PHASES, 1 / 7), ranks=64, workload=LONG)
        + noisy(0.002, 3),
        "falling": falling
        + swept(spread=0.1)
        + swept(trainer="FullBatch", critical=300, samples_min=20_000)
        + [
            replace(r, higher_is_better=False, target=0.1, curve=r.curve | {"score": [1 - s for s in r.curve["score"]]})
            for r in tuned(optimizers=OPTIMIZERS[:6])
        ],
        "nothing found": searched("Online", {0.1: math.inf, 1.0: None})
        + searched("Sgd", {0.1: None}, comparison="optimizers"),
        "one rate": searched("Online", {0.1: 3000.0}, blocks=1)
        + searched("Sgd", {0.1: 0.95}, comparison="optimizers", blocks=1),
        "two workloads": tuned(TWELVE[:2], OPTIMIZERS[:2]) + tuned(TWELVE[:9], OPTIMIZERS[5:9], workload=LONG),
        "many seeds": swept(critical=1e9, spread=0.2, blocks=6, workload="digits")
        + strategies(TWELVE[:4], seeds=10)
        + precisions(0.5, seeds=6)
        + noisy(0.8, 30),
        "alike": generalized({(n, held): 0.0 for n in (32, 64, 128, 256, 512, 1024) for held in ("steps", "samples")})
        + scaled_inputs({"0-to-255": 10_000, "0-to-1": 10_000, "standardized": 10_000}, spread=0.0),
        "far apart": generalized({(4096, "samples"): 0.6}, blocks=1)
        + scaled_inputs({"0-to-255": 1, "0-to-1": 1e6, "standardized": 100}, missed=["0-to-255"], blocks=1),
        "empty": [],
    }


NASTY = nasty()

LONG_REASON = "could not be checked: " + "rank 1 left with a message of many words and $5 of costs; " * 5

# What the check before the comparison found: without a mark it changes nothing.
GATES = {
    "usual": [failed_gate(name, reason="", passed=True, gap=0.0) for name in TWELVE],
    "twelve": [failed_gate(name, reason=BATCH_NORM) for name in ("Ddp", "Accumulate", "SharpnessAwareMinimization")],
    "partly": [failed_gate("Ddp"), failed_gate("Accumulate")],
    "missed": [failed_gate("Amp", reason=LONG_REASON, gap=None), failed_gate("Ddp")],
    "long": [failed_gate("Amp", LONG), failed_gate("Amp"), failed_gate("Ddp", LONG, reason=LONG_REASON, gap=None)],
    "falling": [failed_gate(name) for name in TWELVE[:6]],
    "unmeasured": [failed_gate("Ddp")],
}
