"""A stub in place of NVIDIA's management library, with known answers (fake_nvml.c)."""

import ctypes
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.probes.fake_nvml import calls, probe_threads


@pytest.fixture(scope="session")
def stubs(tmp_path_factory):
    """The stub, of a new driver and of one without nvmlDeviceGetMemoryInfo_v2."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler")
    folder = tmp_path_factory.mktemp("nvml")

    def compiled(name, *flags):
        # No soname: glibc would then hand this library to whoever asks for libnvidia-ml.so.1 later in this
        # process, torch included.
        source = Path(__file__).with_name("fake_nvml.c")
        subprocess.run([compiler, "-shared", "-fPIC", *flags, "-o", folder / name, source], check=True)
        return ctypes.CDLL(str(folder / name))

    return {"new": compiled("new.so"), "old": compiled("old.so", "-DOLD_DRIVER")}


@pytest.fixture
def use(monkeypatch):
    """Makes pynvml talk to another library for the length of a test."""
    pynvml = pytest.importorskip("pynvml")
    functions = dict(pynvml._nvmlGetFunctionPointer_cache)

    def use(library):
        monkeypatch.setattr(pynvml, "nvmlLib", library)
        pynvml._nvmlGetFunctionPointer_cache.clear()

    yield use
    pynvml._nvmlGetFunctionPointer_cache.clear()
    pynvml._nvmlGetFunctionPointer_cache.update(functions)


@pytest.fixture
def driver(stubs, use):
    """The stub in place of NVML. Whatever a test does, it leaves NVML closed and no thread behind."""
    use(stubs["new"])
    yield stubs["new"]
    assert calls(stubs["new"], "inits") == calls(stubs["new"], "shutdowns")
    assert not probe_threads()


@pytest.fixture
def setting(monkeypatch, tmp_path):
    """A setting of the stub that can be changed while a sampler runs."""

    def setting(name, value):
        file = tmp_path / name
        new = file.with_suffix(".new")
        new.write_text(str(value))
        new.replace(file)  # at once: a sampler never reads half of it
        if os.environ.get(name) != f"file:{file}":
            monkeypatch.setenv(name, f"file:{file}")

    return setting
