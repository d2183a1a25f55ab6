"""What is advised: one configuration to train with, what it takes, and how sure that is. Plain values throughout."""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, is_dataclass
from types import UnionType
from typing import Any, Literal, get_args, get_origin, get_type_hints

from paceline.bench.analysis.statistics import Interval
from paceline.bench.analysis.step_times import Line

# How much is known of what is advised: that nothing tried is better, that several are as good, or less than that.
Standing = Literal["decided", "any of these", "not decided", "not verified", "not known"]


@dataclass(frozen=True)
class Configuration:
    """Everything that must be set to train.

    Attributes:
        strategy: the trainer's name.
        batch_size: samples a step, over all ranks.
        micro_batch_size: samples per backward pass; 0 where that is the whole batch.
        optimizer: as Python that constructs it, with its rate.
        lr: that rate.
        schedule: of the rate, as Python.
        precision: of the forward pass, "float32" or "bfloat16".
        compiled: whether the model is.
        ranks: processes that share a batch.
        threads: CPU threads of each.
        workers: processes that read samples ahead, a rank; None is as the workload says.
        device: "cpu" or "cuda".
    """

    strategy: str
    batch_size: int
    micro_batch_size: int
    optimizer: str
    lr: float
    schedule: str
    precision: str
    compiled: bool
    ranks: int
    threads: int
    workers: int | None
    device: str

    @property
    def sentence(self) -> str:
        """The configuration in words."""
        micro = f", {self.micro_batch_size:,} of them at once" if self.micro_batch_size else ""
        ranks = "1 process" if self.ranks == 1 else f"{self.ranks} processes"
        threads = "1 thread" if self.threads == 1 else f"{self.threads} threads"
        where = f"{ranks} on a GPU each" if self.device == "cuda" else f"{ranks} x {threads}"
        read = "" if self.workers is None else f", samples read by workers={self.workers}"
        schedule = "" if self.schedule == "Constant()" else f", {self.schedule}"
        return (
            f"{self.strategy}, {self.batch_size:,} samples a step{micro}, {self.optimizer.partition('(')[0]} at a rate "
            f"of {self.lr:.3g}{schedule}, {self.precision}, {'' if self.compiled else 'not '}compiled, {where}{read}"
        )


@dataclass(frozen=True)
class Quantity:
    """A predicted number, with its 95 % interval; None with a reason where it is not known."""

    value: float | None
    low: float | None = None
    high: float | None = None
    n: int = 0
    reason: str = ""


def quantity(found: Interval, reason: str) -> Quantity:
    """Return a median as a quantity, ``reason`` being why it may not be known."""
    if not math.isfinite(found.median):
        return Quantity(None, reason=reason)
    ends = found.low, found.high
    low, high = (float(end) if math.isfinite(end) else None for end in ends)
    return Quantity(float(found.median), low, high, found.n)


@dataclass(frozen=True)
class Prediction:
    """What training to the target takes, on this machine.

    Attributes:
        seconds: of training; of a compiled model without the compiling.
        steps, samples: to the target.
        memory_bytes: the most that all processes take together; on a GPU, there.
        energy_joules: of the processor's package, or the GPUs.
        compile_seconds: once, before the first step.
        reached: the share of runs that reached the target.
    """

    seconds: Quantity
    steps: Quantity
    samples: Quantity
    memory_bytes: Quantity
    energy_joules: Quantity
    compile_seconds: float
    reached: float


@dataclass(frozen=True)
class Rival:
    """Another configuration that was run beside the advised one.

    Attributes:
        name: "the default", or "the next best".
        configuration: it.
        python: that constructs its trainer.
        ratio: its price over that of the advised one; its value less 1 is the regret of taking it.
        verdict: "slower", "equivalent" or "undecided".
        expected_loss: what taking it is expected to cost, as a share of the advised one's price; None of too few seeds.
        more_minutes: that would decide it; None where it is decided, or that is not known.
        reached: the share of its runs that reached the target.
        fits: whether it keeps to the constraints.
        cell: whose trials say so.
    """

    name: str
    configuration: Configuration
    python: str
    ratio: Quantity
    verdict: str
    expected_loss: float | None
    more_minutes: float | None
    reached: float
    fits: bool = True
    cell: str = ""

    @property
    def tied(self) -> bool:
        """Whether it is not known to take more than the advised one."""
        return self.fits and self.verdict in ("equivalent", "undecided")


