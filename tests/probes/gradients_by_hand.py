"""Gradients as a loop by hand finds them."""

import copy

import torch


def flat(gradient):
    return torch.cat([tensor.flatten() for tensor in gradient])


def by_hand(task, model, index):
    """The gradient of the mean loss over some samples, by ``backward`` on a copy."""
    model = copy.deepcopy(model)
    model.zero_grad()
    x, y = task[index]
    task.loss(model(x), y).mean().backward()
    return flat(p.grad for p in model.parameters() if p.requires_grad)
