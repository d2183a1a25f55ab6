"""The pytest plugin: options, and the fixture that turns trials into pytest-benchmark's rounds.

A benchmark file asks one question. Its ``cells(plan)`` returns what to compare, a trial by name, and its
``blocks(plan)`` how often; its one test reports a cell through the ``replay`` fixture. The first test of a
comparison runs all of its blocks; each test then replays its own cell's durations to pytest-benchmark.
"""

from __future__ import annotations

import contextlib
import shutil
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from paceline.bench.benchmark_file import pytest_collect_directory, pytest_pycollect_makemodule
from paceline.bench.options import OPTIONS
from paceline.bench.replay import CLOCK, pytest_benchmark_update_machine_info, report

if TYPE_CHECKING:
    from pytest_benchmark.fixture import BenchmarkFixture

    from paceline.bench.harness.blocks import Blocks
    from paceline.bench.harness.comparison import Comparison
    from paceline.bench.harness.plan import LeftOut, Plan
    from paceline.bench.harness.rate_search import Search
    from paceline.bench.harness.trial import Trial
    from paceline.bench.records.record import Record

HERE = Path(__file__).parent

__all__ = [  # hooks that stand in files of their own
    "pytest_benchmark_update_machine_info",
    "pytest_collect_directory",
    "pytest_pycollect_makemodule",
]
FIRST = ("strategies", "null")

PLAN: pytest.StashKey[Plan] = pytest.StashKey()
BLOCKS: pytest.StashKey[Blocks] = pytest.StashKey()
COMPARISONS: pytest.StashKey[dict[str, Comparison]] = pytest.StashKey()
RAN: pytest.StashKey[set[str]] = pytest.StashKey()  # which comparisons
BEGAN: pytest.StashKey[float] = pytest.StashKey()
WRONG: pytest.StashKey[str] = pytest.StashKey()  # what is wrong with the input, found while collecting


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add Paceline's options."""
    group = parser.getgroup("paceline", "Paceline: benchmarks of training strategies")
    for option in OPTIONS:
        group.addoption(option.name, **option.for_parser())


def pytest_configure(config: pytest.Config) -> None:
    """Check the options at once; with none given nothing is imported, for a run may be of anybody's tests."""
    config.stash[BEGAN] = time.monotonic()
    if not config.getoption("budget") > 0:
        raise pytest.UsageError(f"--budget must be more than 0, got {config.getoption('budget'):g}")
    results = config.getoption("results")
    # pytest looks for its configuration before it knows our options, and takes an existing folder for one of tests.
    apart = "--results" in config.invocation_params.args and results.is_dir()
    if apart and config.inipath is None and config.args_source is not pytest.Config.ArgsSource.ARGS:
        raise pytest.UsageError(f"write --results={results}, with '=': after a space pytest looks there for tests")
    typed = ("workload", "trainer", "batch_size", "seeds", "seconds", "cores", "ranks", "minutes")
    if any(config.getoption(name) is not None for name in typed) or (
        config.getoption("suite") != "standard"
        or config.getoption("device") != "auto"
        or config.getoption("first_seed")
    ):
        the_plan(config)


def the_plan(config: pytest.Config) -> Plan:
    """Return what the command line asks for."""
    if PLAN not in config.stash:
        from paceline.bench.harness.plan import make_plan
        from paceline.bench.workloads.user_code import WARNINGS

        config.add_cleanup(partial(setattr, WARNINGS, "show", WARNINGS.show))
        WARNINGS.show = lambda line: _tell(config, line)
        with _usage_errors():
            config.stash[PLAN] = make_plan(
                suite=config.getoption("suite"),
                workloads=config.getoption("workload"),
                trainers=config.getoption("trainer"),
                batch_sizes=config.getoption("batch_size"),
                seeds=config.getoption("seeds"),
                first_seed=config.getoption("first_seed"),
                seconds=config.getoption("seconds"),
                device=config.getoption("device"),
                cores=config.getoption("cores"),
                ranks=config.getoption("ranks"),
                minutes=config.getoption("minutes"),
                patience=config.getoption("patience"),
                until_decided=config.getoption("until_decided"),
                results=config.getoption("results"),
            )
    return config.stash[PLAN]


