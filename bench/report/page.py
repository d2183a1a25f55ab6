"""Write what a run's folder holds beside its trials: summary, plots, and the report as one HTML page."""

import base64
import html
import importlib.util
import io
import os
import re
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from paceline.bench.analysis.frames import Results, load_results, summary
from paceline.bench.records.files import newest_run
from paceline.bench.report.all_plots import PLOTS, save_plots

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# The report is told by this variable which run it is of.
RESULTS_VARIABLE = "PACELINE_RESULTS"

NOTEBOOK = Path(__file__).with_name("report.ipynb")  # in a checkout a link to the one at its top
NEEDED = ("nbclient", "nbconvert", "ipykernel")
SECONDS_ALLOWED = 600  # for one cell of the notebook: most take well under one

# The page is our own: the exporter's templates load scripts for mathematics and diagrams from the network.
PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
body {{ max-width: 70rem; margin: 2rem auto; padding: 0 1.5rem; color: #222; background: #fff;
       font: 16px/1.5 system-ui, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; }}
h1 {{ font-size: 1.9rem; margin-bottom: 0.2rem; }}
h2 {{ font-size: 1.4rem; margin-top: 3rem; border-bottom: 2px solid #ddd; padding-bottom: 0.2rem; }}
h3 {{ font-size: 1.1rem; margin-top: 1.8rem; }}
p, li {{ max-width: 52rem; }}
figure {{ margin: 1rem 0; }}
img {{ max-width: 100%; height: auto; }}
.table {{ overflow-x: auto; margin: 0.6rem 0 1.4rem; }}
table {{ border-collapse: collapse; font-size: 0.85rem; line-height: 1.35; }}
th, td {{ text-align: left; vertical-align: top; border-bottom: 1px solid #e4e4e4;
         padding: 0.3rem 0.9rem 0.3rem 0; }}
table.numbers td:first-child {{ white-space: nowrap; }}
th {{ border-bottom: 2px solid #bbb; font-weight: 600; }}
.interval {{ white-space: nowrap; color: #666; }}
table.decision td:nth-child(1) {{ min-width: 11rem; }}
table.decision td:nth-child(2) {{ min-width: 11rem; font-weight: 600; }}
table.claims td:nth-child(2) {{ min-width: 14rem; }}
table.claims td:nth-child(3) {{ white-space: nowrap; font-weight: 600; }}
@media print {{ body {{ max-width: none; }}
               h2, h3 {{ break-after: avoid; }}
               tr, figure {{ break-inside: avoid; }} }}
</style>
</head>
<body>
{body}
</body>
</html>
"""


def write_summary_and_plots(folder: Path) -> None:
    """Write ``summary.csv`` and ``plots/*.png`` of the run in ``folder``."""
    results = load_results(folder)
    summary(results.trials).to_csv(folder / "summary.csv", index=False)
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


def show_plot(results: Results, name: str) -> None:
    """Display one of ``report.all_plots.PLOTS``, or that there is nothing to draw."""
    figure = PLOTS[name](results)
    if figure is None:
        show_text(f"No plot of {name.replace('_', ' ')}: this run holds no trial of it.")
    else:
        _display(_image(figure, name.replace("_", " ")))


def show_table(table: pd.DataFrame, if_empty: str, kind: str = "numbers") -> None:
    """Display ``table``, or the sentence ``if_empty``; ``kind`` names its look."""
    _display(_table(table, kind)) if len(table) else show_text(if_empty)


def _display(fragment: str) -> None:
    # Here, so that the benchmarks can write summary and plots without a notebook's packages.
    from IPython.display import HTML, display

    display(HTML(fragment))  # type: ignore[no-untyped-call]


def _image(figure: "Figure", name: str) -> str:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=130, bbox_inches="tight")
    data = base64.b64encode(buffer.getvalue()).decode("ascii")
    alt = f"plot of {name}; its numbers are in the table below"
    return f'<figure><img alt="{alt}" src="data:image/png;base64,{data}"></figure>'


def _table(table: pd.DataFrame, kind: str) -> str:
    # pandas cuts long text unless told otherwise, and a reason must not be cut.
    with pd.option_context("display.max_colwidth", None):
        text = table.to_html(index=False, border=0, classes=kind, justify="left")
    text = re.sub(r"(\[[^\[\]<]*\d[^\[\]<]*\])", r'<span class="interval">\1</span>', text)
    return f'<div class="table">{text}</div>'


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
    page = PAGE.format(title=f"Paceline: {html.escape(folder.name)}", body=_executed(folder))
    # Written aside and moved into place, so that a reader never sees half a page.
    unfinished = folder / f".report.{os.getpid()}.html"
    unfinished.write_text(page, encoding="utf-8")
    os.replace(unfinished, folder / "report.html")
    return folder / "report.html"


def _executed(folder: Path) -> str:
    """Return the body of the page: the notebook's prose and outputs for the run in ``folder``."""
    import nbformat
    from jupyter_client.kernelspec import KernelSpecManager
    from jupyter_client.manager import AsyncKernelManager
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError
    from nbconvert import HTMLExporter

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
    exporter = HTMLExporter(  # type: ignore[no-untyped-call]
        template_name="basic",
        exclude_input=True,
        exclude_input_prompt=True,
        exclude_output_prompt=True,
        anchor_link_text="",
    )
    body, _ = exporter.from_notebook_node(content)
    return str(body)
