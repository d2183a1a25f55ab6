"""The peak of a machine: how long it may be looked for, where products of matrices are slow."""

from threading import Barrier, Lock

import pytest

from paceline.bench.harness import peak
from paceline.bench.harness.peak import LONGEST_PRODUCT, SHAPES, Machine, gemm_peak


class Shared:
    """What ranks share, in one process."""

    def __init__(self, value):
        self.value, self._lock = value, Lock()

    def get_lock(self):
        return self._lock


def shapes_tried(monkeypatch, flops, threads=2):
    """Return the shapes that a machine of so many FLOP/s multiplies, and the seconds that one product of each takes."""
    monkeypatch.setattr(peak, "_rate", lambda shape, how, dtype, device: flops)
    monkeypatch.setattr(peak.torch, "set_num_threads", lambda number: None)
    machine = Machine("cpu", "bfloat16", threads, 1)
    rates = peak._rank_rates(0, machine, Barrier(1), Shared(100))
    tried = list(dict.fromkeys(shape for _, shape, _ in rates))
    assert all(sum(shape == other for _, other, _ in rates) == 4 for shape in tried)  # both ways, one thread and two
    return tried, [2 * m * k * n / flops for m, k, n in tried]


def test_a_fast_machine_multiplies_every_shape(monkeypatch):
    assert shapes_tried(monkeypatch, 300e9)[0] == list(SHAPES["cpu"])


@pytest.mark.parametrize(("flops", "count"), [(18e9, 4), (3e9, 2), (0.5e9, 1)])
def test_no_shape_follows_one_whose_product_takes_long(monkeypatch, flops, count):
    """Emulated bfloat16 once took 28 s of looking, before the first trial."""
    tried, seconds = shapes_tried(monkeypatch, flops)
    assert tried == list(SHAPES["cpu"])[:count]
    assert all(took <= LONGEST_PRODUCT for took in seconds[:-1])


def test_two_ranks_look_at_the_same_shapes():
    """In processes of their own: if one went on alone it would wait for the other until patience ends."""
    found = gemm_peak(Machine("cpu", "float32", 1, 2))
    assert found["flops_per_second"] > 0
    assert tuple(found["shape"]) in SHAPES["cpu"]
