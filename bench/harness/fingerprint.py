"""What code and which samples a trial runs on, as hashes: trials of two codes or two data sets are no one sample.

Of the code: what the trainer, the model, the loss and the score are made of, and what that calls in turn, as Python
compiled it. Comments and layout do not count, nor does what else stands in the file; what others installed is theirs.
"""

import contextlib
import functools
import hashlib
import sys
import sysconfig
import types
from collections.abc import Callable, Iterator
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from paceline.bench.harness.data_files import DATA_FILES
from paceline.bench.workloads.mapped_files import MAPPED

if TYPE_CHECKING:
    from paceline.bench.harness.trial import Trial
    from paceline.bench.workloads.workload import Workload
    from paceline.trainers.task import Trainer

# Where Python keeps its own modules, and what the folders of those are called that others installed.
OF_PYTHON, INSTALLED = Path(sysconfig.get_paths()["stdlib"]).resolve(), {"site-packages", "dist-packages"}

_of_files: dict[Path, str] = {}


def fingerprint(trial: "Trial") -> dict[str, str]:
    """Return the hashes of the trial's code and samples, and which Python compiled the code.

    What of theirs cannot be looked into has none, and is not compared.

    Raises:
        ValueError: if the samples cannot be built; one line.
    """
    file, _ = DATA_FILES.prepare(trial.workload)
    if file not in _of_files:
        _of_files[file] = _of_samples(file)
    found = {"python": f"{sys.version_info.major}.{sys.version_info.minor}", "data": _of_files[file]}
    for name, parts in (("trainer", _types_in(trial.trainer)), ("workload", _code_of(trial.workload))):
        with contextlib.suppress(Exception):  # an object of theirs may raise at whatever it is asked
            found[name] = _of_code(*parts)
    return found


def _of_samples(file: Path) -> str:
    """Return the hash of the samples in ``file``: of a dataset's and a stream's, those that are held out."""
    found = hashlib.blake2b(digest_size=8)
    _add(found, torch.load(file, weights_only=True, mmap=True))
    return found.hexdigest()


def _add(found: Any, samples: Any) -> None:
    if isinstance(samples, torch.Tensor):
        found.update(f"{samples.dtype} {list(samples.shape)}".encode())
        bytes_of: Any = samples.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy()
        found.update(bytes_of)
    elif isinstance(samples, list | tuple) and samples and samples[0] == MAPPED:  # too large to be read for this
        seen = Path(samples[1]).stat()
        found.update(repr((samples, seen.st_size, seen.st_mtime_ns)).encode())
    elif isinstance(samples, dict):
        for name, part in samples.items():
            found.update(str(name).encode())
            _add(found, part)
    elif isinstance(samples, list | tuple):
        for part in samples:
            _add(found, part)


def _types_in(trainer: "Trainer") -> Iterator[Any]:
    """Yield the type of a trainer, and what is code in its fields: their values are compared as they are."""
    yield type(trainer)
    for field in fields(trainer) if is_dataclass(trainer) else ():
        value = getattr(trainer, field.name)
        if is_dataclass(value) and not isinstance(value, type):
            yield from _types_in(value)  # type: ignore[arg-type]
        elif callable(value):
            yield value


def _code_of(workload: "Workload") -> Iterator[Any]:
    """Yield what is code in a workload, but for what builds its samples: those are compared themselves."""
    for field in fields(workload):
        value = getattr(workload, field.name)
        if field.name == "settings":
            yield sorted(value.items())
        elif callable(value) and field.name != "data":
            yield value


def _of_code(*parts: Any) -> str:
    told = "\n".join(_told(parts, {}))
    return hashlib.blake2b(told.encode(), digest_size=8).hexdigest()


def _told(value: Any, seen: dict[int, Any]) -> Iterator[str]:
    """Yield in words all of ``value`` that makes it what it is; what was ``seen`` is told once."""
    if value is None or isinstance(value, bool | int | float | complex | str | bytes | torch.dtype):
        yield repr(value)
        return
    if id(value) in seen:
        return
    seen[id(value)] = value
    if isinstance(value, tuple | list):
        for item in value:
            yield from _told(item, seen)
    elif isinstance(value, set | frozenset):
        yield from sorted("\n".join(_told(item, seen)) for item in value)
    elif isinstance(value, dict):
        for key, item in value.items():
            yield repr(key)
            yield from _told(item, seen)
    elif isinstance(value, types.CodeType):
        yield value.co_code.hex()
        yield " ".join(value.co_names)
        yield from _told(value.co_consts, seen)
    elif isinstance(value, functools.partial):
        yield from _told((value.func, value.args, value.keywords), seen)
    elif isinstance(value, torch.Tensor):
        told = hashlib.blake2b(digest_size=8)
        _add(told, value)
        yield told.hexdigest()
    elif _is_of_a_library(value):
        yield f"{type(value).__name__} {getattr(value, '__qualname__', '')}"
    elif isinstance(value, types.FunctionType):
        yield from _told((value.__code__, value.__defaults__, value.__kwdefaults__), seen)
        yield from _told([cell.cell_contents for cell in value.__closure__ or () if cell != types.CellType()], seen)
        yield from _globals_told(value, seen)
    elif isinstance(value, type):
        yield value.__qualname__
        yield from _told(value.__bases__, seen)
        for name, item in vars(value).items():
            pythons = name.startswith("__") and not isinstance(
                item, types.FunctionType
            )  # who notes this and that there
            if not pythons and not _is_generated(item):
                yield name
                yield from _told(item, seen)
    elif isinstance(value, property | staticmethod | classmethod | types.MethodType | functools.cached_property):
        parts = ("fget", "fset", "__func__", "__self__", "func")
        yield from _told([getattr(value, part, None) for part in parts], seen)
    else:
        yield from _told(getattr(value, "__wrapped__", type(value)), seen)
        yield from _told(dict(getattr(value, "__dict__", {})), seen)


def _globals_told(function: Callable[..., Any], seen: dict[int, Any]) -> Iterator[str]:
    """Yield what the names stand for that a function, and those within it, take from its module."""
    around = function.__globals__
    for name in sorted(set(_names(function.__code__))):
        value = around.get(name)
        if isinstance(value, types.ModuleType):  # of a module of theirs, what is named besides
            value = [vars(value).get(other) for other in sorted(set(_names(function.__code__)))]
        if value is not None:
            yield name
            yield from _told(value, seen)


def _names(code: types.CodeType) -> Iterator[str]:
    yield from code.co_names
    for part in code.co_consts:
        if isinstance(part, types.CodeType):
            yield from _names(part)


def _is_generated(item: Any) -> bool:
    """Return whether a dataclass wrote this method: it follows from the fields, whose values are compared."""
    code = getattr(getattr(item, "__wrapped__", item), "__code__", None)
    return code is not None and code.co_filename == "<string>"


def _is_of_a_library(value: Any) -> bool:
    """Return whether ``value`` was defined by something installed that is not Paceline."""
    owner = value if hasattr(value, "__module__") else type(value)
    name = str(owner.__module__)
    if name == "paceline" or name.startswith("paceline."):
        return False
    module = sys.modules.get(name) or sys.modules.get(name.partition(".")[0])
    if name == "__main__" or module is None:  # the latter is a file of theirs that somebody tidied away
        return False
    file = getattr(module, "__file__", None)
    if file is None:  # built in
        return True
    path = Path(file).resolve()
    return path.is_relative_to(OF_PYTHON) or not INSTALLED.isdisjoint(path.parts)
