"""A machine on which nothing runs: what a step takes and how many steps lead to the target are known laws."""

import json
import math
import random
from dataclasses import dataclass, field, replace

import torch
from torch import nn

from paceline.bench import Workload
from paceline.bench.harness.run import definition
from paceline.bench.harness.trial import Trial
from paceline.bench.records.record import Record
from paceline.trainers import Accumulate, Amp, FullBatch, MiniBatch, Sgd

N = 4096
MB = 1_000_000


def _samples():
    x = torch.linspace(-1, 1, N)[:, None]
    return x, (x[:, 0] > 0).long(), x[:64], (x[:64, 0] > 0).long()


SIMULATED = Workload(name="simulated", model=lambda: nn.Linear(1, 2), data=_samples, target=0.9)

LAUNCH = 0.5


@dataclass
class Machine:
    """Seconds per step a + b B, steps to the target S (1 + Bcrit / B) in a valley of rates; a clock of its own.

    Attributes:
        a, b: seconds of a step, and of a sample, on one core.
        least, critical: S and Bcrit.
        best_rate: at batch size 64; it goes with the root of the batch size.
        width: of the valley, in factors of e at which steps are twice as many.
        amp: what bfloat16 takes, as a share of float32.
        second_core: what a second core saves of the samples' part.
        share_of_a_pass: of ``a``, what each backward pass of a step takes.
        noise: standard deviation of the logarithm of steps, over seeds.
        bytes_of_a_sample: that a batch keeps.
        interrupts: after how many trials Ctrl-C is pressed.
    """

    a: float = 1e-3
    b: float = 20e-6
    least: float = 100.0
    critical: float = 100.0
    best_rate: float = 0.4
    width: float = 1.0
    amp: float = 1.4
    second_core: float = 0.3
    share_of_a_pass: float = 1.0
    noise: float = 0.0
    bytes_of_a_sample: float = 0.0
    interrupts: int | None = None
    now: float = 0.0
    ran: list[Trial] = field(default_factory=list)

    def clock(self) -> float:
        return self.now

    def batch_size(self, trial: Trial) -> int:
        return N if isinstance(trial.trainer, FullBatch) else getattr(trial.trainer, "batch_size", 1)

    def seconds_per_step(self, trial: Trial) -> float:
        size, cores = self.batch_size(trial), trial.world_size * trial.threads_per_rank
        passes = -(-size // trial.trainer.micro_batch_size) if isinstance(trial.trainer, Accumulate) else 1
        samples = self.b * size * (1 - self.second_core if cores > 1 else 1.0)
        of_steps = self.a * (1 + self.share_of_a_pass * (passes - 1))
        own = of_steps * (3.0 if trial.world_size > 1 else 1.0) + samples
        return own * (self.amp if isinstance(trial.trainer, Amp) else 1.0)

    def steps(self, size: int, lr: float) -> float:
        off = math.log(lr / (self.best_rate * math.sqrt(size / 64))) / self.width
        return self.least * (1 + self.critical / size) * 2 ** (off**2)

    def steps_of(self, trial: Trial) -> int:
        lr = trial.trainer.optimizer.lr
        draw = random.Random(f"{trial.seed} {self.batch_size(trial)} {lr}").gauss(0, self.noise) if self.noise else 0.0
        return max(1, round(self.steps(self.batch_size(trial), lr) * math.exp(draw)))

    def memory(self, trial: Trial) -> float:
        size = getattr(trial.trainer, "micro_batch_size", self.batch_size(trial) // trial.world_size)
        return 200 * MB + self.bytes_of_a_sample * size

    def run(self, trial: Trial, *, comparison, cell, block, position, repeat, errors) -> Record:
        if self.interrupts is not None and len(self.ran) >= self.interrupts:
            raise KeyboardInterrupt
        self.ran.append(trial)
        step, size = self.seconds_per_step(trial), self.batch_size(trial)
        most = math.ceil(min(trial.seconds, trial.wall_seconds) / step)
        most = most if trial.steps is None else min(most, trial.steps)
        cut_short = trial.wall_seconds <= trial.seconds and most == math.ceil(trial.wall_seconds / step)
        needed = self.steps_of(trial)
        reached = trial.stop_at_target and needed <= most
        made = needed if reached else max(1, most)
        self.now += LAUNCH + made * step
        scored = sorted({*(2**k for k in range(made.bit_length())), max(1, made - 1), made})
        scores = [min(0.89, 0.5 + 0.4 * at / needed) for at in scored]
        curve = {
            "step": scored,
            "samples": [at * size for at in scored],
            "seconds": [at * step for at in scored],
            "loss": [1.0] * len(scored),
            "score": [*scores[:-1], 0.91] if reached else scores,
        }
        told = json.loads(json.dumps(definition(trial)))
        ranks = [{"peak_rss_bytes": self.memory(trial), "train_seconds": made * step}] * trial.world_size
        return Record(
            trial=f"{cell}#{block}-{len(self.ran)}",
            started=f"2026-01-01T00:00:00.{len(self.ran):03d}+00:00",
            comparison=comparison,
            cell=cell,
            suite="",
            block=block,
            position=position,
            seed=trial.seed,
            repeat=repeat,
            status="reached" if reached else "missed",
            reason="" if reached else "planted",
            curve=curve,
            cut_short=cut_short and not reached,
            ranks=ranks,
            wall_seconds=made * step + 0.1,
            evaluation_seconds=0.0,
            compile_seconds=0.0,
            **told,
        )


def mini_batch(size: int, lr: float, threads: int = 1, **changes) -> Trial:
    trainer = FullBatch(Sgd(lr)) if size == N else MiniBatch(Sgd(lr), size)
    return replace(Trial(SIMULATED, trainer, threads=threads), **changes)
