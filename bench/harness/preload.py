"""What the fork server loads beyond torch: the modules that the user's models and losses need.

The server imports this file as it starts, and is told by the file that ``WANTED`` names what to load, and from where.
Nobody else imports it with that variable set.
"""

import contextlib
import importlib
import json
import os
import sys
import warnings
from pathlib import Path

WANTED = "PACELINE_PRELOAD"


def load(file: Path) -> None:
    """Import the modules that ``file`` lists, as far as they can be.

    Quietly: what they print or warn of was seen when the user's file was imported. On one thread: OpenMP does not
    survive a fork once it has used several. And without CUDA, which does not survive it either: to ask whether there
    is a GPU torch would touch it, unless told to ask NVML.
    """
    import torch

    wanted = json.loads(file.read_text())
    threads, path = torch.get_num_threads(), sys.path[:]
    asks_nvml = "PYTORCH_NVML_BASED_CUDA_CHECK"
    before = os.environ.get(asks_nvml)
    torch.set_num_threads(1)
    os.environ[asks_nvml] = "1"
    sys.path[:] = wanted["path"]
    with (
        open(os.devnull, "w") as nowhere,
        contextlib.redirect_stdout(nowhere),
        contextlib.redirect_stderr(nowhere),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")
        for name in wanted["modules"]:
            with contextlib.suppress(Exception, SystemExit):
                importlib.import_module(name)
    sys.path[:] = path
    torch.set_num_threads(threads)
    os.environ.pop(asks_nvml)
    if before is not None:
        os.environ[asks_nvml] = before


if WANTED in os.environ:
    load(Path(os.environ.pop(WANTED)))
