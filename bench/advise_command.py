"""``paceline advise``: its options, and what it prints."""

import argparse
import re
import sys
from pathlib import Path

UNITS = {"": 1.0, "k": 1e3, "m": 1e6, "g": 1e9, "t": 1e12, "ki": 2.0**10, "mi": 2.0**20, "gi": 2.0**30, "ti": 2.0**40}


def add_options(parser: argparse.ArgumentParser) -> None:
    """Have ``parser`` take the options of the command."""
    parser.add_argument("--workload", required=True, metavar="NAME|FILE.py:NAME")
    parser.add_argument("--minutes", type=float, default=5.0, help="wall time, from now on (default: %(default)s)")
    parser.add_argument("--memory", metavar="8GB", help="that all processes of a training run may take together")
    parser.add_argument("--stream", action="store_true", help="each sample may be looked at once only")
    parser.add_argument("--deadline", type=float, metavar="S", help="seconds of training to reach the target in")
    parser.add_argument(
        "--device-seconds", action="store_true", help="spend the least seconds x cores (GPUs), in place of seconds"
    )
    parser.add_argument(
        "--optimizer",
        metavar="NAME|FILE.py:NAME",
        help="whose rate is searched: Adam, 'Sgd(momentum=0.9)' (default: Sgd)",
    )
    parser.add_argument("--device", default="auto", help="cpu, cuda, or auto (default): cuda where there is a GPU")
    parser.add_argument("--results", type=Path, default=Path("results"), help="where runs are kept (default: results)")
    parser.add_argument("--resume", action="store_true", help="go on with the newest run: nothing is run twice")


def run(arguments: argparse.Namespace) -> None:
    """Find the advice and print it; after an interrupt print the best so far.

    Raises:
        ValueError: if something that was asked for cannot be; one line.
    """
    from paceline.bench.advisor import advise
    from paceline.bench.report.advice_text import advice_text

    try:
        advice = advise(
            arguments.workload,
            arguments.minutes,
            memory_bytes=None if arguments.memory is None else bytes_of(arguments.memory),
            stream=arguments.stream,
            deadline=arguments.deadline,
            device_seconds=arguments.device_seconds,
            optimizer=arguments.optimizer,
            device=arguments.device,
            results=arguments.results,
            resume=arguments.resume,
            tell=lambda line: print(line, flush=True),
        )
    except KeyboardInterrupt:
        print("\ninterrupted; what was found so far:\n")
        print(_so_far(arguments.results))
        sys.exit(130)
    picture = _picture(Path(advice.folder))
    print(f"\n{advice_text(advice)}" + (f"\n{'picture':11} {picture}" if picture else ""))


def _picture(folder: Path) -> Path | None:
    """Draw everything that was tried into the run's folder; return the file, None where there is nothing to draw."""
    from paceline.bench.analysis.frames import load_results
    from paceline.bench.report.all_plots import save_plot

    return save_plot(load_results(folder), "tried", folder / "plots")


def bytes_of(text: str) -> float:
    """Return a size such as "8GB", "512 MiB" or "2e9" in bytes.

    Raises:
        ValueError: if it is none; one line.
    """
    found = re.fullmatch(r"\s*([0-9.]+(?:e[0-9]+)?)\s*([kmgt]?i?)b?\s*", text.lower())
    if found is None or found[2] not in UNITS:
        raise ValueError(f"--memory {text}: write it as 8GB or 512MiB")
    return float(found[1]) * UNITS[found[2]]


def _so_far(results: Path) -> str:
    """Return the advice that an interrupted run has kept, in words."""
    from paceline.bench.analysis.advice import Advice
    from paceline.bench.records.files import newest_run
    from paceline.bench.report.advice_text import advice_text

    folder = newest_run(results)
    if folder is None or not (folder / "advice.json").exists():
        return "nothing yet: no step was timed. Start again."
    return advice_text(Advice.of_json((folder / "advice.json").read_text()))
