"""The command ``paceline``."""

import argparse
import shlex
import sys
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from paceline.bench import advise_command
from paceline.bench.run_command import plan, print_report, run

if TYPE_CHECKING:
    from paceline.bench.harness.trial import Trial
    from paceline.bench.workloads.workload import Workload
    from paceline.trainers.task import Trainer

HELP = """\
Paceline measures training strategies side by side - full-batch, mini-batch and online
SGD, accumulation, mixed precision, several workers - on your model, your data and your
machine, and says what each costs to reach the quality you need.

  paceline doctor                  is this machine fit to measure on?
  paceline run                     measure, then decide: 5 minutes, results in ./results
  paceline run --suite quick       a first look: 90 seconds
  paceline run strategies scaling --workload my_file.py:MINE
                                   two of the benchmarks, on a workload of your own
  paceline plan --suite full       what a run would do, and about how long; nothing is trained
  paceline tune --workload my_file.py:MINE
                                   search each strategy's learning rate; `run` then uses it
  paceline advise --workload my_file.py:MINE
                                   one configuration to train with, within 5 minutes
  paceline report [RESULTS]        the decision, and the report as one page
  paceline merge A B -o C          join runs
  paceline export RESULTS --format github|bencher -o FILE
                                   hand the medians to another tool

`paceline COMMAND --help` says more of each. `paceline run` is pytest on Paceline's own
benchmarks: it takes all of pytest's and pytest-benchmark's options as well, and nothing
from the configuration of the folder that it is called in.
"""


def main() -> None:
    """Run one command; an error is one line on stderr and exit status 2."""
    try:
        if sys.argv[1:2] in (["run"], ["plan"]):  # before argparse, which would not let pytest's options pass
            sys.exit((run if sys.argv[1] == "run" else plan)(sys.argv[2:]))
        _command()
    except (ValueError, OSError) as error:
        print(f"paceline: error: {error}", file=sys.stderr)
        sys.exit(2)


def _command() -> None:
    parser = argparse.ArgumentParser(
        prog="paceline",
        description=HELP,
        usage="paceline COMMAND ...",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"paceline {version('paceline')}")
    commands = parser.add_subparsers(
        dest="command", prog="paceline", required=True, metavar="COMMAND", help=argparse.SUPPRESS
    )
    commands.add_parser("run")  # these two for the error that names the commands
    commands.add_parser("plan")

    tune = commands.add_parser("tune", description="Search the learning rate of each trainer on a workload.")
    tune.add_argument("--workload", action="append", required=True, metavar="NAME|FILE.py:NAME")
    tune.add_argument("--trainer", action="append", metavar="NAME|FILE.py:NAME", help="default: all six")
    tune.add_argument("--batch-size", type=int, metavar="B", help="of the trainers (default: their own)")
    tune.add_argument("--seeds", type=int, default=2, help="seeds per rate (default: %(default)s)")
    tune.add_argument("--seconds", type=float, default=10.0, help="budget of a trial (default: %(default)s)")
    tune.add_argument("--patience", type=float, default=120.0, help="seconds without a step (default: %(default)s)")
    tune.add_argument("--device", default="auto")
    tune.add_argument(
        "-o",
        "--output",
        type=Path,
        default=Path("results/learning_rates.csv"),
        help="where benchmarks look for it (default: %(default)s)",
    )

    advise = commands.add_parser("advise", description="Find one configuration to train a workload with.")
    advise_command.add_options(advise)

    report = commands.add_parser("report", description="Print the decision of a run, and write its report as one page.")
    report.add_argument("results", type=Path, nargs="?", default=Path("results"))

    merge = commands.add_parser("merge", description="Join runs into one results folder.")
    merge.add_argument("sources", type=Path, nargs="+", metavar="RESULTS")
    merge.add_argument("-o", "--output", type=Path, required=True, help="a folder that is not there yet")
    merge.add_argument(
        "--across-environments", action="store_true", help="even of different machines; their cells stay apart"
    )

    export = commands.add_parser("export", description="Write a run's medians as other tools read them.")
    export.add_argument("results", type=Path)
    export.add_argument("--format", required=True, help="github (github-action-benchmark, custom) or bencher (BMF)")
    export.add_argument("--metric", default="samples_per_second", help="for github (default: %(default)s)")
    export.add_argument("-o", "--output", type=Path, required=True)

    commands.add_parser(
        "doctor", description="Say whether this machine is fit to measure on (exit status 1: it is not)."
    )

    arguments = parser.parse_args()
    {
        "tune": _tune,
        "advise": advise_command.run,
        "report": _report,
        "merge": _merge,
        "export": _export,
        "doctor": _doctor,
    }[arguments.command](arguments)


def _tune(arguments: argparse.Namespace) -> None:
    from paceline.bench.harness import learning_rates
    from paceline.bench.harness.plan import STRATEGIES, TRAINERS, make_plan
    from paceline.bench.records.record import WITH_RESULT

    asked = make_plan(
        workloads=arguments.workload,
        trainers=arguments.trainer or list(STRATEGIES),
        seeds=arguments.seeds,
        seconds=arguments.seconds,
        patience=arguments.patience,
        device=arguments.device,
    )
    command = f"paceline {shlex.join(sys.argv[1:])}"
    for workload in asked.workloads:
        for name, own in asked.trainers:
            trainer = _at(own, name, arguments.batch_size)
            known_as = asked.known_as(trainer)
            done: list[learning_rates.TuningTrial] = []

            def tell(
                trial: learning_rates.TuningTrial, why: str, done: list[learning_rates.TuningTrial] = done
            ) -> None:
                done.append(trial)
                because = "" if trial.status in WITH_RESULT else f" ({why})"
                print(
                    f"{trial.workload} {trial.trainer} lr {trial.lr:g} seed {trial.seed}: {trial.status}{because}, "
                    f"{trial.samples_to_target:g} samples to target, validation score {trial.validation_score:.4f}",
                    flush=True,
                )

            def make_trial(workload: "Workload", trainer: "Trainer", label: str = name) -> "Trial":
                return asked.trial(workload, trainer, arguments.seconds, label)

            settings = known_as if known_as not in TRAINERS else ""
            errors = arguments.output.parent / "errors"
            learning_rates.search(workload, trainer, make_trial, arguments.seeds, tell, settings, errors)
            arguments.output.parent.mkdir(parents=True, exist_ok=True)
            learning_rates.write(arguments.output, command, done)
            best = learning_rates.best_rate(done)
            found = "no rate reached the target: allow more --seconds" if best is None else f"{best:g}"
            print(f"best learning rate of {name} on {workload.name}: {found}", flush=True)
    print(f"written to {arguments.output}")


def _at(trainer: "Trainer", name: str, batch_size: int | None) -> "Trainer":
    """Return ``trainer`` at the batch size that was asked for, if one was.

    Raises:
        ValueError: if it has none of its own; one line.
    """
    if batch_size is None:
        return trainer
    if not hasattr(trainer, "batch_size"):
        raise ValueError(f"--batch-size: {name} has no batch size of its own; name other trainers with --trainer")
    changed: Trainer = replace(trainer, batch_size=batch_size)
    return changed


def _report(arguments: argparse.Namespace) -> None:
    print_report(arguments.results)


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
