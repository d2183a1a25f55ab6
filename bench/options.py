"""What the command line of a run takes, beside all that pytest and pytest-benchmark take."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Option:
    """One option: its ``help`` in half a line, and the rest as argparse has it."""

    name: str
    help: str
    metavar: str = ""
    settings: dict[str, Any] = field(default_factory=dict)

    def for_parser(self) -> dict[str, Any]:
        """Return the keyword arguments of ``add_argument``."""
        return {"help": self.help} | ({"metavar": self.metavar} if self.metavar else {}) | self.settings


REPEATABLE: dict[str, Any] = {"action": "append"}
FLAG: dict[str, Any] = {"action": "store_true"}

OPTIONS = (
    Option("--suite", "how much: quick, standard (default) or full", "SUITE", {"default": "standard"}),
    Option("--workload", "what to train: a built-in name or FILE.py:NAME (repeatable)", "NAME", REPEATABLE),
    Option("--trainer", "which strategies: a built-in name or FILE.py:NAME (repeatable)", "NAME", REPEATABLE),
    Option("--batch-size", "which, for the benchmarks that vary it (repeatable)", "B", REPEATABLE | {"type": int}),
    Option("--seeds", "trials of each cell", "N", {"type": int}),
    Option(
        "--first-seed",
        "number of the first seed (default: 0); a run that is to be merged with another goes on where that ended",
        "N",
        {"type": int, "default": 0},
    ),
    Option("--seconds", "training budget of one trial", "S", {"type": float}),
    Option(
        "--minutes",
        "wall time of all measurements; what does not fit is cut, and named (default: quick 1.5, standard 5, full no "
        "limit)",
        "M",
        {"type": float},
    ),
    Option("--device", "cpu, cuda, or auto (default): cuda where there is a GPU", "DEVICE", {"default": "auto"}),
    Option(
        "--cores",
        "CPU cores that a trial takes (default: the physical ones, within a quota and OMP_NUM_THREADS)",
        "N",
        {"type": int},
    ),
    Option("--ranks", "ranks of a distributed trainer (default: by cores and batch)", "N", {"type": int}),
    Option(
        "--patience",
        "wall seconds without a step, or other sign of life, after which a trial is ended (default: 120)",
        "S",
        {"type": float, "default": 120.0},
    ),
    Option("--until-decided", "add blocks until each strategy's verdict falls, or --budget ends", settings=FLAG),
    Option(
        "--budget",
        "wall seconds that --until-decided may add to each comparison (default: 300)",
        "S",
        {"type": float, "default": 300.0},
    ),
    Option("--results", "where runs are kept (default: results)", "DIR", {"type": Path, "default": Path("results")}),
    Option("--resume", "go on with the newest run: only the trials that it lacks", settings=FLAG),
)
