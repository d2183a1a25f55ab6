"""A trainer's Python constructs it again."""

import pytest

from paceline.bench.harness.as_python import as_python, imports_of
from paceline.bench.harness.optimizers_by_name import USUAL_RATES, find_optimizer
from paceline.trainers import Accumulate, AdamW, Amp, Compiled, Cosine, Ddp, FullBatch, MiniBatch, Online, Sgd, Warmup

TRAINERS = [
    MiniBatch(),
    MiniBatch(Sgd(lr=0.0123, momentum=0.9, schedule=Cosine(steps=100)), batch_size=7),
    MiniBatch(Sgd(lr=0.1, schedule=Warmup(5, Cosine(steps=100)))),
    FullBatch(AdamW(lr=3e-4, betas=(0.8, 0.99))),
    Online(Sgd(lr=0.01), passes=1),
    Accumulate(batch_size=512, micro_batch_size=128),
    Amp(dtype="float16"),
    Ddp(find_unused_parameters=True),
    Compiled(),
]


@pytest.mark.parametrize("trainer", TRAINERS, ids=as_python)
def test_it_constructs_an_equal_one(trainer):
    names = {}
    exec("\n".join([*imports_of(trainer), f"built = {as_python(trainer)}"]), names)
    assert names["built"] == trainer


def test_what_was_searched_is_named_even_at_its_default_and_nothing_else():
    assert as_python(MiniBatch()) == "MiniBatch(optimizer=Sgd(lr=0.1), batch_size=64)"


@pytest.mark.parametrize("name", USUAL_RATES)
def test_an_optimizer_is_found_by_its_name(name):
    found = find_optimizer(name)
    assert (type(found).__name__, found.lr) == (name, USUAL_RATES[name])
    assert find_optimizer(f"{name}(lr=0.5)").lr == 0.5


def test_and_by_a_file(tmp_path):
    (tmp_path / "opt.py").write_text(
        "from paceline.trainers import Sgd\nMINE = Sgd(lr=0.2, nesterov=True, momentum=0.5)\n"
    )
    assert find_optimizer(f"{tmp_path / 'opt.py'}:MINE") == Sgd(lr=0.2, nesterov=True, momentum=0.5)


@pytest.mark.parametrize(
    "text", ["Sgd(0.1)", "Sgd(momentum=1 + 1)", "__import__('os')", "Sgd(", "Sgd(rate=1)", "MiniBatch"]
)
def test_what_is_none_is_refused_and_not_executed(text):
    with pytest.raises(ValueError, match="--optimizer"):
        find_optimizer(text)
