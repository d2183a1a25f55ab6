"""A row of the decision table: what each benchmark's ``decisions`` are made of."""

from dataclasses import dataclass

NOT_DECIDED = "not decided"


@dataclass(frozen=True)
class Decision:
    """One row of the decision table: under this constraint, this choice, for this reason."""

    constraint: str
    choice: str
    why: str


def not_run(constraint: str, benchmark: str) -> list[Decision]:
    """Return the row of a comparison that was not run, which names the benchmark to run."""
    return [Decision(constraint, "not measured", f"not measured: run {benchmark}")]
