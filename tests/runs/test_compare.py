"""Runs side by side: each figure by hand, what cannot be compared refused, looks at test written down."""

from __future__ import annotations

import json
import math
import random
from dataclasses import replace

import numpy as np
import pytest

from moreish.errors import MoreishError, RunError, UsageError
from moreish.learning.evaluate import evaluate, line_nats
from moreish.learning.fit import fit
from moreish.learning.recipe import Trained
from moreish.runs.compare import Standings, compare
from moreish.runs.directory import count_looks
from moreish.runs.recording import save
from moreish.runs.standing import HeldOut, Standing, held_out
from moreish.text.corpus import Corpus
from moreish.text.lines import Lines

chooser = random.Random(5)
MANY = ["".join(chooser.choices(["ka", "ri", "no", "sha", "men", "el"], k=chooser.randint(1, 4))) for _ in range(600)]
FEW = list(dict.fromkeys(MANY))[:43]


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Makes runs, each once: `runs(name, model, lines, **how)` is a directory."""
    where = tmp_path_factory.mktemp("runs")
    made: dict[str, str] = {}

    def make(name: str, model: str = "bigram", lines=MANY, *, keep=True, settings=None, **how) -> str:
        if name not in made:
            corpus = Corpus.of(lines, name="mine", **how)
            made[name] = save(fit(corpus, model, **(settings or {})), where / name, keep_list=keep).run
        return made[name]

    return make


@pytest.mark.parametrize("part", ["dev", "test"])
@pytest.mark.parametrize("split", ["unique", "lecture"])
def test_every_figure_is_the_evaluations_and_the_differences_are_theirs(split, part, tmp_path):
    corpus = Corpus.of(MANY, name="mine", split=split)
    all_trained = [fit(corpus, "unigram"), fit(corpus, "bigram"), fit(corpus, "one-layer", steps=30)]
    places = [save(trained, tmp_path / trained.recipe.model).run for trained in all_trained]
    found = compare(places, part)
    lines = corpus.part(part)
    assert (found.list, found.split, found.split_seed, found.part, found.folds) == ("mine", split, 42, part, 0)
    assert (found.lines, found.symbols) == (len(lines), sum(len(line) + 1 for line in lines))
    assert (found.leaks, found.note) == (corpus.leaks, corpus.note)
    first = evaluate(all_trained[0], part)
    for row, trained, place in zip(found.rows, all_trained, places):
        alone = evaluate(trained, part)
        assert (row.model, row.run, row.parameters) == (trained.recipe.model, place, trained.parameters)
        assert row.nats_per_symbol == pytest.approx(alone.nats_per_symbol)
        assert row.bits_per_symbol == pytest.approx(alone.bits_per_symbol)
        assert row.copy_mass == alone.copy_mass and row.nats_given_new == alone.nats_given_new
        assert row.low < row.nats_per_symbol < row.high
        assert row.difference == pytest.approx(alone.nats_per_symbol - first.nats_per_symbol)
        assert row.difference_low <= row.difference <= row.difference_high
        assert 1 <= len(row.samples) <= 5 and all(row.samples) and row.test_looks == (part == "test")
    assert found.reference == found.rows[0].label and found.rows[0].difference_high == 0
    assert found.rows[1].difference_high < 0, "a bigram is better than a unigram, and that is no noise"
    assert f"{places[1]} (bigram)" in found.advice[0]
    said = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert [row["run"] for row in said["runs"]] == places and "rows" not in said


def test_intervals_are_wide_where_lines_are_few_and_paired_ones_narrow(runs):
    found = compare([runs("bigram"), runs("smooth", settings={"smoothing": "add-0.5"})])
    one, two = found.rows
    assert two.difference_high - two.difference_low < (one.high - one.low) / 5
    assert compare([one.run, two.run]).to_dict() == found.to_dict()
    other = compare([one.run, two.run], seed=1).rows[1]
    assert other.difference == two.difference and other.difference_low != two.difference_low


def test_only_looks_at_test_are_written_down(runs):
    places = [runs("looked-1"), runs("looked-2", "unigram")]
    compare(places)
    assert [count_looks(place) for place in places] == [0, 0]
    compare(places, "test")
    assert [row.test_looks for row in compare(places, "test").rows] == [2, 2]
    assert [row.test_looks for row in compare(places).rows] == [2, 2]


CASES = {
    "another list": (("bigram",), ("other", "bigram", MANY[1:]), "learnt another list than .*fingerprint"),
    "another split": (("bigram",), ("lecture", "bigram", MANY, {"split": "lecture"}), "the split lecture, .* unique"),
    "another seed": (("bigram",), ("seed", "bigram", MANY, {"split_seed": 7}), "the split seed 7, .* has 42"),
    "other symbols": (("bigram",), ("bytes", "bigram", MANY, {"symbols": "bytes"}), "the kind of symbol bytes"),
    "hashes": (("bigram",), ("hashes", "unigram", MANY, {"keep": False}), "only hashes"),
    "hashes first": (("hashes", "unigram", MANY, {"keep": False}), ("bigram",), "only hashes"),
    "nothing held out": (
        ("none-1", "bigram", MANY, {"split": "none"}), ("none-2", "unigram", MANY, {"split": "none"}), "holds nothing",
    ),
    "one line": (("one-1", "bigram", ["solo"] * 3), ("one-2", "unigram", ["solo"] * 3), "one unique line"),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_what_cannot_be_compared_is_refused_in_a_sentence(case, runs):
    *asked, message = CASES[case]
    places = []
    for name, *rest in asked:
        model, lines, how = (*rest, *("bigram", MANY, {})[len(rest) :])
        places.append(runs(name, model, lines, **how))
    with pytest.raises(MoreishError, match=message) as error:
        compare(places)
    assert "\n" not in str(error.value) and str(error.value).endswith(".")


def test_requests_that_mean_nothing_are_refused(runs, tmp_path):
    one, two = runs("bigram"), runs("unigram", "unigram")
    for asked, how, kind, message in (
        ([], {}, UsageError, "two runs or more"),
        ([one], {}, UsageError, "two runs or more"),
        (one, {}, UsageError, "two runs or more"),
        ([one, two, f"{two}/../unigram"], {}, UsageError, "twice"),
        ([one, two], {"part": "train"}, UsageError, "dev, test"),
        ([one, tmp_path / "nothing"], {}, RunError, "no run directory"),
        ([runs("few", lines=FEW), runs("few-2", "unigram", FEW)], {"part": "test"}, UsageError, "no test part"),
    ):
        with pytest.raises(kind, match=message):
            compare(asked, **how)


@pytest.mark.parametrize("count", [2, 4, 43])
def test_of_a_short_list_every_line_is_held_out_once(count, runs):
    lines = FEW[:count]
    found = compare([runs(f"short-{count}", "unigram", lines), runs(f"short-2-{count}", "bigram", lines)])
    corpus = Corpus.of(lines, name="mine")
    order, k = list(corpus.train), min(5, count)
    assert (found.part, found.folds, found.lines, found.leaks) == ("kfold", k, count, False)
    for row in found.rows:
        nats = symbols = 0.0
        for fold in range(k):
            out = order[fold::k]
            learnt = [line for line in order if line not in out]
            again = fit(replace(corpus, train=Lines.of(learnt), kfold=False), row.model)
            nats += line_nats(again.model, corpus.alphabet, Lines.of(out))[0].sum()
            symbols += sum(len(line) + 1 for line in out)
        assert row.nats_per_symbol == pytest.approx(nats / symbols) and 0 <= row.copy_mass < 1
        assert row.nats_given_new <= row.nats_per_symbol


def test_what_was_never_seen_is_infinite_and_null_in_json(runs):
    lines = [*MANY, *[f"x{a}{b}" for a in "abcdefgh" for b in "abcdefghijklm"]]
    counts = runs("with-x-counts", "ngram", lines, settings={"order": 9, "smoothing": "none"})
    found = compare([runs("with-x", lines=lines), counts])
    assert found.rows[1].nats_per_symbol == found.rows[1].difference == math.inf
    said = json.loads(json.dumps(found.to_dict(), allow_nan=False))["runs"]
    assert said[1]["nats_per_symbol"] is None and said[1]["difference"] is None and said[0]["difference"] == 0.0


def test_a_model_whose_loss_is_no_number_is_refused_by_name(runs):
    trained = fit(Corpus.of(MANY, name="mine"), "one-layer", steps=1)
    trained.model.weight.data[3] = math.nan
    with pytest.raises(MoreishError, match=r"one-layer gives \d+ lines a loss that is no number"):
        held_out(Trained(trained.model, trained.alphabet, trained.corpus, trained.recipe))


def test_rows_that_failed_stand_beside_the_others():
    standings = Standings(Corpus.of(MANY, name="mine"))
    sizes = np.array([3, 4, 5])
    standings.add(Standing("a", failed="it broke"))
    standings.add(Standing("b"), HeldOut(np.array([6.0, 8.0, 10.0]), sizes, 0.1, 1.9))
    standings.add(Standing("c"), HeldOut(np.array([3.0, 4.0, 5.0]), sizes, 0.1, 0.9))
    found = standings.comparison(reference=0)
    assert found.reference == "b" and [row.difference for row in found.rows] == [None, 0.0, -1.0]
    assert [row.nats_per_symbol for row in found.rows] == [None, 2.0, 1.0]
    nothing = Standings(Corpus.of(MANY, name="mine"))
    nothing.add(Standing("a", failed="it broke"))
    assert nothing.comparison(0).reference == "" and nothing.comparison(0).lines == 0
