"""The tables of bench/: what they ask is what was promised, and how it is judged. Nothing is timed or learnt here."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench_modules import bench
from moreish import MODELS, Corpus, make_recipe
from moreish.learning.recipe import learning_keys

lectures, quality_report, quality_rows = map(bench, ("lectures", "quality_report", "quality_rows"))
report, results, rows = map(bench, ("report", "results", "rows"))

RESULTS_PAGE = Path(__file__).parents[1] / "docs" / "results.md"

ASKED_SPEED = {
    "learn-transformer-32": (2.0, 4), "learn-transformer-256": (2.5, 4), "learn-gru-32": (2.0, 4),
    "learn-gru-256": (4.3, 8), "learn-mlp-32": (3.5, 6), "learn-mlp-256": (9.0, 15),
    "sample-transformer": (15, 40), "sample-gru": (13, 25), "sample-mlp": (40, 80), "sample-mixture": (3000, None),
    "reach-1.9937": (34, 100), "reach-2.17": (25, 60), "step-plain-autograd": (2.2, 2.7), "step-plain-by-hand": (5, 7),
    "step-compiled-autograd": (6, 12), "step-compiled-by-hand": (15, 35),
}  # fmt: skip
"""What was promised of speed: at least so many times the reference (lines/s for the mixture), and the aim."""
ASKED_QUALITY = {
    ("mlp", "lecture"): (1.955, None, 1.935), ("mlp", "unique"): (1.960, None, 1.940),
    ("mlp-bn", "lecture"): (2.105, 0.01, None), ("tree", "lecture"): (1.993, 0.01, None),
    ("gru", "lecture"): (1.950, None, 1.930), ("gru", "unique"): (1.958, None, 1.938),
    ("wavenet", "lecture"): (1.971, None, 1.940), ("wavenet", "unique"): (1.976, None, 1.948),
    ("transformer", "lecture"): (1.964, None, 1.930), ("transformer", "unique"): (1.974, None, 1.938),
    ("best-pure", "lecture"): (1.950, None, 1.920), ("best-pure", "unique"): (1.958, None, None),
    ("mixture", "lecture"): (1.875, None, 1.850), ("mixture", "unique"): (1.870, None, 1.842),
    ("ensemble", "lecture"): (1.862, None, 1.845), ("ensemble", "unique"): None,
}  # fmt: skip
"""What was promised of quality: nats per symbol on dev, how near where it is to be met on both sides, and the aim."""
LECTURE_WEIGHTS = {
    "part2-mlp": 11_897, "part5-3-symbols": 12_097, "part5-8-symbols": 22_097, "part5-tree-22k": 22_397,
    "part5-tree-76k": 76_579,
}  # fmt: skip
"""What the lectures say of their networks' sizes."""


@pytest.mark.parametrize("name", ASKED_SPEED)
def test_speed_asks_what_was_promised(name):
    (row,) = [row for row in rows.ROWS if row.id == name]
    assert (row.at_least, row.aim) == ASKED_SPEED[name]
    assert row.at_most is None
    assert (row.of == "ours") == (name == "sample-mixture")


def test_a_million_nearest_lines_ask_what_was_promised():
    asked = {row.id: row.at_most for row in rows.ROWS if row.id.startswith("nearest-") and row.of == "ours"}
    assert asked == {"nearest-1": 5, "nearest-2": 60}


def test_quality_asks_what_was_promised():
    found = {
        (row.id, split): limit and (limit.figure, limit.within, limit.aim)
        for row in quality_rows.QUALITY_ROWS
        for split, limit in row.limits.items()
    }
    assert found == ASKED_QUALITY
    assert {row.id: row.core_seconds for row in quality_rows.QUALITY_ROWS if row.core_seconds} == {"mixture": 200}
    assert len(quality_rows.SEEDS) == 3


def test_rows_have_names_of_their_own_and_something_to_measure():
    for table in (rows.ROWS, quality_rows.QUALITY_ROWS, lectures.LECTURE_ROWS):
        names = [row.id for row in table]
        assert len(names) == len(set(names))
    for row in rows.ROWS:
        module, function = row.measure.split(":")
        assert callable(getattr(bench(module), function)), row.id


def test_rows_made_of_others_name_rows_that_are_learnt():
    for row in quality_rows.QUALITY_ROWS:
        assert bool(row.model) + bool(row.best) + bool(row.mix) == 1, row.id
        for other in (*row.best, *row.mix):
            assert quality_rows.BY_ID[other].model
            assert row.limits.keys() <= quality_rows.BY_ID[other].limits.keys()


