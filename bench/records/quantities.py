"""What takes more than one observation of a trial: its speed, its way to the target, its memory, its energy.

Each is a function of a record, named in the table of ``records.metrics``; NaN (of a word, None) is "not measured".
"""

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from paceline.bench.records.over_ranks import largest, of_the_machine, total
from paceline.bench.records.record import Record


def or_nan(value: float | None) -> float:
    """Return ``value``, NaN for what was not measured."""
    return np.nan if value is None else value


# What was set


def hyperparameters(record: Record) -> str:
    """Return the trainer's hyperparameters as one JSON text: a column holds no tree."""
    return json.dumps(record.hyperparameters)


def learning_rate(record: Record) -> float:
    """Return the rate that the optimizer was given."""
    return or_nan((record.hyperparameters.get("optimizer") or {}).get("lr"))


def batch_size(record: Record) -> float:
    """Return the samples of the first step, over all ranks; of a trial without a step, those it was told to take."""
    if record.curve["step"]:
        return int(record.curve["samples"][0] / record.curve["step"][0])
    return or_nan(record.hyperparameters.get("batch_size"))


def micro_batch_size(record: Record) -> float:
    """Return the samples of one backward pass, where the trainer has such a hyperparameter."""
    return or_nan(record.hyperparameters.get("micro_batch_size"))


# The curve's end


def steps(record: Record) -> int:
    """Return the steps made."""
    return record.curve["step"][-1] if record.curve["step"] else 0


def samples(record: Record) -> int:
    """Return the samples consumed, over all ranks."""
    return record.curve["samples"][-1] if record.curve["step"] else 0


def train_seconds(record: Record) -> float:
    """Return the training seconds."""
    return record.curve["seconds"][-1] if record.curve["step"] else np.nan


def samples_per_second(record: Record) -> float:
    """Return the throughput, over all ranks, as ``steady`` has it."""
    _, consumed, seconds = steady(record)
    return consumed / seconds if consumed else np.nan


def tokens_per_second(record: Record) -> float:
    """Return the throughput in tokens, padding left out: that in samples, each of as many as it has on average."""
    return samples_per_second(record) * or_nan(record.tokens_per_sample)


def seconds_per_step(record: Record) -> float:
    """Return the mean training seconds of a step, as ``steady`` has it."""
    made, _, seconds = steady(record)
    return seconds / made if made else np.nan


def steady(record: Record) -> tuple[int, int, float]:
    """Return the steps, samples and training seconds of which rates are taken: without the first after evaluations.

    Such a step finds caches cold and threads asleep, and few-step strategies are scored after one in three. Where most
    are such, each of them takes so long that this is lost in it, and older records do not tell them apart: then it is
    all of them.
    """
    made, consumed, seconds = steps(record), samples(record), train_seconds(record)
    first, of_first = largest(record, "first_steps"), largest(record, "first_samples")
    rest = [or_nan(rank.get("train_seconds")) - or_nan(rank.get("first_seconds")) for rank in record.ranks]
    if not rest or not max(rest) > 0 or not 2 * first <= made:
        return made, consumed, seconds
    return made - int(first), consumed - int(of_first), max(rest)


def last_known(record: Record, column: str) -> float:
    """Return the last value in ``column`` of the curve, at whichever point that was."""
    return next((value for value in reversed(record.curve[column]) if value is not None), np.nan)


def validation_score(record: Record) -> float:
    """Return the last score on the validation samples; NaN where the trial was ended before its number of steps."""
    return np.nan if record.cut_short and record.steps_allowed is not None else last_known(record, "score")


def final_score(record: Record) -> float:
    """Return the last model's score on the test samples, which decided nothing; NaN as ``validation_score`` is.

    Records of before there were such samples hold the score on the one set that was held out for all.
    """
    return validation_score(record) if record.test_score is None else record.test_score + 0 * validation_score(record)


def held_out_loss(record: Record) -> float:
    """Return the last model's mean loss on the test samples; of early records on all held-out ones."""
    return or_nan(record.final_losses.get("test", record.final_losses.get("held_out")))


# The way to the target


class Crossing(NamedTuple):
    """Where the score first reached the target: at the evaluation that found it there. NaN throughout if missed."""

    seconds: float
    seconds_low: float  # at the evaluation before, which did not find it there
    steps: float
    samples: float


def crossing(record: Record) -> Crossing:
    """Return where the target was first reached."""
    sign, low = 1 if record.higher_is_better else -1, 0.0
    points = zip(*(record.curve[name] for name in ("seconds", "step", "samples", "score")), strict=True)
    # Scored at the end only: that the target was reached by then says nothing of when.
    for seconds, step, consumed, score in points if record.score_along else ():
        if score is None:
            continue
        if sign * score >= sign * record.target:
            return Crossing(seconds, low, step, consumed)
        low = seconds
    return Crossing(np.nan, np.nan, np.nan, np.nan)


# Memory and energy


def peak_union_bytes(record: Record) -> float:
    """Return the peak of resident memory over ranks, a page that they share counted once.

    They share what they have of the server that forked them and what they map of files, as much as the rank that
    shares the least: each rank but one adds only the rest. What is shared does not change while a trial trains.
    """
    others = len(record.ranks) - 1
    if others < 1:
        return total(record, "peak_rss_bytes")
    least = np.min([_shared_bytes(rank, len(record.ranks)) for rank in record.ranks])  # NaN if one does not tell
    return total(record, "peak_rss_bytes") - others * float(least)


def _shared_bytes(rank: Mapping[str, Any], ranks: int) -> float:
    """Return what a rank shares with others, in bytes.

    Older records tell the proportional size, in which a page that m processes share counts 1/m: these were the ranks
    and the server that forked them.
    """
    if rank.get("shared_bytes") is not None:
        return float(rank["shared_bytes"])
    return (or_nan(rank.get("rss_bytes")) - or_nan(rank.get("pss_bytes"))) * (ranks + 1) / ranks


def training_memory_bytes(record: Record) -> float:
    """Return what training added to the processes that had loaded torch and the data.

    On a GPU: to what was allocated there. It is the number in which strategies differ.
    """
    kind = "allocated" if record.device == "cuda" else "rss"
    return total(record, f"peak_{kind}_bytes") - total(record, f"start_{kind}_bytes")


def device_memory_source(record: Record) -> str | None:
    """Return what told the peak of a GPU's memory; "a+b" where ranks were told by different ones."""
    sources: set[Any] = {rank["peak_device_source"] for rank in record.ranks if rank.get("peak_device_source")}
    return "+".join(sorted(sources)) or None


def energy_joules(record: Record) -> float:
    """Return the energy of training: the mean power over its stretches that a counter could tell, times its seconds.

    NaN where too little of it lay in such stretches (``probes.energy_windows``); and in older records, which counted
    evaluation in.
    """
    if record.device == "cpu":  # the counter is the machine's: each rank saw the same
        watts = of_the_machine(record, "package_joules") / of_the_machine(record, "package_window_seconds")
    else:
        known = [
            (or_nan(rank.get("energy_joules")), or_nan(rank.get("energy_window_seconds"))) for rank in record.ranks
        ]
        watts = sum(joules / seconds for joules, seconds in known) if known else np.nan
    return watts * train_seconds(record)
