"""Write what a run's folder holds beside its trials: summary, plots, and the report as one HTML page."""

import html
import importlib.util
import os
import re
import tempfile
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from paceline.bench.analysis.frames import Results, load_results, summary
from paceline.bench.records.files import newest_run
from paceline.bench.report import any_target, card, card_page, each_workload, page_layout, trials_table
from paceline.bench.report.all_plots import PLOTS, save_plots
from paceline.bench.report.figures import as_image
from paceline.bench.report.page_layout import FOLDED, Fragment
from paceline.bench.report.tips import explained

# The report is told by this variable which run it is of.
RESULTS_VARIABLE = "PACELINE_RESULTS"

OF_THE_RUN = ("drift",)  # plots of what no workload has to itself

NOTEBOOK = Path(__file__).with_name("report.ipynb")  # in a checkout a link to the one at its top
NEEDED = ("nbclient", "nbconvert", "ipykernel")
SECONDS_ALLOWED = 600  # for one cell of the notebook: most take well under one


def write_summary_and_plots(folder: Path) -> None:
    """Write ``summary.csv``, ``card.md`` and ``plots/*.png`` of the run in ``folder``."""
    results = load_results(folder)
    summary(results.trials).to_csv(folder / "summary.csv", index=False)
    (folder / "card.md").write_text(card.markdown(results), encoding="utf-8")
    save_plots(results, folder / "plots")


# What the notebook calls


def open_run(path: str | Path | None = None) -> Results:
    """Read the run at ``path``, else the one the environment names, else the newest, else the reference run.

    Raises:
        FileNotFoundError: if there are no results there.
    """
    if path is None:
        path = os.environ.get(RESULTS_VARIABLE, "results")
    folder = Path(path)
    candidates = (folder, newest_run(folder) or folder, folder / "reference")
    return load_results(next((run for run in candidates if (run / "trials.jsonl").exists()), folder))


def show_text(*sentences: str) -> None:
    """Display a paragraph."""
    _display(f"<p>{html.escape(' '.join(sentences))}</p>")


def show_card(results: Results) -> None:
    """Display what to use, and each decision in it."""
    _display(card_page.fragment(results))


def show_any_target(results: Results) -> None:
    """Display a slider over the target, and each strategy's time to it."""
    _display(any_target.fragment(results))


def show_trials(results: Results) -> None:
    """Display every trial, to be filtered."""
    _display(trials_table.fragment(results))


def show_plot(results: Results, name: str) -> None:
    """Display one of ``report.all_plots.PLOTS``, or that there is nothing to draw."""
    figures = {} if name in OF_THE_RUN else each_workload.figures(results, PLOTS[name])
    if name in OF_THE_RUN:
        show_figure(PLOTS[name](results), name)
    elif len(figures) < 2:
        show_figure(next(iter(figures.values()), None), name)
    else:
        _display(each_workload.parts({workload: _image(figure, name) for workload, figure in figures.items()}))


def show_figure(figure: Figure | None, name: str) -> None:
    """Display a figure, or that there is nothing to draw; ``name`` is its name in words with underscores."""
    if figure is None:
        show_text(f"No plot of {name.replace('_', ' ')}: this run holds no trial of it.")
    else:
        _display(_image(figure, name))


def _image(figure: Figure, name: str) -> str:
    return as_image(figure, f"plot of {name.replace('_', ' ')}; its numbers are in the table below")


def show_table(table: pd.DataFrame, if_empty: str, kind: str = "numbers") -> None:
    """Display ``table``, or the sentence ``if_empty``; ``kind`` names its look."""
    _display(table_html(table, kind)) if len(table) else show_text(if_empty)


def _display(fragment: str) -> None:
    # Here, so that the benchmarks can write summary and plots without a notebook's packages.
    from IPython.display import HTML, display

    display(HTML(fragment))  # type: ignore[no-untyped-call]


def table_html(table: pd.DataFrame, kind: str) -> str:
    """Return ``table`` as HTML, with intervals and the words at its head marked; ``kind`` names its look."""
    # pandas cuts long text unless told otherwise, and a reason must not be cut.
    with pd.option_context("display.max_colwidth", None):
        text = table.to_html(index=False, border=0, classes=kind, justify="left")
    text = re.sub(r"(\[[^\[\]<]*\d[^\[\]<]*\])", r'<span class="interval">\1</span>', text)
    return f'<div class="table">{explained(text)}</div>'


# The page


def render(path: str | Path | None = None) -> Path:
    """Execute ``report.ipynb`` on a run and write it as ``report.html`` into the run's folder.

    The page holds its plots and loads nothing, so that it opens anywhere, offline.

    Args:
        path: a run's folder, or a folder of runs; see ``open_run``.

    Returns:
        The page.

    Raises:
        FileNotFoundError: if there are no results at ``path``.
        ValueError: if a package is missing that this needs, or the notebook fails.
    """
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        raise ValueError(f"the report needs {', '.join(missing)}: pip install -e '.[report]'")
    folder = open_run(path).folder
    page = page_layout.page(f"Paceline: {folder.name}", _executed(folder))
    # Written aside and moved into place, so that a reader never sees half a page.
    unfinished = folder / f".report.{os.getpid()}.html"
    unfinished.write_text(page, encoding="utf-8")
    os.replace(unfinished, folder / "report.html")
    return folder / "report.html"


def _executed(folder: Path) -> list[Fragment]:
    """Return the notebook's prose and outputs for the run in ``folder``."""
    import nbformat
    from jupyter_client.kernelspec import KernelSpecManager
    from jupyter_client.manager import AsyncKernelManager
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError
    from nbconvert.filters import markdown2html

    content = nbformat.read(NOTEBOOK, as_version=4)  # type: ignore[no-untyped-call]
    # Without folders to look in, "python3" is the interpreter that runs this, whatever kernels are installed.
    specs = KernelSpecManager(kernel_dirs=[])
    with tempfile.TemporaryDirectory(prefix="paceline-") as sockets:
        kernel = AsyncKernelManager(
            kernel_name="python3",
            kernel_spec_manager=specs,
            # Sockets of the file system where there are any: nothing listens on a port.
            transport="tcp" if os.name == "nt" else "ipc",
            connection_file=str(Path(sockets) / "kernel.json"),
        )
        resources = {"metadata": {"path": str(folder)}}
        client = NotebookClient(content, km=kernel, timeout=SECONDS_ALLOWED, resources=resources)
        try:
            client.execute(env=os.environ | {RESULTS_VARIABLE: str(folder)}, cleanup_kc=True)
        except CellExecutionError as error:
            raise ValueError(f"{NOTEBOOK.name} failed: {error.ename}: {error.evalue}") from error
    fragments = []
    for cell in content.cells:
        if cell.cell_type == "markdown":
            prose = re.sub(r'<a class="anchor-link".*?</a>', "", markdown2html(cell.source))
            fragments.append(Fragment(prose, cell.id, FOLDED in cell.metadata.get("tags", ())))
        else:  # what cells print or return is for whoever runs them by hand
            shown = [output.data["text/html"] for output in cell.outputs if "text/html" in output.get("data", {})]
            fragments.append(Fragment("\n".join(shown)))
    return fragments
