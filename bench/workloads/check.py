"""Can a workload be trained and scored? Looked at before anything is measured, on few of its samples."""

import contextlib
import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

from paceline.bench.workloads.data import Data, at_random, is_dataset, is_tree
from paceline.bench.workloads.user_code import failed_on, form, in_one_line
from paceline.bench.workloads.workload import Workload, accuracy, evaluating

TRAINED_ON, SCORED_ON = 3, 64  # samples

# What ``data()`` may return in tensors, by how many there are.
NAMES = {
    4: ("x", "y", "held-out x", "held-out y"),
    6: ("x", "y", "validation x", "validation y", "test x", "test y"),
}

WANTED = (
    "data() must return x, y, held-out x, held-out y: tensors (or six, with validation and test parts in place of the "
    "held-out one); in place of x, y may stand a Dataset or a function that begins a stream, in place of held-out x, "
    "held-out y a Dataset"
)

# Of so many samples it is looked whether they are finite: a file may be larger than memory.
LOOKED_AT = 100_000


class PartFailedError(Exception):
    """A part of a workload raised; one line says which, on what, and what it said. The cause is its exception."""


def problem_of_data(built: Any) -> str:
    """Return what is wrong with what ``data()`` returned, in one sentence, or ''."""
    parts = list(built) if isinstance(built, tuple | list) else [built]
    ahead = 2 if parts and is_tree(parts[0]) else 1
    train, held_out = parts[:ahead], parts[ahead:]
    if hasattr(parts[0], "__next__"):
        return (
            f"data() returned {form(parts[0])}, which can be read once, and each trial reads its samples anew: return "
            "the function that makes it"
        )
    in_tensors = len(held_out) in (2, 4) and all(map(is_tree, held_out))
    in_datasets = len(held_out) in (1, 2) and all(map(is_dataset, held_out)) and not any(map(is_tree, held_out))
    is_known = ahead == 2 or is_dataset(train[0]) or hasattr(train[0], "__iter__") or callable(train[0])
    if not is_known or not (in_tensors or in_datasets):
        return f"{WANTED}; it returned {', '.join(map(form, parts))}"
    names = NAMES[4 if len(held_out) in (1, 2) else 6]
    tensors_of = dict(zip(names, train, strict=False)) if ahead == 2 else {}
    tensors_of |= dict(zip(names[2:], held_out, strict=True)) if in_tensors else {}
    found = [_problem_of_tree(name, tree) for name, tree in tensors_of.items()]
    found += [f"{name} is empty" for name, part in zip(("x", *names[2::2]), [*train, *held_out], strict=False)
              if not is_tree(part) and is_dataset(part) and not len(part)]  # fmt: skip
    counts = {name: _count(tree) for name, tree in tensors_of.items()}
    for x, y in zip(names[::2], names[1::2], strict=True):
        if x in counts and counts[x] != counts[y]:
            found.append(f"{x} has {counts[x]} samples and {y} has {counts[y]}")
    to_be_halved = counts.get("held-out x") if in_tensors else len(held_out[0]) if len(held_out) == 1 else None
    if to_be_halved == 1:
        found.append("one held-out sample cannot be halved: validation and test need one each at least")
    return next(filter(None, found), "")


def _problem_of_tree(name: str, tree: Any) -> str:
    for tensor in _leaves(tree):
        if tensor.ndim == 0 or len(tensor) == 0:
            return f"{name} is empty"
        some = tensor[:LOOKED_AT] if isinstance(tensor, Tensor) else torch.from_numpy(np.array(tensor[:LOOKED_AT]))
        if some.is_floating_point() and not some.isfinite().all():
            return f"{name} holds NaN or infinity"
    if len({len(tensor) for tensor in _leaves(tree)}) > 1:
        return f"{name} holds tensors of {' and '.join(str(len(tensor)) for tensor in _leaves(tree))} samples"
    return ""


def _leaves(tree: Any) -> list[Any]:
    if isinstance(tree, dict):
        return [leaf for part in tree.values() for leaf in _leaves(part)]
    return [leaf for part in tree for leaf in _leaves(part)] if isinstance(tree, list | tuple) else [tree]


def _count(tree: Any) -> int:
    leaf = _leaves(tree)[0]
    return len(leaf) if leaf.ndim else 0


def unread(error: Exception) -> str:
    """Return what went wrong while samples were read, and what to do where that is known; one line."""
    said = in_one_line(error)
    if "equal size" in said or "resize storage" in said:  # what torch says of samples of differing shapes
        return f"{said} (samples differ in shape: have the workload put them together by a collate= of its own)"
    return said


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
    try:
        few = data.train.at(slice(0, TRAINED_ON)).to(device)
    except Exception as error:
        raise PartFailedError(f"its samples could not be read: {unread(error)}") from error
    x, y = few
    model = _try("model", workload.task(few, seed=0, device=device).model)
    outputs = _try("model", model, x)
    if not isinstance(outputs, Tensor):
        return f"the model returned {form(outputs)}; it must return one tensor"
    losses = _try("loss", workload.loss, outputs, y)
    if not isinstance(losses, Tensor) or losses.shape != (few.n,):
        shape = f"the shape {list(losses.shape)}" if isinstance(losses, Tensor) else form(losses)
        remedy = "take each sample's mean" if isinstance(losses, Tensor) and losses.dim() else "use reduction='none'"
        return f"loss must return one number per sample: for {few.n} samples it returned {shape} ({remedy})"
    if workload.weight is not None:
        weights = _try("weight", workload.weight, y)
        if not isinstance(weights, Tensor) or weights.shape != (few.n,):
            return f"weight must return one number per sample: for {few.n} samples it returned {form(weights)}"
    some = data.validation[0].at(at_random(data.validation[0].n, SCORED_ON))
    score = _score(workload, model, *some.to(device))
    if workload.reached(score):
        score = workload.evaluate(model, *(part.to(device) for part in data.validation))
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
        one = data.train.at(slice(0, 1))
        x, y = one.at(slice(0, count)).to(device)
        try:
            model = workload.task(one, seed=0, device=device).model()
            workload.loss(model(x), y).sum().backward()
        except Exception as error:
            found[count] = in_one_line(error)
    return found


def unused_parameters(workload: Workload, data: Data, device: torch.device) -> list[str]:
    """Return the names of the parameters that a forward pass leaves without a gradient; none if there is none."""
    few = data.train.at(slice(0, TRAINED_ON)).to(device)
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