@dataclass(frozen=True)
class Tried:
    """A batch size and rate that the search ran: steps to the target, or that were made without it."""

    batch_size: int
    lr: float
    steps: float
    reached: bool
    seconds: float


@dataclass(frozen=True)
class Advice:
    """One configuration to train with.

    Attributes:
        workload, target: what was trained, and to which score.
        standing: how much is known.
        reason: what it rests on, or why there is no configuration.
        configuration: None where none is known.
        rates: between which rates, of those tried at this batch size, the target took less than 10 % more steps.
        python: that constructs the trainer.
        command: that measures it.
        resume: that goes on with this run.
        prediction: what it takes.
        rivals: what ran beside it on the same seeds.
        step: what a step takes in this way, as a + b B seconds: how well that fits is its ``error``.
        steps_timed: it was fitted to: batch sizes, and seconds of a step there.
        tried: by the search.
        not_tried: a line each.
        constraints: that were given, a line each.
        price: what is least: "seconds" or "device-seconds".
        disturbed: in how many trials others used the cores for a tenth of the time, or more.
        minutes: of wall time that all of it took.
        trials: how many ran, by what for.
        folder: where they are.
        cell: whose trials say what it takes: verified ones, or those of the search.
    """

    workload: str
    target: float
    standing: Standing
    reason: str
    configuration: Configuration | None
    rates: tuple[float, float] | None
    python: str
    command: str
    resume: str
    prediction: Prediction | None
    rivals: tuple[Rival, ...]
    step: Line | None
    steps_timed: tuple[tuple[int, float], ...]
    tried: tuple[Tried, ...]
    not_tried: tuple[str, ...]
    constraints: tuple[str, ...]
    price: str
    disturbed: int
    minutes: float
    trials: Mapping[str, int]
    folder: str
    cell: str = ""

    @property
    def sentence(self) -> str:
        """What to train with, and how sure that is."""
        if self.configuration is None:
            return f"Not known: {self.reason}."
        alike = [rival.name for rival in self.rivals if rival.fits and rival.verdict == "equivalent"]
        open_ = [rival.name for rival in self.rivals if rival.fits and rival.verdict == "undecided"]
        also = f"; as good: {' and '.join(alike)}" if alike else ""
        also += f"; not told apart from it yet: {' and '.join(open_)}" if open_ else ""
        also += "; not verified" if self.standing == "not verified" else ""
        return f"Train {self.workload} with {self.configuration.sentence}{also}."

    @property
    def json(self) -> str:
        """All of it, as strict JSON: ``Advice.of_json`` reads it."""
        return json.dumps(asdict(self), indent=1, allow_nan=False) + "\n"

    @classmethod
    def of_json(cls, text: str) -> "Advice":
        """Return what ``json`` wrote. Nothing in it is executed."""
        found: Advice = _built(cls, json.loads(text))
        return found

    def seconds(self, a: float, b: float) -> float:
        """Return what the configuration takes to the target where a step of B samples takes ``a + b B`` seconds.

        NaN where its steps to the target are not known.
        """
        if self.configuration is None or self.prediction is None or self.prediction.steps.value is None:
            return math.nan
        return self.prediction.steps.value * (a + b * self.configuration.batch_size)

    def best_at(self, a: float, b: float) -> Tried | None:
        """Return what of all that the search ran takes least where a step of B samples takes ``a + b B`` seconds."""
        reached = [tried for tried in self.tried if tried.reached]
        return min(reached, key=lambda tried: tried.steps * (a + b * tried.batch_size), default=None)


def _built(kind: Any, value: Any) -> Any:
    """Return ``value``, as JSON has it, as a ``kind``."""
    if get_origin(kind) is UnionType:
        kind = next(one for one in get_args(kind) if one is not type(None))
        return None if value is None else _built(kind, value)
    if get_origin(kind) is tuple:
        kinds = get_args(kind)
        return tuple(map(_built, kinds[:1] * len(value) if kinds[1:] == (...,) else kinds, value))
    if is_dataclass(kind) and isinstance(kind, type):
        hints = get_type_hints(kind)
        return kind(**{f.name: _built(hints[f.name], value[f.name]) for f in fields(kind)})
    return value
