"""What people do instead: the searches that the advisor is compared with. All make a step in the fastest way timed."""

import math
import random
from collections.abc import Iterable, Iterator

import numpy as np

from paceline.bench.analysis.advising import seconds_of
from paceline.bench.analysis.goodput import predicted_best
from paceline.bench.analysis.gp_advisor import GpAdvisor
from paceline.bench.analysis.grid_tables import AGAIN, Cell, GridTable
from paceline.bench.analysis.pattern_advisor import PatternAdvisor
from paceline.bench.analysis.quadratic_advisor import QuadraticAdvisor, nearest
from paceline.bench.analysis.replay import Replay, Search, following
from paceline.bench.analysis.sequential import RACED, anytime_interval
from paceline.bench.analysis.statistics import MARGIN, verdict_of

# What Keras trains with where nothing is said: optimizer, rate, batch size.
DEFAULT_RATES, DEFAULT_BATCH_SIZE = {"Sgd": 0.01, "Adam": 0.001, "AdamW": 0.001}, 32

# An epoch of a stream, which has none, in samples.
EPOCH_OF_A_STREAM = 4_000

# Successive halving: of how many one goes on, and how many of the slowest steps the first round has the seconds of.
HALVING, FIRST_STEPS = 3, 20


def library_default(replay: Replay) -> Iterator[Cell | None]:
    """Train at the library's own rate and batch size, or what of the grid is nearest: nothing is run."""
    yield nearest(replay.space, DEFAULT_BATCH_SIZE, DEFAULT_RATES[replay.table.optimizer])


def rates_at(replay: Replay, size: int) -> Iterator[Cell | None]:
    """Run the rates at one batch size, from the middle outwards; the fastest one is trained with."""
    rates = replay.table.rates
    middle = (len(rates) - 1) / 2
    return _fastest(replay, [(size, rates[i]) for i in sorted(range(len(rates)), key=lambda i: abs(i - middle))])


def one_batch(replay: Replay) -> Iterator[Cell | None]:
    """Tune the rate at a batch size of 64."""
    return rates_at(replay, nearest(replay.space, 64, 1.0)[0])


def largest_batch(replay: Replay) -> Iterator[Cell | None]:
    """Tune the rate at the largest batch that fits."""
    return rates_at(replay, replay.table.batch_sizes[-1])


def highest_throughput(replay: Replay) -> Iterator[Cell | None]:
    """Tune the rate where most samples go through in a second."""
    return rates_at(replay, max(replay.table.batch_sizes, key=lambda size: size / replay.table.timed[size]))


def goodput(replay: Replay) -> Iterator[Cell | None]:
    """Tune the rate where throughput times statistical efficiency is highest (Pollux).

    The noise scale is given to it: a mean over a run to the target. Where there is none, as of a stream, throughput
    decides.
    """
    table = replay.table
    if not table.noise_scale > 0:
        return highest_throughput(replay)
    throughput = [size / table.timed[size] for size in table.batch_sizes]
    best = predicted_best(table.batch_sizes, throughput, table.noise_scale).batch_size
    return rates_at(replay, int(best))


def at_random(replay: Replay) -> Iterator[Cell | None]:
    """Run cells drawn at random; the fastest one is trained with."""
    cells = replay.table.cells
    random.Random(f"{replay.table.name} {replay.order}").shuffle(cells)
    return _fastest(replay, cells)


def one_epoch_first(replay: Replay) -> Iterator[Cell | None]:
    """Train each cell for an epoch, then the best of them to the target, one after the other.

    Source: Egele et al. 2024, arXiv 2404.04111.
    """
    table = replay.table
    samples, scores, reached = table.samples or EPOCH_OF_A_STREAM, dict[Cell, float](), dict[Cell, float]()
    for cell in table.cells:
        epoch = math.ceil(samples / cell[0]) * table.timed[cell[0]]
        scores[cell], outcome = replay.go_on(cell, epoch)
        if outcome.reached:
            reached[cell] = seconds_of(replay.space, outcome)
        yield min(reached, key=reached.__getitem__, default=None)
    for cell in sorted(scores, key=scores.__getitem__, reverse=True):
        best = min(reached.values(), default=math.inf)
        outcome = replay.go_on(cell, 1.5 * best)[1]
        if outcome.reached:
            reached[cell] = seconds_of(replay.space, outcome)
        yield min(reached, key=reached.__getitem__, default=None)


def halving(replay: Replay) -> Iterator[Cell | None]:
    """Train all cells for as many seconds, the best third for three times as long, and so on, until one is there."""
    table = replay.table
    seconds, left = FIRST_STEPS * max(table.timed.values()), table.cells
    while left:
        scores, reached = dict[Cell, float](), dict[Cell, float]()
        for cell in left:
            scores[cell], outcome = replay.go_on(cell, seconds)
            if outcome.reached:
                reached[cell] = seconds_of(replay.space, outcome)
            yield min(reached, key=reached.__getitem__, default=None)
        if reached or max(scores.values()) == -math.inf or seconds > table.cost:
            return
        left = sorted(left, key=scores.__getitem__, reverse=True)[: max(1, len(left) // HALVING)]
        seconds *= HALVING


def _fastest(replay: Replay, cells: Iterable[Cell]) -> Iterator[Cell | None]:
    seconds: dict[Cell, float] = {}
    for cell in cells:
        outcome = replay.run_patiently(cell)
        if outcome.reached:
            seconds[cell] = seconds_of(replay.space, outcome)
        yield min(seconds, key=seconds.__getitem__, default=None)


def verifying(replay: Replay) -> Iterator[Cell | None]:
    """Follow the advisor, then run the best two in turns on fresh seeds, until they are decided or the seeds are out.

    In ``advise`` the default runs beside them; of that the table has no fresh seeds. Where it has none of the best two
    either, nothing is verified.
    """
    advisor, space = QuadraticAdvisor(), replay.space
    yield from following(advisor)(replay)
    choice, means = advisor.choice(space, replay.seen), replay.mean_seconds()
    second = min((cell for cell in means if cell != choice), key=means.__getitem__, default=None)
    if choice is None or second is None or not all(replay.table.has(cell, AGAIN) for cell in (choice, second)):
        return
    logs: list[float] = []
    for seed in AGAIN:
        of_choice, of_second = (replay.run_fresh(cell, seed) for cell in (choice, second))
        logs.append(math.log(of_second / of_choice))
        yield choice if sum(logs) >= 0 else second
        low, high = np.exp(np.clip(anytime_interval(np.array(logs)), -9, 9))
        if verdict_of(float(low), float(high), MARGIN, RACED) != "undecided":
            return


ADVISOR, VERIFIED = "Paceline", "Paceline, verified"
SEARCHES: dict[str, Search] = {
    ADVISOR: following(QuadraticAdvisor()),
    VERIFIED: verifying,
    "library default": library_default,
    "largest batch": largest_batch,
    "highest throughput": highest_throughput,
    "goodput": goodput,
    "rate at batch 64": one_batch,
    "random cells": at_random,
    "one epoch, then the best": one_epoch_first,
    "successive halving": halving,
    "Gaussian process": following(GpAdvisor()),
    "pattern search": following(PatternAdvisor()),
}
# Those of them that need a step timed at every batch size.
TIMED = frozenset(SEARCHES) - {"library default", "largest batch", "rate at batch 64"}


def timing_seconds(table: GridTable, trial_seconds: float = 0.1) -> float:
    """Return what it takes to time steps: in all ways at the ends of the batch sizes, between in those kept."""
    trials = 2 * len(table.ways) + (len(table.batch_sizes) - 2) * len(table.kept)
    return trial_seconds * trials
