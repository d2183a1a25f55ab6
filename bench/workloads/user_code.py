"""What a user wrote: their file, their warnings, and one line for whatever goes wrong in it.

The traceback, which shows the line of theirs that failed, is kept in a file that the line names.
"""

import contextlib
import importlib.util
import os
import re
import sys
import tempfile
import traceback
import warnings
from collections.abc import Callable, Iterator, Sized
from pathlib import Path
from types import FrameType, ModuleType
from typing import TYPE_CHECKING, Any, NamedTuple

import cloudpickle
from torch import Tensor, nn

from paceline.bench.workloads import torch_settings

if TYPE_CHECKING:
    from paceline.bench.workloads.workload import Workload

# What each part of a workload is given.
GIVEN = {"model": ("x",), "loss": ("outputs", "targets"), "score": ("outputs", "targets"), "weight": ("targets",)}


# Their file


class Imported(NamedTuple):
    """A file of theirs as it was imported, and by which it would be seen to have changed since."""

    module: ModuleType
    settings: dict[str, Any]
    written: tuple[int, int]


_imported: dict[Path, Imported] = {}


def from_file(reference: str) -> tuple[Any, dict[str, Any]]:
    """Return what ``FILE.py:NAME`` names, importing the file, and what the file sets in torch.

    What it sets is taken back: it is to hold where the file's own things run. The file's folder is on ``sys.path``
    from then on, as after ``python FILE.py``, so that it may import its neighbours; so may the trials.

    Raises:
        ValueError: one line: there is no such file, it does not import, or it lacks the name.
    """
    file, _, name = reference.rpartition(":")
    if not name.isidentifier():  # a drive's colon (C:\\mine.py) is none of ours
        raise ValueError(f"{reference}: say which of the file's names, as FILE.py:NAME")
    path = Path(file).resolve()
    if not path.is_file():
        raise ValueError(f"{reference}: there is no file {file!r}")
    written = path.stat().st_mtime_ns, path.stat().st_size
    if path not in _imported or _imported[path].written != written:
        try:
            with torch_settings.kept_apart() as settings, heard(path.name):
                _imported[path] = Imported(_import(path), settings, written)
        except (Exception, SystemExit) as error:
            kept = keep_traceback(error)
            raise ValueError(f"{reference}: {file} does not import: {in_one_line(error)}; traceback: {kept}") from error
    module, settings, _ = _imported[path]
    if not hasattr(module, name):
        public = [key for key in vars(module) if not key.startswith("_")]
        raise ValueError(f"{reference}: {file} has no {name!r}; it has {', '.join(public) or 'nothing'}")
    return getattr(module, name), settings


def _import(path: Path) -> ModuleType:
    name = f"paceline_user_{path.stem}_{abs(hash(path))}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ImportError("not a Python source file (its name must end in .py)")
    _make_way(path.parent)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # before it runs: dataclasses look their own module up
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    # A trial's process cannot import this module by name, so what it defines travels whole.
    cloudpickle.register_pickle_by_value(module)
    return module


def _make_way(folder: Path) -> None:
    """Put ``folder`` first on ``sys.path``, and forget the modules that files of other folders took for neighbours.

    Two projects may each have a ``model.py``. What the first took from its own goes on to work: whatever is no longer
    found under its name travels whole.
    """
    others = {path.parent for path in _imported} - {folder}
    for name, module in list(sys.modules.items()):
        file = Path(getattr(module, "__file__", None) or os.devnull)
        home = file.parents[1] if file.name == "__init__.py" else file.parent
        if home in others and ((folder / f"{name}.py").exists() or (folder / name).is_dir()):
            for part in [part for part in sys.modules if part == name or part.startswith(f"{name}.")]:
                del sys.modules[part]
    sys.path[:] = [str(folder), *(entry for entry in sys.path if entry != str(folder))]


# Their warnings


class Warnings:
    """Shows each warning of the user's code once, as a line, and lets none become an error.

    Attributes:
        show: takes a line; by default it goes to the standard error output.
    """

    def __init__(self) -> None:
        """Begin without any."""
        self.show: Callable[[str], None] = _to_stderr
        self._shown: set[str] = set()

    def tell(self, whose: str, line: str) -> None:
        """Show ``line``, unless it was."""
        if line not in self._shown:
            self._shown.add(line)
            self.show(f"{whose} warns: {line}")


