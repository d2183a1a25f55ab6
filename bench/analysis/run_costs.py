"""What a run costs in all: where a trial's wall time went, what tuning took, and when a strategy pays off."""

import math
from pathlib import Path

import numpy as np
import pandas as pd

from paceline.bench.analysis.cells import Cell, cells_of
from paceline.bench.analysis.frames import Results
from paceline.bench.records.record import WITH_RESULT, Record

TUNING = Path(__file__).parents[1] / "workloads" / "learning_rates.csv"

PHASES = ("setup_seconds", "warmup_seconds", "compile_seconds", "training_seconds", "evaluation_seconds")


def costs(record: Record) -> dict[str, float]:
    """Return where a trial's wall time went, in seconds; NaN throughout where it did not measure itself to its end.

    All of rank 0, whose clock the wall time is. What a strategy compiles it compiles in the warm-up, of which
    ``compile_seconds`` is that part and ``warmup_seconds`` the rest; records made before it was known tell them
    not apart, and all counts as warm-up.
    ``unaccounted_seconds`` is the rest of the wall time: what the harness does between the phases.
    ``launch_seconds`` is what the process that asked waited beyond it: starting processes, importing torch.
    """
    own = record.ranks[0].get("train_seconds") if record.ranks else None
    training = own if own is not None else (record.curve["seconds"] or [None])[-1]
    compiled = record.compile_seconds or 0.0
    warmup = None if record.warmup_seconds is None else record.warmup_seconds - compiled
    values = (record.setup_seconds, warmup, compiled, training, record.evaluation_seconds)
    found = {name: np.nan if value is None else float(value) for name, value in zip(PHASES, values, strict=True)}
    wall = np.nan if record.wall_seconds is None else record.wall_seconds
    waited = np.nan if record.elapsed_seconds is None else record.elapsed_seconds
    return found | {
        "unaccounted_seconds": wall - sum(found.values()),
        "wall_seconds": wall,
        "launch_seconds": waited - wall,
    }


def ledger(results: Results, comparison: str = "strategies", tuning: Path = TUNING) -> pd.DataFrame:
    """Return what each cell cost: one row a cell, each kind of cost its own column.

    The phases are means over the trials that ended with a result, for means add up where medians do not: from
    ``setup_seconds`` to ``unaccounted_seconds`` they sum to ``wall_seconds``. Beside them ``n`` trials, ``failed``
    ones and the ``failed_seconds`` that those took in all, as seen by the process that waited for them.

    Of a search for the learning rate there are ``tuning_trials``, and the ``tuning_seconds`` that all of them trained
    for, NaN where that was not recorded. ``tuning_seconds_at_least`` is the same where it was; else what its trials
    that reached the target must have trained for at this run's throughput: those that missed it are not in there.
    It is the search whose rate the cell was run at that counts; see ``search_of``.

    Args:
        results: of a run.
        comparison: whose cells.
        tuning: the trials of the search; see ``harness.learning_rates``.
    """
    rows = []
    for cell in cells_of(results, comparison):
        place = cell["cell"], cell["environment"]
        records = [r for r in results.records if r.comparison == comparison and (r.cell, r.environment) == place]
        finished = pd.DataFrame([costs(r) for r in records if r.status in WITH_RESULT], columns=list(costs(records[0])))
        lost = [r.elapsed_seconds or r.wall_seconds or np.nan for r in records if r.status not in WITH_RESULT]
        searched = search_of(results, cell, tuning)
        rows.append(
            {"comparison": comparison, "cell": cell["cell"], "environment": cell["environment"]}
            | {"workload": cell["workload"], "trainer": cell["trainer"], "n": len(records)}
            # Whole trials only: a mean over other trials in each column would not add up.
            | finished.dropna(subset=["unaccounted_seconds"]).mean().to_dict()
            | {"failed": len(lost), "failed_seconds": float(sum(lost)), **_tuned(searched, cell)}
            | {"all_reached": bool(cell["n_reached"] == cell["n"])}
        )
    return pd.DataFrame(rows)


