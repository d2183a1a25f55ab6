"""What the README and the pages in docs/ tell people to do works as written, and what they state was measured."""

import ast
import html
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from paceline.bench.harness.plan import SUITES, TRAINERS, find_trainer
from paceline.bench.harness.run import run_trial
from paceline.bench.harness.trial import Trial
from paceline.bench.workloads import BUILT_IN, find_workload
from paceline.trainers import MiniBatch
from tests.paths import REFERENCE, ROOT
from tests.problems import GAUSSIANS

README = ROOT / "README.md"
PAGES = [README, ROOT / "CONTRIBUTING.md", ROOT / "results" / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BENCHMARKS = {path.stem.removeprefix("bench_") for path in (ROOT / "bench").glob("bench_*.py")}

# What the scripts on a page print, and that it is right.
PRINTED = {
    "trainer.md": r"reached [\d.]+\nComparison\(ratio=.*verdict='slower'",
    "workload.md": r"reached 0\.9[3-9]",
    "batch-size-and-rate.md": r"(?P<value>[\d.]+) (?P<low>[\d.]+) (?P<high>[\d.]+) True \n",
    "advise.md": r"linear (decided|any of these|not decided|not verified|not known)\n",
    "results.md": r"(?s).*\nOnline +1\.363\d* +4.*2\.13\.0\+cpu\n",
}


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


def code_blocks(page: Path, language: str) -> list[str]:
    """Return the fenced blocks of ``language``."""
    return re.findall(rf"```{language}\n(.*?)```", page.read_text(), re.DOTALL)


def defined_in(block: str) -> tuple[list[str], list[str]]:
    """Return the trainers and the workloads that a block defines."""
    body = ast.parse(block).body
    trainers = [node.name for node in body if isinstance(node, ast.ClassDef)]
    calls = [node for node in body if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call)]
    return trainers, [node.targets[0].id for node in calls if ast.unparse(node.value.func) == "Workload"]


CODE = [
    pytest.param(page, block, id=f"{name_of(page)}-{number}")
    for page in PAGES
    for number, block in enumerate(code_blocks(page, "python"))
]


def commands(page: Path) -> list[list[str]]:
    """Return the commands that a page shows, as blocks or within its text."""
    text = page.read_text()
    within = re.findall(r"`((?:paceline|pytest|make) [^`]*)`", re.sub(r"```.*?```", "", text, flags=re.DOTALL))
    lines = [*re.findall(r"^    ((?:paceline|pytest|make) .*)$", text, re.MULTILINE), *within]
    return [shlex.split(line, comments=True) for line in lines]


COMMANDS = sorted({tuple(command) for page in PAGES for command in commands(page)})


def test_the_readme_is_short():
    assert len(README.read_text().splitlines()) <= 90


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_what_it_links_to_is_there(page):
    for link in re.findall(r"\]\(([^)]+)\)", page.read_text()):
        if "://" in link:
            continue
        file, _, anchor = link.partition("#")
        assert (page.parent / file).exists(), link
        headings = re.findall(r"^#+ (.*)$", (page.parent / file).read_text(), re.MULTILINE) if anchor else []
        assert not anchor or anchor in [heading.lower().replace(" ", "-") for heading in headings], link


def test_every_page_is_linked_from_the_readme():
    linked = re.findall(r"\]\((docs/[^)#]+)\)", README.read_text())
    assert set(linked) == {name_of(page) for page in PAGES if page.parent == ROOT / "docs"}


def check_options(arguments: list[str], pytestconfig: pytest.Config) -> None:
    """Check, without running anything, that ``arguments`` are ones that pytest takes with our plugin."""
    parser = pytestconfig._parser
    known = parser.parse_known_args(arguments)
    options = parser.optparser._option_string_actions
    assert not [a for a in arguments if a.startswith("--") and a.split("=")[0] not in options]
    assert known.suite in SUITES
    assert all(name in TRAINERS or ".py:" in name for name in known.trainer or ())
    assert all(name in BUILT_IN or ".py:" in name for name in known.workload or ())


@pytest.mark.parametrize("command", [c for c in COMMANDS if c[0] == "pytest"], ids=shlex.join)
def test_its_pytest_commands_take_their_options(command, pytestconfig):
    _, *arguments = command
    check_options(arguments, pytestconfig)
    assert all((ROOT / a.split("::")[0]).exists() for a in arguments if a.startswith(("tests", "bench")))