@pytest.mark.parametrize("begin, end", [(module.BEGIN, module.END) for module in (report, quality_report, lectures)])
def test_the_page_has_a_place_for_each_table(begin, end, tmp_path):
    text = RESULTS_PAGE.read_text(encoding="utf-8")
    assert text.count(begin) == text.count(end) == 1 and text.index(begin) < text.index(end)
    page = tmp_path / "results.md"
    page.write_text(text, encoding="utf-8")
    report.put_between(page, begin, end, ["| a |"])
    once = page.read_text(encoding="utf-8")
    report.put_between(page, begin, end, ["| a |"])
    assert page.read_text(encoding="utf-8") == once
    assert once.split(begin)[0] == text.split(begin)[0] and once.split(end)[1] == text.split(end)[1]


# ---- judging


def test_sooner_is_the_reference_over_ours():
    (row,) = [row for row in rows.ROWS if row.id == "reach-2.17"]
    measured = {"ours": [2.0, 2.0, 4.0], "reference": [60.0, 80.0, 60.0], "note": "", "at_most": None, "clock": 1.0}
    judged = report.judge(row, measured, "", "2026-01-01")
    assert (judged["ratio"], judged["holds"]) == (30.0, True)
    assert report.judge(row, {**measured, "reference": []}, "", "")["holds"] is False
    assert report.judge(row, None, "not measured", "")["holds"] is False


@pytest.mark.parametrize(
    "nats, doubt, figure, near, holds",
    [
        (1.949, 0.0, 1.950, None, True),
        (1.952, 0.001, 1.950, None, False),
        (1.952, 0.002, 1.950, None, True),
        (1.800, 0.0, 1.950, None, True),
        (2.112, 0.0, 2.105, 0.01, True),
        (2.120, 0.001, 2.105, 0.01, False),
        (2.090, 0.001, 2.105, 0.01, False),
        (2.090, 0.006, 2.105, 0.01, True),
    ],
)
def test_a_mean_less_two_standard_errors_is_judged(nats, doubt, figure, near, holds):
    assert quality_report.within(nats, doubt, quality_rows.Limit(figure, near)) is holds


def _results(nats: list[float], seconds: float = 100.0) -> dict[str, list[dict[str, object]]]:
    dev = [
        {"nats": n, "copy_mass": 0.1, "nats_given_new": n, "core_seconds": seconds, "on": "", "commit": ""}
        for n in nats
    ]
    return {"dev": dev}


@pytest.mark.parametrize(
    "nats, seconds, holds",
    [
        ([1.86, 1.87, 1.88], 100.0, True),
        ([1.86, 1.87], 100.0, None),
        ([1.86, 1.87, 1.88], 201.0, False),
        ([1.90, 1.90, 1.90], 100.0, False),
        ([1.87, 1.87, 1.90], 100.0, True),  # the mean is 1.880, its standard error 0.010
    ],
)
def test_the_mixture_holds_with_all_seeds_in_its_time(nats, seconds, holds):
    (found,) = quality_report.standings({("mixture", "lecture"): _results(nats, seconds)})
    assert found.holds is holds


def test_the_best_is_chosen_where_nothing_leaks():
    figures = {
        ("mlp", "unique"): _results([1.95] * 3),
        ("mlp", "lecture"): _results([1.96] * 3),
        ("gru", "unique"): _results([1.96] * 3),
        ("gru", "lecture"): _results([1.93] * 3),
        ("wavenet", "unique"): _results([1.90] * 2),  # seeds are missing
    }
    best = [s for s in quality_report.standings(figures) if s.row.id == "best-pure"]
    assert {(s.split, s.source, round(s.nats, 2)) for s in best} == {("lecture", "mlp", 1.96), ("unique", "mlp", 1.95)}
    assert all(len(quality_report.cells(s)) == len(quality_report.HEADINGS) for s in best)


@pytest.mark.parametrize("row", [*quality_rows.QUALITY_ROWS, *lectures.LECTURE_ROWS], ids=lambda row: row.id)
def test_recipes_are_accepted(row):
    if not row.model:
        return
    corpus = Corpus.read("names")
    recipe = make_recipe(corpus, row.model, seed=1, **row.settings)
    assert {name: getattr(recipe, name) for name in row.settings if name in learning_keys()} == {
        name: value for name, value in row.settings.items() if name in learning_keys()
    }
    description = results.describe(recipe, corpus, getattr(row, "start", None))
    assert results.same(json.loads(json.dumps(description)), description)


@pytest.mark.parametrize("name", LECTURE_WEIGHTS)
def test_networks_have_the_lectures_sizes(name):
    row = lectures.LECTURES[name]
    settings = {key: value for key, value in row.settings.items() if key not in learning_keys()}
    model = MODELS[row.model](symbols=27, **settings)
    assert sum(p.numel() for p in model.parameters()) == LECTURE_WEIGHTS[name]
