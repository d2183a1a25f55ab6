"""What stands in several places of the project agrees: versions, pins, the licence."""

import re
import tomllib

import pytest

from tests.paths import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def test_there_is_one_version():
    citation = (ROOT / "CITATION.cff").read_text()
    assert re.findall(r"^version: (.*)$", citation, re.MULTILINE) == [PROJECT["version"]]
    assert re.search(rf"\b{re.escape(PROJECT['version'])}\b", (ROOT / "CHANGELOG.md").read_text())


def test_there_is_one_licence():
    assert PROJECT["license"] == "BSD-3-Clause"
    assert PROJECT["license-files"] == ["LICENSE"]
    assert "\nlicense: BSD-3-Clause\n" in (ROOT / "CITATION.cff").read_text()
    licence = (ROOT / "LICENSE").read_text()
    assert licence.startswith("BSD 3-Clause License\n\nCopyright (c) 2026, The Paceline authors\n")
    assert [author["name"] for author in PROJECT["authors"]] == ["The Paceline authors"]


@pytest.mark.parametrize("tool", ["ruff", "nbstripout"])
def test_a_commit_is_checked_by_the_versions_that_the_project_is(tool):
    (pinned,) = re.findall(rf"^{tool}==(.*)$", (ROOT / "constraints.txt").read_text(), re.MULTILINE)
    hooks = (ROOT / ".pre-commit-config.yaml").read_text()
    (used,) = re.findall(rf"repo: https://github.com/\S+/{tool}(?:-pre-commit)?\n +rev: v?(\S+)\n", hooks)
    assert used == pinned


@pytest.mark.parametrize("form", ["bug", "measurement", "question"])
def test_an_issue_is_asked_for_the_doctors_words(form):
    text = (ROOT / ".github" / "ISSUE_TEMPLATE" / f"{form}.yml").read_text()
    assert "paceline doctor" in text
    assert re.search(r"^name: .+\ndescription: .+$", text, re.MULTILINE)