def _to_stderr(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


WARNINGS = Warnings()


@contextlib.contextmanager
def heard(whose: str, tell: Callable[[str, str], None] = WARNINGS.tell) -> Iterator[None]:
    """Have ``tell`` hear of each warning given in here, filtered as Python does by default: none is an error."""
    with warnings.catch_warnings():
        warnings.resetwarnings()
        for quiet in (DeprecationWarning, PendingDeprecationWarning, ImportWarning, ResourceWarning):
            warnings.simplefilter("ignore", quiet)

        def show(
            message: Warning | str,
            category: type[Warning],
            filename: str,
            lineno: int,
            file: Any = None,
            line: Any = None,
        ) -> None:
            text = " ".join(str(message).split())
            tell(whose, f"{category.__name__}: {text[:300]} ({Path(filename).name}:{lineno})")

        warnings.showwarning = show  # put back by ``catch_warnings``
        yield


# What goes wrong


def in_one_line(error: BaseException) -> str:
    """Return an exception's type and the first line of what it says."""
    text = str(error).strip().splitlines()
    return f"{type(error).__name__}: {text[0] if text else ''}"[:500]


def failed_on(part: str, given: tuple[Any, ...]) -> str:
    """Return "loss failed on outputs [3, 4] float32, targets [3] int64": a part of a workload, and its input."""
    described = [f"{name} {form(value)}" for name, value in zip(GIVEN[part], given, strict=False)]
    return f"{part} failed on {', '.join(described)}"


def form(value: Any) -> str:
    """Return shape and dtype of a tensor, "[3, 64] float64"; of anything else "a tuple of 2"."""
    if isinstance(value, Tensor):
        return f"{list(value.shape)} {str(value.dtype).removeprefix('torch.')}"
    if isinstance(value, dict) and any(isinstance(part, Tensor) for part in value.values()):
        return "{" + ", ".join(f"{name}: {form(part)}" for name, part in value.items()) + "}"
    return f"a {type(value).__name__}" + (f" of {len(value)}" if isinstance(value, Sized) else "")


def part_that_failed(error: BaseException, workload: "Workload") -> str:
    """Return which part of ``workload`` an exception came out of, as ``failed_on`` does; "" if out of none.

    The outermost call of a part is the one: what a model calls within itself is the model's.
    """
    for frame, _ in traceback.walk_tb(error.__traceback__):
        part, given = _part_called(frame, workload)
        if part:
            return failed_on(part, given) if given else f"{part} could not be built"
    return ""


def _part_called(frame: FrameType, workload: "Workload") -> tuple[str, tuple[Any, ...]]:
    code, local = frame.f_code, frame.f_locals
    if code is nn.Module._wrapped_call_impl.__code__:
        return "loss" if local["self"] is workload.loss else "model", tuple(local["args"])
    if code is _code_of(workload.model):
        return "model", ()
    for part in ("loss", "score"):
        if code is _code_of(getattr(workload, part)):
            return part, tuple(local[name] for name in code.co_varnames[:2] if name in local)
    return "", ()


def _code_of(function: Any) -> Any:
    while hasattr(function, "func"):  # of a ``functools.partial``
        function = function.func
    return getattr(getattr(function, "__init__") if isinstance(function, type) else function, "__code__", None)  # noqa: B009


def as_file_name(name: str) -> str:
    """Return ``name`` as a file may be called."""
    return re.sub(r"[^-.#+=@ A-Za-z0-9_]", "_", name)


def keep_traceback(error: BaseException | str, folder: Path | None = None, name: str = "") -> Path:
    """Write an exception's traceback to ``folder / name``, or to a temporary file, and return where it is."""
    text = error if isinstance(error, str) else "".join(traceback.format_exception(error))
    if folder is None:
        descriptor, file = tempfile.mkstemp(prefix="paceline-error-", suffix=".txt")
        os.close(descriptor)
        path = Path(file)
    else:
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{as_file_name(name)}.txt"
    path.write_text(text)
    return path
