"""What the checks of a GPU share: a line that says what was seen, and the machine on which trials are run."""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from paceline.bench import Workload
from paceline.bench.harness.run import run_trial
from paceline.bench.harness.trial import Trial
from paceline.bench.records.record import Record, append
from tests.gpu.wide import wide

MIB = 1 << 20
T = TypeVar("T")


class Check(NamedTuple):
    what: str
    verdict: str  # ok, WRONG or open
    seen: str

    def __str__(self) -> str:
        return f"{self.verdict:5}  {self.what}: {self.seen}"


@dataclass
class Machine:
    """What is checked, on what: the sizes fill a large GPU unless the tests make them small."""

    device: str
    width: int
    batch_size: int
    samples: int
    seconds: float
    folder: Path
    environment: dict[str, Any] = field(default_factory=dict)
    records: dict[str, Record] = field(default_factory=dict)
    hand: dict[str, Any] | None = None

    def some(self, cases: Iterable[T]) -> list[T]:
        """Return all cases on a GPU, the first on a CPU: there other tests run all."""
        found = list(cases)
        return found if self.device == "cuda" else found[:1]

    @property
    def workload(self) -> Workload:
        return wide(self.width, self.samples)

    def trial(self, workload: Workload, trainer: Any, seconds: float) -> Trial:
        return Trial(
            workload,
            trainer,
            device=self.device,
            seconds=seconds,
            stop_at_target=False,
            score_along=False,
            patience=60.0,
        )

    def run(self, cell: str, workload: Workload, trainer: Any, seconds: float | None = None, **changes: Any) -> Record:
        record = run_trial(
            replace(self.trial(workload, trainer, self.seconds if seconds is None else seconds), **changes),
            suite="gpu", comparison="gpu", cell=cell, errors=self.folder / "errors",
        )  # fmt: skip
        append(self.folder / "trials.jsonl", record)
        self.records[cell] = record
        return record


def within(seen: float, true: float, share: float, slack: float = 0.0) -> str:
    """Return "ok" where ``seen`` is ``true`` but for a share and some slack, "open" where one is not known."""
    if math.isnan(seen) or math.isnan(true):
        return "open"
    return "ok" if abs(seen - true) <= share * true + slack else "WRONG"
