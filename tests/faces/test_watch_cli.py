"""`moreish watch`: what it prints for people and for programs, what is drawn, and what is refused."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from moreish.errors import MoreishError
from moreish.faces import plot
from moreish.faces.cli import run as call
from moreish.faces.draw import sparks
from moreish.faces.plot import DARK, rendered
from moreish.learning import normal
from moreish.learning.vitals import Noise, Spread, noise_scale
from moreish.runs.reporting.inside import vitals_of_run
from moreish.runs.vitals import WatchedRun, vitals
from quick import SMALL

FLAGS = ["--steps", "7", "--batch", "16", "--watch-every", "2"]
READ = [1, 2, 4, 6, 7]
MODELS = ("mlp-bn", "gru", "transformer")


@pytest.fixture(scope="module")
def watched(tmp_path_factory) -> dict[str, str]:
    where = tmp_path_factory.mktemp("watched")
    for name in MODELS:
        settings = [word for key, value in SMALL[name].items() for word in (f"--{key}", str(value))]
        if name == "transformer":
            settings[-1] = "4"
        assert call(["train", "minerals", "--model", name, "--run", str(where / name), *FLAGS, *settings]) == 0
    return {name: str(where / name) for name in MODELS}


def test_json_has_the_reading_and_what_happened_over_the_steps(moreish, watched):
    ran = moreish("watch", watched["mlp-bn"], "--step", "4", "--plot", "out/deep/v.png", "--json")
    assert ran.err == "" and Path("out/deep/v.png").read_bytes()[1:4] == b"PNG"
    found, wanted = ran.json, vitals(watched["mlp-bn"])
    assert found["step"] == 4 and found["readings"] == READ and found["steps"] == 7
    assert found["sites"] == wanted.at(4).to_dict()["sites"] and found["norms"][0]["site"] == "norms.0"
    assert found["first_loss"] == wanted.readings[0].loss and [step for step, _ in found["losses"]] == [1, 7]
    for i, each in enumerate(found["parameters"]):
        over = found["update_to_data"][each["name"]]
        assert over == [one.parameters[i].update_to_data for one in wanted.readings]
        assert over[2] == each["update_to_data"]
    assert moreish("watch", watched["mlp-bn"], "--json").json["step"] == 7


@pytest.mark.parametrize("width", [60, 80, 120])
@pytest.mark.parametrize("name", MODELS)
def test_for_people_each_number_stands_in_its_column_and_is_explained(moreish, watched, monkeypatch, name, width):
    monkeypatch.setenv("COLUMNS", str(width))
    ran = moreish("watch", watched[name])
    assert ran.code == 0 and ran.err == "" and "\x1b" not in ran.out
    assert all(len(line) <= width for line in ran.lines)
    told = " ".join(ran.out.split())
    found = vitals(watched[name])
    assert normal.beginning(found.readings[0]) in told
    assert normal.noise_said(found.noise(), "lines") in told
    assert "rate is at" in told and "Readings at steps 1, 2, 4, 6 and 7" in told
    for column in ("mean", "deviation", "gradient", "gradient:data", "update:data"):
        assert f"{column}: " in told
    for site in found.at().sites:
        (row,) = [line.split() for line in ran.lines if line.startswith(f"{site.site} ") and re.search(r"e-\d\d", line)]
        assert row[1:3] == [f"{site.activation.mean:.3f}", f"{site.activation.deviation:.3f}"]
        assert f"{site.gradient.deviation:.1e}" in row
    for each in found.at().parameters:
        assert any(line.startswith(f"{each.name} ") for line in ran.lines)
    assert ("saturated: " in told) == (name != "transformer")
    assert ("apart: " in told) == (name == "mlp-bn")
    assert ("▇" in told or "█" in told) == (width == 120)


@pytest.mark.parametrize("arguments, code, said", [
    (["ngram"], 1, "fitted by counting"),
    (["one-layer"], 1, "whole list at once"),
    (["nowhere"], 1, "no run directory"),
    (["mlp-bn", "--step", "5"], 2, "was not read at step 5"),
    (["mlp-bn", "--step", "x"], 2, "not a whole number"),
    (["mlp-bn", "--dark"], 2, "--plot"),
    (["mlp-bn", "--plot", "v.gif"], 2, "png, svg, pdf"),
])  # fmt: skip
def test_what_cannot_be_is_refused_in_one_line(moreish, watched, runs, arguments, code, said):
    name, *rest = arguments
    ran = moreish("watch", {**runs, **watched}.get(name, name), *rest)
    assert ran.code == code and ran.out == "" and said in ran.err


def test_a_figure_is_not_put_into_the_run(moreish, watched):
    ran = moreish("watch", watched["gru"], "--plot", f"{watched['gru']}/v.png")
    assert ran.code == 2 and "inside a run directory" in ran.err


def test_a_setting_of_learning(moreish):
    assert moreish("train", "list.txt", "--model", "mlp", "--watch-every", "-1").code == 2
    learning = {key["key"]: key for key in moreish("models", "mlp", "--json").json["learning"]}
    assert learning["watch_every"]["default"] == 100


# ---- the figure


@pytest.mark.parametrize("name", MODELS)
def test_the_figure_shows_what_was_found(watched, name):
    pytest.importorskip("matplotlib")
    from moreish.faces.plot_watch import watch_figure

    found = vitals(watched[name])
    now = found.at(4)
    activations, gradients, weights, updates, losses = watch_figure(found, 4).axes
    matrices = [p for p in now.parameters if len(p.shape) > 1]
    for axes, wanted in (
        (activations, [site.site for site in now.sites]),
        (gradients, [site.site for site in now.sites]),
        (weights, [p.name.removesuffix(".weight") for p in matrices]),
    ):
        assert [tick.get_text() for tick in axes.get_yticklabels()] == wanted
        assert len(axes.patches) == 2 * len(wanted)
    top = activations.patches[1].get_data()
    histogram = now.sites[0].activation.histogram
    assert top.edges[0] == pytest.approx(histogram.low) and top.edges[-1] == pytest.approx(histogram.high)
    most = max(histogram.counts)
    assert list(top.values) == pytest.approx([1.25 * n / most for n in histogram.counts])
    drawn = [line for line in updates.get_lines() if len(line.get_xdata()) == len(READ)]
    assert len(drawn) == len(matrices)
    for line, p in zip(drawn, matrices):
        wanted = [next(q.update_to_data for q in one.parameters if q.name == p.name) for one in found.readings]
        assert list(line.get_ydata()) == wanted and list(line.get_xdata()) == READ
    assert -3 in [line.get_ydata()[0] for line in updates.get_lines() if len(line.get_ydata()) == 2]
    assert list(losses.get_lines()[0].get_ydata()) == [loss for _, loss in found.losses]
    for axes, key in zip((activations, gradients, weights, updates, losses), normal.FIGURES):
        assert " ".join(axes.get_xlabel().split()).endswith(normal.FIGURES[key])


def test_no_update_falls_out_of_its_axis(watched):
    """At the end of a decayed rate updates are a ten-thousandth of what they were."""
    pytest.importorskip("matplotlib")
    from moreish.faces.plot_watch import watch_figure

    found = vitals(watched["gru"])
    last = found.readings[-1]
    parameters = [replace(p, update_to_data=-8.5) for p in last.parameters]
    found = replace(found, readings=[*found.readings[:-1], replace(last, parameters=parameters)])
    low, high = watch_figure(found, last.step).axes[3].get_ylim()
    shown = [p.update_to_data for one in found.readings for p in one.parameters if len(p.shape) > 1]
    assert low < min(shown) == -8.5 and max(shown) < high


@pytest.mark.parametrize("name, width", [("gru", 4.5), ("gru", 12.0), ("transformer", 8.0), ("transformer", 18.0)])
def test_nothing_leaves_the_paper_narrow_or_wide(watched, name, width):
    pytest.importorskip("matplotlib")
    from moreish.faces.plot_watch import watch_figure

    figure = watch_figure(vitals(watched[name]), 7, width, look=DARK)
    figure.draw_without_rendering()
    texts = [figure._suptitle]
    for axes in figure.axes:
        texts += [axes._left_title, axes.xaxis.label, *axes.get_yticklabels(), *axes.texts]
        texts += axes.get_legend().get_texts() if axes.get_legend() else []
        texts += [label for child in axes.child_axes for label in child.get_yticklabels()]
    for text in texts:
        box = text.get_window_extent()
        assert box.x0 >= -1 and box.x1 <= figure.bbox.x1 + 1, text.get_text()
        assert box.y0 >= -1 and box.y1 <= figure.bbox.y1 + 1, text.get_text()


def test_the_figure_is_drawn_of_numbers_that_are_not_there(watched):
    """Nothing finite, one reading, no loss told, no sites: panels stay empty, and nothing breaks."""
    pytest.importorskip("matplotlib")
    from moreish.faces.plot_watch import watch_figure
    from moreish.faces.watching import watch_table

    found = vitals(watched["mlp-bn"])
    nothing = Spread(None, None, None, 12)
    first = found.readings[0]
    sites = [replace(site, activation=nothing, gradient=None) for site in first.sites]
    parameters = [replace(p, data=nothing, gradient=nothing, update_to_data=None) for p in first.parameters]
    for one in (
        replace(first, sites=sites, parameters=parameters, noise=None),
        replace(first, sites=[], norms=[], step=2, loss=40.0, clipped=0.01),
    ):
        bare = WatchedRun("r", found.recipe, [one], [])
        assert rendered(watch_figure(bare, one.step), "png")[1:4] == b"PNG"
        from rich.console import Console

        console = Console(width=80, record=True, file=Path("/dev/null").open("w"))  # noqa: SIM115
        console.print(watch_table(bare, one.step, 80))
        told = console.export_text()
        assert ("! 12 not finite" in told) == bool(one.sites)
        assert ("shortened to 1 %" in told) == (one.clipped < 1)


def test_the_figure_is_the_same_each_time(watched):
    pytest.importorskip("matplotlib")
    from moreish.faces.plot_watch import watch_figure

    found = vitals(watched["gru"])
    assert rendered(watch_figure(found, 7), "svg") == rendered(watch_figure(found, 7), "svg")
    assert plot.LIGHT.paper.encode() in rendered(watch_figure(found, 7), "svg")
    assert DARK.paper.encode() in rendered(watch_figure(found, 7, look=DARK), "svg")


# ---- words


@pytest.mark.parametrize("loss, said", [(3.3, "So it should"), (27.0, "over-confident"), (2.0, "knew something")])
def test_the_first_loss_is_told_against_ln_v(watched, loss, said):
    first = replace(vitals(watched["gru"]).readings[0], loss=loss, unsure=3.2958)
    assert said in normal.beginning(first) and f"{loss:.4f}" in normal.beginning(first)


@pytest.mark.parametrize(
    "variance, said", [(5000.0, "twice the batch"), (100.0, "about right"), (10.0, "Half the batch")]
)
def test_the_noise_is_told_against_the_batch(variance, said):
    told = normal.noise_said(noise_scale([Noise(1.0, variance, 128)]), "lines")
    assert said in told and f"{variance:,.0f} lines" in told and "roughly" in told
    assert "lost in its noise" in normal.noise_said(noise_scale([Noise(-1.0, variance, 128)]), "lines")
    assert "not known" in normal.noise_said(None, "windows")


def test_what_is_outside_of_normal_is_marked(watched):
    now = vitals(watched["mlp-bn"]).at()
    tanh = next(site for site in now.sites if site.kind == "tanh")
    assert not normal.site_is_odd(replace(tanh, saturated=0.05, dead=0.0), "saturated")
    assert normal.site_is_odd(replace(tanh, saturated=0.5), "saturated")
    assert normal.site_is_odd(replace(tanh, dead=0.1), "dead")
    matrix = next(p for p in now.parameters if p.name == "hidden.0.weight")
    for update, lr_share, odd in (
        (-3.0, 1.0, False), (-1.0, 1.0, True), (-5.0, 1.0, True), (-5.0, 0.01, False), (None, 1.0, False),
    ):  # fmt: skip
        assert normal.parameter_is_odd(replace(matrix, update_to_data=update), "update:data", lr_share) is odd
    (norm,) = now.norms
    assert not normal.norm_is_odd(replace(norm, mean_apart=3.0), "apart", step=1)
    assert normal.norm_is_odd(replace(norm, mean_apart=3.0), "apart", step=1000)
    assert normal.norm_is_odd(replace(norm, deviation_ratio=3.0), "ratio", step=1000)
    assert normal.norm_is_odd(replace(norm, rows=2), "rows", step=1)


def test_a_low_rate_is_said_beside_the_updates_that_it_lowers(moreish, watched):
    for share, said in ((1.0, ""), (0.6, ""), (0.01, "1 % of its highest"), (0.01, "by 2.0"), (0.0, "was 0")):
        assert said in normal.rate_said(share) and bool(said) == bool(normal.rate_said(share))
    found = vitals(watched["gru"])
    told = {step: " ".join(moreish("watch", watched["gru"], "--step", step).out.split()) for step in READ}
    for step in READ:
        low = normal.rate_said(found.rate_share(step))
        assert ("by itself lowers update:data" in told[step]) == bool(low) and low in told[step]
    assert normal.rate_said(found.rate_share(READ[-1])), "the rate falls to the end"
    (parameters,) = [table for table in vitals_of_run(watched["gru"]).tables if table.name == "parameters"]
    assert parameters.about == normal.rate_said(found.rate_share(READ[-1]))


def test_sparks_show_all_that_is_there():
    assert sparks([0, 1, 800, 0], 4) == " ▁█ "
    assert sparks([0, 0, 0], 3) == "   " and sparks([], 3) == ""
    assert len(sparks([1] * 40, 20)) == 20


def test_a_damaged_file_is_refused_by_the_command_too(moreish, watched, tmp_path):
    import shutil

    shutil.copytree(watched["gru"], tmp_path / "run")
    (tmp_path / "run" / "vitals.jsonl").write_text('{"step": 1, "vitals": [1]}\n')
    ran = moreish("watch", tmp_path / "run")
    assert ran.code == MoreishError.exit_code and "line 1" in ran.err and ran.out == ""


def test_a_file_that_is_cut_short_is_said_on_standard_error_and_in_the_report(moreish, watched, tmp_path):
    import shutil

    shutil.copytree(watched["gru"], tmp_path / "run")
    path = tmp_path / "run" / "vitals.jsonl"
    path.write_bytes(path.read_bytes()[:-9])
    for ran in (moreish("watch", "run"), moreish("watch", "run", "--json")):
        assert ran.code == 0 and ran.out and "cut short" in ran.err and "step 6" in ran.err
    (remark,) = vitals_of_run(tmp_path / "run").remarks
    assert remark.tone == "warning" and "cut short" in remark.text


@pytest.mark.parametrize("count, more", [(6, ""), (9, " and 3 more")])
def test_of_many_runs_some_are_named_and_the_others_counted(moreish, count, more):
    for i in range(count):
        Path(f"runs/r{i}").mkdir(parents=True)
        Path(f"runs/r{i}/run.toml").touch()
    ran = moreish("watch", "runs/nope")
    assert ran.code == 1 and ran.err.endswith(f"runs/r4, runs/r5{more}.\n") and "runs/r0, runs/r1" in ran.err