def search_of(results: Results, cell: Cell, tuning: Path = TUNING) -> pd.DataFrame:
    """Return the trials of the search that the rate of a cell is from; empty where it was not searched, a default.

    Known are the searches in ``tuning``, those that ``paceline tune`` kept beside the run, and those of the run itself
    (comparison "tuning"). A plan takes rates from the first two; it is the first whose best rate is the cell's.
    """
    # Searches that were made before know of no environments.
    workload = cell["workload"].removesuffix(f"@{cell['environment']}")
    kept = (pd.read_csv(path, comment="#") for path in (results.folder.parent / TUNING.name, tuning) if path.exists())
    before = [each[(each["workload"] == workload) & (each["trainer"] == cell["trainer"])] for each in kept]
    place = ["workload", "trainer", "environment"]
    trials = results.trials[(results.trials["comparison"] == "tuning") & (results.trials["search"] != "")]
    own = trials[(trials[place] == [cell[name] for name in place]).all(axis=1)]
    # Rates are written to three digits.
    return next((each for each in (*before, own) if np.isclose(_best(each), cell["lr"], rtol=0.005)), own[:0])


def _best(searched: pd.DataFrame) -> float:
    """Return the rate that a search chose: fewest misses, then fewest samples; NaN where none reached the target.

    A seed that ran twice counts once.
    """
    reached = searched["samples_to_target"].replace(np.inf, np.nan)
    once = reached.groupby([searched["lr"], searched["seed"]]).agg(lambda own: own.median(skipna=False))
    samples = once.groupby(level="lr").agg(["size", "count", "mean"])
    samples = samples[samples["count"] > 0]
    ranked = samples.assign(missed=samples["size"] - samples["count"]).sort_values(["missed", "mean"])
    return float(ranked.index[0]) if len(ranked) else np.nan


def _tuned(searched: pd.DataFrame, cell: Cell) -> dict[str, float]:
    """Return how many trials a search took, and how long, as far as that is known; NaN without a search."""
    reached = searched.loc[searched["status"] == "reached", "samples_to_target"]
    at_least = float(reached.sum() / cell["samples_per_second"]) if len(searched) else np.nan
    recorded = searched["train_seconds"] if "train_seconds" in searched else pd.Series([np.nan])
    seconds = float(recorded.sum(skipna=False)) if len(searched) else np.nan
    return {
        "tuning_trials": len(searched),
        "tuning_seconds": seconds,
        "tuning_seconds_at_least": at_least if math.isnan(seconds) else seconds,
    }


def pays_off(once_a: float, each_a: float, once_b: float, each_b: float) -> float:
    """Return the number of runs after which A has cost no more than B; infinite if it never does.

    Args:
        once_a: what A costs once, in any unit.
        each_a: what a run of A costs.
        once_b: what B costs once.
        each_b: what a run of B costs.

    Raises:
        ValueError: if a cost is not known.
    """
    if np.isnan([once_a, each_a, once_b, each_b]).any():
        raise ValueError("whether it pays off is not known without all four costs")
    if once_a <= once_b:
        return 0.0 if each_a <= each_b else math.inf
    if each_a >= each_b:
        return math.inf
    return float(math.ceil((once_a - once_b) / (each_b - each_a)))


def once(row: Cell) -> float:
    """Return what a strategy costs before its first run trains, in seconds; NaN where that is not known.

    Set-up, warm-up, compilation and tuning: a process that trains again and again pays for them once.
    """
    return float(row["setup_seconds"] + row["warmup_seconds"] + row["compile_seconds"] + row["tuning_seconds_at_least"])


def break_even(a: Cell, b: Cell) -> float:
    """Return after how many runs to the target strategy ``a`` has cost no more than ``b``; see ``pays_off``.

    NaN where a cost is not known, or a trial of either missed the target: the mean over those that reached it would not
    be a run's cost.

    Args:
        a: a row of ``ledger``.
        b: another one of its workload.
    """
    costs_of = once(a), a["training_seconds"], once(b), b["training_seconds"]
    if np.isnan(costs_of).any() or not (a["all_reached"] and b["all_reached"]):
        return math.nan
    return pays_off(*costs_of)
