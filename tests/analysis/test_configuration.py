"""What is printed constructs the very trainer that ran."""

import json

import pytest

from paceline.bench.analysis.configuration import imports, python
from paceline.bench.harness.plan import TRAINERS
from paceline.bench.harness.trial import hyperparameters
from paceline.trainers import (
    AdamW,
    Amp,
    Cosine,
    Lion,
    MiniBatch,
    Muon,
    Online,
    Sgd,
    Warmup,
)

OTHERS = [
    MiniBatch(Sgd(lr=0.1, momentum=0.9, nesterov=True, weight_decay=1e-4, l1=1e-5), batch_size=7),
    MiniBatch(AdamW(lr=1e-3, weight_decay=0.0)),  # which is not what it does unless told so
    MiniBatch(Muon(lr=0.02, nesterov=False, weight_decay=0.0, momentum=0.0)),
    MiniBatch(Lion(lr=1e-4, betas=(0.95, 0.98))),
    Amp(Sgd(lr=0.123456789, schedule=Warmup(10, then=Cosine(100, floor=0.1))), dtype="float16"),
    Online(Sgd(lr=0.01), passes=1),
]


@pytest.mark.parametrize("trainer", [*(type(one)() for one in TRAINERS.values()), *OTHERS], ids=repr)
def test_the_line_constructs_an_equal_trainer(trainer) -> None:
    expression = python(type(trainer).__name__, json.loads(json.dumps(hyperparameters(trainer))))
    scope: dict[str, object] = {}
    exec(imports(expression), scope)
    assert eval(expression, scope) == trainer


def test_what_is_off_is_not_said() -> None:
    settings = {
        "optimizer": {"name": "Sgd", "lr": 0.1, "momentum": 0.0, "schedule": {"name": "Constant"}},
        "batch_size": 8,
    }
    assert python("MiniBatch", settings) == "MiniBatch(optimizer=Sgd(lr=0.1), batch_size=8)"
    assert imports("MiniBatch(optimizer=Sgd(lr=0.1), batch_size=8)") == "from paceline.trainers import MiniBatch, Sgd"
