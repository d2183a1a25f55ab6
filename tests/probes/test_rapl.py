"""The CPU's energy counter, on planted readings: this machine may have none."""

import math

import pytest

from paceline.bench.analysis.frames import trials_frame
from paceline.bench.harness.environment import which_ran
from paceline.bench.probes import rapl
from tests.planted import a_record


@pytest.fixture
def packages(tmp_path, monkeypatch):
    """Two packages, the first with a part of its own; returns how to set a counter."""
    monkeypatch.setattr(rapl, "POWERCAP", tmp_path)

    def put(name, microjoules):
        (tmp_path / name).mkdir(exist_ok=True)
        (tmp_path / name / "energy_uj").write_text(f"{microjoules}\n")
        (tmp_path / name / "max_energy_range_uj").write_text("100000000\n")

    for name in ("intel-rapl:0", "intel-rapl:0:0", "intel-rapl:1"):
        put(name, 5_000_000)
    return put


def test_packages_are_summed_and_their_parts_are_not(packages):
    before = rapl.counters()
    for name, microjoules in (("intel-rapl:0", 8_000_000), ("intel-rapl:0:0", 7_000_000), ("intel-rapl:1", 6_000_000)):
        packages(name, microjoules)
    assert rapl.joules(before, rapl.counters()) == pytest.approx(3.0 + 1.0)


def test_a_counter_that_wrapped_goes_on(packages):
    before = rapl.counters()
    packages("intel-rapl:0", 1_000_000)
    assert rapl.joules(before, rapl.counters()) == pytest.approx(100.0 - 4.0)


def test_what_cannot_be_read_is_none_and_never_zero(tmp_path, packages, monkeypatch):
    (tmp_path / "intel-rapl:1" / "energy_uj").unlink()
    assert rapl.counters() is None
    monkeypatch.setattr(rapl, "POWERCAP", tmp_path / "nothing")
    assert rapl.counters() is None


def test_the_machines_energy_counts_once_over_ranks():
    ranks = [{"package_joules": 40.0}, {"package_joules": 41.0}]
    record = a_record(world_size=2, ranks=ranks, evaluation_seconds=0.01)
    assert trials_frame((record,)).energy_joules[0] == 41.0
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
