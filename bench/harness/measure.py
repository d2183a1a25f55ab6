"""Measure a trial, inside its own process: warm up, train, stop the clock, evaluate, decide when to stop."""

import math
import os
import time
import warnings
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.modules.module import register_module_forward_pre_hook
from torch.utils.hooks import RemovableHandle

from paceline.bench.harness.arrivals import Arriving
from paceline.bench.harness.bytes_of_samples import dataset_bytes, sample_bytes
from paceline.bench.harness.ending import Ending
from paceline.bench.harness.final_losses import final_losses, tokens_per_sample
from paceline.bench.harness.pulse import Pulse
from paceline.bench.harness.ranks import Ranks, process_group
from paceline.bench.harness.warm_up import KNOWN, uncompiled, warm_up
from paceline.bench.harness.windows import Windows
from paceline.bench.probes.clock import Clock
from paceline.bench.probes.compiler import compiled_seconds, recompilations
from paceline.bench.probes.machine_speed import product_seconds
from paceline.bench.probes.memory_limit import lift_limit, limit_private_memory, with_private_bytes
from paceline.bench.probes.noise_probe import NoiseProbe
from paceline.bench.probes.phases import PhasesProbe
from paceline.bench.probes.rank_probes import Probes
from paceline.bench.workloads import torch_settings
from paceline.bench.workloads.data import Data, Samples
from paceline.bench.workloads.workload import SCORED_AT_ONCE
from paceline.trainers import averaged
from paceline.trainers.samples import Source, Stream
from paceline.trainers.task import Step, Steps, Task

if TYPE_CHECKING:
    from paceline.bench.harness.trial import Trial

Send = Callable[[dict[str, Any]], None]


def measure(trial: "Trial", data_file: Path, rank: int, rendezvous: str, send: Send) -> tuple[str, str]:
    """Run one rank of ``trial``; return its status and reason.

    Args:
        trial: what to run.
        data_file: the workload's samples, as ``torch.save`` wrote them.
        rank: which rank this process is.
        rendezvous: path of a file, not yet there, through which the ranks find each other.
        send: takes messages for the parent: ``{"point": ...}`` at each evaluation, ``{"fields": ...}``
            of the record as soon as they are known, so that little is lost if this process dies.
    """
    with Pulse(send, every=trial.patience / 4) as pulse:
        return _measure(trial, data_file, rank, rendezvous, send, pulse)


def _measure(trial: "Trial", data_file: Path, rank: int, rendezvous: str, send: Send, pulse: Pulse) -> tuple[str, str]:
    began = time.perf_counter()
    warnings.filterwarnings("ignore", message=KNOWN)
    torch.set_num_threads(trial.threads_per_rank)
    os.environ["OMP_NUM_THREADS"] = str(trial.threads_per_rank)  # for whatever this process may start
    device = torch.device(trial.device, rank) if trial.device == "cuda" else torch.device("cpu")
    probes = Probes(device)
    if device.type == "cuda":
        torch.cuda.set_device(device)  # after the probes have seen the GPU without us
    train, validation, test = Data.load(data_file)
    task = trial.workload.task(train, trial.seed, device)
    validation, test = ([part.to(device) for part in parts] for parts in (validation, test))
    probes.mark("context")
    if trial.memory_limit_bytes is not None:
        torch.ones(1 << 20).sum()  # the threads of torch have stacks, which count: have them start now
        limit_private_memory(trial.memory_limit_bytes)
    with process_group(trial, rank, rendezvous, device) as ranks:
        if dist.is_initialized():
            ranks.meet()
            probes.mark("communication")
        setup_seconds = time.perf_counter() - began
        probing = time.perf_counter()
        before = product_seconds()  # ahead of the warm-up, so that training finds all as that leaves it
        probing = time.perf_counter() - probing
        pulse.get_on("warm-up")
        warmup = warm_up(trial, task, validation, ranks, probes, pulse)
        known = ("compile_seconds", "flops_per_sample", "parameters", "dtype")
        send({"fields": {"warmup_seconds": warmup.seconds} | {name: getattr(warmup, name) for name in known}})
        noise = NoiseProbe(task, trial.world_size, ranks.first, send) if trial.noise else None
        phases = PhasesProbe(device) if trial.phases else None
        ends = math.inf if trial.wall_seconds is None else began + trial.wall_seconds
        at_once = warmup.scored_at_once
        run = Run(trial, task, validation, test, ranks, probes, send, pulse, at_once, ends, noise=noise, phases=phases)
        ended = run.train()
        if trial.memory_limit_bytes is not None:
            lift_limit()
        pulse.get_on("its end")
        finishing = time.perf_counter()
        seen, unmeasured = probes.finish()
        after = product_seconds()
        run.evaluation_seconds += probing + time.perf_counter() - finishing
        unmeasured |= warmup.unmeasured | (noise.unmeasured if noise else {}) | (phases.unmeasured if phases else {})
        if phases is not None and phases.trace is not None and ranks.first:
            send({"fields": {"trace": phases.trace}})
        send(
            {
                "fields": {
                    "setup_seconds": setup_seconds + run.setup_seconds,
                    "evaluation_seconds": run.evaluation_seconds,
                    "wall_seconds": time.perf_counter() - began,
                    "unmeasured": unmeasured,
                    "final_losses": run.final_losses,
                    "test_score": run.test_score,
                    "tokens_per_sample": run.tokens_per_sample,
                    "cut_short": run.cut_short,
                    "stream": {} if run.arriving is None else run.arriving.observed(),
                    "rank": seen
                    | warmup.footprint
                    | run.windows.of_first_steps()
                    | (phases.observed if phases else {})
                    | ({} if trial.memory_limit_bytes is None else {"sample_bytes": sample_bytes(task)})
                    | {
                        "train_seconds": run.own_seconds,
                        "probe_before_seconds": before,
                        "probe_after_seconds": after,
                        "build_seconds": run.setup_seconds,
                        "compile_seconds_in_training": run.compile_seconds,
                        "recompilations": recompilations(),
                        "steps": run.steps,
                        "updates": run.updates,
                        "dataset_bytes": dataset_bytes(task, *validation, *test),
                        "waited_for_samples_seconds": run.waited,
                        "torch_settings": torch_settings.read(),
                    },
                }
            }
        )
    return ended


