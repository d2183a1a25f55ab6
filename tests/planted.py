"""Records made by hand, whose metrics are known."""

from typing import Any

from paceline.bench.records.record import Record


def a_record(**changes: Any) -> Record:
    """Return a trial that reached 0.9 at step 20, 2 s and 2000 samples, having missed it at step 10."""
    seed = changes.get("seed", 0)
    values: dict[str, Any] = {
        "trial": f"points-MiniBatch#{seed}",
        "started": "2026-01-01T00:00:00.000+00:00",
        "comparison": "strategies",
        "cell": "points-MiniBatch",
        "suite": "quick",
        "block": seed,
        "position": 0,
        "workload": "points",
        "trainer": "MiniBatch",
        "hyperparameters": {"optimizer": {"name": "Sgd", "lr": 0.1}, "batch_size": 100},
        "seed": seed,
        "world_size": 1,
        "threads": 2,
        "cores": 2,
        "device": "cpu",
        "target": 0.9,
        "higher_is_better": True,
        "seconds_allowed": 10.0,
        "steps_allowed": None,
        "stop_at_target": True,
        "score_along": True,
        "status": "reached",
        "reason": "",
        "curve": a_curve((10, 1000, 1.0, 0.5, 0.8), (20, 2000, 2.0, 0.25, 0.95)),
        "train_samples": 1000,
        "parameters": 50,
        "dtype": "float32",
        "flops_per_sample": 300.0,
        "setup_seconds": 0.1,
        "warmup_seconds": 0.2,
        "evaluation_seconds": 0.3,
        "wall_seconds": 2.6,
        "ranks": [{"start_rss_bytes": 1000, "peak_rss_bytes": 1500, "rss_bytes": 1400, "pss_bytes": 1100}],
    }
    return Record(**values | changes)


def a_curve(*points: tuple[float, ...]) -> dict[str, list[Any]]:
    """Return a record's curve of (step, samples, seconds, loss, score) points."""
    columns = zip(*points, strict=True) if points else ([],) * 5
    return {
        name: list(column)
        for name, column in zip(("step", "samples", "seconds", "loss", "score"), columns, strict=True)
    }
