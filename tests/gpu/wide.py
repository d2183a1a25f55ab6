"""A network wide enough to keep a large GPU busy: a step of it is two to six trillion FLOPs."""

from dataclasses import replace
from functools import partial

import torch
from torch import Tensor, nn

from paceline.bench import Workload

INPUTS, CLASSES = 1024, 10


def taught(samples: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return random inputs and the class that a fixed linear teacher gives each; a tenth again is held out."""
    generator = torch.Generator().manual_seed(0)
    teacher = torch.randn(INPUTS, CLASSES, generator=generator)
    x = torch.randn(samples + samples // 10, INPUTS, generator=generator)
    y = (x @ teacher).argmax(dim=1)
    return x[:samples], y[:samples], x[samples:], y[samples:]


def network(width: int) -> nn.Module:
    """Build two hidden layers of ``width``."""
    return nn.Sequential(
        nn.Linear(INPUTS, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, CLASSES)
    )


def wide(width: int = 8192, samples: int = 16_384) -> Workload:
    """Return the workload; its target is out of reach, so that time ends its trials."""
    return Workload(name=f"wide-{width}", model=partial(network, width), data=partial(taught, samples), target=1.0)


def in_tf32(workload: Workload) -> Workload:
    """Return ``workload`` with its float32 products made in TF32."""
    return replace(workload, name=f"{workload.name}-tf32", settings={"float32_matmul_precision": "high"})


class OutOfMemory(nn.Module):
    """Asks in its sixth step for more memory than any machine has."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(INPUTS, CLASSES)
        self.calls = 0

    def forward(self, x: Tensor) -> Tensor:
        self.calls += self.training
        if self.calls > 5:
            torch.empty(2**47, dtype=torch.uint8, device=x.device)
        return self.layer(x)


WIDE = wide()
TOO_LARGE = Workload(name="too-large", model=OutOfMemory, data=partial(taught, 2048), target=1.0)
