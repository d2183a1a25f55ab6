"""The command ``python -m paceline.bench.regret``: the table of grids on which advisors are judged."""

import argparse
import os
import sys
from pathlib import Path

from paceline.bench.workloads.regret_grid import DEVELOPMENT, GRIDS, HELD_OUT, find_grid

HELP = """\
How wrong is the advice? Every batch size and rate of some workloads is trained to its
target, once and for all, and advisors are replayed on what came out.

  python -m paceline.bench.regret make [--workload NAME ...] [--processes N]
                    count the steps of every cell; what is there already is kept, so it can
                    be stopped and continued, and run in pieces of a few workloads
  python -m paceline.bench.regret make --again
                    the best cells once more, on fresh seeds
  python -m paceline.bench.regret time [--workload NAME ...]
                    time a step of every configuration: on a machine that does nothing else
  python -m paceline.bench.regret check [--workload NAME ...]
                    race to the target in every way to make a step, at one cell of each grid
  python -m paceline.bench.regret replay
                    replay the advisor, and what people do instead, on what was made; say how
                    wrong each was (some minutes)
  python -m paceline.bench.regret replay --publish
                    and have it said by the report, and by paceline advise
"""


def main() -> None:
    """Run one command; an error is one line on stderr and exit status 2."""
    try:
        _command()
    except (ValueError, OSError) as error:
        print(f"paceline: error: {error}", file=sys.stderr)
        sys.exit(2)


def _command() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m paceline.bench.regret",
        description=HELP,
        usage="python -m paceline.bench.regret COMMAND ...",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("command", choices=["make", "time", "check", "replay"])
    parser.add_argument("--workload", action="append", metavar="NAME", help=f"of {', '.join(GRIDS)} (default: all)")
    parser.add_argument("--only", choices=["development", "held-out"], help="the first 14 or the last ten")
    parser.add_argument("--processes", type=int, default=1, metavar="N", help="runs at once (default: %(default)s)")
    parser.add_argument("--again", action="store_true", help="the best cells of complete grids, on fresh seeds")
    parser.add_argument("--publish", action="store_true", help="what was replayed is what the report shows")
    parser.add_argument("--data", type=Path, metavar="FOLDER", help="with the four .gz files of Fashion-MNIST")
    parser.add_argument("-o", "--output", type=Path, default=Path("results/regret"), help="default: %(default)s")
    arguments = parser.parse_args()
    if arguments.data is not None:
        os.environ["PACELINE_DATA"] = str(arguments.data)
    named = [find_grid(name) for name in arguments.workload or ()]
    some = {"development": DEVELOPMENT, "held-out": HELD_OUT, None: DEVELOPMENT + HELD_OUT}[arguments.only]
    grids = named or some

    def tell(line: str) -> None:
        print(line, flush=True)

    if arguments.command == "replay":
        _replay(arguments.output, {grid.name for grid in grids}, arguments.publish)
        return
    if arguments.command in ("time", "check"):
        from paceline.bench.harness.grid_times import run_directly, time_steps

        left_out = (time_steps if arguments.command == "time" else run_directly)(arguments.output, grids, tell)
    else:
        from paceline.bench.harness.grid_table import make

        left_out = make(arguments.output, grids, arguments.processes, tell, arguments.again)
    for name, why in left_out.items():
        print(f"left out: {name}: {why}", file=sys.stderr)


def _replay(folder: Path, names: set[str], publish: bool) -> None:
    """Replay all searches, print what came of them, and keep it beside the table."""
    from paceline.bench.analysis.grid_tables import load_tables
    from paceline.bench.analysis.regret import direct, regrets
    from paceline.bench.report import regret as shown
    from paceline.bench.report.plots.style import DPI

    tables = [table for table in load_tables(folder) if table.name in names]
    if not tables:
        raise ValueError(f"{folder} holds no grid that is complete and timed: run make, and time")
    found, held_to = regrets(tables).round(4), direct(tables, folder)
    kept = [
        (found, folder / shown.FILE.name),
        *([(found, shown.FILE), (held_to.round(4), shown.DIRECT)] if publish else []),
    ]
    for frame, file in kept:
        frame.to_csv(file, index=False, compression={"method": "gzip", "mtime": 1})
    print(shown.headline(found), "", sep="\n")
    for frame in (shown.table(found), shown.by_workload(found), shown.against(found)):
        print(frame.to_string(index=False), "", sep="\n")
    if not held_to.empty:
        print(shown.direct(held_to).to_string(index=False), "", sep="\n")
    figure = shown.plot(found)
    if figure is not None:
        figure.savefig(folder / "regret.png", dpi=DPI)


if __name__ == "__main__":
    main()
