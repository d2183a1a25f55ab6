"""The command ``paceline``."""

import argparse
import shlex
import sys
from pathlib import Path


def main() -> None:
    """Run one command; an error is one line on stderr and exit status 2."""
    parser = argparse.ArgumentParser(prog="paceline", description="Paceline's commands beside pytest.")
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

    merge = commands.add_parser("merge", help="join runs into one results folder")
    merge.add_argument("sources", type=Path, nargs="+", metavar="RESULTS")
    merge.add_argument("-o", "--output", type=Path, required=True, help="a folder that is not there yet")
    merge.add_argument(
        "--across-environments", action="store_true", help="even of different machines; their cells stay apart"
    )

    export = commands.add_parser("export", help="write a run's medians as other tools read them")
    export.add_argument("results", type=Path)
    export.add_argument("--format", required=True, help="github (github-action-benchmark, custom) or bencher (BMF)")
    export.add_argument("--metric", default="samples_per_second", help="for github (default: %(default)s)")
    export.add_argument("-o", "--output", type=Path, required=True)

    commands.add_parser("doctor", help="say whether this machine is fit to measure on (exit status 1: it is not)")

    arguments = parser.parse_args()
    run = {"tune": _tune, "report": _report, "merge": _merge, "export": _export, "doctor": _doctor}[arguments.command]
    try:
        run(arguments)
    except (ValueError, OSError) as error:
        sys.exit(f"{parser.prog}: error: {error}")


def _tune(arguments: argparse.Namespace) -> None:
    from paceline.bench.harness import learning_rates
    from paceline.bench.harness.plan import STRATEGIES, make_plan

    plan = make_plan(
        workloads=arguments.workload,
        trainers=arguments.trainer or list(STRATEGIES),
        seeds=arguments.seeds,
        seconds=arguments.seconds,
        device=arguments.device,
    )
    command = f"paceline {shlex.join(sys.argv[1:])}"
    for workload in plan.workloads:
        for name, trainer in plan.trainers:
            done: list[learning_rates.TuningTrial] = []

            def tell(trial: learning_rates.TuningTrial, done: list[learning_rates.TuningTrial] = done) -> None:
                done.append(trial)
                print(
                    f"{trial.workload} {trial.trainer} lr {trial.lr:g} seed {trial.seed}: {trial.status}, "
                    f"{trial.samples_to_target:g} samples to target, final score {trial.final_score:.4f}",
                    flush=True,
                )

            learning_rates.search(
                workload, trainer, lambda w, t: plan.trial(w, t, arguments.seconds), arguments.seeds, tell
            )
            arguments.output.parent.mkdir(parents=True, exist_ok=True)
            learning_rates.write(arguments.output, command, done)
            best = learning_rates.best_rate(done)
            found = "no rate reached the target: allow more --seconds" if best is None else f"{best:g}"
            print(f"best learning rate of {name} on {workload.name}: {found}", flush=True)
    print(f"written to {arguments.output}")


def _report(arguments: argparse.Namespace) -> None:
    from paceline.bench.report.decision import decision_text
    from paceline.bench.report.page import open_run, render, write_summary_and_plots

    page = render(arguments.results)
    if not ((page.parent / "summary.csv").exists() and (page.parent / "plots").exists()):  # merged, or cut short
        write_summary_and_plots(page.parent)
    print(decision_text(open_run(arguments.results)))
    print(f"\nplots   {page.parent / 'plots'}\nreport  {page}")


def _merge(arguments: argparse.Namespace) -> None:
    from paceline.bench.report.merge import merge

    count = merge(arguments.sources, arguments.output, arguments.across_environments)
    print(f"{count} trials in {arguments.output}")


def _export(arguments: argparse.Namespace) -> None:
    from paceline.bench.records.files import write_whole
    from paceline.bench.report.export import export

    text, left_out = export(arguments.results, arguments.format, arguments.metric)
    write_whole(arguments.output, text)
    print(f"written to {arguments.output}")
    for cell in left_out:
        print(f"left out: {cell} has no finite median", file=sys.stderr)


def _doctor(_: argparse.Namespace) -> None:
    from paceline.bench.harness.doctor import examine, read_machine

    findings = examine(read_machine())
    print(*findings, sep="\n")
    if not all(finding.fit for finding in findings):
        sys.exit(1)


if __name__ == "__main__":
    main()