@contextlib.contextmanager
def _usage_errors() -> Iterator[None]:
    """Turn the one-line errors of wrong input into pytest's own: printed without a traceback, exit status 4."""
    try:
        yield
    except (ValueError, OSError) as error:
        raise pytest.UsageError(str(error)) from error


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give a benchmark one test a cell."""
    if "replay" not in metafunc.fixturenames:
        return
    from paceline.bench.harness.anchor import anchor
    from paceline.bench.harness.comparison import Comparison
    from paceline.bench.harness.plan import LeftOut

    config, module = metafunc.config, metafunc.module
    plan = the_plan(config)
    asked: dict[str, Trial | Search | LeftOut] = {}
    try:
        asked = module.cells(plan)
    except (ValueError, OSError) as error:  # raised here it would be printed as a traceback
        config.stash.setdefault(WRONG, str(error))
    name = _comparison_of(metafunc.definition)
    cells = {cell: plan.from_first_seed(what) for cell, what in asked.items() if not isinstance(what, LeftOut)}
    left_out = {cell: what.why for cell, what in asked.items() if isinstance(what, LeftOut)}
    fewer = module.fewer(plan) if hasattr(module, "fewer") else {}
    found = Comparison(name, cells, module.blocks(plan), left_out, anchor(plan), fewer)
    config.stash.setdefault(COMPARISONS, {})[name] = found
    skipped = [pytest.param(cell, marks=pytest.mark.skip(reason=f"left out: {why}")) for cell, why in left_out.items()]
    metafunc.parametrize("cell", [*cells, *skipped])


def _comparison_of(item: pytest.Item) -> str:
    return item.path.stem.removeprefix("bench_")


def _cells_of(items: list[pytest.Item]) -> list[pytest.Function]:
    """Return the items that report a cell."""
    return [
        item
        for item in items
        if isinstance(item, pytest.Function) and "replay" in item.fixturenames and hasattr(item, "callspec")
    ]


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave the benchmarks, which take minutes, out of a plain ``pytest`` that names no file.

    Raises:
        pytest.UsageError: if a benchmark could not make its cells of what was asked for.
    """
    if WRONG in config.stash:
        raise pytest.UsageError(config.stash[WRONG])
    named = config.args_source is pytest.Config.ArgsSource.ARGS
    if not named and not config.getoption("benchmark_only", False):
        unwanted: list[pytest.Item] = [*_cells_of(items)]
        if unwanted:
            items[:] = [item for item in items if item not in unwanted]
            config.hook.pytest_deselected(items=unwanted)
    # The main comparison first, and then what the others are read by: where time is short, they are measured.
    items.sort(key=lambda item: FIRST.index(name) if (name := _comparison_of(item)) in FIRST else len(FIRST))
    for item in _cells_of(items):
        group = item.module.__doc__.strip().splitlines()[0]
        item.add_marker(pytest.mark.benchmark(timer=CLOCK, group=group))


def in_order(config: pytest.Config, items: list[pytest.Item]) -> list[Comparison]:
    """Return the comparisons in the order in which they run, each with its cells that are among ``items``."""
    chosen: dict[str, set[str]] = {}
    for item in _cells_of(items):
        chosen.setdefault(_comparison_of(item), set()).add(str(item.callspec.params["cell"]))
    for name, cells in chosen.items():
        comparison = config.stash[COMPARISONS][name]
        comparison.cells = {cell: what for cell, what in comparison.cells.items() if cell in cells}
    found = [config.stash[COMPARISONS][name] for name in chosen]
    return [comparison for comparison in found if comparison.cells or comparison.left_out]


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> None:
    """Before any trial runs: check every cell that was selected, and make the run's folder."""
    config = session.config
    selected = [item for item in _cells_of(session.items) if not list(item.iter_markers("skip"))]
    if not selected or config.getoption("collectonly") or config.getoption("benchmark_skip", False):
        return
    for note in the_plan(config).notes:
        _tell(config, note)
    comparisons = in_order(config, session.items)
    for comparison in comparisons:
        for cell, why in comparison.left_out.items():
            _tell(config, f"left out: {comparison.name} {cell}: {why}")
    from paceline.bench.harness.blocks import Blocks
    from paceline.bench.harness.budget import Budget
    from paceline.bench.harness.environment import capture

    plan = the_plan(config)
    budget = Budget(plan.budget_seconds(), spent=time.monotonic() - config.stash[BEGAN])
    blocks = Blocks(config.getoption("results"), plan.suite, lambda line: _tell(config, line), budget)
    with _usage_errors():
        for comparison in comparisons:
            blocks.check(comparison)
        asked = {"until_decided": True} if config.getoption("until_decided") else {}
        left_out = {f"{c.name} {cell}": why for c in comparisons for cell, why in c.left_out.items()}
        environment = capture(plan.workloads) | asked | ({"left_out": left_out} if left_out else {})
        begin = blocks.resume if config.getoption("resume") else blocks.open
        folder = begin(environment, comparisons)
    config.stash[BLOCKS], config.stash[RAN] = blocks, set()
    config.add_cleanup(blocks.close)
    _end_on_sigterm_as_on_ctrl_c(config)
    benchmarks = getattr(config, "_benchmarksession", None)
    if benchmarks is not None and benchmarks.json is None:  # read before the folder could be known
        benchmarks.json = str(folder / "benchmark.json")


def _end_on_sigterm_as_on_ctrl_c(config: pytest.Config) -> None:
    """Make SIGTERM (of a batch system, say) an interrupt too: the trial ends, what was finished is summed up."""
    if threading.current_thread() is threading.main_thread():  # no other may set handlers
        before = signal.signal(signal.SIGTERM, signal.default_int_handler)

        def put_back() -> None:
            signal.signal(signal.SIGTERM, before)

        config.add_cleanup(put_back)


