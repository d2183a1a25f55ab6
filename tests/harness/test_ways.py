"""Ways to make a step, and the sizes at which they are timed, on machines of any size."""

import pytest

from paceline.bench.harness.ways import Way, between, reads_ahead, sizes, trial_of, ways
from paceline.bench.workloads import find_workload
from paceline.trainers import Accumulate, Amp, Compiled, Ddp, FullBatch, MiniBatch, Online, Sgd
from tests.paths import ROOT
from tests.problems import GAUSSIANS, N

SGD = Sgd(lr=0.1)


@pytest.mark.parametrize("cores", [1, 2, 3, 4, 6, 8, 64, 256])
def test_ways_share_out_the_same_cores_and_none_is_twice(cores):
    found = ways(cores, 0, "cpu")
    assert found[0] == Way(threads=cores)
    assert len({way.label for way in found}) == len(found) <= 6
    assert all(way.ranks * way.threads in (1, cores) for way in found)
    assert any(way.ranks > 1 for way in found) == (cores > 1)


def test_gpus_are_ranks():
    found = ways(16, 4, "cuda")
    assert [(way.ranks, way.devices("cuda")) for way in found] == [(1, 1), (4, 4), (1, 1)]
    assert all(way.ranks == 1 for way in ways(16, 1, "cuda"))


@pytest.mark.parametrize(
    ("way", "batch_size", "samples", "trainer"),
    [
        (Way(), 8, 256, MiniBatch(SGD, 8)),
        (Way(), 1, 256, MiniBatch(SGD, 1)),
        (Way(), 1, None, Online(SGD, passes=1)),
        (Way(), 256, 256, FullBatch(SGD)),
        (Way(ranks=2), 256, 256, Ddp(SGD, 256)),
        (Way(precision="bfloat16"), 8, 256, Amp(SGD, 8)),
        (Way(compiled=True), 8, 256, Compiled(SGD, 8)),
        (Way(micro_batch_size=4), 8, 256, Accumulate(SGD, 8, 4)),
    ],
)
def test_a_way_is_a_strategy(way, batch_size, samples, trainer):
    trial = trial_of(way, GAUSSIANS, SGD, batch_size, samples, "cpu")
    assert (trial.trainer, trial.world_size) == (trainer, way.ranks)
    trial.check(N)


@pytest.mark.parametrize("samples", [1, 2, 20, 63, 64, 150, 1_300, 4_000, 60_000, 1_000_000, None])
@pytest.mark.parametrize("once", [False, True])
def test_sizes_are_at_most_eight_and_end_with_the_training_set(samples, once):
    found = sizes(samples, once)
    assert 1 <= len(found) <= 8
    assert found == sorted(set(found))
    if samples is not None and not once and samples <= 60_000:
        assert found[-1] == samples
    if samples is not None and once and samples >= 100:
        assert 100 * found[-1] <= samples
    allowed = between(found, None if once else samples)
    assert set(found) <= set(allowed)
    assert allowed == sorted(allowed)


def test_only_a_dataset_is_read_ahead():
    assert reads_ahead(GAUSSIANS) is None
    assert reads_ahead(find_workload(f"{ROOT / 'examples' / 'images.py'}:SCANS")) == 2
    assert [way.workers for way in ways(2, 0, "cpu", 2)][-1] == 0
    assert [way.workers for way in ways(2, 0, "cpu", 0)][-1] == 2
