"""What one trial observed, as a line of ``trials.jsonl``: raw observations. Every metric is derived later."""

import json
import math
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

SCHEMA = 3  # 2: searches, early stopping, final losses; 3: validation and test samples

Status = Literal["reached", "missed", "diverged", "plateaued", "out_of_memory", "timed_out", "crashed", "failed"]

# How a trial ends that ran to its end, whatever it found there; all others ended without a result.
WITH_RESULT = ("reached", "missed", "diverged", "plateaued")

CURVE = ("step", "samples", "seconds", "loss", "score")

# Columns of ``Record.noise``, one row a probe; those of the parts of steps, one row a step that was looked at.
NOISE = (
    "step", "samples", "small_batch", "big_batch", "small_squares", "big_squares", "batch_sizes", "variances",
    "exact_n", "exact_mean_square", "exact_big_batch", "exact_big_square",
    "parts_step", "parts", "parts_batch", "parts_small_square", "parts_big_square",
)  # fmt: skip

# Columns of ``Record.stream``, one row a sample that was predicted and then learned from.
STREAM = ("label", "predicted", "loss", "latency_seconds")
# What a step's time goes into, in the order in which it does (``probes.phases``).
PHASES = ("data", "host_to_device", "forward", "backward", "optimizer", "communication", "rest")

# The fields that say what a trial was to do, seed apart: trials of one cell agree in all of them.
DEFINITION = (
    "workload", "trainer", "hyperparameters", "world_size", "threads", "cores", "device", "target",
    "higher_is_better", "seconds_allowed", "steps_allowed", "stop_at_target", "score_along", "stop_on_plateau",
    "train_samples", "arrivals", "memory_limit_bytes",
)  # fmt: skip


@dataclass(frozen=True)
class Record:
    """One trial: what was run, where, and what was observed. None stands for "not measured".

    Attributes:
        trial: identifies the trial.
        started: when it began, UTC, ISO 8601.
        comparison, cell, suite, block, position: which benchmark asked for it, which of its cells
            this is, under which suite, in which block, and as which trial of the block (from 0).
        workload, trainer, hyperparameters, seed: what was trained; see ``harness.trial.Trial``.
        world_size, threads, cores, device: ranks, threads per rank, cores of the machine that this
            process may use, and "cpu" or "cuda".
        target, higher_is_better: the workload's finish line.
        seconds_allowed, steps_allowed: the training budget; None is no limit.
        stop_at_target, score_along, stop_on_plateau: whether training ended at the target, whether the score was
            taken along the way (else at the end only), and after how many evaluations without a better score it
            was stopped early (None: never).
        status, reason: how the trial ended, and one line on why.
        curve: columns of equal length: at each point ``step``, ``samples`` over all ranks, training
            ``seconds`` so far, the training ``loss`` of that step, and the ``score`` on the validation samples.
        train_samples: size of the training set.
        varies_batch_size: whether the trainer changes its batch size along the way; its ``batch_size`` is the first.
        parameters, dtype: of the model; ``dtype`` is the one of autocast where there is one, and "tf32" where a GPU
            multiplied float32 so, "float32 in bfloat16" where a CPU did.
        flops_per_sample: matrix, convolution and attention FLOPs of one step, forward and backward,
            per sample (``torch.utils.flop_counter``).
        tokens_per_sample: of training samples (10,000 at most) on average, without padding; None where they have none.
        compile_seconds: of the warm-up's, what ``torch.compile`` took; 0 where nothing was compiled.
        setup_seconds, warmup_seconds, evaluation_seconds, wall_seconds: on rank 0. Set-up is
            everything before warm-up plus building the measured model; wall is the whole process.
        elapsed_seconds: from asking for the trial to having its result, by the clock of the process that asked.
        ranks: per rank, what its process measured of itself (``probes.rank_probes``, ``probes.footprint``).
        unmeasured: for what could not be measured, why.
        final_losses: mean per-sample loss of the last model on "train" (10,000 of its samples at most), "validation"
            and "test"; in records of before there were three parts on "held_out", which was both of the latter.
        test_score: of the last model, on samples that decided nothing. None in records of before there were such.
        cut_short: whether the trial was ended because the run's budget of wall seconds was used up.
        search: the search for a learning rate that this trial belongs to; empty for all others.
        noise: observations of the gradient at points of the run (``NOISE``; see ``probes.noise_probe``), each at the
            weights after ``step`` or ``parts_step`` steps; empty unless the trial was told to make them.
        arrivals: how the samples of a stream arrived: how many "samples", and "per_second" (None: when asked for);
            empty for all other trials.
        stream: what was observed of each of them (``STREAM``): its class, the class predicted before it was learned
            from (both empty where targets are no classes), the loss of that prediction, and the seconds from its
            arrival to when the model had learned it (None: arrivals had no rate, or the clock stood still before).
        memory_limit_bytes: of private memory, what the trial was allowed beyond what its process had when its samples
            were there, by ``RLIMIT_DATA``; None is no limit.
        memory: under such a limit, columns of equal length: ``samples`` so far and ``private_bytes`` in place.
        repeat: 0, or 1 for a trial that was run again because something else had used the cores; the later of
            two trials of one cell and block counts.
        code: hashes of the "trainer"'s and the "workload"'s code, as "python" compiled it, and of the "data"; empty in
            records that older versions wrote.
        environment: which of several environments it ran in; empty but where runs of several were merged.
        schema: version of this layout.
    """

    trial: str
    started: str
    comparison: str
    cell: str
    suite: str
    block: int
    position: int
    workload: str
    trainer: str
    hyperparameters: dict[str, Any]
    seed: int
    world_size: int
    threads: int
    cores: int
    device: str
    target: float
    higher_is_better: bool
    seconds_allowed: float | None
    steps_allowed: int | None
    stop_at_target: bool
    score_along: bool
    status: Status
    reason: str
    curve: dict[str, list[Any]]
    stop_on_plateau: int | None = None
    train_samples: int | None = None
    varies_batch_size: bool = False
    parameters: int | None = None
    dtype: str | None = None
    flops_per_sample: float | None = None
    tokens_per_sample: float | None = None
    setup_seconds: float | None = None
    warmup_seconds: float | None = None
    compile_seconds: float | None = None
    evaluation_seconds: float | None = None
    wall_seconds: float | None = None
    elapsed_seconds: float | None = None
    ranks: list[dict[str, Any]] = field(default_factory=list)
    unmeasured: dict[str, str] = field(default_factory=dict)
    final_losses: dict[str, float | None] = field(default_factory=dict)
    test_score: float | None = None
    cut_short: bool = False
    search: str = ""
    noise: dict[str, list[Any]] = field(default_factory=dict)
    arrivals: dict[str, Any] = field(default_factory=dict)
    stream: dict[str, list[Any]] = field(default_factory=dict)
    memory_limit_bytes: int | None = None
    memory: dict[str, list[Any]] = field(default_factory=dict)
    repeat: int = 0
    code: dict[str, str] = field(default_factory=dict)
    environment: str = ""
    schema: int = SCHEMA