def _peaks(config: pytest.Config) -> list[dict[str, Any]]:
    """Measure what the matrix multiplications of this machine reach: the share of it that a step uses is its MFU."""
    from paceline.bench.harness.comparison import trial_of
    from paceline.bench.harness.peak import measured

    trials = [trial_of(cell) for comparison in config.stash[COMPARISONS].values() for cell in comparison.cells.values()]
    return measured(trials, lambda line: _tell(config, line))


def _tell(config: pytest.Config, line: str) -> None:
    """Print a line of progress past pytest's capture."""
    reporter = config.pluginmanager.getplugin("terminalreporter")
    capture = config.pluginmanager.getplugin("capturemanager")
    if reporter is None:
        print(line, file=sys.stderr)
        return
    with capture.global_and_fixture_disabled() if capture else contextlib.nullcontext():
        reporter.ensure_newline()
        reporter.write_line(line)


def _until_decided(config: pytest.Config, comparison: str) -> Callable[[Mapping[str, list[Record]]], bool]:
    """Return what says, after a block, whether another one is to be run; at the end it prints the verdicts."""
    from paceline.bench.analysis.sequential import verdicts
    from paceline.bench.report.wording import ratio

    ends: list[float] = []

    def undecided(cells: Mapping[str, list[Record]]) -> bool:
        if not ends:  # the budget is for what is added
            ends.append(time.monotonic() + config.getoption("budget"))
        found = verdicts(cells)
        more = any(pair.verdict == "undecided" for pair in found.values())
        if more and time.monotonic() < ends[0]:
            return True
        for (a, b), pair in found.items():
            _tell(config, f"{comparison}: {a} / {b}: {pair.verdict}, {ratio(pair)}")
        return False

    return undecided


@pytest.fixture
def records(request: pytest.FixtureRequest, cell: str) -> list[Record]:
    """Return the trials of this test's cell, running the whole comparison if need be."""
    config = request.config
    blocks, comparison = config.stash[BLOCKS], config.stash[COMPARISONS][_comparison_of(request.node)]
    if comparison.name not in config.stash[RAN]:
        config.stash[RAN].add(comparison.name)
        blocks.check_equivalence(comparison)
        _run(config, blocks, comparison)
        # Not before: a run that is cut short has measured something first.
        blocks.describe(gemm_peaks=lambda: _peaks(config))
    if (comparison.name, cell) in blocks.left_out:
        pytest.skip(f"left out: {blocks.left_out[comparison.name, cell]}")
    return blocks.records[comparison.name, cell]


@pytest.fixture
def replay(records: list[Record], benchmark: BenchmarkFixture) -> Callable[[Callable[[Record], float]], None]:
    """Return a function that reports this test's cell to pytest-benchmark.

    It takes the function that gives a trial's duration in seconds (NaN where the trial has none). A
    cell none of whose trials has one fails: a benchmark without a measurement must not pass.
    """
    return lambda duration: report(benchmark, records, duration)


def _run(config: pytest.Config, blocks: Blocks, comparison: Comparison) -> None:
    """Run all of ``comparison``; where a record cannot be written, end the session with one line."""
    from paceline.bench.harness.run_folder import RecordLostError

    undecided = _until_decided(config, comparison.name) if config.option.until_decided else None
    try:
        blocks.run(comparison, undecided)
    except RecordLostError as error:
        benchmarks = getattr(config, "_benchmarksession", None)
        if benchmarks is not None:
            benchmarks.json = None  # it would be written next, to the same full disk
        pytest.exit(str(error))


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Write the summary and the plots of whatever was finished."""
    blocks = session.config.stash.get(BLOCKS, None)
    if blocks is None or not blocks.records:
        return
    given = session.config.getoption("benchmark_json", None)
    if given and Path(given).exists():
        shutil.copyfile(given, blocks.folder.path / "benchmark.json")
    from paceline.bench.report.page import write_summary_and_plots

    _tell(session.config, f"drawing plots in {blocks.folder.path}")
    try:
        write_summary_and_plots(blocks.folder.path)
    except OSError as error:  # the trials are in their file; a full disk is no reason for a traceback
        _tell(session.config, f"cannot write summary and plots: {error.strerror or error}; 'paceline report' can later")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say where the results are."""
    blocks = config.stash.get(BLOCKS, None)
    if blocks is None or not blocks.records:
        return
    terminalreporter.section("paceline")
    for line in (
        f"trials   {blocks.folder.path / 'trials.jsonl'}",
        f"summary  {blocks.folder.path / 'summary.csv'}",
        f"plots    {blocks.folder.path / 'plots'}",
        f"report   paceline report {blocks.folder.path}",
    ):
        terminalreporter.write_line(line)
