"""What the README tells people to do works as written."""

import re
import shlex

import pytest

from paceline.bench.harness.plan import SUITES, TRAINERS, find_trainer
from paceline.bench.harness.run import run_trial
from paceline.bench.harness.trial import Trial
from tests.paths import ROOT
from tests.problems import GAUSSIANS

README = (ROOT / "README.md").read_text()


def code_blocks(language: str) -> list[str]:
    """Return the fenced blocks of ``language``."""
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def test_every_file_it_links_to_is_there():
    for link in re.findall(r"\]\(([^)]+)\)", README):
        assert (ROOT / link).exists(), link


def test_the_commands_it_shows_take_their_options(pytestconfig):
    """Parsed, not run: a pytest command must be one that pytest takes."""
    commands = [shlex.split(line, comments=True) for line in re.findall(r"^    (pytest .*)$", README, re.MULTILINE)]
    assert len(commands) > 4
    for _, *arguments in commands:
        known = pytestconfig._parser.parse_known_args(arguments)
        assert known.suite in SUITES
        assert not [
            a
            for a in arguments
            if a.startswith("--") and a.split("=")[0] not in pytestconfig._parser.optparser._option_string_actions
        ]
        assert all(name in TRAINERS or ".py:" in name for name in known.trainer or ())


def test_its_trainer_trains(tmp_path):
    (block,) = [block for block in code_blocks("python") if "class Clipped" in block]
    file = tmp_path / "my_trainer.py"
    file.write_text(block)
    name, trainer = find_trainer(f"{file}:Clipped")
    assert name == "Clipped"
    assert run_trial(Trial(GAUSSIANS, trainer, threads=1)).status == "reached"


@pytest.mark.times
def test_its_script_runs(tmp_path, monkeypatch, capsys):
    (block,) = [block for block in code_blocks("python") if "run_trial" in block]
    monkeypatch.chdir(ROOT)
    exec(compile(block, "README.md", "exec"), {})
    printed = capsys.readouterr().out
    assert printed.startswith("reached ")
    assert re.search(r"Comparison\(ratio=.*verdict='slower'", printed)


@pytest.mark.parametrize("target", re.findall(r"^    make (\w+)", README, re.MULTILINE))
def test_its_make_targets_exist(target):
    assert f"\n{target}:" in (ROOT / "Makefile").read_text()


def test_its_own_runs_tell_their_critical_batch_size(capsys):
    (block,) = [block for block in code_blocks("python") if "critical_batch_fit import fit" in block]
    exec(compile(block, "README.md", "exec"), {})
    value, low, high, identifiable = capsys.readouterr().out.split()[:4]
    assert float(low) < float(value) < float(high)
    assert identifiable == "True"
