"""What the README shows is what happens: its commands are run, and its Python too."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from moreish.faces.cli import run

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
SESSION = re.findall(r"^\$ moreish ((?:train|evaluate) .+)\n((?:(?!\$|```).+\n)*)", README, re.M)
PYTHON = re.findall(r"^```python\n(.+?)^```", README, re.S | re.M)


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MOREISH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("COLUMNS", "120")


def test_the_sessions_in_the_readme_print_what_it_says(elsewhere, capsys):
    assert len(SESSION) == 3
    for command, shown in SESSION:
        assert run(command.split()) == 0
        printed = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
        assert printed == shown.splitlines(), command


def test_the_picture_on_the_first_screen_is_of_the_lines_that_come(elsewhere, capsys):
    (command,) = re.findall(r"^\$ \.venv/bin/moreish (more .+)$", README, re.M)
    assert run(command.split()) == 0
    lines = capsys.readouterr().out.split()
    assert len(lines) == 12
    for picture in re.findall(r"docs/images/more-\w+\.svg", README):
        drawn = (Path(__file__).parents[1] / picture).read_text(encoding="utf-8")
        assert [line for line in lines if not re.search(rf">{line}[&<]", drawn)] == []


def test_the_python_in_the_readme_runs(elsewhere):
    assert len(PYTHON) == 2
    for code in PYTHON:
        exec(compile(code, "README.md", "exec"), {})  # the README's own words


def test_the_python_on_gradients_runs(elsewhere):
    page = (Path(__file__).parents[1] / "docs" / "gradients.md").read_text(encoding="utf-8")
    programs = re.findall(r"^```python\n(.+?)^```", page, re.S | re.M)
    assert len(programs) == 3
    for code in programs:
        exec(compile(code, "gradients.md", "exec"), {"__name__": "page"})
