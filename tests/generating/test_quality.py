"""The table of quality: what a copier, a generator that drops modes and a true one look like in it."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

import moreish
from moreish.errors import MoreishError, UsageError
from moreish.generating.quality.measures import Measures
from moreish.generating.quality.quality import Quality, quality
from moreish.generating.quality.rows import TELLS, Row
from moreish.learning.evaluate import evaluate, line_nats
from moreish.learning.fit import fit
from moreish.learning.recipe import Trained
from moreish.runs.directory import load
from moreish.runs.recording import save
from moreish.text.corpus import Corpus
from moreish.text.lines import Lines
from quick import quick


@pytest.fixture(scope="module")
def towns() -> Corpus:
    return Corpus.read("towns")


@pytest.fixture(scope="module")
def trained(towns: Corpus) -> Trained:
    return fit(towns, "unigram")


def rows(trained: Trained, drawn: Lines) -> dict[str, Row]:
    measures = Measures(trained, drawn, trained.corpus.dev, 0)
    return {row.name: row for row in measures.rows(np.ones(len(drawn)), 0)}


def value(row: Row) -> float:
    assert row.samples is not None, row.unknown
    return row.samples.value


def test_a_copier_makes_nothing_new(trained, towns):
    found = rows(trained, towns.train[: len(towns.dev)])
    assert value(found["new"]) == 0 and value(found["distinct"]) == 1
    for name in ("held_out", "new_nats", "edits_1", "edits"):
        assert found[name].samples is None and "No sample is new" in found[name].unknown
    # By all else it is a set of real lines.
    assert found["count_excess"].samples is not None and abs(found["count_excess"].samples.value) < 1e-9
    for name in ("lengths", "grams"):
        real = found[name].real
        assert real is not None and value(found[name]) < real.high


def test_real_lines_look_like_real_lines(trained, towns):
    """The test part as a generator's samples, beside dev."""
    found = rows(trained, towns.test[: len(towns.dev)])
    assert value(found["new"]) == 1 and value(found["held_out"]) == 0 and value(found["distinct"]) == 1
    told = found["told_apart"].samples
    assert told is not None and told.low - 0.02 < 0.5 < told.high + 0.02
    for name in ("lengths", "grams"):
        real = found[name].real
        assert real is not None and real.low < value(found[name]) < real.high
    assert abs(value(found["count_excess"])) < 0.05
    assert value(Measures(trained, towns.dev, towns.dev, 0).novelty()[1]) == 1


def test_what_is_never_made_costs_on_held_out_lines(trained, towns):
    """Fewer modes, a higher loss: real lines, those with the letters of the first half only, and one line for ever."""
    lines = towns.test.texts()
    count = len(towns.dev)
    narrow = [line for line in towns.train if line[0] < "K"][:count]
    excess = []
    for drawn in (lines, narrow, lines[:1] * count):
        measures = Measures(trained, Lines.of(drawn), towns.dev, 0)
        excess.append(value(measures.counting()[1]))
    assert excess[0] < 0.05 < excess[1] < excess[2]
    assert value(measures.distinct()) == 1 / count and value(measures.told_apart()) > 0.95


def test_shares_by_hand():
    """Over a list whose every line is known: 250 numbers written out."""
    corpus = Corpus.of([f"{i:03}" for i in range(250)])
    trained = fit(corpus, "unigram")
    drawn = [corpus.train[0]] * 60 + [corpus.dev[0]] * 20 + ["a" * 9] * 20
    found = rows(trained, Lines.of(drawn))
    assert value(found["new"]) == 0.4 and value(found["held_out"]) == 0.5
    nearest = min(sum(a != b for a, b in zip(corpus.dev[0], line)) for line in corpus.train)
    assert nearest == 1  # of 200 among 1,000 numbers written with three digits
    assert value(found["edits_1"]) == 0.5 and value(found["edits_2"]) == 0 and value(found["edits_3"]) == 0.5
    assert value(found["edits"]) == (1 + 9) / 2
    assert found["told_apart"].samples is None and "25 lines" in found["told_apart"].unknown
    # Sets of 25 lines: two of copies, a mixed one (10 copies, 15 real) and one of 5 real ones and 20 others.
    assert value(found["distinct"]) == pytest.approx((1 + 1 + 2 + 2) / 4 / 25)
    # Real lines all have three symbols, as 80 of the samples: one set of four has lines of another length, 20 of 25.
    assert value(found["lengths"]) == pytest.approx(20 / 25 / 4)


