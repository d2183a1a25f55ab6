"""The built-in workloads, one file each, and how a workload is found by its name."""

from dataclasses import replace
from typing import Any

from paceline.bench.workloads import torch_settings, user_code
from paceline.bench.workloads.augmented_digits import AUGMENTED_DIGITS
from paceline.bench.workloads.characters import CHAR_GPT, CHAR_GPT_M, CHARACTERS
from paceline.bench.workloads.cnn import MNIST5K_CNN
from paceline.bench.workloads.digits_stream import DIGITS_STREAM
from paceline.bench.workloads.docstrings import TEXT_BILSTM, TEXT_ENCODER
from paceline.bench.workloads.fashion_files import FASHION_CNN, FASHION_FILES
from paceline.bench.workloads.fashion_mnist import FASHION_MNIST, FASHION_MNIST_VALIDATION
from paceline.bench.workloads.few_digits import FEW_DIGITS, FEW_DIGITS_DROPOUT, FEW_DIGITS_SHIFTED
from paceline.bench.workloads.larger_than_memory import LARGER_THAN_MEMORY
from paceline.bench.workloads.linear import LINEAR
from paceline.bench.workloads.mnist1d import MNIST1D_CNN, MNIST1D_GRU, MNIST1D_LINEAR, MNIST1D_MLP
from paceline.bench.workloads.mnist5k import MNIST5K, MNIST5K_WIDE
from paceline.bench.workloads.scaled_digits import SHARES, STANDARDIZED, STORED
from paceline.bench.workloads.streaming_least_squares import STREAMING_LEAST_SQUARES
from paceline.bench.workloads.workload import Workload

# What strategies are compared on: the learning rate of each was searched (``bench/learning_rates.csv``).
BUILT_IN = {
    workload.name: workload
    for workload in (
        *(MNIST5K, MNIST5K_WIDE, MNIST5K_CNN, DIGITS_STREAM, LARGER_THAN_MEMORY),
        *(LINEAR, FASHION_MNIST, FASHION_FILES, STREAMING_LEAST_SQUARES),
    )
}

# What other benchmarks measure, each at rates of its own: published results reproduced, regularization, the scale of
# inputs, and language models, which take another optimizer.
OF_ONE_QUESTION = {
    workload.name: workload
    for workload in (
        *(FASHION_MNIST_VALIDATION, FASHION_CNN),
        *(FEW_DIGITS, FEW_DIGITS_DROPOUT, FEW_DIGITS_SHIFTED),
        *(MNIST1D_LINEAR, MNIST1D_MLP, MNIST1D_CNN, MNIST1D_GRU),
        *(CHARACTERS, CHAR_GPT, CHAR_GPT_M, TEXT_BILSTM, TEXT_ENCODER),
        *(STORED, SHARES, STANDARDIZED),
        AUGMENTED_DIGITS,
    )
}

__all__ = ["BUILT_IN", "OF_ONE_QUESTION", "find_workload", "from_file"]


def find_workload(name: str) -> Workload:
    """Return the built-in workload of that name, or the one that ``FILE.py:NAME`` defines.

    Raises:
        ValueError: one line: the name is unknown (the known ones are listed), or the file cannot be
            imported, or it has no such workload, or that has a built-in one's name.
    """
    known = BUILT_IN | OF_ONE_QUESTION
    if ":" in name:
        value, settings = user_code.from_file(name)
        if not isinstance(value, Workload):
            raise ValueError(f"{name} is a {type(value).__name__}, not a paceline.bench.Workload")
        ours = known.get(value.name)
        if ours is not None and ours is not value:  # its target and rates are ours
            raise ValueError(f"{name}: {value.name!r} is the name of a built-in workload: give yours another name=")
        return replace(value, settings={**settings, **value.settings})
    if name not in known:
        raise ValueError(f"unknown workload {name!r}: known are {', '.join(known)}, or FILE.py:NAME")
    return known[name]


def from_file(reference: str) -> Any:
    """Return what ``FILE.py:NAME`` names, importing the file; what it sets in torch holds from then on, for all.

    Raises:
        ValueError: one line: there is no such file, it does not import, or it lacks the name.
    """
    value, settings = user_code.from_file(reference)
    torch_settings.apply(settings)
    return value
