"""A safetensors file is mapped: its tensors are what was saved, and a trial finds them in the same file."""

from pathlib import Path

import pytest
import torch

from paceline.bench.workloads.data import Data
from paceline.bench.workloads.mapped_files import OF_SAFETENSORS, described, safetensors
from tests.problems import gaussians


def saved(file: Path, tensors: dict[str, torch.Tensor]) -> Path:
    pytest.importorskip("safetensors.torch").save_file(tensors, file, metadata={"made by": "a test"})
    return file


def test_every_dtype_is_what_was_saved(tmp_path: Path) -> None:
    tensors = {name: torch.arange(6).reshape(2, 3).to(getattr(torch, name)) for name in OF_SAFETENSORS.values()}
    tensors["odd"] = torch.ones(3, dtype=torch.uint8)
    found = safetensors(saved(tmp_path / "all.safetensors", tensors))
    assert found.keys() == tensors.keys()
    assert all(
        torch.equal(found[name], tensor) and found[name].dtype == tensor.dtype for name, tensor in tensors.items()
    )


def test_a_trial_maps_the_file_and_nothing_is_copied(tmp_path: Path) -> None:
    x, y, *held_out = gaussians()
    file = saved(tmp_path / "train.safetensors", {"x": x, "y": y})
    mapped = safetensors(file)
    data = Data.of((mapped["x"], mapped["y"], *held_out))
    data.save(tmp_path / "data.pt")
    again = Data.load(tmp_path / "data.pt").train
    assert torch.equal(again.x, x)
    assert torch.equal(again.y, y)
    for tensor in (again.x, again.y):
        where = described(tensor)
        assert where is not None
        assert where[1] == str(file)


def test_the_librarys_own_tensors_do_not_say_where_they_are_from(tmp_path: Path) -> None:
    file = saved(tmp_path / "train.safetensors", {"x": torch.ones(1000)})
    loaded = pytest.importorskip("safetensors.torch").load_file(file)
    assert described(loaded["x"]) is None  # once they do, `safetensors` need not be here


@pytest.mark.parametrize("content", [b"", b"\xff" * 64, b"\x90\x01\0\0\0\0\0\0{"])
def test_what_is_no_such_file_is_said_in_one_line(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "bad.safetensors").write_bytes(content)
    with pytest.raises(ValueError, match="is no safetensors file, or is cut short") as error:
        safetensors(tmp_path / "bad.safetensors")
    assert "\n" not in str(error.value)


def test_a_file_that_became_shorter_is_said(tmp_path: Path) -> None:
    file = saved(tmp_path / "short.safetensors", {"x": torch.ones(1000)})
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(ValueError, match="has become shorter"):
        safetensors(file)
