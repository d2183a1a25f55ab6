"""``paceline run``: pytest on the packaged benchmarks, then the report; and ``paceline plan``, which only says what."""

import ast
import math
import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

from paceline.bench.options import OPTIONS

if TYPE_CHECKING:
    import pytest

HERE = Path(__file__).parent

RUN_HELP = """\
usage: paceline {command} [BENCHMARK ...] [OPTION ...]

{what} Benchmarks, each a question (default: all):
{benchmarks}

Options, and all of pytest's and pytest-benchmark's (`-k EXPRESSION`, `--collect-only`,
`--benchmark-save NAME`):
{options}
"""

WHAT = {
    "run": "Measure, then write the report.",
    "plan": "Say what such a run would do, and about how long it would take. Nothing is trained.",
}


def run(arguments: list[str]) -> int:
    """Run pytest on the packaged benchmarks and then the report; return the exit status."""
    import pytest

    seen = _Seen()
    status = _pytest("run", arguments, [], seen)
    # Also where a cell has no measurement, which fails its test: the others have.
    if seen.folder is not None and status in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
        print_report(seen.folder, drawn=True)
    return status


def plan(arguments: list[str]) -> int:
    """Print what a run with these ``arguments`` would do; return the exit status."""
    return _pytest("plan", arguments, ["--collect-only", "-p", "no:terminal"], _Planned())


def _pytest(command: str, arguments: list[str], further: list[str], plugin: object) -> int:
    """Call pytest with the names of benchmarks and the options in ``arguments``, in this order.

    Everything that pytest would look for in the working directory, or load because it is installed, is left alone: see
    ``pytest.ini`` beside this file.
    """
    import pytest

    if {"-h", "--help"} & set(arguments):
        print(_help(command))
        return 0
    first_option = next((i for i, argument in enumerate(arguments) if argument.startswith("-")), len(arguments))
    names, options = arguments[:first_option], arguments[first_option:]
    known = {path.stem.removeprefix("bench_"): path for path in sorted(HERE.glob("bench_*.py"))}
    unknown = [name for name in names if name not in known]
    if unknown:
        known_are = f"known are {', '.join(known)}"
        print(f"paceline {command}: error: unknown benchmark {unknown[0]!r}: {known_are}", file=sys.stderr)
        return 2
    files = [str(known[name]) for name in names] or [str(HERE)]
    configuration = ["-c", str(HERE / "pytest.ini"), "--benchmark-only"]
    return int(pytest.main([*configuration, *further, *files, *options], plugins=[plugin]))


class _Seen:
    """A pytest plugin that takes down which folder the run used."""

    folder: Path | None = None

    def pytest_sessionfinish(self, session: "pytest.Session") -> None:
        from paceline.bench.plugin import BLOCKS

        blocks = session.config.stash.get(BLOCKS, None)
        self.folder = blocks.folder.path if blocks is not None and blocks.records else None


class _Planned:
    """A pytest plugin that prints what was collected as the plan of a run."""

    def pytest_collection_finish(self, session: "pytest.Session") -> None:
        from paceline.bench.harness.budget import Budget
        from paceline.bench.plugin import in_order, the_plan

        asked = the_plan(session.config)
        for note in asked.notes:
            print(note)
        guess, total = Budget(), 0.0
        print(f"{'':16}{'cells':>6}{'blocks':>8}{'trials':>8}{'about':>8}")
        for comparison in in_order(session.config, session.items):
            need = guess.need(comparison)
            total += need
            counts = f"{len(comparison.cells):>6}{comparison.blocks:>8}{len(comparison):>8}"
            print(f"{comparison.name:16}{counts}{_time(need):>8}")
            for cell, why in comparison.left_out.items():
                print(textwrap.fill(f"left out: {cell}: {why}", 88, initial_indent="  ", subsequent_indent="    "))
        budget = asked.budget_seconds()
        ends = (
            "there is no limit" if math.isinf(budget) else f"what does not fit into {_time(budget)} is cut, and named"
        )
        where = f"{asked.most_ranks()} GPUs" if asked.device == "cuda" else f"{asked.cores_of_a_trial()} cores a trial"
        print(f"\nAbout {_time(total)} minutes on {where}, a guess before anything is timed; {ends}.")


def _time(seconds: float) -> str:
    return f"{seconds // 60:.0f}:{seconds % 60:02.0f}"


def _help(command: str) -> str:
    """Return the help of ``command``: what each benchmark asks, by its own words, and our options."""
    benchmarks = []
    for path in sorted(HERE.glob("bench_*.py")):
        _, _, question = (ast.get_docstring(ast.parse(path.read_text())) or "").partition("\n\n")
        question = " ".join(question.split()).partition("?")[0] + "?"
        benchmarks.append(_entry(path.stem.removeprefix("bench_"), question))
    options = [_entry(f"{option.name} {option.metavar}".strip(), option.help) for option in OPTIONS]
    text = RUN_HELP.format(
        command=command, what=WHAT[command], benchmarks="\n".join(benchmarks), options="\n".join(options)
    )
    return text.rstrip()


def _entry(name: str, text: str) -> str:
    """Return an entry of a list: the name, and beside it the text, wrapped."""
    return textwrap.fill(text, 88, initial_indent=f"  {name:18}", subsequent_indent=20 * " ")


def print_report(results: Path, drawn: bool = False) -> None:
    """Write a run's summary, plots and page anew, and print the decision.

    Plots that are there may be of an earlier Paceline, or of fewer trials, and would contradict the page.

    Args:
        results: a run's folder, or a folder of runs.
        drawn: whether this very process has written summary and plots already.
    """
    from paceline.bench.analysis.card_of_advice import advice_in
    from paceline.bench.report.advice_text import advice_text
    from paceline.bench.report.card import text
    from paceline.bench.report.decision import decision_text
    from paceline.bench.report.page import open_run, render, write_summary_and_plots

    run = open_run(results)
    if not (drawn and (run.folder / "plots").exists()):  # a disk that was full then may have room now
        write_summary_and_plots(run.folder)
    page = ""
    try:
        path = render(run.folder)
        page = str(path) + (f"  ({path.stat().st_size / 1e6:.1f} MB, opens offline)" if path.exists() else "")
    finally:  # the decision needs none of what the page may lack
        advice = advice_in(run.folder)
        if advice is not None:
            print(advice_text(advice))
        else:
            print(decision_text(run))
            print(f"\n{text(run)}")  # last: what stands on the screen when a run ends is the answer
        print(f"\nplots   {run.folder / 'plots'}" + (f"\nreport  {page}" if page else ""))
