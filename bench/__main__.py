"""The command line beside pytest: ``python -m bench tune`` and ``python -m bench report``."""

import argparse
import shlex
import sys
from pathlib import Path


def main() -> None:
    """Run one command; an error is one line on stderr and exit status 2."""
    parser = argparse.ArgumentParser(prog="python -m bench", description="Paceline's commands beside pytest.")
    commands = parser.add_subparsers(dest="command", required=True)

    tune = commands.add_parser("tune", help="search the learning rate of each trainer on a workload")
    tune.add_argument("--workload", action="append", required=True, metavar="NAME|FILE.py:NAME")
    tune.add_argument("--trainer", action="append", metavar="NAME|FILE.py:NAME", help="default: all six")
    tune.add_argument("--seeds", type=int, default=2, help="seeds per rate (default: %(default)s)")
    tune.add_argument("--seconds", type=float, default=10.0, help="budget of a trial (default: %(default)s)")
    tune.add_argument("--device", default="auto")
    tune.add_argument(
        "-o",
        "--output",
        type=Path,
        default=Path("results/learning_rates.csv"),
        help="where benchmarks look for it (default: %(default)s)",
    )

    report = commands.add_parser("report", help="render report.ipynb for a results folder")
    report.add_argument("results", type=Path, nargs="?", default=Path("results"))

    arguments = parser.parse_args()
    try:
        _tune(arguments) if arguments.command == "tune" else _report(arguments)
    except (ValueError, OSError) as error:
        sys.exit(f"{parser.prog}: error: {error}")


def _tune(arguments: argparse.Namespace) -> None:
    from bench import tuning
    from bench.plan import STRATEGIES, make_plan

    plan = make_plan(
        workloads=arguments.workload,
        trainers=arguments.trainer or list(STRATEGIES),
        seeds=arguments.seeds,
        seconds=arguments.seconds,
        device=arguments.device,
    )
    command = f"python -m bench {shlex.join(sys.argv[1:])}"
    for workload in plan.workloads:
        for name, trainer in plan.trainers:
            done: list[tuning.TuningTrial] = []

            def tell(trial: tuning.TuningTrial, done: list[tuning.TuningTrial] = done) -> None:
                done.append(trial)
                print(
                    f"{trial.workload} {trial.trainer} lr {trial.lr:g} seed {trial.seed}: {trial.status}, "
                    f"{trial.samples_to_target:g} samples to target, final score {trial.final_score:.4f}",
                    flush=True,
                )

            tuning.search(workload, trainer, lambda w, t: plan.trial(w, t, arguments.seconds), arguments.seeds, tell)
            arguments.output.parent.mkdir(parents=True, exist_ok=True)
            tuning.write(arguments.output, command, done)
            best = tuning.best_rate(done)
            found = "no rate reached the target: allow more --seconds" if best is None else f"{best:g}"
            print(f"best learning rate of {name} on {workload.name}: {found}", flush=True)
    print(f"written to {arguments.output}")


def _report(arguments: argparse.Namespace) -> None:
    from bench.decision import decision_text
    from bench.report import open_run, render

    page = render(arguments.results)
    print(decision_text(open_run(arguments.results)))
    print(f"\nplots   {page.parent / 'plots'}\nreport  {page}")


if __name__ == "__main__":
    main()
