"""What the report shows of ``bench_inputs.py``: how many samples the target takes on each scale of the inputs."""

import pandas as pd

from paceline.bench.analysis.frames import Results
from paceline.bench.analysis.input_scales import Scale, scales
from paceline.bench.analysis.rate_sensitivity import unresolved
from paceline.bench.report.judging import Judged, Point, over_sweep, takes_more
from paceline.bench.report.metrics import columns
from paceline.bench.report.plots import inputs as plots
from paceline.bench.report.wording import MISSING, listed, ratio

PLOTS = {"inputs": plots.inputs}


def table(results: Results) -> pd.DataFrame:
    """Return the scales as a table to read, each at the learning rate found for it."""
    return pd.DataFrame([_row(scale) for scale in scales(results)])


def _row(scale: Scale) -> dict[str, str]:
    found, against = scale.search, scale.against_standardized
    tried = MISSING
    if found is not None:
        rates = unresolved(found)
        tried = f"{found.rates[found.best]:g} [{rates.min():g}, {rates.max():g}]"
    return {
        "inputs": scale.name,
        "best rate [not resolved]": tried,
        "reached": f"{scale.cell['n_reached']} of {scale.cell['n']}",
        **columns(scale.cell, "samples_to_target", "seconds_to_target", "final_score"),
        "samples, over standardized": MISSING if against is None else ratio(against),
    }


def normalized_inputs_train_better(results: Results) -> Judged:
    """Judge the claim in samples to the target, each scale at its own best rate: which of the two takes more."""
    found = scales(results)
    points = [
        Point(f"inputs {scale.name}", takes_more(against), ratio(against))
        for scale in found
        if (against := scale.against_standardized) is not None
    ]
    missed = [
        f"{scale.name} in {scale.cell['n_reached']} of {scale.cell['n']} trials"
        for scale in found
        if scale.cell["n_reached"] < scale.cell["n"]
    ]
    beware = f"The target was reached by {listed(missed)}." if missed else ""
    measure = "Samples to the target, over those with standardized inputs, each at the learning rate searched for it"
    return over_sweep(points, "the scale", measure, "bench_inputs.py in the full suite", beware)
