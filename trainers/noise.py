"""Gradient noise, measured while a trainer accumulates the gradients of micro-batches."""

import torch
from torch import Tensor, nn


class GradientNoise:
    """Measures how much of a gradient is noise, from the micro-batches of each batch.

    A gradient's squared norm is ``|G|^2 + tr(Sigma) / B`` in expectation. The micro-batches' own and their mean's are
    two equations for both unknowns, ragged micro-batches included. Each is smoothed by itself, since the quotient of
    two noisy numbers is biased. Where samples weigh differently ``B`` is the weight of a batch: a micro-batch twice as
    heavy has twice the say, and half the noise.

    Samples drawn without replacement from ``N`` make ``|G|^2`` come out low by ``tr(Sigma) / N``.

    Source: McCandlish et al. 2018, arXiv 1812.06162, appendix A.1.
    """

    def __init__(self, model: nn.Module, smoothing: float) -> None:
        """Begin without a measurement.

        Args:
            model: whose gradients add up, from one micro-batch to the next, to the sum over a batch.
            smoothing: share of the running means that is kept at each batch, in ``[0, 1)``.
        """
        self._parameters = list(model.parameters())
        self._smoothing = smoothing
        self._before: Tensor | float = 0.0  # the gradient of the batch, up to the last micro-batch
        self._weights: list[Tensor | int] = []
        self._norms: list[Tensor] = []
        self._means = torch.zeros(3, dtype=torch.float64)  # of tr(Sigma), |G|^2 and 1, which shares their bias

    def after_micro_batch(self, weight: Tensor | int) -> None:
        """Take note of the gradient to which a backward pass has just added its share.

        Args:
            weight: of the micro-batch: the number of its samples, or the sum of their weights (``Task.weight_of``).
        """
        gradient = torch.cat([(torch.zeros_like(p) if p.grad is None else p.grad).flatten() for p in self._parameters])
        self._norms.append((gradient - self._before).square().sum())
        self._weights.append(weight)
        self._before = gradient

    def after_batch(self, samples: int) -> tuple[float, float]:
        """End a batch and return tr(Sigma), of one sample's gradient, and |G|^2, both smoothed; NaN without any yet.

        A batch of a single micro-batch tells nothing, and is left out. Reading the norms synchronizes the device.

        Args:
            samples: of the batch, over which its weight is shared out.
        """
        weights = [float(weight) for weight in self._weights]
        parts = [(weight, norm.item()) for weight, norm in zip(weights, self._norms, strict=True) if weight]
        total = sum(weights)
        if len(parts) > 1:
            assert isinstance(self._before, Tensor)
            # Each had its share of the batch, weight / total.
            small = sum(norm * (total / weight) ** 2 for weight, norm in parts) / len(parts)
            large = self._before.square().sum().item()
            inverse = sum(1 / weight for weight, _ in parts) / len(parts)
            variance = (small - large) / (inverse - 1 / total)  # of one unit of weight
            new = torch.tensor([variance * samples / total, large - variance / total, 1.0], dtype=torch.float64)
            self._means = self._smoothing * self._means + (1 - self._smoothing) * new
        self._before, self._weights, self._norms = 0.0, [], []
        variance, squared_norm, share = self._means.tolist()
        return (variance / share, squared_norm / share) if share else (float("nan"), float("nan"))
