"""Can a workload be trained and scored? Looked at before anything is measured, on few of its samples."""

import contextlib
import math
from typing import Any

import torch
from torch import Tensor

from paceline.bench.workloads.data import Data, at_random
from paceline.bench.workloads.user_code import failed_on, form, in_one_line
from paceline.bench.workloads.workload import Workload, accuracy, evaluating

TRAINED_ON, SCORED_ON = 3, 64  # samples

# What ``data()`` returns, by how many it returns.
NAMES = {
    4: ("x", "y", "held-out x", "held-out y"),
    6: ("x", "y", "validation x", "validation y", "test x", "test y"),
}


class PartFailedError(Exception):
    """A part of a workload raised; one line says which, on what, and what it said. The cause is its exception."""


def problem_of_data(data: tuple[Any, ...]) -> str:
    """Return what is wrong with what ``data()`` returned, in one sentence, or ''."""
    if len(data) not in NAMES:
        return (
            f"data() must return x, y, held-out x, held-out y: four tensors (or six, with validation and test parts in "
            f"place of the held-out one), got {len(data)}"
        )
    names = NAMES[len(data)]
    for name, tensor in zip(names, data, strict=True):
        if not isinstance(tensor, Tensor):
            return f"data() must return tensors, but {name} is a {type(tensor).__name__}"
        if tensor.dim() == 0 or len(tensor) == 0:
            return f"{name} is empty"
        if tensor.is_floating_point() and not tensor.isfinite().all():
            return f"{name} holds NaN or infinity"
    for k in range(0, len(data), 2):
        if len(data[k]) != len(data[k + 1]):
            return f"{names[k]} has {len(data[k])} samples and {names[k + 1]} has {len(data[k + 1])}"
    if len(data) == len(NAMES[4]) and len(data[2]) == 1:
        return "one held-out sample cannot be halved: validation and test need one each at least"
    return ""


def problem_of(workload: Workload, data: Data, device: torch.device) -> str:
    """Return what is wrong with model, loss, score or target, in one sentence, or ''.

    Model and loss are tried on a few training samples, the score on a few of those for validation, taken from all over
    them, since they may be sorted. Only where these few have the untrained model at its target are all of them
    scored, as each trial does dozens of times: a good score on few samples may be luck, and nothing is refused
    for that.

    Raises:
        PartFailedError: if one of them raises.
    """
    if not math.isfinite(workload.target):
        return f"target must be a finite number, got {workload.target}"
    few = data.train.at(slice(TRAINED_ON)).to(device)
    x, y = few
    model = _try("model", workload.task(few, seed=0, device=device).model)
    outputs = _try("model", model, x)
    if not isinstance(outputs, Tensor):
        return f"the model returned {form(outputs)}; it must return one tensor"
    losses = _try("loss", workload.loss, outputs, y)
    if not isinstance(losses, Tensor) or losses.shape != (len(x),):
        shape = f"the shape {list(losses.shape)}" if isinstance(losses, Tensor) else form(losses)
        remedy = "take each sample's mean" if isinstance(losses, Tensor) and losses.dim() else "use reduction='none'"
        return f"loss must return one number per sample: for {len(x)} samples it returned {shape} ({remedy})"
    some = at_random(len(data.validation.x), SCORED_ON)
    score = _score(workload, model, *data.validation.at(some).to(device))
    if workload.reached(score):
        score = workload.evaluate(model, *data.validation.to(device))
    if workload.reached(score):
        better = "higher" if workload.higher_is_better else "lower"
        return (
            f"the untrained model already reaches the target {workload.target} with a score of {score:.4g} "
            f"({better} is better): is the target, or higher_is_better, of the wrong side?"
        )
    if workload.score is accuracy and workload.target > 1:
        return f"the target is an accuracy, in 0..1, and can never be {workload.target}"
    return ""


def refused_shares(workload: Workload, data: Data, device: torch.device) -> dict[int, str]:
    """Return on how few samples the model cannot be trained, 1 or none at all, and what it says of them.

    Batch statistics need more than one sample of a batch; a reshape by ``-1`` cannot do with none.
    """
    found = {}
    for count in (0, 1):
        x, y = data.train.at(slice(count)).to(device)
        try:
            model = workload.task(data.train.at(slice(1)), seed=0, device=device).model()
            workload.loss(model(x), y).sum().backward()
        except Exception as error:
            found[count] = in_one_line(error)
    return found


def unused_parameters(workload: Workload, data: Data, device: torch.device) -> list[str]:
    """Return the names of the parameters that a forward pass leaves without a gradient; none if there is none."""
    few = data.train.at(slice(TRAINED_ON)).to(device)
    x, y = few
    model = workload.task(few, seed=0, device=device).model()
    model.eval()  # what trains may draw a path at random, and needs more samples
    with contextlib.suppress(Exception):  # a trainer may have its own way to train what cannot be differentiated
        workload.loss(model(x), y).sum().backward()
    if all(parameter.grad is None for parameter in model.parameters()):
        return []
    return [name for name, parameter in model.named_parameters() if parameter.requires_grad and parameter.grad is None]


def _score(workload: Workload, model: torch.nn.Module, x: Tensor, y: Tensor) -> float:
    with torch.no_grad(), evaluating(model):
        outputs = _try("model", model, x)
    return float(_try("score", lambda outputs, y: float(workload.score(outputs, y)), outputs, y))


def _try(part: str, function: Any, *given: Any) -> Any:
    try:
        return function(*given)
    except Exception as error:
        where = failed_on(part, given) if given else f"{part} could not be built"
        raise PartFailedError(f"{where}: {in_one_line(error)}") from error
