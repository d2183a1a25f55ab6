"""Can a workload be trained and scored? Looked at before anything is measured, on few of its samples."""

import contextlib
import math
from typing import Any

import torch
from torch import Tensor

from paceline.bench.workloads.user_code import failed_on, form, in_one_line
from paceline.bench.workloads.workload import Data, Workload, accuracy, at_random, evaluating

TRAINED_ON, SCORED_ON = 3, 64  # samples


class PartFailedError(Exception):
    """A part of a workload raised; one line says which, on what, and what it said. The cause is its exception."""


def problem_of_data(data: tuple[Any, ...]) -> str:
    """Return what is wrong with what ``data()`` returned, in one sentence, or ''."""
    if len(data) != len(Data._fields):
        return f"data() must return x, y, held-out x, held-out y: four tensors, got {len(data)}"
    for name, tensor in zip(Data._fields, data, strict=True):
        if not isinstance(tensor, Tensor):
            return f"data() must return four tensors, but {name} is a {type(tensor).__name__}"
        if tensor.dim() == 0 or len(tensor) == 0:
            return f"{name} is empty"
        if tensor.is_floating_point() and not tensor.isfinite().all():
            return f"{name} holds NaN or infinity"
    x, y, held_out_x, held_out_y = data
    if len(x) != len(y):
        return f"x has {len(x)} samples and y has {len(y)}"
    if len(held_out_x) != len(held_out_y):
        return f"held-out x has {len(held_out_x)} samples and held-out y has {len(held_out_y)}"
    return ""


def problem_of(workload: Workload, data: Data, device: torch.device) -> str:
    """Return what is wrong with model, loss, score or target, in one sentence, or ''.

    Model and loss are tried on a few training samples, the score on a few of the held-out ones, taken from all over
    them, since they may be sorted. Only where these few have the untrained model at its target is the whole held-out
    set scored, as each trial does dozens of times: a good score on few samples may be luck, and nothing is refused
    for that.

    Raises:
        PartFailedError: if one of them raises.
    """
    if not math.isfinite(workload.target):
        return f"target must be a finite number, got {workload.target}"
    few = torch.arange(min(TRAINED_ON, len(data.x)))
    x, y = data.x[few].to(device), data.y[few].to(device)
    model = _try("model", workload.task(data._replace(x=x, y=y), seed=0, device=device).model)
    outputs = _try("model", model, x)
    if not isinstance(outputs, Tensor):
        return f"the model returned {form(outputs)}; it must return one tensor"
    losses = _try("loss", workload.loss, outputs, y)
    if not isinstance(losses, Tensor) or losses.shape != few.shape:
        shape = f"the shape {list(losses.shape)}" if isinstance(losses, Tensor) else form(losses)
        remedy = "take each sample's mean" if isinstance(losses, Tensor) and losses.dim() else "use reduction='none'"
        return f"loss must return one number per sample: for {len(few)} samples it returned {shape} ({remedy})"
    some = at_random(len(data.held_out_x), SCORED_ON)
    score = _score(workload, model, data.held_out_x[some].to(device), data.held_out_y[some].to(device))
    if workload.reached(score):
        held_out = data.held_out_x.to(device), data.held_out_y.to(device)
        score = workload.evaluate(model, *held_out)
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
        x, y = data.x[:count].to(device), data.y[:count].to(device)
        try:
            model = workload.task(data._replace(x=data.x[:1]), seed=0, device=device).model()
            workload.loss(model(x), y).sum().backward()
        except Exception as error:
            found[count] = in_one_line(error)
    return found


def unused_parameters(workload: Workload, data: Data, device: torch.device) -> list[str]:
    """Return the names of the parameters that a forward pass leaves without a gradient; none if there is none."""
    x, y = data.x[:TRAINED_ON].to(device), data.y[:TRAINED_ON].to(device)
    model = workload.task(data._replace(x=x, y=y), seed=0, device=device).model()
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
