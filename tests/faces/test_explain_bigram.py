"""`moreish explain bigram` and `convolution`: what is printed for people and for programs, drawn, and refused."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from calling import MADE_UP

from moreish.explaining.bigram import convexity
from moreish.explaining.bigram import walk as bigram_walk
from moreish.explaining.bigram.walk import explain_bigram
from moreish.explaining.convolution import timing
from moreish.explaining.convolution import walk as convolution_walk
from moreish.explaining.convolution.walk import explain_convolution
from moreish.faces.plot import DARK, LIGHT, rendered
from moreish.text.corpus import Corpus

HURRIED = (
    (bigram_walk, "STEPS", 30), (convexity, "MLP_STEPS", 30), (convolution_walk, "STEPS", 2),
    (convolution_walk, "MOST_SYMBOLS", 200), (convolution_walk, "TEXT", 20), (timing, "REPEATS", 1),
)  # fmt: skip


@pytest.fixture(autouse=True)
def briefly(monkeypatch):
    for module, name, value in HURRIED:
        monkeypatch.setattr(module, name, value)


@pytest.fixture(scope="module")
def found():
    with pytest.MonkeyPatch.context() as patch:
        for module, name, value in HURRIED:
            patch.setattr(module, name, value)
        corpus = Corpus.of(MADE_UP)
        return {"bigram": explain_bigram(corpus), "convolution": explain_convolution(corpus)}


def figure_of(name: str, found, **asked):
    pytest.importorskip("matplotlib")
    from moreish.faces.plot_bigram import bigram_figure
    from moreish.faces.plot_convolution import convolution_figure

    return {"bigram": bigram_figure, "convolution": convolution_figure}[name](found[name], **asked)


def test_json_is_one_object_and_the_same_each_time_but_for_timings(moreish):
    for name in ("bigram", "convolution"):
        ran = moreish("explain", name, "list.txt", "--plot", f"out/deep/{name}.png", "--json")
        again, other = (moreish("explain", name, "list.txt", "--seed", n, "--json").json for n in (0, 1))
        assert ran.err == "" and ran.json["list"] == "list.txt"
        assert {key for key in ran.json if ran.json[key] != again[key]} <= {"timings"}
        assert {key for key in ran.json if ran.json[key] != other[key]} > {"seed", "timings"} & set(ran.json)
        assert Path(f"out/deep/{name}.png").read_bytes()[1:4] == b"PNG"


def test_the_split_says_what_is_counted(moreish):
    unique, whole = (moreish("explain", "bigram", "list.txt", "--split", s, "--json").json for s in ("unique", "none"))
    assert whole["lines"] == 420 > unique["lines"] and whole["smoothing"]["none"]["dev"] is None
    assert whole["smoothing"]["dev_reason"] == "the list has no dev part"


@pytest.mark.parametrize("width", [60, 100])
@pytest.mark.parametrize(
    "name, words",
    [
        ("bigram", "Which symbol comes next?|float32|exp(logit)|decay |Newton|So One model"),
        ("convolution", "float64|dilation 4|one convolution|loop in Python|So Why it is the same"),
    ],
)
def test_for_people_there_are_tables_sentences_and_what_follows(moreish, monkeypatch, name, words, width):
    monkeypatch.setenv("COLUMNS", str(width))
    ran = moreish("explain", name, "list.txt")
    assert ran.code == 0 and ran.err == "" and "\x1b" not in ran.out
    told = " ".join(ran.out.split())
    assert not [word for word in words.split("|") if word not in told]
    wide = [line for line in ran.lines if len(line) > width]
    table = [line for line in ran.lines if re.match(r"^ .  |^   +[·A-Za-z] +[·A-Za-z] ", line)]
    assert set(wide) <= set(table), "only the bigram's table may be wider than the terminal: it must not be wrapped"
    if name == "bigram":
        from moreish.faces.draw import count_table

        asked = moreish("explain", name, "list.txt", "--json").json
        whole = count_table(asked["counts"], [label or "·" for label in asked["labels"]], width, colour=False).plain
        assert whole in ran.out, "no column is cut off, however narrow the terminal"


def test_the_receptive_field_is_drawn_in_text(moreish):
    ran = moreish("explain", "convolution", "list.txt")
    rows = [line for line in ran.lines if re.match(r"(output|dilation \d) ", line)]
    discs = [[i for i, cell in enumerate(row[13:37:2]) if cell == "●"] for row in rows[:3]]
    assert discs == [[11], [7, 11], [5, 7, 9, 11]] and rows[3].endswith("8 symbols")


def test_the_bigrams_figure_shows_what_was_found(found):
    table, descent, product, smoothing, lines = figure_of("bigram", found).axes
    bigram = found["bigram"]
    shown = {text.get_position(): text.get_text() for text in table.texts}
    seen = {(j, i): str(n) for i, row in enumerate(bigram.counts) for j, n in enumerate(row) if n}
    assert len(bigram.labels) <= 41 and shown == seen
    drawn = {line.get_label(): line.get_ydata() for line in descent.get_lines()}
    assert list(drawn["one-layer network"]) == [each.nats for each in bigram.descent.curve if each.step]
    drawn = {line.get_label(): line for line in product.get_lines()}
    for each in bigram.likelihood.underflows:
        line = drawn[f"{each.precision}: 0 at symbol {each.at}"]
        assert max(line.get_xdata()) < each.at
    rare = [each.add_k.rare for each in bigram.smoothing.strengths]
    assert any(np.allclose(line.get_ydata(), rare) for line in smoothing.get_lines())
    tops = [max(line.get_ydata()) for line in lines.get_lines()[1:]]
    wanted = [bigram.convex.line.barrier, bigram.bent.seeds.barrier, bigram.bent.reordered.barrier]
    assert np.allclose(tops, wanted, atol=1e-9)


def test_the_convolutions_figure_shows_what_was_found(found):
    field, rows, calls = figure_of("convolution", found).axes
    convolution = found["convolution"]
    discs = {tuple(line.get_xdata()) for line in field.get_lines() if line.get_markersize() == 10}
    assert discs == {tuple(level.reads) for level in convolution.reach.levels} | {tuple(convolution.reach.expected)}
    assert [tick.get_text() for tick in field.get_xticklabels()] == convolution.reach.symbols
    assert [bar.get_height() for bar in rows.patches] == [each.each for each in convolution.evaluations]
    assert sorted(bar.get_height() for bar in calls.patches) == sorted(each.calls for each in convolution.calls)


@pytest.mark.parametrize("name", ["bigram", "convolution"])
@pytest.mark.parametrize("width", [4.0, 13.0, 20.0])
def test_nothing_leaves_the_paper_narrow_or_wide(found, name, width):
    figure = figure_of(name, found, width=width)
    figure.draw_without_rendering()
    texts = [figure._supxlabel]
    for axes in figure.axes:
        texts += [axes._left_title, axes.xaxis.label, axes.yaxis.label, *axes.texts]
        texts += axes.get_legend().get_texts() if axes.get_legend() else []
    for text in (text for text in texts if text.get_text()):
        box = text.get_window_extent()
        assert box.x0 >= -1 and box.x1 <= figure.bbox.x1 + 1, text.get_text()
        assert box.y0 >= -1 and box.y1 <= figure.bbox.y1 + 1, text.get_text()


@pytest.mark.parametrize("name", ["bigram", "convolution"])
def test_a_figure_is_the_same_each_time_and_has_two_looks(found, name):
    from matplotlib.colors import to_hex

    once, again = (rendered(figure_of(name, found), "svg") for _ in range(2))
    assert once == again and LIGHT.paper.encode() in once
    dark = figure_of(name, found, look=DARK)
    papers = {to_hex(each.get_facecolor()) for each in (dark, *dark.axes)}
    assert papers == {DARK.paper}


@pytest.mark.parametrize("name", ["bigram", "convolution"])
@pytest.mark.parametrize(
    "arguments, code, words",
    [
        (["nosuch"], 1, "nosuch"),
        (["list.txt", "--seed", "-1"], 2, "seed=-1"),
        (["list.txt", "--plot", "b.bmp"], 2, "ends in none of: png, svg, pdf"),
        (["list.txt", "--dark"], 2, "--dark is about the drawing"),
        ([], 2, "LIST"),
    ],
)
def test_what_cannot_be_obeyed_is_refused_in_a_sentence(moreish, name, arguments, code, words):
    ran = moreish("explain", name, *arguments)
    assert ran.code == code and ran.out == ""
    assert words in " ".join(ran.err.replace("│", " ").split())


def test_refusals_of_one_of_them(moreish, types_unchecked):
    Path("many.txt").write_text("".join(f"{chr(0x4E00 + i)}\n" for i in range(300)))
    ran = moreish("explain", "bigram", "many.txt")
    assert ran.code == 1 and "301 symbols" in ran.err and "at most 256" in ran.err
    ran = moreish("explain", "bigram", "list.txt", "--split", "half")
    assert ran.code == 2 and "no split is called 'half'" in ran.err
    ran = moreish("explain", "convolution", "list.txt", "--device", "tpu")
    assert ran.code == 2 and "no device is called 'tpu'" in ran.err


def test_help_needs_neither_torch_nor_matplotlib():
    script = (
        "import sys; from moreish.faces.cli import run\n"
        "codes = [run(['explain', name, '--help']) for name in ('bigram', 'convolution')]\n"
        "print(codes, sorted({'torch', 'matplotlib', 'numpy'} & sys.modules.keys()))"
    )
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, env=os.environ)
    assert ran.stdout.splitlines()[-1] == "[0, 0] []"
    for name in ("bigram", "convolution"):
        assert f"Example: moreish explain {name} names" in ran.stdout
