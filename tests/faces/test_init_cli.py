"""`moreish init` and `--initialization`: what people and programs are told, what is drawn, what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from moreish.explaining.initialization import flow as rooms
from moreish.explaining.initialization.flow import initialization
from moreish.faces import plot, plot_init
from moreish.faces.cli.init import gain_number
from moreish.faces.plot import rendered

QUICK = ["init", "list.txt", "--width", "6", "--batch", "8"]


@pytest.fixture(autouse=True)
def few_batches(monkeypatch):
    monkeypatch.setattr(rooms, "BATCHES", 2)


def test_json_is_one_object_and_the_same_each_time(moreish):
    ran = moreish(*QUICK, "--depth", "4", "--gain", "5/3", "--plot", "out/deep/i.png", "--json")
    again = moreish(*QUICK, "--depth", "4", "--gain", "tanh", "--json")
    assert ran.err == "" and again.json == ran.json
    assert ran.json["gain"] == pytest.approx(5 / 3)
    assert [flow["batchnorm"] for flow in ran.json["networks"]] == [False, True]
    assert [[layer["then"] for layer in flow["layers"]] for flow in ran.json["networks"]] == [
        ["tanh", "tanh", "tanh", "linear"]
    ] * 2
    assert all(verdict["sentence"] for verdict in ran.json["verdicts"])
    assert Path("out/deep/i.png").read_bytes()[1:4] == b"PNG"
    assert moreish(*QUICK, "--depth", "4", "--seed", "1", "--json").json["networks"] != ran.json["networks"]


@pytest.mark.parametrize("width", [60, 80, 200])
@pytest.mark.parametrize("depth", [2, 6, 50])
def test_people_get_a_table_a_verdict_and_a_sentence_for_each_figure(width, depth, moreish, monkeypatch):
    monkeypatch.setenv("COLUMNS", str(width))
    ran = moreish(*QUICK, "--depth", str(depth))
    assert ran.code == 0 and all(len(line) <= width for line in ran.lines)
    for said in ("Without BatchNorm", "With BatchNorm", "saturated:", "gradient:", "Normal: "):
        assert said in ran.out
    assert "…" not in ran.out
    rows = [line.split()[0] for line in ran.lines if line[:5].strip().isdigit()]
    assert {"1", str(depth)} <= set(rows) and len(rows) <= 2 * 12
    assert ("█" in ran.out) == (width >= 80)


@pytest.mark.parametrize(
    "nonlinearity, width, look",
    [("tanh", 10.0, plot.LIGHT), ("relu", 5.0, plot.DARK), ("linear", 10.0, plot.DARK), ("sigmoid", 5.0, plot.LIGHT)],
)
def test_the_figure_has_all_panels_legends_and_words(nonlinearity, width, look):
    found = initialization("minerals", depth=9, width=6, nonlinearity=nonlinearity)
    figure = plot_init.init_figure(found, width=width, look=look)
    assert len(figure.axes) == 2 * plot_init.PANELS
    for axes in figure.axes:
        assert axes.get_legend() is not None and axes.get_title(loc="left") and "\n" in axes.get_xlabel()
        assert axes.lines and all(line.get_xydata().shape[0] for line in axes.lines)
    rows = figure.axes if width < plot_init.SIDE_BY_SIDE else figure.axes[1::2]
    assert max(len(axes.lines) for axes in rows) == plot_init.MOST_CURVES


def test_the_same_figure_is_the_same_file():
    found = initialization("minerals", depth=3, width=4, batchnorm=True)
    assert rendered(plot_init.init_figure(found), "svg") == rendered(plot_init.init_figure(found), "svg")


def test_one_network_alone_is_drawn_in_two_rows():
    found = initialization("minerals", depth=2, width=3, nonlinearity="relu", batchnorm=False)
    figure = plot_init.init_figure(found)
    assert len(figure.axes) == 4 and figure.get_figheight() < figure.get_figwidth()


@pytest.mark.parametrize(
    "text, value", [("5/3", 5 / 3), ("1.5", 1.5), ("tanh", 5 / 3), ("relu", 2**0.5), ("1e0/2", 0.5), (2, 2.0)]
)
def test_a_gain_is_a_number_a_fraction_or_a_name(text, value):
    assert gain_number(text) == pytest.approx(value)


@pytest.mark.parametrize(
    "words, said",
    [
        (["--gain", "5/0"], "divides by zero"),
        (["--gain", "tahn"], "Did you mean 'tanh'?"),
        (["--gain", "foo"], "Or give a number, such as 1.2 or 5/3"),
        (["--gain", "a/b"], "is not a number"),
        (["--gain", "inf"], "above 0"),
        (["--gain", "11"], "above 0"),
        (["--depth", "51"], "from 2 to 50"),
        (["--init", "kaimng"], "Did you mean 'kaiming'?"),
        (["--nonlinearity", "tan"], "Did you mean 'tanh'?"),
        (["--plot", "i.txt"], ".txt"),
        (["--dark"], "--plot"),
    ],
)
def test_what_cannot_be_is_refused_in_a_line(words, said, moreish):
    ran = moreish(*QUICK, *words)
    assert ran.code == 2 and said in ran.err and "Traceback" not in ran.err


def test_train_takes_a_name_and_says_what_it_is(moreish):
    ran = moreish("train", "list.txt", "--model", "mlp", "--initialization", "kaimng")
    assert ran.code == 2 and "Did you mean 'kaiming'?" in ran.err
    asked = ["train", "list.txt", "--model", "mlp", "--hidden", "4", "--layers", "1", "--steps", "2", "--seed", "3"]
    begun = {}
    for name in ("default", "kaiming", "lsuv"):
        assert moreish(*asked, "--initialization", name, "--run", f"runs/{name}", "--json").code == 0
        begun[name] = moreish("show", f"runs/{name}", "--json").json["recipe"]["initialization"]
    assert begun == {name: name for name in begun}
    keys = {row["key"]: row for row in moreish("models", "gru", "--json").json["learning"]}
    assert keys["initialization"]["default"] == "default" and "lsuv" in keys["initialization"]["meaning"]
    assert moreish("models", "one-layer", "--json").json["learning"][-1]["default"] == "default"
