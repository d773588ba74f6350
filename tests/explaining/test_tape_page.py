"""docs/tape.md: its code runs, and the rules it lists are those there are."""

from __future__ import annotations

import re
from pathlib import Path

from moreish.explaining.drawing.diagram import MOST_NODES
from moreish.explaining.taping.recorder import MOST_CALLS
from moreish.explaining.taping.rules import TITLES

PAGE = (Path(__file__).parents[2] / "docs" / "tape.md").read_text(encoding="utf-8")


def test_the_code_runs_and_shows_what_the_page_says(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (code,) = re.findall(r"^```python\n(.+?)^```", PAGE, re.S | re.M)
    variables: dict = {}
    exec(compile(code, "tape.md", "exec"), variables)  # the page's own words
    printed = capsys.readouterr().out
    tape = variables["tape"]
    assert [rule for rule in ("broadcast", "reduction", "none") if f"\n{TITLES[rule]}\n" not in printed] == []
    assert str(tape["b"].gradient) in printed and "Detached from mean_1" in printed
    assert Path("graph.svg").read_text() == tape.svg()


def test_the_page_lists_every_rule_and_the_limits():
    rows = [row.lower() for row in re.findall(r"^\| ([^|]+) \|", PAGE, re.M)[1:] if "---" not in row]
    assert rows == [title.lower() for title in TITLES.values()]
    assert f"{MOST_CALLS:,} calls" in PAGE and f"{MOST_NODES} nodes" in PAGE
