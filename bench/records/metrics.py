"""Every column of a run's trials, one entry each: what it is, where it comes from, how it is summed up and shown.

To add a metric, have a probe put it into its rank's observations (``probes.rank_probes``), and add a `Metric` here.
The table of trials, ``summary.csv``, pytest-benchmark's ``extra_info`` and the report's tables follow.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from paceline.bench.records import contamination, quantities
from paceline.bench.records.over_ranks import OVER_RANKS
from paceline.bench.records.quantities import crossing, last_known, or_nan
from paceline.bench.records.record import Record


@dataclass(frozen=True)
class Fact:
    """What a trial was, or how it ended: text, a setting, or yes and no. It is not summed up.

    Attributes:
        column: its name in ``trials``.
        what: it is, in a line.
        of: gives it; None is the record's field of the same name.
    """

    column: str
    what: str
    of: Callable[[Record], Any] | None = None

    def value(self, record: Record) -> Any:
        """Return it for one trial."""
        return getattr(record, self.column) if self.of is None else self.of(record)


@dataclass(frozen=True)
class Shown:
    """How a metric is shown, in all tables, sentences and plots.

    Attributes:
        heading: of its column.
        unit: in which its values are shown; "" for none.
        scale: what turns a value in SI units into that unit.
        axis: what it is called at the axis of a plot, where that is not the heading.
    """

    heading: str
    unit: str = ""
    scale: float = 1.0
    axis: str = ""

    @property
    def unit_below(self) -> str:
        """The unit that stands at the values below the heading: none where the heading says it."""
        return "" if self.unit in self.heading.split() else self.unit

    @property
    def label(self) -> str:
        """The label of an axis."""
        return f"{self.axis or self.heading} ({self.unit})"


@dataclass(frozen=True)
class Metric:
    """A number that a trial observed; NaN where it was not measured.

    Attributes:
        column: its name in ``trials`` and ``summary.csv``, the unit in it.
        what: it is, in a line.
        unit: SI; "" for a count and a share.
        of: gives it: a function of the record, or a name: of a field of the record, or where ``ranks`` says how to
            combine them, of what each rank measured. "" is the name of the column.
        ranks: how those of the ranks become the trial's: their "sum", the "largest", or that of the "machine", which
            each of them saw whole.
        median: whether a cell has the median over its trials, with a 95 % interval, in ``summary.csv`` and
            ``extra_info``: "" (no), "positive" (its interval is taken on logarithms), or "any" (it may be negative).
        spent: of a metric *to target*, the column that says what a trial had spent of it which missed the target:
            that trial counts as later than all others.
        shown: how, where it is shown.
        cost: whether the report's table of what each strategy costs shows it.
    """

    column: str
    what: str
    unit: str
    of: str | Callable[[Record], float] = ""
    ranks: Literal["", "sum", "largest", "machine"] = ""
    median: Literal["", "positive", "any"] = ""
    spent: str = ""
    shown: Shown | None = None
    cost: bool = False

    def value(self, record: Record) -> float:
        """Return it for one trial."""
        if callable(self.of):
            return self.of(record)
        name = self.of or self.column
        return OVER_RANKS[self.ranks](record, name) if self.ranks else or_nan(getattr(record, name))


def _filled_in_later(record: Record) -> float:
    """Stand for what takes more than the record: ``analysis.frames`` has it."""
    return np.nan


def _compared_later(record: Record) -> bool:
    """Stand for what takes the other trials of the run: ``analysis.frames`` has it."""
    return False


COLUMNS: tuple[Fact | Metric, ...] = (
    # What the trial was
    Fact("trial", "identifies the trial"),
    Fact("suite", "that it was run under"),
    Fact("comparison", "the benchmark that asked for it"),
    Fact("cell", "which of the benchmark's cells it repeats"),
    Fact("search", "the search for a learning rate that it belongs to; empty for all others"),
    Fact("workload", "what was trained on"),
    Fact("trainer", "the strategy"),
    Fact("hyperparameters", "the strategy's, as JSON", quantities.hyperparameters),
    Fact("lr", "learning rate that the optimizer was given", quantities.learning_rate),
    Fact("batch_size", "samples of the first step, over all ranks", quantities.batch_size),
    Fact("micro_batch_size", "samples of one backward pass, where a step makes several", quantities.micro_batch_size),
    Fact("dtype", "of the model, or of autocast where there is one; of float32 also what it was multiplied in"),
    Fact("world_size", "ranks"),
    Fact("threads", "of each rank"),
    Fact("cores", "of the machine that it might use"),
    Fact("oversubscribed", "whether it had more threads, over its ranks, than cores", contamination.oversubscribed),
    Fact("device", "cpu or cuda"),
    Fact("seed", "of the initial weights and the order of samples"),
    Fact("block", "that it ran in"),
    Fact("position", "within the block, from 0"),
    Fact("status", "how it ended"),
    Fact("reason", "why it ended so, in a line"),
    Metric("train_samples", "size of the training set", ""),
    Metric("parameters", "of the model", ""),
    # How far it came, and what that took
    Metric("steps", "made", "", of=quantities.steps),
    Metric("samples", "consumed, over all ranks", "", of=quantities.samples),
    Metric("setup_seconds", "from the start of its process to the warm-up, and building the measured model", "s"),
    Metric("warmup_seconds", "a throwaway run of the first steps", "s"),
    Metric(
        "compile_seconds", "of the warm-up, the model was compiled", "s", shown=Shown("compiling", "s"),
    ),
    Metric("train_seconds", "inside the trainer", "s", of=quantities.train_seconds),
    Metric(
        "data_wait_seconds", "of training, waiting for samples to be read", "s",
        of="waited_for_samples_seconds", ranks="largest", shown=Shown("waiting for samples", "s"),
    ),
    Metric(
        "recompile_seconds", "of training, the model was compiled anew", "s",
        of="compile_seconds_in_training", ranks="largest",
    ),
    Metric(
        "recompilations", "times the model was compiled anew, warm-up included", "", ranks="largest",
        shown=Shown("recompilations"),
    ),
    Metric("evaluation_seconds", "between the training windows, bookkeeping included", "s"),
    Metric("wall_seconds", "of the whole process", "s"),
    Metric(
        "samples_per_second", "throughput over all ranks, of the same steps as the next", "samples/s",
        of=quantities.samples_per_second, median="positive", shown=Shown("throughput", "samples/s"), cost=True,
    ),
    Metric("tokens_per_sample", "of training samples, on average, without padding", ""),
    Metric(
        "tokens_per_second", "throughput in tokens, padding left out", "tokens/s", of=quantities.tokens_per_second,
        median="positive", shown=Shown("tokens", "tokens/s"),
    ),
    Metric(
        "seconds_per_step", "of the steps but the first after each evaluation, which is slower", "s",
        of=quantities.seconds_per_step, median="positive", shown=Shown("time per step", "ms", 1e3),
    ),
    Metric(
        "seconds_to_target", "training seconds at the evaluation that first met the target", "s",
        of=lambda record: crossing(record).seconds, median="positive", spent="train_seconds",
        shown=Shown("seconds to target", "s", axis="training time to target"),
    ),
    Metric(
        "seconds_to_target_low", "training seconds at the evaluation before, which missed it", "s",
        of=lambda record: crossing(record).seconds_low,
    ),
    Metric(
        "steps_to_target", "steps until the target was met", "", of=lambda record: crossing(record).steps,
        median="positive", spent="steps", shown=Shown("steps to target", "steps"),
    ),
    Metric(
        "samples_to_target", "samples until the target was met", "", of=lambda record: crossing(record).samples,
        median="positive", spent="samples", shown=Shown("samples to target", "samples"),
    ),
    # The quality that it reached
    Fact("target", "the score at which training is done"),
    Metric(
        "final_score", "score of the last model on the test samples, which decided nothing", "",
        of=quantities.final_score, median="any", shown=Shown("final score"), cost=True,
    ),
    Metric(
        "validation_score", "the last score on the validation samples, by which rates are chosen", "",
        of=quantities.validation_score,
    ),
    Metric("final_loss", "training loss of the last step", "", of=lambda record: last_known(record, "loss")),
    Metric(
        "train_loss", "mean loss of the last model over training samples", "",
        of=lambda record: or_nan(record.final_losses.get("train")),
    ),
    Metric(
        "held_out_loss", "mean loss of the last model over test samples", "", of=quantities.held_out_loss,
    ),
    # Memory and energy
    Metric(
        "peak_rss_bytes", "largest resident memory while training", "bytes", ranks="sum",
        median="positive", shown=Shown("peak RSS", "MB", 1e-6), cost=True,
    ),
    Metric(
        "peak_union_bytes", "the same, a page that ranks share counted once", "bytes",
        of=quantities.peak_union_bytes, median="positive",
    ),
    Metric(
        "training_memory_bytes", "what training added to the processes", "bytes", of=quantities.training_memory_bytes,
        median="positive", shown=Shown("training memory", "MB", 1e-6), cost=True,
    ),
    Metric(
        "family_bytes", "at the end, of its processes and those that read samples, shared pages in parts", "bytes",
        of="family_pss_bytes", ranks="sum", shown=Shown("memory of all processes", "MB", 1e-6),
    ),
    Metric(
        "peak_allocated_bytes", "the most that torch had allocated on GPUs while training", "bytes", ranks="sum",
        median="positive",
    ),
    Metric(
        "peak_device_bytes", "the most that the processes held of GPUs' memory while training", "bytes", ranks="sum",
        median="positive", shown=Shown("peak GPU memory", "MB", 1e-6), cost=True,
    ),
    Fact("peak_device_source", "what told the peak of a GPU's memory", quantities.device_memory_source),
    Metric(
        "energy_joules", "of the GPUs, or of the CPU's packages, while training", "J", of=quantities.energy_joules,
        median="positive", shown=Shown("energy", "J"), cost=True,
    ),
    # What its surroundings did to it
    Metric("runqueue_wait_seconds", "threads were ready to run while training, but had no core", "s", ranks="sum"),
    Metric("others_seconds", "of its cores' time that other processes took", "s", of=contamination.others_seconds),
    Metric("cpu_seconds", "of CPU time while training", "s", ranks="sum"),
    Metric("steal_seconds", "of the cores' time that a hypervisor gave to other machines", "s", ranks="machine"),
    Metric("throttled_seconds", "a quota of CPU time held the container back", "s", ranks="machine"),
    Metric(
        "pages_from_disk", "pages that training waited for until a disk gave them: mapped data, or swapped out", "",
        ranks="sum", shown=Shown("pages from disk"),
    ),
    Metric("probe_seconds", "a fixed piece of work on one core, before and after", "s", of=contamination.probe_seconds),
    Fact("slowed", "whether that took longer than around the run's other trials", _compared_later),
    Fact("throttled", "whether a GPU was seen slowed down", contamination.gpu_throttled),
    Metric("gpu_neighbours", "other processes on a GPU of its, the most at once", "", of=contamination.gpu_neighbours),
    Fact("contaminated", "whether its surroundings took too much of its time", contamination.contaminated),
    Fact("cut_short", "whether it was ended because the run's time was up"),
    Fact("repeat", "1 if it was run in place of one that was contaminated, else 0"),
    Fact("environment", "which of several environments it ran in; empty but where runs were merged"),
    # How well it used the machine
    Metric("flops_per_sample", "FLOPs of matrix work of a step, forward and backward, per sample", ""),
    Metric("mfu", "share of the measured peak that the matrix work used", "", of=_filled_in_later),
)  # fmt: skip

METRICS = {column.column: column for column in COLUMNS if isinstance(column, Metric)}

# Those with a median, as ``summary.csv`` orders them: the way to the target first, what may be negative last.
MEDIANS = {
    metric.column: metric
    for metric in sorted(METRICS.values(), key=lambda metric: (not metric.spent, metric.median == "any"))
    if metric.median
}

COSTS = tuple(name for name, metric in MEDIANS.items() if metric.cost)

SHOWN = {name: metric.shown for name, metric in METRICS.items() if metric.shown}
