"""Observe the gradient's noise along a live run, from which the gradient noise scale is computed.

Three ways, and all leave the run as it was: no ``.grad``, no buffer, no mode and no random state is touched.

- *Batch sizes*: squared norms of the gradients of random batches, small and big (``probes.gradients``).
- *Samples*: the gradient of every single sample (``torch.func``; likewise).
- *Parts*: the run's own next step, for free: the gradients of its micro-batches, or of its ranks, beside the whole's
  (``probes.parts_of_steps``).

What is kept are observations; ``analysis.noise_scale`` makes numbers of them.
"""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import nn

from paceline.bench.probes.gradients import Frozen, at_batch_sizes, of_samples
from paceline.bench.probes.parts_of_steps import Parts
from paceline.bench.records.record import NOISE
from paceline.trainers.samples import Stream
from paceline.trainers.task import Task

# Probes are so far apart, in steps, as a factor: 0.14 s of CPU each on mnist5k, ten in a hundred steps.
SPACING = 1.6


@dataclass
class NoiseProbe:
    """Observes the gradient noise of one rank's run, between its training windows and in the steps after them.

    Attributes:
        task: what is trained on.
        world_size: ranks of the run.
        first: whether this rank is the one that observes what needs no other; the others wait for it.
        send: takes messages for the parent, as in ``harness.measure``.
        columns: the observations so far: ``Record.noise``.
        unmeasured: for what could not be observed, why.
    """

    task: Task
    world_size: int
    first: bool
    send: Callable[[dict[str, Any]], None]
    columns: dict[str, list[Any]] = field(default_factory=lambda: {name: [] for name in NOISE})
    unmeasured: dict[str, str] = field(default_factory=dict)
    _parts: Parts | None = None
    _next: int = 1

    def look(self, step: int, samples: int, model: nn.Module, last: bool) -> None:
        """Take in what the step after the last look showed, and observe here if it is time. Every rank calls this.

        Args:
            step: how many were made.
            samples: how many they consumed.
            model: at the weights they led to.
            last: whether the run ends here, which is always worth a look.
        """
        self._collect()
        if isinstance(self.task.samples, Stream):
            self.unmeasured["noise_scale_of_samples"] = "a stream has no samples to be drawn from"
            return
        due = step >= self._next or last
        if self.first and due and all(bool(p.isfinite().all()) for p in model.parameters()):
            self._observe(step, samples, model)
            self._next = max(step + 1, math.ceil(SPACING * step))
        if self.first and due:
            self.send({"fields": {"noise": self.columns}})

    def listen(self, step: int, model: nn.Module) -> None:
        """Attach to the step after ``step``. Every rank calls this."""
        if self.task.weight is not None:
            self.unmeasured["noise_scale_of_parts"] = (
                "samples weigh differently, and a part does not tell what it weighs"
            )
            return
        self._parts = Parts(model, step)

    def _collect(self) -> None:
        if self._parts is None:
            return
        found, step, self._parts = self._parts.observed(self.world_size), self._parts.step, None
        if found is not None:
            self._keep({"parts_step": step} | found)
            self.unmeasured.pop("noise_scale_of_parts", None)
        elif not self.columns["parts_step"]:
            why = "no step was the mean of several backward passes, of micro-batches or ranks"
            self.unmeasured["noise_scale_of_parts"] = why

    def _observe(self, step: int, samples: int, model: nn.Module) -> None:
        frozen, rng = Frozen.of(self.task, model), np.random.default_rng([self.task.seed, step])
        exact: dict[str, Any] = dict.fromkeys(name for name in NOISE if name.startswith("exact_"))
        with _random_state_kept(self.task.device):
            found = at_batch_sizes(frozen, rng)
            if "noise_scale_of_samples" not in self.unmeasured:
                try:
                    exact = of_samples(frozen, rng)
                except ValueError as error:
                    self.unmeasured["noise_scale_of_samples"] = str(error)
        self._keep({"step": step, "samples": samples} | found | exact)

    def _keep(self, row: dict[str, Any]) -> None:
        for name, value in row.items():
            self.columns[name].append(_short(value))


def _short(value: Any) -> Any:
    """Return numbers to seven digits, which is what single precision has."""
    if isinstance(value, list):
        return [_short(item) for item in value]
    return float(f"{value:.7g}") if isinstance(value, float) else value


@contextmanager
def _random_state_kept(device: torch.device) -> Iterator[None]:
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        yield