@pytest.mark.parametrize("command", [c for c in COMMANDS if c[:2] == ("paceline", "run")], ids=shlex.join)
def test_its_runs_name_benchmarks_and_then_options(command, pytestconfig):
    _, _, *arguments = command
    names = arguments[: next((i for i, a in enumerate(arguments) if a.startswith("-")), len(arguments))]
    assert set(names) <= BENCHMARKS
    check_options(arguments[len(names) :], pytestconfig)


@pytest.fixture(scope="module")
def help_of():
    """Return a function that asks the command for its help."""
    asked = {}

    def ask(*command: str) -> str:
        if command not in asked:
            done = subprocess.run(
                [sys.executable, "-m", "paceline.bench", *command, "--help"],
                capture_output=True,
                text=True,
                check=False,
            )
            assert done.returncode == 0, done.stderr
            asked[command] = done.stdout
        return asked[command]

    return ask


@pytest.mark.parametrize("name", sorted({c[1] for c in COMMANDS if c[0] == "paceline"}))
def test_its_commands_are_there(name, help_of):
    assert name in help_of(name)


@pytest.mark.parametrize("command", [c for c in COMMANDS if c[0] == "paceline" and c[1] != "run"], ids=shlex.join)
def test_its_commands_take_their_options(command, help_of):
    _, name, *arguments = command
    for option in (a.split("=")[0] for a in arguments if a.startswith("-")):
        assert re.search(rf"(?<![\w-]){option}(?![\w-])", help_of(name)), option


@pytest.mark.parametrize("target", sorted({c[1] for c in COMMANDS if c[0] == "make"}))
def test_its_make_targets_exist(target):
    assert f"\n{target}:" in (ROOT / "Makefile").read_text()


def test_files_that_its_commands_name_are_shown_on_a_page():
    """So that nobody is told to run what they cannot have written."""
    shown = {name for parameters in CODE for names in defined_in(parameters.values[1]) for name in names}
    named = {a.split(":")[1] for command in COMMANDS for a in command if ".py:" in a and a.split(":")[1].isidentifier()}
    assert named
    assert named <= shown


@pytest.mark.parametrize(("page", "block"), CODE)
def test_its_code_runs(page, block, tmp_path, monkeypatch, capsys):
    """A trainer and a workload train to the target; what else there is is a script, whose output is checked."""
    file = tmp_path / "block.py"
    file.write_text(block)
    trainers, workloads = defined_in(block)
    for name in trainers:
        label, trainer = find_trainer(f"{file}:{name}")
        assert label == name
        assert run_trial(Trial(GAUSSIANS, trainer, threads=1)).status == "reached"
    for name in workloads:
        assert run_trial(Trial(find_workload(f"{file}:{name}"), MiniBatch(), threads=1)).status == "reached"
    if not trainers and not workloads:
        monkeypatch.chdir(ROOT if "results/reference" in block else tmp_path)
        exec(compile(block, name_of(page), "exec"), {"__name__": "__main__"})
        found = re.match(PRINTED[page.name], capsys.readouterr().out)
        assert found
        if "value" in found.groupdict():
            assert float(found["low"]) < float(found["value"]) < float(found["high"])


def test_each_of_its_two_workloads_takes_fewer_than_20_lines():
    (block,) = code_blocks(README, "python")
    _, workloads = defined_in(block)
    assert len(workloads) == 2
    assert len([line for line in block.splitlines() if line.strip()]) < 20 * len(workloads)


def test_the_terminal_it_shows_is_what_the_terminal_shows():
    """``paceline report results/reference``; where its words change, paste what it prints now."""
    from paceline.bench.report.card import text
    from paceline.bench.report.page import open_run

    (excerpt,) = code_blocks(README, "text")
    assert excerpt in text(open_run(REFERENCE)) + "\n"


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_the_intervals_it_states_are_those_of_the_reference_run(page):
    report = html.unescape(re.sub(r"<[^>]+>", "", (REFERENCE / "report.html").read_text()))
    prose = re.sub(r"```python.*?```", "", page.read_text(), flags=re.DOTALL)
    for interval in re.findall(r"\[\d[\d.]*, \d[\d.]*", prose):
        assert interval in report, interval
