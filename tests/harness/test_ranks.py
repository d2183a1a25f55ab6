"""How ranks join and part. NCCL's part runs against a stand-in for torch.distributed: there is no GPU here."""

import errno
import os
from types import SimpleNamespace

import pytest
import torch

from paceline.bench.harness import ranks
from paceline.bench.harness.processes import is_out_of_memory
from paceline.bench.harness.ranks import process_group
from paceline.bench.harness.trial import Trial
from paceline.trainers import Ddp
from tests.problems import GAUSSIANS


@pytest.fixture
def calls(monkeypatch):
    """What torch.distributed is asked for, by name."""
    made = {}

    def noted(name):
        def call(*arguments, **keywords):
            made[name] = (arguments, keywords)

        return call

    fake = SimpleNamespace(
        **{name: noted(name) for name in ("init_process_group", "barrier", "destroy_process_group")},
        get_backend=lambda: made["init_process_group"][0][0],
        distributed_c10d=SimpleNamespace(_abort_process_group=noted("abort")),
    )
    monkeypatch.setattr(ranks, "dist", fake)
    for variable in ("GLOO_SOCKET_IFNAME", "NCCL_SOCKET_IFNAME"):
        monkeypatch.delenv(variable, raising=False)
    return made


def test_ranks_that_are_done_meet_and_part(calls):
    with process_group(Trial(GAUSSIANS, Ddp()), 0, "file", torch.device("cuda", 1)):
        pass
    (backend,), settings = calls["init_process_group"]
    assert (backend, settings["device_id"]) == ("nccl", torch.device("cuda", 1))
    assert list(calls) == ["init_process_group", "barrier", "destroy_process_group"]
    assert os.environ["NCCL_SOCKET_IFNAME"].startswith("lo")
    assert os.environ["GLOO_SOCKET_IFNAME"].startswith("lo")


@pytest.mark.parametrize(("device", "leaves_by"), [("cuda", "abort"), ("cpu", "destroy_process_group")])
def test_a_rank_that_fails_says_why_and_waits_for_nobody(calls, device, leaves_by):
    """To destroy a group of NCCL waits for what was begun in it; gloo's waits for nothing."""
    with (
        pytest.raises(torch.OutOfMemoryError, match="tried to allocate"),
        process_group(Trial(GAUSSIANS, Ddp()), 0, "file", torch.device(device)),
    ):
        raise torch.OutOfMemoryError("CUDA out of memory: tried to allocate 80 GiB")
    assert list(calls) == ["init_process_group", leaves_by]


def test_an_abort_that_fails_does_not_hide_what_went_wrong(calls, monkeypatch):
    monkeypatch.setattr(ranks.dist.distributed_c10d, "_abort_process_group", lambda: 1 / 0)
    with (
        pytest.raises(ValueError, match="the news"),
        process_group(Trial(GAUSSIANS, Ddp()), 0, "file", torch.device("cuda")),
    ):
        raise ValueError("the news")


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
        OSError(errno.ENOMEM, "Cannot allocate memory"),
        RuntimeError("[enforce fail at alloc_cpu.cpp:124] DefaultCPUAllocator: can't allocate memory"),
        RuntimeError("CUDA error: out of memory\nCUDA kernel errors might be asynchronously reported"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
        RuntimeError("NCCL error: unhandled cuda error. Last error:\nCuda failure 2 'out of memory'"),
        RuntimeError("NCCL error in: NCCLUtils.cpp. Last error:\nFailed to CUDA calloc async 8388608 bytes"),
    ],
)
def test_memory_that_ran_out_is_told_whoever_says_so(error):
    assert is_out_of_memory(error)


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("CUDA error: an illegal memory access was encountered"),
        RuntimeError("CUDA error: CUBLAS_STATUS_EXECUTION_FAILED"),
        RuntimeError("NCCL communicator was aborted on rank 1"),
        OSError(errno.EACCES, "Permission denied"),
        ValueError("this sampler is out of memory of earlier draws"),
    ],
)
def test_other_failures_are_no_lack_of_memory(error):
    assert not is_out_of_memory(error)
