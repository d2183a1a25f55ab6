"""SGD on streaming least squares, solved: every quantity of the batch-size question in closed form.

Inputs are ``x ~ N(0, I)`` in ``features`` dimensions, targets ``y = x . w* + noise * N(0, 1)``, every sample fresh, and
the loss is half the squared error. With ``e = w - w*``, learning rate ``lr`` and batches of B, one step makes of any
``e``, in expectation over its batch,

    ``E|e'|^2 = c |e|^2 + lr^2 noise^2 features / B``,    ``c = 1 - 2 lr + lr^2 (1 + (features + 1) / B)``

from which all below follows. What a model loses against ``w*`` on new data is ``|e|^2 / 2``. Without noise the fewest
steps to a share s of ``|e_0|^2`` are ``ln(1/s) / ln(1 + B / (features + 1))``, nearly ``ln(1/s) (1/2 + (features + 1) /
B)``: a hyperbola fitted to them has a critical batch size of about ``2 (features + 1)``, twice the noise scale.

Source: the fourth moments of a Gaussian, ``E[x x^T A x x^T] = 2 A + tr(A) I``; McCandlish et al. 2018 (arXiv
1812.06162) for the noise scale and the best rate; Polyak & Juditsky 1992 for averaging.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike


@dataclass(frozen=True)
class LeastSquares:
    """A stream of samples whose every property is known.

    Attributes:
        features: dimensions of the input, at least 1.
        noise: standard deviation of what no model can explain of the target.
    """

    features: int
    noise: float = 0.0

    def contraction(self, lr: float, batch_size: float) -> float:
        """Return ``c``, the share of ``|e|^2`` that a step leaves where there is no noise; below 1 is stable."""
        return 1 - 2 * lr + lr**2 * (1 + (self.features + 1) / batch_size)

    def largest_stable_rate(self, batch_size: float) -> float:
        """Return the rate at which ``c`` is 1: in proportion to small batches, 2 for large ones."""
        return 2 * batch_size / (batch_size + self.features + 1)

    def squared_distance(self, steps: ArrayLike, lr: float, batch_size: float, start: float = 1.0) -> np.ndarray:
        """Return ``E|e|^2`` after ``steps``, a number or several; ``start`` is ``|e_0|^2``."""
        c, added = self.contraction(lr, batch_size), self._added(lr, batch_size)
        left = c ** np.asarray(steps, dtype=float)
        return start * left + added * ((1 - left) / (1 - c) if c != 1 else np.asarray(steps))

    def noise_floor(self, lr: float, batch_size: float) -> float:
        """Return the ``E|e|^2`` that training settles at; infinite at an unstable rate."""
        c = self.contraction(lr, batch_size)
        return self._added(lr, batch_size) / (1 - c) if c < 1 else math.inf

    def noise_scale(self, squared_distance: float) -> float:
        """Return ``tr(Sigma) / |G|^2`` where ``|e|^2`` is ``squared_distance``: it grows as the loss falls.

        ``G`` is the gradient and ``Sigma`` the covariance of the gradients of single samples.
        """
        return self.features + 1 + self.features * self.noise**2 / squared_distance

    def best_rate(self, batch_size: float, squared_distance: float = 1.0) -> float:
        """Return the rate whose next step brings ``E|e|^2`` down most; it is also the share which that removes."""
        return 1 / (1 + self.noise_scale(squared_distance) / batch_size)

    def steps_to(self, share: float, lr: float, batch_size: float) -> float:
        """Return the steps until ``E|e|^2`` is ``share`` of a ``|e_0|^2`` of 1, not rounded; infinite if never."""
        floor = self.noise_floor(lr, batch_size)
        if floor >= share or lr <= 0:
            return math.inf
        return math.log((share - floor) / (1 - floor)) / math.log(self.contraction(lr, batch_size))

    def best_constant_rate(self, share: float, batch_size: float) -> float:
        """Return the rate with the fewest ``steps_to(share)``, what a search for one rate should find.

        Without noise this is ``best_rate``, which then is the same at every step.
        """
        from scipy.optimize import minimize_scalar  # here: every trial loads this module, and would wait for scipy

        k = 1 + (self.features + 1) / batch_size
        highest = 2 * share / (self.features * self.noise**2 / batch_size + share * k)  # there the floor is the share
        found = minimize_scalar(
            lambda lr: self.steps_to(share, lr, batch_size),
            bounds=(1e-3 * highest, (1 - 1e-3) * highest),
            method="bounded",
            options={"xatol": 1e-6 * highest},
        )
        return float(found.x)

    def averaged_squared_distance(self, steps: int, lr: float, batch_size: float, start: float = 1.0) -> float:
        """Return ``E|mean of e_1 ... e_steps|^2``, of Polyak-Ruppert averaging; ``start`` is ``|e_0|^2``.

        ``steps`` times it tends to ``averaged_limit``. Exact at any number of steps, since ``E[e_t . e_(t+k)] =
        (1 - lr)^k E|e_t|^2``.
        """
        t = np.arange(1, steps + 1)
        later = (1 - lr) * (1 - (1 - lr) ** (steps - t)) / lr  # sum of (1 - lr)^k over the steps after t
        return float(self.squared_distance(t, lr, batch_size, start) @ (1 + 2 * later) / steps**2)

    def averaged_limit(self, lr: float, batch_size: float) -> float:
        """Return the limit of T ``E|mean of e_1 ... e_T|^2``: ``noise^2 features / batch_size`` at small rates."""
        return self.noise_floor(lr, batch_size) * (2 - lr) / lr

    def _added(self, lr: float, batch_size: float) -> float:
        """Return what the noise of one step adds to ``E|e|^2``."""
        return lr**2 * self.noise**2 * self.features / batch_size
