"""inputs: training seconds to target, at the best learning rate.

Do networks train faster on standardized inputs? The same digits and the same network, with pixels in 0..255, in 0..1,
and with mean 0 and variance 1. A rate that is right for one scale is orders of magnitude off for another: each is
searched, with equally many trials and from the same wide grid, and then run to the target at its best.

Source: Y. LeCun, L. Bottou, G. Orr, K.-R. Müller 1998, "Efficient BackProp": the Hessian of a first layer has large
eigenvalues where the means of inputs are not 0, and the largest limits the rate for all.
"""

from collections.abc import Callable
from dataclasses import replace

from paceline.bench.analysis.round_seconds import seconds_to_target
from paceline.bench.harness.plan import Plan
from paceline.bench.harness.rate_search import Search
from paceline.bench.records.record import Record
from paceline.bench.workloads.scaled_digits import SHARES, STANDARDIZED, STORED
from paceline.trainers import MiniBatch, Sgd

RATES = tuple(10.0**k for k in range(-5, 1))
REFINEMENTS = 3

# A rate that brings no better score while the number of steps doubles and more is given up: 1.03^30 is 2.4.
PLATEAU = 30


def cells(plan: Plan) -> dict[str, Search]:
    """Return a search for each scale of the inputs; in the full suite.

    There is nothing to choose: of another workload nobody knows what its inputs were before it scaled them.
    """
    if plan.suite != "full" or plan.workloads or not plan.allows("MiniBatch"):
        return {}
    found = {}
    for workload in (STORED, SHARES, STANDARDIZED):
        trial = plan.trial(workload, MiniBatch(Sgd(lr=0.1)), seconds=20.0)
        found[workload.name] = Search(replace(trial, stop_on_plateau=PLATEAU), RATES, REFINEMENTS, seeds=2)
    return found


def blocks(plan: Plan) -> int:
    """Return the number of seeds at each best rate."""
    return plan.seeds or 6


def test_inputs(replay: Callable[[Callable[[Record], float]], None]) -> None:
    """Report the cell's training seconds to target."""
    replay(seconds_to_target)
