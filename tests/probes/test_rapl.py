"""The CPU's energy counter, on planted readings: this machine may have none."""

import math

import pytest

from paceline.bench.analysis.frames import trials_frame
from paceline.bench.harness.environment import which_ran
from paceline.bench.probes import rapl
from tests.planted import a_record


@pytest.fixture
def packages(tmp_path, monkeypatch):
    """Two packages, the first with a part of its own, and the platform around them; returns how to set a counter."""
    monkeypatch.setattr(rapl, "POWERCAP", tmp_path)

    def put(name, microjoules, called=None):
        (tmp_path / name).mkdir(exist_ok=True)
        (tmp_path / name / "energy_uj").write_text(f"{microjoules}\n")
        (tmp_path / name / "max_energy_range_uj").write_text("100000000\n")
        if called:
            (tmp_path / name / "name").write_text(f"{called}\n")

    names = {"intel-rapl:0": "package-0", "intel-rapl:0:0": "core", "intel-rapl:1": "package-1", "intel-rapl:2": "psys"}
    for name, called in names.items():
        put(name, 5_000_000, called)
    return put


def test_packages_are_summed_and_neither_their_parts_nor_the_platform(packages):
    counter = rapl.Packages()
    assert counter.joules() == 0
    now = {
        "intel-rapl:0": 8_000_000,
        "intel-rapl:0:0": 7_000_000,
        "intel-rapl:1": 6_000_000,
        "intel-rapl:2": 30_000_000,
    }
    for name, microjoules in now.items():
        packages(name, microjoules)
    assert counter.joules() == pytest.approx(3.0 + 1.0)


def test_a_counter_that_wraps_more_than_once_goes_on_if_it_is_read_in_between(packages):
    """At 40 J between readings it wraps, at 100 J, four times in 400 J."""
    counter = rapl.Packages()
    counter.joules()
    for reading in range(1, 11):
        packages("intel-rapl:0", (5 + 40 * reading) % 100 * 1_000_000)
        last = counter.joules()
    assert last == pytest.approx(400.0)


def test_what_cannot_be_read_is_none_and_never_zero(tmp_path, packages, monkeypatch):
    (tmp_path / "intel-rapl:1" / "energy_uj").unlink()
    assert rapl.Packages().joules() is None
    (tmp_path / "intel-rapl:0" / "name").unlink()  # nor what nobody says is a package
    assert rapl.Packages().joules() is None
    monkeypatch.setattr(rapl, "POWERCAP", tmp_path / "nothing")
    assert rapl.Packages().joules() is None


def test_the_machines_energy_counts_once_over_ranks():
    ranks = [{"package_joules": 40.0, "package_window_seconds": 2.0}] * 2
    record = a_record(world_size=2, ranks=ranks)
    assert trials_frame((record,)).energy_joules[0] == 20.0 * trials_frame((record,)).train_seconds[0]
    assert math.isnan(trials_frame((a_record(),)).energy_joules[0])


def test_the_library_that_multiplied_is_named_by_itself():
    printed = """dtype float32
MKL_VERBOSE oneMKL 2024.0 Update 2 Product build 20240605
MKL_VERBOSE SGEMM(N,N,256,256,256,0x7f) 9.39ms CNR:OFF
dtype bfloat16
onednn_verbose,v1,info,cpu,isa:Intel AVX-512
onednn_verbose,v1,primitive,exec,cpu,matmul,brg_matmul:avx512_core_bf16,undef,src:bf16
dtype float16
"""
    assert which_ran(printed) == {
        "float32": "MKL, SGEMM",
        "bfloat16": "oneDNN, brg_matmul:avx512_core_bf16",
        "float16": "neither MKL nor oneDNN",
    }
