"""What a search found beside the rate is told by its trials."""

from dataclasses import replace

from paceline.bench.analysis.cotuned import found_along
from tests.analysis.planted_searches import one
from tests.synthetic import searched

SCORES = {0.001: 0.90, 0.01: 0.95, 0.1: 0.92}


def cotuned(name="Adam-cotuned", scores=SCORES, **changes):
    """Return a search in which betas, weight decay and warm-up change with the rate."""
    return [
        replace(record, hyperparameters=record.hyperparameters | {"optimizer": settings(record)})
        for record in searched(name, scores, comparison="optimizers", **changes)
    ]


def settings(record):
    optimizer = record.hyperparameters["optimizer"]
    place = sorted(SCORES).index(optimizer["lr"])
    return optimizer | {
        "betas": [0.9, (0.9, 0.98, 0.999)[place]],
        "eps": 1e-8,
        "weight_decay": (1e-3, 1e-2, 1e-1)[place],
        "schedule": {"name": "Warmup", "steps": (2, 9, 30)[place], "then": {"name": "Constant"}},
    }


def test_what_differs_between_rates_is_told_as_the_best_has_it():
    found = one(cotuned(), comparison="optimizers")
    assert found_along(found) == {"betas.1": 0.98, "weight_decay": 0.01, "schedule.steps": 9}


def test_of_a_search_for_the_rate_alone_there_is_nothing():
    assert found_along(one(searched("Adam", SCORES, comparison="optimizers"), comparison="optimizers")) == {}
