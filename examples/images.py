"""Scans from a ``Dataset``, shifted at random as they are read, by two processes ahead of training."""

import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.utils.data import Dataset

from paceline.bench import Workload


class Scans(Dataset):
    def __init__(self, first: int, last: int, shifts: int):
        scans = load_digits()
        self.images, self.labels, self.shifts = scans.images[first:last], scans.target[first:last], shifts

    def __len__(self):
        return len(self.images)

    def __getitem__(self, index):
        image = torch.as_tensor(self.images[index]).float() / 16
        down, right = torch.randint(-self.shifts, self.shifts + 1, (2,)).tolist()
        return image.roll((down, right), (0, 1))[None], self.labels[index]


SCANS = Workload(
    name="shifted-scans",
    model=lambda: nn.Sequential(
        nn.Conv2d(1, 16, 3), nn.ReLU(), nn.Conv2d(16, 32, 3), nn.ReLU(), nn.Flatten(), nn.Linear(32 * 16, 10)
    ),
    data=lambda: (Scans(0, 1300, shifts=1), Scans(1300, 1797, shifts=0)),
    target=0.9,
    workers=2,
)
