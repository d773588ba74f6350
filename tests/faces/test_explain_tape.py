"""`moreish explain tape`: a learner's file is run, and shown; whatever is wrong with it is a sentence with its line."""

from __future__ import annotations

import os
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
import torch

from moreish.explaining.taping import recorder

FILE = """import torch

a = torch.tensor(2.0, requires_grad=True)
b = torch.tensor([-3.0, 1.0], requires_grad=True)
print("on the way")
c = (a * b).detach()
loss = ((a * b + a).tanh() * c).sum()
late = loss.exp()
"""


@pytest.fixture
def file() -> str:
    Path("own.py").write_text(FILE)
    return "own.py"


@pytest.fixture(autouse=True)
def where(moreish):
    """In the empty directory that `moreish` makes."""


def test_for_people_there_are_a_table_and_the_rules(moreish, file):
    ran = moreish("explain", "tape", file)
    assert ran.code == 0 and ran.err == "on the way\n" and "\x1b" not in ran.out
    assert ran.lines[0].split() == ["name", "made", "by", "shape", "value", "gradient"]
    assert "Backward started from loss." in ran.lines
    a = torch.tensor(2.0, requires_grad=True)
    b = torch.tensor([-3.0, 1.0], requires_grad=True)
    ((a * b + a).tanh() * (a * b).detach()).sum().backward()
    (row,) = [line.split() for line in ran.lines if line.startswith("a ")]
    assert row[-1] == f"{a.grad.item():.4f}" and "Detached from mul_1: detach() cuts it off." in ran.out
    for said in ("Broadcast forward, sum backward", "What is used more than once adds up what comes back"):
        assert said in ran.lines


@pytest.mark.parametrize("width", [40, 72, 160])
def test_lines_fit_the_terminal(moreish, file, monkeypatch, width):
    monkeypatch.setenv("COLUMNS", str(width))
    ran = moreish("explain", "tape", file)
    assert ran.code == 0 and max(map(len, ran.lines)) <= width and "loss" in ran.out


def test_json_is_one_object_whatever_the_file_prints(moreish, file):
    found = moreish("explain", "tape", file, "--json").json
    assert found["ends"] == ["loss"] and found["problem"] == ""
    by_name = {node["name"]: node for node in found["nodes"]}
    assert by_name["c"]["reason"] == "detached" and by_name["c"]["value"] == [-6, 2]
    assert by_name["late"]["reason"] == "unused" and by_name["loss"]["gradient"] == 1
    assert all(rule["holds"] for rule in found["rules"])


def test_the_graph_is_drawn_into_a_file(moreish, file):
    assert moreish("explain", "tape", file, "--plot", "out/deep/graph.svg").code == 0
    light = Path("out/deep/graph.svg").read_text()
    assert ET.fromstring(light).tag.endswith("svg") and ">loss<" in light
    assert moreish("explain", "tape", file, "--plot", "out/dark.svg", "--dark").code == 0
    assert Path("out/dark.svg").read_text() != light


def test_plain_numbers_ask_for_gradients_where_that_is_wished(moreish):
    Path("own.py").write_text("import torch\nx = torch.tensor(3.0)\ny = x * x\n")
    ran = moreish("explain", "tape", "own.py")
    assert ran.code == 0 and "Nothing here asks for a gradient." in ran.out
    found = moreish("explain", "tape", "own.py", "--require-grad", "--json").json
    assert found["ends"] == ["y"] and found["nodes"][0]["gradient"] == 6


def test_it_runs_as_a_file_of_ones_own(moreish):
    Path("deep").mkdir()
    Path("deep/weights.py").write_text("import torch\nw = torch.tensor(2.0, requires_grad=True)\n")
    Path("deep/own.py").write_text(
        "import sys\nfrom weights import w\nassert __name__ == '__main__' and sys.argv == [__file__]\n"
        "def square(x):\n    return x * x\nL = square(w)\nL.backward()\nassert w.grad == 4\n"
    )
    before = list(sys.path), list(sys.argv)
    found = moreish("explain", "tape", "deep/own.py", "--json").json
    assert [node["name"] for node in found["nodes"]] == ["w", "L"] and found["nodes"][0]["gradient"] == 4
    assert (sys.path, sys.argv) == before


@pytest.mark.parametrize(
    ("text", "code", "said"),
    [
        ("import torch\nx = = 2\n", 2, "own.py, line 2: no valid Python: invalid syntax. Mend that line."),
        ("import torch\n\nx = 1 / 0\n", 1, "own.py, line 3: ZeroDivisionError: division by zero."),
        ("import torch\na = torch.ones(2) @ torch.ones(3)\n", 1, "own.py, line 2: RuntimeError: "),
        ("def f():\n    return g()\ndef g():\n    raise ValueError('two\\nlines')\nf()\n", 1,
         "own.py, line 4: ValueError: two lines."),
        ("raise SystemExit(3)\n", 1, "own.py, line 1: it leaves by exit(). Take that out"),
        ("x = 1\n", 1, "own.py computes nothing with torch. Write an expression of tensors"),
        ("", 1, "own.py computes nothing with torch."),
        ("import torch\nx = torch.ones(1)\nwhile True:\n    x = x + 1\n", 1, "own.py, line 4: tape: 60 calls are"),
        ("x = 1\x00\n", 2, "own.py"),
        ("# \xff\nx = '\xff'\n", 2, "own.py"),
        ("import nosuchmodule\n", 1, "own.py, line 1: ModuleNotFoundError: No module named 'nosuchmodule'."),
        ("(" * 5000 + ")" * 5000, 2, "own.py"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_file_is_one_line(moreish, monkeypatch, text, code, said):
    monkeypatch.setattr(recorder, "MOST_CALLS", 60)
    Path("own.py").write_bytes(text.encode("latin-1"))
    ran = moreish("explain", "tape", "own.py", "--plot", "graph.svg")
    assert (ran.code, ran.out) == (code, "") and said in ran.err, ran.err
    assert ran.err.count("\n") == 1 and not Path("graph.svg").exists()


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["nosuch.py"], 1, "cannot read nosuch.py"),
        (["."], 1, "cannot read ."),
        (["own.py", "--dark"], 2, "Give --plot FILE too"),
        (["own.py", "--plot", "graph.png"], 2, "does not end in .svg"),
        (["own.svg", "--plot", "./own.svg"], 2, "would be lost"),
    ],
)
def test_what_cannot_be_asked_for_is_told(moreish, file, words, code, said):
    Path("own.svg").write_text(FILE)
    ran = moreish("explain", "tape", *words)
    assert (ran.code, ran.out) == (code, "") and said in ran.err and ran.err.count("\n") == 1
    assert Path("own.svg").read_text() == FILE


def test_help_is_quick_and_has_an_example(moreish):
    assert "tape" in moreish("explain", "--help").out
    ran = moreish("explain", "tape", "--help")
    assert ran.code == 0 and "Example: moreish explain tape" in ran.out
    told = "print('torch' in sys.modules)"
    script = f"import sys; from moreish.faces.cli import run; run(['explain', 'tape', '-h']); {told}"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, env=os.environ)
    assert done.stdout.splitlines()[-1] == "False"