def test_the_table_is_that_of_the_samples(trained, towns):
    found = quality(trained, 300, seed=3, temperature=0.9)
    made = moreish.sample(trained, 300, seed=3, temperature=0.9).lines
    known, held_out = set(towns.train), set(towns.dev)
    new = [line for line in made if line.text not in known]
    assert found["new"].samples and found["new"].samples.value == len(new) / 300
    assert found["held_out"].samples
    assert found["held_out"].samples.value == np.mean([line.text in held_out for line in new])
    assert found["new_nats"].samples and found["new_nats"].real
    assert found["new_nats"].samples.value == pytest.approx(np.mean([line.nats for line in new]))
    spent = line_nats(trained.model, trained.alphabet, towns.dev)[0]
    assert found["new_nats"].real.value == pytest.approx(spent.mean())
    assert found.evaluation == evaluate(trained) and found.samples == found.size == 300
    assert found == quality(trained, 300, seed=3, temperature=0.9)


def check(found: Quality) -> None:
    """Every row is there, explained, and in JSON; a figure that is not known is null and says why."""
    plain = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert [row["name"] for row in plain["rows"]] == list(TELLS)
    for row in plain["rows"]:
        assert row["explanation"].endswith(".") and "{" not in row["explanation"]
        assert bool(row["unknown"]) == (row["samples"] is None or row["real"] is None)
        for side in (row["samples"], row["real"]):
            if side is not None and side["low"] is not None:
                assert side["low"] <= side["value"] + 1e-9 and side["value"] - 1e-9 <= side["high"]


@pytest.mark.parametrize("model", ["uniform", "one-layer", "mlp", "gru", "mixture"])
def test_models_of_every_kind_have_a_table(model):
    corpus = Corpus.of([f"{i:03}" for i in range(210)])
    check(quality(quick(corpus, model), 100))


CASES = {
    "folds": (Corpus.of([f"{i:03}" for i in range(120)]), "too short to hold any out"),
    "few": (Corpus.of(["ab", "ba", "bb"]), "too short to hold any out"),
    "none": (Corpus.of([f"{i:03}" for i in range(300)], split="none"), "nothing is held out"),
    "lecture": (Corpus.of([f"{i % 150:03}" for i in range(400)], split="lecture"), ""),
    "bytes": (Corpus.of([f"é{i:02}ß" for i in range(60)] * 4, split="lecture", symbols="bytes"), ""),
    "words": (Corpus.of([f"a {i} b{i % 7}" for i in range(250)], symbols="words"), ""),
    "graphemes": (Corpus.of([f"e\u0301{i:03}" for i in range(250)], symbols="graphemes"), ""),
}


@pytest.mark.parametrize("case", CASES)
def test_every_split_and_kind_of_symbol(case):
    corpus, unknown = CASES[case]
    found = quality(fit(corpus, "bigram"), 200)
    check(found)
    assert (found.real == 0) == bool(unknown) and found.leaks == corpus.leaks
    for name in ("new", "count_loss", "told_apart"):
        assert not unknown or (found[name].real is None and unknown in found[name].unknown)
    assert found["new"].samples is not None
    if case == "lecture":  # a share of the real lines is known already, and is the target
        known = set(corpus.train)
        assert found["new"].real and found["new"].real.value == np.mean([x not in known for x in corpus.dev]) < 1


def test_without_smoothing_a_loss_is_infinite():
    corpus = Corpus.of([f"{i:03}{i % 7}" for i in range(250)])
    found = quality(fit(corpus, "ngram", order=5, smoothing="none"), 100)
    check(found)
    assert found["new_nats"].real and math.isinf(found["new_nats"].real.value)


def test_test_lines_are_another_part(trained, towns):
    found = quality(trained, 100, part="test")
    assert found.part == "test" and found.real == len(towns.test) and found.evaluation.part == "test"


def test_what_is_refused(trained, tmp_path, types_unchecked):
    for count in (99, 1_000_001, True, 200.0):
        with pytest.raises(UsageError, match="whole number from 100 to 1,000,000"):
            quality(trained, count)
    for asked, said in (({"part": "train"}, "no unseen lines"), ({"temperature": -1.0}, "temperature")):
        with pytest.raises(UsageError, match=said):
            quality(trained, 100, **asked)
    save(fit(Corpus.of([f"{i:03}" for i in range(250)]), "bigram"), tmp_path / "run", keep_list=False)
    with pytest.raises(MoreishError, match="only hashes"):
        quality(load(tmp_path / "run"), 100)
