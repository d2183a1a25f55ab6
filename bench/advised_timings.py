"""Steps timed in every way to make them, over batch sizes: the factor of seconds to target that takes no training."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

from paceline.bench.analysis import step_times
from paceline.bench.analysis.step_times import Timed
from paceline.bench.harness.advised_trials import AdvisedTrials
from paceline.bench.harness.comparison import schedule
from paceline.bench.harness.trial import Trial
from paceline.bench.harness.ways import Way, reads_ahead, sizes, trial_of, ways
from paceline.bench.probes.compiler import missing
from paceline.bench.records.record import Record
from paceline.bench.workloads.workload import Workload
from paceline.trainers import Optimizer

TIMING = "advise-timing"

# By which share of the run's time the timings are to end; what must be timed may take so many seconds all the same.
TIMED_BY, LEAST_SECONDS = 0.25, 5.0

# Seconds of steps of one timing, and how many timings a way gets that may be the fastest.
SECONDS_OF_STEPS, TIMINGS = 0.3, 3

# A model is compiled only where training is expected to take so many seconds: compiling takes about as many.
WORTH_COMPILING = 15.0


@dataclass(frozen=True)
class Asked:
    """What the user wants to train, and within which limits.

    Attributes:
        workload: what to train.
        reference: what it is called on the command line.
        default: what the user would have run: mini-batch training as it comes, at the rate of a search if there is one.
        optimizer: whose rate is searched.
        samples: in the training set; None of a stream.
        seconds: of wall time.
        first: batch size and rate to start from.
        memory_bytes: that all processes may take; None is no limit.
        stream: whether each sample is looked at once.
        deadline: seconds of training; None is no limit.
        optimizer_as_given: on the command line; "" where none was.
        device_seconds: whether seconds times devices are the price.
        device_as_given: "auto" where it was not.
        device, gpus, cores: where trials run.
    """

    workload: Workload
    reference: str
    default: Trial
    optimizer: Optimizer
    samples: int | None
    seconds: float
    first: tuple[int, float]
    memory_bytes: float | None = None
    stream: bool = False
    deadline: float | None = None
    device_seconds: bool = False
    optimizer_as_given: str = ""
    device_as_given: str = "auto"
    device: str = "cpu"
    gpus: int = 0
    cores: int = 1

    @property
    def once(self) -> bool:
        """Whether each sample is looked at once: a stream has no second look."""
        return self.stream or self.samples is None

    def most_steps(self, batch_size: int) -> int | None:
        """Return the steps until each sample was looked at once; None where there is no such limit."""
        return max(1, self.samples // batch_size) if self.stream and self.samples else None


class StepTimings:
    """Times steps, and says what one costs; all of its state is in the trials.

    Attributes:
        ways: to make a step, by label; what a limit on memory asks for is added.
        usual: the label of the one that others are read against.
        sizes: at which steps are timed.
    """

    def __init__(self, asked: Asked, trials: AdvisedTrials) -> None:
        """Begin with what ``trials`` has."""
        self.asked, self.trials = asked, trials
        found = ways(asked.cores, asked.gpus, asked.device, reads_ahead(asked.workload))
        self.ways, self.usual = {way.label: way for way in found}, found[0].label
        self.sizes = sizes(asked.samples, asked.once)
        self._workloads: dict[int | None, Workload] = {None: asked.workload}
        self._cells: dict[str, tuple[str, int]] = {}
        self._times: dict[tuple[str, int], Timed] = {}
        self._timed_of = 0  # how many records they were made of

    def time_steps(self) -> None:
        """Time a step in every way at batch sizes from small to large, the most telling first, in turns.

        A usual size first: at the smallest and the largest the ways that are slower at both show next.
        """
        ends = self.trials.ends(TIMED_BY)
        usual_first = sorted(self.sizes, key=lambda size: abs(math.log2(size) - 6))
        # Where there is little time it is for the usual way, then for the next: a single thread bears others best.
        for label in list(self.ways)[:2]:
            self._time({_cell(label, usual_first[0]): (label, usual_first[0])}, 0, self.trials.ends(2 * TIMED_BY))
        for size in dict.fromkeys([usual_first[0], self.sizes[0], self.sizes[-1], *usual_first]):
            self._time({_cell(label, size): (label, size) for label in self.ways}, 0, ends)
            self._split_what_is_too_large(size, ends)
        for turn in range(1, TIMINGS):
            again = [of for of in self.times if step_times.contends(self.times, *of)]
            self._time({_cell(*of): of for of in again}, turn, ends)

    def _time(self, cells: Mapping[str, tuple[str, int]], turn: int, ends: float) -> None:
        for _, position, name in schedule(TIMING, cells, [turn]):
            label, size = cells[name]
            way = self.ways[label]
            if way.ranks > size or (turn == 0 and step_times.hopeless(self.times, label, size)):
                continue
            self._cells[name] = label, size
            now = self.trials.budget.spent()
            late = now + self.trials.budget.pace.launch() > ends
            # Where none could be timed yet, as while others use all of the cores, it goes on.
            enough = any(one.seconds > 0 for one in self.times.values()) or self.trials.budget.left() < 0
            if late and enough and (TIMING, name, turn) not in self.trials:
                continue
            # A rate for large batches makes small ones diverge, and no rate at all changes what a step takes.
            trial = replace(
                self.trial(way, size, 0.1 * self.asked.first[1] * min(1.0, size / 64)),
                seed=turn,
                seconds=SECONDS_OF_STEPS,
                steps=self.asked.most_steps(size),
                stop_at_target=False,
                score_along=False,
            )
            self.trials.run(trial, TIMING, name, turn, max(ends, now + LEAST_SECONDS), position)

    def _split_what_is_too_large(self, size: int, ends: float) -> None:
        """Where a batch is too large for the memory, time it in pieces of the largest size that is not."""
        limit = self.asked.memory_bytes
        if limit is None or step_times.memory_at(self.times, self.usual, size) <= limit:
            return
        fits = [one for one in self.sizes if one < size and step_times.memory_at(self.times, self.usual, one) <= limit]
        for micro in [max(fits)] if fits else []:
            way = replace(self.ways[self.usual], micro_batch_size=micro)
            self.ways[way.label] = way
            self._time({_cell(way.label, size): (way.label, size)}, 0, ends)

    def trial(self, way: Way, batch_size: int, lr: float) -> Trial:
        """Return the trial that trains in this way; its seed, its budget and its end are the caller's."""
        workload = self._workloads.get(way.workers)
        if workload is None:
            assert way.workers is not None, "the workload as it is, is known"
            workload = self._workloads[way.workers] = replace(self.asked.workload, workers=way.workers)
        samples = None if self.asked.once else self.asked.samples
        optimizer: Optimizer = replace(self.asked.optimizer, lr=lr)  # type: ignore[type-var]  # a dataclass, as all are
        return trial_of(way, workload, optimizer, batch_size, samples, self.asked.device)

    @property
    def times(self) -> dict[tuple[str, int], Timed]:
        """What was timed so far, by way and batch size."""
        own = [record for record in self.trials.of(TIMING) if record.cell in self._cells]
        if len(own) != self._timed_of:
            records: dict[tuple[str, int], list[Record]] = {}
            for record in own:
                records.setdefault(self._cells[record.cell], []).append(record)
            self._times = {of: step_times.timed(each) for of, each in records.items()}
            self._timed_of = len(own)
        return self._times

    def price(self, label: str, batch_size: int) -> float:
        """Return what a step costs in that way, in seconds or device-seconds; infinite where it breaks a limit."""
        times, limit = self.times, self.asked.memory_bytes
        if limit is not None and not step_times.memory_at(times, label, batch_size) <= limit:
            return math.inf
        return step_times.seconds_at(times, label, batch_size) * self.weight(self.ways[label])

    def weight(self, way: Way) -> int:
        """Return what a second of that way counts for."""
        return way.devices(self.asked.device) if self.asked.device_seconds else 1

    def way_at(self, batch_size: int, steps: float = math.nan) -> Way | None:
        """Return the way of least price at that size, the simplest of those that are alike; None if none is allowed.

        With a deadline, and ``steps`` known, of those that keep it, or else the fastest.
        """
        allowed = {label: price for label in self.ways if math.isfinite(price := self.price(label, batch_size))}
        seconds = {label: step_times.seconds_at(self.times, label, batch_size) for label in allowed}
        if self.asked.deadline is not None and math.isfinite(steps):
            kept = {label: allowed[label] for label in allowed if steps * seconds[label] <= self.asked.deadline}
            allowed = kept or seconds
        return self._simplest(allowed)

    def fastest_at(self, batch_size: int) -> Way | None:
        """Return the way of least seconds at that size, for runs that are to show steps, whatever the price."""
        allowed = [label for label in self.ways if math.isfinite(self.price(label, batch_size))]
        return self._simplest({label: step_times.seconds_at(self.times, label, batch_size) for label in allowed})

    def _simplest(self, prices: Mapping[str, float]) -> Way | None:
        alike = [self.ways[one] for one in prices if prices[one] <= step_times.ALIKE * min(prices.values())]
        return min(alike, key=lambda way: way.complexity, default=None)

    def compile_if_it_pays(self, batch_size: int, steps: float, plain: Way) -> None:
        """Time the compiled way, and add it where so many steps take less with its compiling than in the ``plain``."""
        if plain.ranks > 1 or plain.precision != "float32" or plain.micro_batch_size or missing(self.asked.device):
            return
        expected = steps * step_times.seconds_at(self.times, plain.label, batch_size)
        if expected < WORTH_COMPILING:
            return
        way = replace(plain, compiled=True)
        self.ways[way.label], cell = way, _cell(way.label, batch_size)
        self._time({cell: (way.label, batch_size)}, 0, self.trials.budget.spent() + 2 * WORTH_COMPILING)
        compiling = max((step_times.compile_seconds(r) for r in self.trials.of(TIMING) if r.cell == cell), default=0.0)
        if not compiling + steps * step_times.seconds_at(self.times, way.label, batch_size) < expected:
            del self.ways[way.label]

    def why_not_compiled(self) -> str:
        """Return why no compiled model was timed; "" if one was."""
        if any(record.compile_seconds for record in self.trials.of(TIMING)):
            return ""
        return missing(self.asked.device) or f"training takes less than the {WORTH_COMPILING:g} s of a compiler"


def _cell(label: str, batch_size: int) -> str:
    return f"{label}-B{batch_size}"