def to_line(record: Record) -> str:
    """Return ``record`` as one line of strict JSON; NaN and infinity become null."""
    return json.dumps(_finite(asdict(record)), allow_nan=False, separators=(",", ":")) + "\n"


def _finite(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value


def append(path: Path, record: Record) -> None:
    """Add ``record`` to the end of ``path``, which survives a crash right after.

    One ``write`` on an append-only descriptor, so that lines of several writers never mix.

    Raises:
        OSError: if it cannot be written in full. What is left of it then is not a record to ``read``.
    """
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    try:
        line = to_line(record).encode()
        if os.lseek(descriptor, 0, os.SEEK_END) and not _ends_with_newline(path):
            line = b"\n" + line  # an earlier writer was cut off within its line: leave that line alone
        while line:  # a disk that is nearly full takes a part, and only the next write is refused
            line = line[os.write(descriptor, line) :]
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _ends_with_newline(path: Path) -> bool:
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read() == b"\n"


def read(path: Path) -> Iterator[Record]:
    """Yield the records in ``path``, oldest first, without executing anything.

    A line that a crash cut short (it does not parse, and it is the last, or ``append`` went on
    after it) is left out.

    Raises:
        ValueError: if a record was written by a newer Paceline, or lacks what a record must have.
    """
    known = {f.name for f in fields(Record)}
    for number, line in enumerate(path.read_text().split("\n"), 1):
        if not line:
            continue
        try:
            values = json.loads(line)
        except json.JSONDecodeError:
            continue
        schema = values.get("schema")
        if not isinstance(schema, int):
            raise ValueError(f"{path}:{number}: not a trial's record (it has no schema version)")
        if schema > SCHEMA:
            raise ValueError(
                f"{path}:{number}: written by a newer Paceline (schema {schema}, this one reads up to {SCHEMA}): "
                "update Paceline to read it"
            )
        unknown = values.keys() - known
        if unknown:
            raise ValueError(f"{path}:{number}: unknown fields {', '.join(sorted(unknown))}")
        yield Record(**values)