@dataclass
class Run:
    """The measured run of one rank.

    Attributes:
        validation, test: what the score along the way is taken on, and what it is taken on once, at the end.
        scored_at_once: how many of them go through the model at once.
        ends: at which reading of ``time.perf_counter`` the run's time is up.
        cut_short: whether that ended it.
        setup_seconds: from the trainer's start to the first forward pass of its model.
        compile_seconds: of the training seconds, those in which the model was compiled anew.
        own_seconds: training seconds of this rank; the curve holds the slowest rank's.
        evaluation_seconds: time outside the training windows, evaluation and bookkeeping.
        waited: of this rank's training seconds, those in which it waited for samples to be read.
        tokens_per_sample: on rank 0, of training samples, on average.
        final_losses, test_score: on rank 0, of the last model: its losses on each part, its score on the test samples.
        steps, updates: how many this rank made.
        noise: observes the gradient's noise, if the trial asks for it.
        phases: profiles the steps, if the trial asks for it.
        windows: where training is interrupted to score.
        arriving: the samples that arrive by the clock, if the trial asks for such.
        memory: under a limit, private memory along the way: ``Record.memory``.
    """

    trial: "Trial"
    task: Task
    validation: list[Samples]
    test: list[Samples]
    ranks: Ranks
    probes: Probes
    send: Send
    pulse: Pulse
    scored_at_once: int = SCORED_AT_ONCE
    ends: float = math.inf
    setup_seconds: float = 0.0
    compile_seconds: float = 0.0
    own_seconds: float = 0.0
    evaluation_seconds: float = 0.0
    waited: float = 0.0
    steps: int = 0
    updates: int = 0
    cut_short: bool = False
    tokens_per_sample: float | None = None
    final_losses: dict[str, float] = field(default_factory=dict)
    test_score: float | None = None
    noise: NoiseProbe | None = None
    phases: PhasesProbe | None = None
    windows: Windows = field(default_factory=Windows)
    arriving: Arriving | None = None
    memory: dict[str, list[Any]] = field(default_factory=lambda: {"samples": [], "private_bytes": []})
    _seconds: float = 0.0
    _samples: int = 0
    _listens: bool = False
    _long: bool = False  # whether a step takes long enough to be scored each time
    _score: float | None = None  # what the trainer is told next, larger is better
    _compiled: float = 0.0  # until the window began
    _waited_before: float = 0.0
    _samples_of: Source = field(init=False)
    _ending: Ending = field(init=False)
    _clock: Clock = field(init=False)
    _first_use: RemovableHandle = field(init=False)

    def train(self) -> tuple[str, str]:
        """Train until the target, the end of the budget or of the trainer; return status and reason."""
        self._clock, self._ending = Clock(self.task.device), Ending(self.trial)
        self._listens = bool(getattr(self.trial.trainer, "listens", False))
        task = replace(self.task, model=self._model_whose_first_use_starts_the_clock())
        if self.trial.arrivals is not None:
            seconds = min(self.trial.seconds, self.ends - time.perf_counter())
            self.arriving = Arriving.of(self.task, self.trial.arrivals, seconds)
            task = replace(task, source=self.arriving)
        number, step, ended = 0, None, None
        self.ranks.go_on_together()
        self._samples_of = task.samples
        self._waited_before = task.samples.waited
        self.probes.reset()
        self._compiled = compiled_seconds()
        self.pulse.get_on("training")
        trainer = self.trial.trainer if self.phases is None else self.phases.of(self.trial.trainer)
        with closing(trainer(task)) as steps:
            self._clock.start()
            while (following := self._next(steps)) is not None:
                number, step = number + 1, following
                if number == self.windows.first:
                    self._clock.lap()
                    self.windows.saw_first(step.samples)
                self.pulse.done += 1
                if self.arriving is not None:
                    self.arriving.follow(step.model)
                self._samples += step.samples
                self.updates += step.updates
                if number == self.windows.end or number == self.trial.steps:
                    ended = self._at_edge(number, step)
                    if ended is not None:
                        return ended
                    self.windows.go_on(number, self._long)
                    if self.arriving is not None:
                        self.arriving.go_on()
                    self._clock.start()
            if step is None:
                raise ValueError(f"{type(self.trial.trainer).__name__} made no step")
            ended = self._at_edge(number, step, trainer_ended=True)
            assert ended is not None, "a trainer that ended is out of budget"
            return ended

    def _next(self, steps: Steps) -> Step | None:
        """Resume the trainer, with the score if it listens and was just evaluated; None where it has ended."""
        if not self._listens:
            return next(steps, None)
        score, self._score = self._score, None
        try:
            return steps.send(score)
        except StopIteration:
            return None

    def _at_edge(self, number: int, step: Step, trainer_ended: bool = False) -> tuple[str, str] | None:
        """End a window after step ``number``: stop the clock, score, tell the parent, decide whether to go on."""
        own = self._clock.stop()
        if self.arriving is not None:
            self.arriving.hold()
        self._first_use.remove()
        began = time.perf_counter()
        self.probes.pause()
        self.pulse.get_on("an evaluation")
        self.compile_seconds += compiled_seconds() - self._compiled
        self.own_seconds += own
        self.windows.first_seconds += self._clock.lap_seconds
        self.waited = self._samples_of.waited - self._waited_before
        slowest, loss = self.ranks.slowest_and_mean(own, step.loss.item())
        self._seconds += slowest
        ended = None
        if self.ranks.first:  # the others wait for what it decides
            with uncompiled(), averaged(step.model):
                ended = self._decide(number, step, loss, trainer_ended)
        self.steps = number
        if self.trial.memory_limit_bytes is not None:
            self.send({"fields": {"memory": with_private_bytes(self.memory, self._samples)}})
        if self.noise is not None:
            self.noise.look(number, self._samples, step.model, last=ended is not None)
        long = self.windows.are_long(number, self.own_seconds)
        ended, self._score, self._long = self.ranks.from_first((ended, self._score, long))
        if ended is not None:
            self.probes.last_step_made()
        if self.noise is not None and ended is None:
            self.noise.listen(number, step.model)
        if ended is not None and self.compile_seconds:
            share = f"{self.compile_seconds:.2g} of {self._seconds:.2g} training seconds"
            self.send({"warning": f"the model was compiled anew while it trained: {share} in {number} steps"})
        self.pulse.get_on("training")
        self._compiled = compiled_seconds()
        self.probes.resume(self.ranks.go_on_together)
        self.evaluation_seconds += time.perf_counter() - began
        return ended

    def _decide(self, number: int, step: Step, loss: float, trainer_ended: bool) -> tuple[str, str] | None:
        trial, score, out_of_budget = self.trial, math.nan, ""
        if trainer_ended:
            samples = self._samples_of
            out_of_budget = "the trainer ended by itself"
            if isinstance(samples, Stream) and samples.ended:
                out_of_budget = f"the stream ended after {samples.taken} samples"
                self.cut_short = self.arriving is not None and time.perf_counter() >= self.ends
        elif number == trial.steps:
            out_of_budget = f"{number} steps were made"
        elif self._seconds >= trial.seconds:
            out_of_budget = f"the {trial.seconds:g} training seconds are used up"
        elif time.perf_counter() >= self.ends:
            out_of_budget, self.cut_short = "the run's time was up (more with --minutes)", True
        scored = trial.score_along or bool(out_of_budget)
        if scored:
            score = trial.workload.evaluate(step.model, *self.validation, at_once=self.scored_at_once)
        point = {"step": number, "samples": self._samples, "seconds": self._seconds, "loss": loss, "score": score}
        self.send({"point": point})
        ended = self._ending.after(number, loss, score if scored else None, out_of_budget)
        self._score = self._ending.score
        if ended is not None:
            self.final_losses = final_losses(
                trial.workload, step.model, self.task, self.validation, self.test, self.scored_at_once
            )
            self.tokens_per_sample = tokens_per_sample(trial.workload, self.task, self.validation)
            self.test_score = trial.workload.evaluate(step.model, *self.test, at_once=self.scored_at_once)
        return ended

    def _model_whose_first_use_starts_the_clock(self) -> Callable[[], nn.Module]:
        """Return the task's model factory, changed so that what precedes the first forward pass is set-up.

        Building a model, wrapping it and building its optimizer is not training, yet it happens in
        the trainer, before its first step. A trainer that never calls its model is timed from the start.
        """
        built: list[nn.Module] = []

        def before_any_module(module: nn.Module, _: Any) -> None:
            if any(part is model for part in module.modules() for model in built):
                self._first_use.remove()
                self.setup_seconds += self._clock.stop()
                self._waited_before = self._samples_of.waited  # the first batch came before
                self.probes.built()
                self._clock.start()

        def build() -> nn.Module:
            built.append(self.task.model())
            return built[-1]

        # Of all modules, and not a hook of the model's own: a compiled one is run as it was compiled in the warm-up.
        self._first_use = register_module_forward_pre_hook(before_any_module)
        return build
