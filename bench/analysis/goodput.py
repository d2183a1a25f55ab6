"""Goodput, throughput x statistical efficiency: predicts the batch size that is fastest to the target.

Source: A. Qiao et al. 2021, OSDI (Pollux).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from paceline.bench.analysis.statistics import Floats


def efficiency(batch_size: npt.ArrayLike, noise_scale: float, reference: float = 0.0) -> Floats:
    """Return the statistical efficiency of a batch size: samples to target at ``reference`` over those at it.

    Args:
        batch_size: in samples per step.
        noise_scale: the gradient noise scale phi = tr(Sigma) / |G|^2, in samples; B_crit is its counterpart in a sweep.
        reference: the batch size of efficiency 1; 0 is the limit of small ones.

    Raises:
        ValueError: if the noise scale is not positive.

    Source: Qiao et al. 2021, equation 4: (phi + B0) / (phi + B).
    """
    if not noise_scale > 0:
        raise ValueError(f"the noise scale must be positive, not {noise_scale:g}")
    return np.asarray((noise_scale + reference) / (noise_scale + np.asarray(batch_size, float)))


@dataclass(frozen=True)
class Prediction:
    """The batch size that goodput predicts to be the fastest.

    Attributes:
        batch_size: the one with the largest goodput, of those given.
        batch_sizes: all that were given.
        goodput: of each: throughput x efficiency, in samples/s worth those of the smallest batches.
    """

    batch_size: float
    batch_sizes: tuple[float, ...]
    goodput: tuple[float, ...]


def predicted_best(batch_sizes: Sequence[float], samples_per_second: Sequence[float], noise_scale: float) -> Prediction:
    """Predict the batch size that is fastest to the target, from throughput and the noise scale alone.

    Throughput comes from short runs. The noise scale grows along a run, so that one from its first steps predicts what
    is fastest there; for the way to the target it has to be the mean over that way.

    Args:
        batch_sizes: measured, in samples per step.
        samples_per_second: throughput at each.
        noise_scale: see ``efficiency``.

    Raises:
        ValueError: if the two differ in length or are empty, a throughput is not positive, or the noise scale is not.
    """
    x, rate = np.asarray(batch_sizes, float), np.asarray(samples_per_second, float)
    if x.ndim != 1 or x.shape != rate.shape or not x.size:
        raise ValueError(f"one throughput for each batch size: got {x.size} batch sizes and {rate.size} throughputs")
    if not ((x > 0) & (rate > 0)).all():
        raise ValueError("every batch size and throughput must be positive")
    goodput = rate * efficiency(x, noise_scale)
    return Prediction(float(x[goodput.argmax()]), tuple(x.tolist()), tuple(goodput.tolist()))
