"""Runs of two cells, the second of which takes twice the seconds, and JSON read strictly."""

import json

from tests.planted import a_curve, a_record
from tests.synthetic import write

HERE = {"torch": "2.9.0", "cuda": None, "cpu": "EPYC", "cores": 2, "gpus": [], "load_average": [1.0]}

THERE = HERE | {"cpu": "Xeon", "torch": "2.10.0"}


def a_run(folder, name, environment, blocks=3, seconds=2.0, **changes):
    """Write a run of two cells, the second of which takes twice the seconds."""
    records = []
    for block in range(blocks):
        for factor, trainer in ((1, "MiniBatch"), (2, "Amp")):
            end = factor * seconds
            curve = a_curve((10, 1000, end / 2, 0.5, 0.8), (20, 2000, end, 0.25, 0.95))
            trial = {"trial": f"{name}-{trainer}-{block}", "cell": f"points-{trainer}", "trainer": trainer}
            records.append(a_record(**trial, seed=block, curve=curve, **changes))
    write(folder / name, records)
    (folder / name / "environment.json").write_text(json.dumps(environment))
    return folder / name


def strict(text):
    def refuse(constant):
        raise AssertionError(f"{constant} is not JSON")

    return json.loads(text, parse_constant=refuse)
