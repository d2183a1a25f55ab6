"""Tensors that are mapped from files: a trial opens the file itself, and nothing is copied into memory or elsewhere."""

import json
import mmap
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

# What a mapped tensor is described by: this word, its file, dtype, shape, and where in the file it begins, in bytes.
MAPPED = "mapped from a file"
Described = tuple[str, str, str, tuple[int, ...], int]

# What safetensors calls what torch can map; https://github.com/huggingface/safetensors has the format.
OF_SAFETENSORS = {
    "F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16", "I64": "int64", "I32": "int32",
    "I16": "int16", "I8": "int8", "U8": "uint8", "BOOL": "bool",
}  # fmt: skip


def safetensors(file: str | Path) -> dict[str, Tensor]:
    """Return the tensors of a safetensors file by name; they stay in it, for a trial to map likewise.

    Those of ``safetensors.torch.load_file`` do not say where they are from, and would be copied.

    Raises:
        ValueError: if it is no such file, is cut short, or holds what torch has no dtype for; one line.
    """
    with Path(file).open("rb") as opened_file:
        begins = 8 + int.from_bytes(opened_file.read(8), "little")
        if begins > Path(file).stat().st_size:
            raise ValueError(f"{file} is no safetensors file, or is cut short")
        header = json.loads(opened_file.read(begins - 8))
    header.pop("__metadata__", None)
    unknown = sorted({entry["dtype"] for entry in header.values()} - OF_SAFETENSORS.keys())
    if unknown:
        raise ValueError(f"{file} holds {', '.join(unknown)}: what can be mapped is {', '.join(OF_SAFETENSORS)}")
    resolved = str(Path(file).resolve())
    return {
        name: opened(
            (MAPPED, resolved, OF_SAFETENSORS[entry["dtype"]], tuple(entry["shape"]), begins + entry["data_offsets"][0])
        )
        for name, entry in header.items()
    }


def described(tensor: Tensor) -> Described | None:
    """Return where ``tensor`` is mapped from; None if it is not, or is no whole stretch of its file."""
    known = getattr(tensor, "_mapped_from", None)
    if known is not None:
        described_before: Described = known
        return described_before
    storage = tensor.untyped_storage()
    file = storage.filename if tensor.device.type == "cpu" else None
    if file is None or not tensor.is_contiguous():
        return None
    return _describe(file, tensor, int(tensor.storage_offset()) * tensor.element_size())


def _describe(file: str | Path, tensor: Tensor, begins: int) -> Described:
    dtype = str(tensor.dtype).removeprefix("torch.")
    return MAPPED, str(Path(file).resolve()), dtype, tuple(tensor.shape), begins


def as_tensor(array: np.ndarray) -> Tensor:
    """Return ``array`` as a tensor; one that numpy has mapped from a file is mapped likewise.

    Raises:
        ValueError: if it is mapped, but no whole stretch of its file; one line.
    """
    root = _root(array)
    if root is None:
        return torch.as_tensor(array)
    if not array.flags.c_contiguous:
        raise ValueError(
            "a memory-mapped array must be one stretch of its file: take it whole, or slice its first dimension"
        )
    where = np.frombuffer(root._mmap, np.uint8).__array_interface__["data"][0]  # type: ignore[attr-defined]
    starts = root.offset - root.offset % mmap.ALLOCATIONGRANULARITY
    begins = starts + array.__array_interface__["data"][0] - where
    dtype = str(torch.from_numpy(np.empty(0, array.dtype)).dtype).removeprefix("torch.")
    return opened((MAPPED, str(Path(str(root.filename)).resolve()), dtype, array.shape, begins))


def _root(array: Any) -> "np.memmap | None":
    """Return the mapped array that ``array`` is, or is a view of."""
    found = None
    while array is not None:
        found = array if isinstance(array, np.memmap) else found
        array = getattr(array, "base", None)
    return found


def opened(description: Any) -> Tensor:
    """Return the tensor that is mapped from a file, as ``described``.

    What is written to it is seen by nobody else, and leaves the file as it was.

    Raises:
        ValueError: if the file is not as long as it was; one line.
    """
    _, file, name, shape, begins = description
    dtype: torch.dtype = getattr(torch, name)
    needed = int(np.prod(shape)) * dtype.itemsize
    found = Path(file).stat().st_size
    if found < begins + needed:
        raise ValueError(f"{file} has become shorter: {found} bytes of the {begins + needed} that it had")
    flat = np.memmap(file, np.uint8, "c", begins, (needed,))
    tensor = torch.from_numpy(flat).view(dtype).view(shape)
    tensor._mapped_from = tuple(description)  # type: ignore[attr-defined]
    return tensor
