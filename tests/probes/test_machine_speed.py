"""The probe of the machine's speed: a fixed piece of work, and nothing of the trial is changed by it."""

import time

import pytest
import torch

from paceline.bench.probes import machine_speed
from paceline.bench.probes.machine_speed import TIMES, product_seconds


def test_it_leaves_threads_and_random_numbers_as_they_were():
    before, threads = torch.get_rng_state(), torch.get_num_threads()
    torch.set_num_threads(2)
    assert product_seconds() > 0
    assert torch.get_num_threads() == 2
    assert torch.equal(torch.get_rng_state(), before)
    torch.set_num_threads(threads)


def test_it_is_the_median_so_that_a_few_interruptions_do_not_tell(monkeypatch):
    """Each product takes 1 s by the clock, but for a few that another process interrupts for 100 s."""
    now, made = 0.0, 0

    def mm(left, right, out):
        nonlocal now, made
        made += 1
        now += 101.0 if made in (5, 9, 20) else 1.0

    monkeypatch.setattr(torch, "mm", mm)
    monkeypatch.setattr(machine_speed.time, "perf_counter", lambda: now)
    assert product_seconds() == 1.0
    assert made == TIMES + 2


@pytest.mark.times
def test_it_takes_a_few_milliseconds():
    product_seconds()
    began = time.perf_counter()
    product_seconds()
    assert time.perf_counter() - began < 0.1
