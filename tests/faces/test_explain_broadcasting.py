"""`moreish explain broadcasting`: for people, for programs, as a figure; and docs/broadcasting.md."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from moreish.explaining.broadcasting.explanation import explain_broadcasting
from moreish.explaining.broadcasting.traps import TRAPS
from moreish.faces.plot import DARK, LIGHT, rendered

PAGE = (Path(__file__).parents[2] / "docs" / "broadcasting.md").read_text(encoding="utf-8")
EXPRESSIONS = [
    "(27,27) / (27,)",
    "(32,8,10) @ (10,200) + (200,)",
    "(32,30) @ (32,200)",
    "(5,3,4) @ (4,)",
    "a_rather_long_name / a_rather_long_name.sum(1) with a_rather_long_name=(27,27)",
    "(1,2,1,3,1,4,1,5,1000000) * (9,1,1000000)",
    "2 * () + 1",
]


def test_json_has_the_promised_keys_and_says_what_is_summed(moreish):
    found = moreish("explain", "broadcasting", "(27,27) / (27,1)", "--json").json
    assert found["shape"] == [27, 27] and found["warnings"] == [] and len(found["steps"]) == 1
    to_b = next(each for each in found["backward_sums"] if each["operand"] == "b")
    assert (to_b["axes"], to_b["keepdim"], to_b["sum"]) == ([1], True, ".sum(1, keepdim=True)")
    assert next(each for each in found["backward_sums"] if each["operand"] == "a")["axes"] == []
    warned = moreish("explain", "broadcasting", "(27,27) / (27,)", "--json").json
    assert [each["name"] for each in warned["warnings"]] == ["ambiguous-axis"]


def test_shapes_that_do_not_meet_are_an_answer_and_no_failure(moreish):
    ran = moreish("explain", "broadcasting", "(32,30) + (32,)", "--json")
    assert ran.json["shape"] is None and ran.err == "" and ran.json["backward_sums"] == []
    last = ran.json["steps"][-1]
    assert last["error"]["axis"] == -1 and last["error"]["sizes"] == [30, 32]
    assert {"code": "a + b[:, None]", "shape": [32, 30]}.items() <= last["mends"][0].items()
    told = moreish("explain", "broadcasting", "(32,30) + (32,)")
    assert told.code == 0 and "torch refuses it" in told.out and "Works: a + b[:, None]" in told.out


def test_what_cannot_be_read_exits_with_2_and_a_line(moreish):
    for text in ("(27,27) / ", "nothing", "(27,27) / (27)"):
        ran = moreish("explain", "broadcasting", text)
        assert ran.code == 2 and ran.out == "" and ran.err.count("\n") == 1


@pytest.mark.parametrize("width", [60, 80, 120])
@pytest.mark.parametrize("text", EXPRESSIONS[:5])
def test_for_people_it_fits_the_terminal(moreish, monkeypatch, width, text):
    monkeypatch.setenv("COLUMNS", str(width))
    ran = moreish("explain", "broadcasting", text)
    assert ran.code == 0 and ran.err == "" and "\x1b" not in ran.out
    assert all(len(line) <= width for line in ran.lines)
    assert "1   " in ran.out and ("On the way back" in ran.out or "an error" in ran.out)


@pytest.mark.parametrize("text", EXPRESSIONS)
@pytest.mark.parametrize("width", [3.4, 8.0])
def test_the_figure_keeps_to_its_paper(text, width):
    pytest.importorskip("matplotlib")
    from moreish.faces.plot_broadcasting import broadcasting_figure

    found = explain_broadcasting(text)
    figure = broadcasting_figure(found, width)
    figure.draw_without_rendering()
    (axes,) = figure.axes
    for each in axes.texts:
        box = each.get_window_extent()
        assert box.x0 >= -1 and box.x1 <= figure.bbox.x1 + 1, each.get_text()
        assert box.y0 >= -1 and box.y1 <= figure.bbox.y1 + 1, each.get_text()


def test_the_figure_hatches_what_stretches_and_links_what_is_contracted(tmp_path, moreish):
    pytest.importorskip("matplotlib")
    from moreish.faces.plot_broadcasting import broadcasting_figure

    (axes,) = broadcasting_figure(explain_broadcasting("(32,8,10) @ (10,200)"), look=DARK).axes
    assert sum(patch.get_hatch() is not None for patch in axes.patches) == 1
    (link,) = axes.get_lines()
    (left, _), (right, _) = link.get_xydata()
    assert left > right  # from the last column of the left to the last but one of the right
    (axes,) = broadcasting_figure(explain_broadcasting("(3,4) + (3,4)"), look=LIGHT).axes
    assert not [patch for patch in axes.patches if patch.get_hatch()] and not axes.get_lines()
    found = explain_broadcasting("(27,27) / (27,)")
    assert rendered(broadcasting_figure(found), "svg") == rendered(broadcasting_figure(found), "svg")
    ran = moreish("explain", "broadcasting", "(3,1) * (4,)", "--plot", str(tmp_path / "x" / "b.png"), "--dark")
    assert ran.code == 0 and (tmp_path / "x" / "b.png").read_bytes()[1:4] == b"PNG"


def test_the_answer_needs_no_torch():
    script = (
        "import sys; from moreish.faces.cli import run; code = run(['explain', 'broadcasting', '(3,4) @ (4,)'])\n"
        "print(code, sorted({'torch', 'matplotlib', 'numpy'} & sys.modules.keys()))"
    )
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, env=os.environ)
    assert ran.stdout.splitlines()[-1] == "0 []"


def test_the_page_lists_every_trap_and_its_examples_raise_them():
    rows = dict(re.findall(r"^\| `([\w-]+)` \| .*? \| `(.+?)` \|$", PAGE, re.M))
    assert set(rows) == set(TRAPS)
    for name, example in rows.items():
        assert name in [warning.name for warning in explain_broadcasting(example).warnings], example


def test_the_pages_tables_give_what_they_say():
    rows = re.findall(r"^\| `(.+?)` \| `(.+?)` \| `(.+?)` \| `(.+?)` \|$", PAGE, re.M)
    assert len(rows) >= 10
    for text, shape, to_a, to_b in rows:
        found = explain_broadcasting(text)
        assert str(found.shape) == shape, text
        backs = {back.operand: back.code for _, back, _ in found.backward_sums}
        assert (backs["a"], backs["b"]) == (to_a, to_b), text


def test_the_pages_code_runs(capsys):
    (code,) = re.findall(r"^```python\n(.+?)^```", PAGE, re.S | re.M)
    exec(compile(code, "broadcasting.md", "exec"), {})  # the page's own words
    printed = capsys.readouterr().out
    for line in re.findall(r"# prints (.+)$", code, re.M):
        assert line in printed
