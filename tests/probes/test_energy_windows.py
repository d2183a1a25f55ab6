"""The energy of training alone, by simulated counters that move in ticks: no time passes here but the planted."""

import pytest

from paceline.bench.probes import energy_windows
from paceline.bench.probes.energy_windows import EnergyWindows


class Machine:
    """A clock, and a counter that takes 300 W in training and 100 W else and moves every ``tick`` seconds."""

    def __init__(self, tick):
        self.now = self.joules = self._shown = self._moved = 0.0
        self._tick = tick

    def perf_counter(self):
        return self.now

    def counter(self):
        return self._shown

    def passes(self, seconds, watts):
        end = self.now + seconds
        while self._moved + self._tick <= end:  # up to the next tick, at which the counter shows what was taken
            self.joules += watts * (self._moved + self._tick - self.now)
            self._moved += self._tick
            self.now, self._shown = self._moved, self.joules
        self.joules += watts * (end - self.now)
        self.now = end


def run(monkeypatch, windows, evaluation, tick=0.1, shortest=1.0):
    machine = Machine(tick)
    monkeypatch.setattr(energy_windows, "time", machine)
    energy = EnergyWindows(machine.counter, shortest)
    for seconds in windows:
        energy.begin()
        machine.passes(seconds, watts=300)
        energy.end()
        machine.passes(evaluation, watts=100)
    return energy


def test_windows_as_long_as_the_counter_needs_leave_evaluation_out_however_long_it_takes(monkeypatch):
    energy = run(monkeypatch, [2.0] * 20, evaluation=4.0)
    assert (energy.seconds, energy.trained) == (pytest.approx(40.0), pytest.approx(40.0))
    # A reading is up to a tick old: of a window of 2 s, 0.1 s may be evaluation's, which takes 200 W less.
    assert energy.joules / energy.seconds == pytest.approx(300, abs=200 * 0.1 / 2.0 + 1e-9)
    assert energy.why_unknown == ""


def test_shorter_windows_are_joined_where_evaluation_is_a_small_share_of_them(monkeypatch):
    """As a trial has them: 3 % apart, to 8 s of training. What is known is the power of the later part."""
    windows = [0.001 * 1.03**edge for edge in range(186)]
    energy = run(monkeypatch, windows, evaluation=0.004)
    assert energy.why_unknown == ""
    assert 0.5 * sum(windows) < energy.seconds < sum(windows)
    # As above, of stretches of 1 s, and of each at most a twentieth is evaluation.
    assert energy.joules / energy.seconds == pytest.approx(300, abs=200 * (0.1 / 1.0 + 0.05))


@pytest.mark.parametrize(("windows", "evaluation"), [([0.001] * 300, 0.01), ([0.5] * 30, 0.1), ([0.3], 0.0)])
def test_what_is_mostly_evaluation_or_too_short_has_a_reason_instead(monkeypatch, windows, evaluation):
    energy = run(monkeypatch, windows, evaluation)
    assert energy.seconds == 0
    assert "too short" in energy.why_unknown
    assert f"of {sum(windows):.3g} s" in energy.why_unknown


def test_a_counter_of_milliseconds_tells_of_windows_of_a_fraction_of_a_second(monkeypatch):
    energy = run(monkeypatch, [0.03] * 20, evaluation=0.06, tick=0.001, shortest=0.02)
    assert energy.joules / energy.seconds == pytest.approx(300, abs=200 * 0.001 / 0.03 + 1e-9)
    assert energy.seconds == pytest.approx(0.6)


def test_a_few_long_windows_among_many_short_ones_do_not_tell_of_the_trial(monkeypatch):
    energy = run(monkeypatch, [0.5] * 30 + [2.0], evaluation=0.1)
    assert energy.seconds == pytest.approx(2.0)
    assert "2 of 17 s" in energy.why_unknown


def test_a_counter_that_does_not_tell_is_refused():
    energy = EnergyWindows(lambda: None, 0.0)
    energy.begin()
    energy.end()
    assert energy.refused
    energy.reset()
    assert not energy.refused
