"""pytest-benchmark on durations that were measured elsewhere: a round is a trial."""

import contextlib
import math
import os
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pytest_benchmark.fixture import BenchmarkFixture

    from paceline.bench.records.record import Record


HERE = Path(__file__).parent


class ReplayClock:
    """A timer for pytest-benchmark that moves only when told: durations were measured elsewhere."""

    __name__ = "replay_clock"  # what pytest-benchmark writes into its JSON

    def __init__(self) -> None:
        """Begin at zero."""
        self.now = 0.0

    def __call__(self) -> float:
        """Return the present time, in seconds."""
        return self.now


CLOCK = ReplayClock()


def report(benchmark: "BenchmarkFixture", records: list["Record"], duration: Callable[["Record"], float]) -> None:
    """Report the trials of a cell to pytest-benchmark; fail where none has a duration, unless all missed the target.

    A limit of memory is set to see who runs into it: a cell that all its trials did is skipped.

    Args:
        benchmark: pytest-benchmark's fixture.
        records: the cell's trials.
        duration: seconds of a trial, NaN where it has none.
    """
    durations = [seconds for seconds in map(duration, records) if seconds > 0]
    remaining = iter(durations)

    def next_round() -> None:
        CLOCK.now = 0.0  # so that no round's duration is the difference of large numbers

    def trial() -> None:
        CLOCK.now += next(remaining)  # StopIteration: there is nothing to time

    benchmark.extra_info.update(extra_info(records))
    pedantic: Any = benchmark.pedantic  # it has no annotations
    with contextlib.suppress(StopIteration):  # it wants a round even where there is nothing to time
        pedantic(trial, setup=next_round, rounds=max(1, len(durations)), iterations=1)
    if not durations and records and all(record.status in ("missed", "plateaued") for record in records):
        pytest.skip(f"nothing to time: {records[-1].reason or records[-1].status}")  # that, too, is a result
    if not durations:
        limits = [r.memory_limit_bytes for r in records if r.memory_limit_bytes and r.status == "out_of_memory"]
        if limits and len(limits) == len(records):
            pytest.skip(f"the limit of {limits[0] * 1e-6:.0f} MB ended it: a result, and nothing to time")
        # Each reason once, though every trial's ends in the name of its own traceback.
        reasons = {(r.reason or r.status).partition("; traceback")[0]: r.reason or r.status for r in reversed(records)}
        pytest.fail(f"nothing to time: {'; '.join(reversed(reasons.values()))}", pytrace=False)


def extra_info(records: list["Record"]) -> dict[str, Any]:
    """Return plain finite numbers and strings for pytest-benchmark's JSON: medians over a cell's trials."""
    from paceline.bench.analysis.frames import trials_frame
    from paceline.bench.records.metrics import MEDIANS

    trials = trials_frame(tuple(records))
    medians = {name: float(trials[name].median()) for name in MEDIANS if trials[name].notna().any()}
    statuses = {f"trials_{status}": int(count) for status, count in trials["status"].value_counts().items()}
    medians["lr"] = float(trials["lr"].median())  # of a cell that was searched: what the search found
    return {"trials": len(records)} | statuses | {k: v for k, v in medians.items() if math.isfinite(v)}


@pytest.hookimpl(optionalhook=True)
def pytest_benchmark_update_machine_info(config: pytest.Config, machine_info: dict[str, Any]) -> None:
    """Add what the durations depend on; only stable facts, for runs on differing machines draw a warning.

    It is asked for before anything is collected, so whether the run is ours is read off the paths.
    """
    if HERE.parent != config.rootpath and not any(HERE in Path(argument).parents for argument in config.args):
        return
    for name in ("hz_actual", "hz_actual_friendly"):  # the clock of the moment
        machine_info.get("cpu", {}).pop(name, None)
    machine_info |= {"torch": version("torch"), "cpu_count": os.cpu_count()}
