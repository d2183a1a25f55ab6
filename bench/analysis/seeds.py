"""Seeds are clusters: n counts what is independent.

On one machine the steps and samples to a target are a function of the seed. A rerun of the same seeds, merged with the
first run, adds trials but no information about them: each seed counts once, with the median of its trials.
"""

from collections.abc import Hashable, Sequence

import numpy as np
import numpy.typing as npt


def each_once(seeds: Sequence[Hashable], *columns: npt.ArrayLike) -> list[npt.NDArray[np.float64]]:
    """Return each of ``columns`` with one value a seed, the median of its trials, in the order of first appearance.

    Of two trials that is their mean. Infinity (a target missed) is larger than all others; NaN is left out, and a seed
    without another value is NaN.

    Args:
        seeds: of each trial.
        *columns: a value a trial.
    """
    places: dict[Hashable, list[int]] = {}
    for place, seed in enumerate(seeds):
        places.setdefault(seed, []).append(place)
    return [np.array([_median(np.asarray(column, float)[own]) for own in places.values()]) for column in columns]


def _median(values: npt.NDArray[np.float64]) -> float:
    known = values[~np.isnan(values)]
    return float(np.median(known)) if len(known) else np.nan
